"""The terminal: one console, tables and progress bars that look alike. Command line only."""

import sys
from collections.abc import Sequence

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
from rich.text import Text

from perception.recording.sheet import Sheet


def console() -> Console:
    """Return a console on stdout."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=False)


def sheet(*columns: str, right: Sequence[str] = ()) -> Sheet:
    """Return an empty table. right: titles of columns aligned to the right."""
    return Sheet(*columns, right=right)


def say(screen: Console, text: Text) -> None:
    """Print a message: wrapped between words on a terminal, one line in a pipe or file."""
    screen.print(text, soft_wrap=not screen.is_terminal)


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
        TimeRemainingColumn(),
        transient=transient,
    )
