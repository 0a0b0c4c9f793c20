"""The truth of alerts: visits.csv, one line a visit. Imports errors.

    camera,from,to,who,kind
    door,12.5,31,anna,visitor
    door,1:02:03.5,1:02:40,,visitor

from, to: seconds or h:mm:ss of the footage, or UTC as 2026-11-27T14:05:30; one way in a file.
who: a name, `unknown` for a stranger, empty: not judged. kind: rule or kind of the alert, empty:
any.
"""

import csv
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from perception.errors import ConfigError, unknown
from perception.score.labels import read_bytes

COLUMNS = ("camera", "from", "to", "who", "kind")
MAX_VISITS = 100_000
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,3}):(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True)
class Visit:
    """One visit. start_ns, end_ns: of the footage, or wall time where Visits.wall."""

    start_ns: int
    end_ns: int
    camera: str = ""
    who: str = ""
    kind: str = ""
    line: int = 0


@dataclass(frozen=True)
class Visits:
    """Visits by their start. wall: times are UTC, not seconds of the footage."""

    rows: list[Visit]
    wall: bool


def read_visits(path: Path, camera: str = "") -> Visits:
    """Return the visits of a file, of one camera where its name is given.

    Raises ConfigError with the line.
    """
    text = read_bytes(path).decode("utf-8-sig", "replace")
    lines = csv.reader(text.splitlines(), delimiter=";" if ";" in text.split("\n")[0] else ",")
    rows: list[Visit] = []
    walls: set[bool] = set()
    columns: list[str] = []
    try:
        for cells in lines:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                columns = _columns(path, cells)
                continue
            said = {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}
            number = lines.line_num
            start, wall = _time(said.get("from", ""), path, number)
            end, other = _time(said.get("to", ""), path, number)
            walls |= {wall, other}
            if len(walls) > 1:
                raise ConfigError("seconds and UTC times in one file", str(path), number)
            if end < start:
                raise ConfigError("ends before it begins", str(path), number, "to")
            names = said.get("camera", ""), said.get("who", ""), said.get("kind", "")
            rows.append(Visit(start, end, *names, number))
            if len(rows) > MAX_VISITS:
                raise ConfigError(f"more than {MAX_VISITS} visits", str(path), number)
    except csv.Error as error:
        raise ConfigError(f"not CSV: {error}", str(path), lines.line_num) from None
    if not columns:
        raise ConfigError(f"is empty: the first line is {','.join(COLUMNS)}", str(path))
    kept = [row for row in rows if not camera or row.camera in ("", camera)]
    return Visits(sorted(kept, key=lambda row: (row.start_ns, row.line)), True in walls)


def _columns(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    for name in names:
        if name not in COLUMNS:
            raise ConfigError(unknown(name, COLUMNS, "columns of visits"), str(path), 1)
    if "from" not in names or "to" not in names:
        raise ConfigError("the first line has to name at least from and to", str(path), 1)
    return names


def _time(text: str, path: Path, line: int) -> tuple[int, bool]:
    """Return ns and whether they are wall time."""
    found = _CLOCK.fullmatch(text)
    if found:
        hours, minutes, seconds = found.groups()
        return round((int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)) * 1e9), False
    try:
        seconds = float(text)
        if math.isfinite(seconds) and 0 <= seconds < 1e9:
            return round(seconds * 1e9), False
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        said = f"{text[:40]!r} is neither seconds, h:mm:ss nor UTC as 2026-11-27T14:05:30"
        raise ConfigError(said, str(path), line) from None
    when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return round(when.timestamp() * 1e6) * 1000, True
