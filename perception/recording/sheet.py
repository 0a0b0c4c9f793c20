"""A table for the terminal that is readable at small widths too. Imports rich only."""

from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

FOLD_CELLS = 24
"""Longer words, such as paths, may be broken. Cells are columns of the terminal."""
_GAP, _EDGES = 3, 2
"""Cells between two columns, and at both edges together."""


class Sheet:
    """A table with one row per entry. In a narrow terminal: a block of `title  value` lines each.

    The blocks are used where the table would have to break words. Both forms show all values, and
    no line is wider than the terminal. columns: titles, at least one. right: titles of the columns
    that are aligned to the right. title: heading.
    """

    def __init__(self, *columns: str, right: Sequence[str] = (), title: str = "") -> None:
        self._columns, self._right, self._title = columns, right, title
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str | Text) -> None:
        """Add a row. Raises ValueError where the number of cells is not that of the columns."""
        if len(cells) != len(self._columns):
            raise ValueError(f"{len(cells)} cells in a table of {len(self._columns)} columns")
        self._rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table if it fits into options.max_width cells, else the blocks."""
        del console
        widths = self._widths(options.max_width)
        if widths:
            yield self._table(widths)
            return
        if self._title:
            yield Text(self._title, style="bold")
        for row in self._rows:
            yield self._block(row, options.max_width)
            yield Text()

    def _widths(self, available: int) -> list[int]:
        """Return the width of each column, cells; []: words up to FOLD_CELLS would be broken."""
        columns = [
            [title, *(row[i].plain for row in self._rows)] for i, title in enumerate(self._columns)
        ]
        widths = [min(max(map(_longest_word, cells)), FOLD_CELLS) for cells in columns]
        natural = [max(map(_longest_line, cells)) for cells in columns]
        spare = available - sum(widths) - _GAP * (len(widths) - 1) - _EDGES
        if spare < 0:
            return []
        while spare and widths != natural:
            grows = [i for i, width in enumerate(widths) if width < natural[i]]
            widths[min(grows, key=widths.__getitem__)] += 1
            spare -= 1
        return widths

    def _table(self, widths: Sequence[int]) -> Table:
        table = Table(
            title=self._title or None,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
        )
        for title, width in zip(self._columns, widths, strict=True):
            justify = "right" if title in self._right else "left"
            table.add_column(title, justify=justify, overflow="fold", width=width)
        for row in self._rows:
            table.add_row(*row)
        return table

    def _block(self, row: Sequence[Text], width: int) -> Table:
        """Return one line per cell that is not empty. Titles have at most half of the width."""
        block = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        block.add_column(style="dim", overflow="fold", max_width=width // 2)
        block.add_column(overflow="fold")
        for title, cell in zip(self._columns, row, strict=True):
            if cell.plain:
                block.add_row(title, cell)
        return block


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _longest_line(text: str) -> int:
    return max(map(cell_len, text.splitlines()), default=0)
