"""Alerts erased on request: rows, deliveries, pictures, and what rows leave in freed pages.

Imports the rest of this room, sinks, wire and errors.
"""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from perception.alerts.database import Database
from perception.alerts.rows import alert_of
from perception.errors import ConfigError
from perception.sinks import snapshot


class Found(NamedTuple):
    """Alerts that are to be erased. names: of a person, as they are spelled."""

    keys: frozenset[str]
    names: tuple[str, ...]


def look(
    database: Database, keys: Collection[str], spans: Sequence[tuple[str, int, int]],
    names: Sequence[str],
) -> Found:  # fmt: skip
    """Return the alerts with one of these keys, those that began in a span, those with a name.

    spans: camera, from and to in wall ns. Raises SinkError where the store cannot be read.
    """
    found = {key for (key,) in database.read("SELECT key FROM alerts") if key in set(keys)}
    for camera, start, end in spans:
        rows = database.read(
            "SELECT key FROM alerts WHERE start_t_wall_ns BETWEEN ? AND ? AND camera = ?",
            start, end, camera,
        )  # fmt: skip
        found |= {key for (key,) in rows}
    for name in names:
        for table in ("alerts", "outbox"):
            rows = database.read(
                f"SELECT key FROM {table} WHERE json_extract(body, '$.details.who') = ?", name
            )
            found |= {key for (key,) in rows}
    return Found(frozenset(found), tuple(names))


def erase(database: Database, found: Found) -> int:
    """Erase alerts with their pictures; return how many pictures there were.

    A camera whose rules still know one of them, or the person, begins with fresh rules at the next
    start. Raises SinkError where a picture or a row cannot be removed; then the rows are there.
    """
    pictures: set[str] = set()
    keys = [(key,) for key in sorted(found.keys)]
    for (key,) in keys:
        bodies = database.read(
            "SELECT body FROM alerts WHERE key = ?1 UNION ALL SELECT body FROM outbox "
            "WHERE key = ?1",
            key,
        )
        for (body,) in bodies:
            alert = alert_of(body)
            if alert.snapshot is not None and Path(alert.snapshot).exists():
                snapshot.erase(alert)
                pictures |= {alert.snapshot} if not Path(alert.snapshot).exists() else set()
    with database.transaction() as db:
        db.execute("PRAGMA secure_delete = ON")
        db.executemany("DELETE FROM outbox WHERE key = ?", keys)
        db.executemany("DELETE FROM alerts WHERE key = ?", keys)
        states = db.execute("SELECT camera, state FROM progress").fetchall()
        told = [(camera,) for camera, state in states if _knows(state, found)]
        db.executemany("DELETE FROM progress WHERE camera = ?", told)
    database.scrub()
    return len(pictures)


def erase_lines(path: Path, found: Found) -> int:
    """Remove the lines of a JSON lines file that tell of alerts; return how many there were.

    For a file that nobody appends to meanwhile. Raises ConfigError where it cannot be rewritten.
    """
    part = path.with_name(f"{path.name}.part")
    count = 0
    try:
        with path.open("rb") as lines, part.open("wb") as kept:
            for line in lines:
                if _knows(line.decode(errors="replace"), found):
                    count += 1
                else:
                    kept.write(line)
        if count:
            part.replace(path)
        else:
            part.unlink()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return count


def _knows(text: str, found: Found) -> bool:
    """Whether a text of JSON has a key of an alert, or somebody's name as a value."""
    said = {json.dumps(name) for name in found.names}
    said |= {json.dumps(name, ensure_ascii=False) for name in found.names}
    return any(key in text for key in found.keys) or any(name in text for name in said)
