"""Counts the alerts of a store without opening it for writing. Imports the database's names."""

import contextlib
import sqlite3
from pathlib import Path

from perception.alerts.database import own_version


def count_raised(path: Path, since_wall_ns: int) -> dict[tuple[str, str], int]:
    """Return how many alerts began at a wall time (ns) or later, by (camera, rule).

    path: the store of the plan; the file beside it, used where `path` is of a newer version, is
    counted too. A file that is missing or cannot be read counts as empty.

    A closed store is read as unchangeable: a plain reader would leave a write-ahead log beside it.
    """
    counts: dict[tuple[str, str], int] = {}
    for file in (path, own_version(path)):
        with contextlib.suppress(sqlite3.Error, OSError):
            closed = not file.with_name(f"{file.name}-wal").exists()
            address = f"{file.resolve().as_uri()}?mode=ro{'&immutable=1' if closed else ''}"
            with contextlib.closing(sqlite3.connect(address, uri=True)) as db:
                rows = db.execute(
                    "SELECT camera, rule, count(*) FROM alerts WHERE start_t_wall_ns >= ? "
                    "GROUP BY camera, rule",
                    (since_wall_ns,),
                )
                for camera, rule, count in rows:
                    counts[camera, rule] = counts.get((camera, rule), 0) + count
    return counts
