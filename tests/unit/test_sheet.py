"""Tables on terminals of any width: no word lost, no word broken, no line too long."""

import io
from collections import Counter

import pytest
from rich.cells import cell_len
from rich.console import Console

from perception.recording.sheet import FOLD_CELLS, Sheet

ROWS = [
    ("front", "rtsp://user:***@camera.local:554/a/very/long/path", "1280x720 15 fps", "12"),
    ("a" * FOLD_CELLS, "two words", "none", ""),
    ("日本語", "x", "y", "1,234,567"),
]


def shown(sheet, width):
    console = Console(width=width, file=io.StringIO())
    console.print(sheet)
    return console.file.getvalue()


def sheet(rows=ROWS):
    made = Sheet("camera", "source", "picture", "frames read", right=("frames read",))
    for row in rows:
        made.add_row(*row)
    return made


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
def test_nothing_is_lost_or_broken(width):
    said = shown(sheet(), width)
    assert all(cell_len(line) <= width for line in said.splitlines())
    assert "…" not in said
    for word in (word for row in ROWS for cell in row for word in cell.split()):
        if width >= 40 and len(word) <= FOLD_CELLS:
            assert word in said, word
    letters = Counter("".join(cell for row in ROWS for cell in row).replace(" ", ""))
    assert not letters - Counter(said), "a letter is lost"


def test_the_form_depends_on_the_width():
    assert "─" in shown(sheet(), 120)
    narrow = shown(sheet(), 40)
    assert "─" not in narrow
    assert "frames read  12" in narrow
    assert narrow.count("frames read") == 2, "an empty cell has no line"


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="2 cells in a table of 4 columns"):
        sheet().add_row("a", "b")
