"""The terminal: one console, tables and progress bars that look alike. Command line only."""

import sys

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table


def console() -> Console:
    """Return a console on stdout."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=False)


def sheet(*columns: str) -> Table:
    """Return an empty table."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table


def downloads() -> Progress:
    """Return progress bars in bytes."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    )


def steps(*, transient: bool = False) -> Progress:
    """Return progress bars in counted steps. transient: gone when done, as if it never was."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        transient=transient,
    )
