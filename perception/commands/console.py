"""The terminal: console, tables and progress bars in one style. Command line only."""

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
    """Print a message. It is wrapped between words on a terminal, and one line in a pipe
    or file.
    """
    screen.print(text, soft_wrap=not screen.is_terminal)


def downloads() -> Progress:
    """Return progress bars that count bytes."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    )


def steps(*, transient: bool = False) -> Progress:
    """Return progress bars that count steps. transient: remove them when done."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        transient=transient,
    )
