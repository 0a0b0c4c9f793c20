"""Reads a file with the times of the pictures in a folder. Imports clock and errors only.

KITTI's raw data has `timestamps.txt` with a date and time on each line. KITTI odometry and many
other data sets have `times.txt` with seconds on each line. Line n is the time of picture n.
"""

import itertools
import re
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from perception import clock
from perception.errors import SourceError

NAMES = ("timestamps.txt", "times.txt")
MAX_BYTES = 64 << 20
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?")


def find_times(path: Path) -> Path | None:
    """Return the file of times in a folder of pictures or in its parent; None: there is none."""
    if not path.is_dir():
        return None
    found = (folder / name for folder in (path, path.parent) for name in NAMES)
    return next((file for file in found if file.is_file()), None)


def read_times(path: Path) -> list[int]:
    """Return the time of each line, ns. Dates are UTC and count from 1970; seconds are kept.

    Empty lines and lines with # are skipped. Raises SourceError where the file cannot be read, a
    line is no time, or a time is not later than the one before.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise SourceError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
    times: list[int] = []
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        time_ns = _time(text)
        if time_ns is None:
            raise SourceError(
                f"{path}:{number}: {text[:40]!r} is no time: "
                "expected seconds, or 2011-09-26 13:02:25.594"
            )
        if times and time_ns <= times[-1]:
            raise SourceError(f"{path}:{number}: {text[:40]} is not later than the line before")
        times.append(time_ns)
    return times


def times_of(paths: Sequence[Path], file: Path) -> list[int]:
    """Return the time of each picture, ns.

    Where there are more lines than pictures, the number in the name of a picture is its line (from
    0). Raises SourceError where lines and pictures do not match.
    """
    times = read_times(file)
    if len(times) == len(paths):
        return times
    numbers = [int(p.stem) if p.stem.isascii() and p.stem.isdigit() else -1 for p in paths]
    rising = all(b > a for a, b in itertools.pairwise(numbers))
    if numbers and rising and numbers[0] >= 0 and numbers[-1] < len(times):
        return [times[n] for n in numbers]
    raise SourceError(f"{file}: {len(times)} times for {len(paths)} pictures")


def rate_of(times: Sequence[int]) -> float | None:
    """Return the frame rate, Hz, from the median interval of times in ns. None: fewer than two."""
    gaps = [b - a for a, b in itertools.pairwise(times)]
    return clock.NS_PER_S / statistics.median(gaps) if gaps else None


def _time(text: str) -> int | None:
    """Return the time of a line, ns; None: it is no time."""
    if (parts := _DATE.fullmatch(text)) is not None:
        day, second, fraction = parts.groups()
        try:
            moment = datetime.fromisoformat(f"{day}T{second}").replace(tzinfo=UTC)
        except ValueError:
            return None
        return int(moment.timestamp()) * clock.NS_PER_S + int((fraction or "0").ljust(9, "0"))
    try:
        seconds = float(text)
    except ValueError:
        return None
    return round(seconds * clock.NS_PER_S) if 0 <= seconds < 4e9 else None
