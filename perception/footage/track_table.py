"""Rows of tracks in the catalog: one a track, however many segments it was seen in.

`track_zone` has a row for each zone of a track, `named` one for each segment in which a person of
the gallery was named, also where the track got another name later. Imports rows.
"""

import json
import sqlite3

from perception.footage.rows import COLOURS, TrackRow

LONG_NS = 600 * 1_000_000_000
"""A track that lasts longer is found by an index of its own: others end soon after they begin."""
LONG = f"end_wall_ns - start_wall_ns > {LONG_NS}"
TABLES = f"""
CREATE TABLE IF NOT EXISTS track (
    id INTEGER PRIMARY KEY, camera TEXT NOT NULL, track_id INTEGER NOT NULL,
    class_name TEXT NOT NULL, start_wall_ns INTEGER NOT NULL, end_wall_ns INTEGER NOT NULL,
    zones TEXT NOT NULL, who TEXT NOT NULL, alerts INTEGER NOT NULL, upper INTEGER NOT NULL,
    lower INTEGER NOT NULL, segment INTEGER NOT NULL, UNIQUE (camera, track_id)) STRICT;
CREATE INDEX IF NOT EXISTS track_time ON track (start_wall_ns);
CREATE INDEX IF NOT EXISTS track_kind ON track (class_name, camera, start_wall_ns, upper, lower);
CREATE INDEX IF NOT EXISTS track_who ON track (who, start_wall_ns) WHERE who <> '';
CREATE INDEX IF NOT EXISTS track_alert ON track (class_name, camera, start_wall_ns)
    WHERE alerts > 0;
CREATE INDEX IF NOT EXISTS track_long ON track (start_wall_ns) WHERE {LONG};
CREATE INDEX IF NOT EXISTS track_segment ON track (segment);
CREATE TABLE IF NOT EXISTS track_zone (
    zone TEXT NOT NULL, class_name TEXT NOT NULL, start_wall_ns INTEGER NOT NULL,
    track INTEGER NOT NULL, PRIMARY KEY (zone, class_name, start_wall_ns, track))
    STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS named (
    who TEXT NOT NULL, segment INTEGER NOT NULL, PRIMARY KEY (who, segment)) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS named_segment ON named (segment);
"""


def put(db: sqlite3.Connection, segment: int, camera: str, track: TrackRow) -> None:
    """Add a track; one that was in an earlier segment too stays there and lasts longer."""
    if track.who not in ("", "unknown"):
        db.execute("INSERT OR IGNORE INTO named VALUES (?, ?)", (track.who, segment))
    number, zones, class_name, start_wall_ns = db.execute(
        "INSERT INTO track (camera, track_id, class_name, start_wall_ns, end_wall_ns, zones, who, "
        "alerts, upper, lower, segment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (camera, track_id) DO UPDATE SET "
        "end_wall_ns = max(end_wall_ns, excluded.end_wall_ns), "
        "zones = CASE WHEN length(excluded.zones) > length(zones) THEN excluded.zones "
        "ELSE zones END, "
        "who = CASE WHEN excluded.who <> '' THEN excluded.who ELSE who END, "
        "alerts = max(alerts, excluded.alerts), "
        "upper = CASE WHEN excluded.upper > 0 THEN excluded.upper ELSE upper END, "
        "lower = CASE WHEN excluded.lower > 0 THEN excluded.lower ELSE lower END "
        "RETURNING id, zones, class_name, start_wall_ns",
        (
            camera, track.track_id, track.class_name, track.start_wall_ns, track.end_wall_ns,
            json.dumps(track.zones) if track.zones else "", track.who, track.alerts,
            code(track.upper), code(track.lower), segment,
        ),
    ).fetchone()  # fmt: skip
    for zone in json.loads(zones or "[]"):
        db.execute(
            "INSERT OR IGNORE INTO track_zone VALUES (?, ?, ?, ?)",
            (zone, class_name, start_wall_ns, number),
        )


def remove(db: sqlite3.Connection, where: str, *values: object) -> None:
    """Remove the tracks that a condition on the table `track` names."""
    rows = db.execute(
        f"SELECT id, zones, class_name, start_wall_ns FROM track WHERE {where}", values
    ).fetchall()
    for number, zones, class_name, start_wall_ns in rows:
        for zone in json.loads(zones or "[]"):
            db.execute(
                "DELETE FROM track_zone WHERE zone = ? AND class_name = ? AND start_wall_ns = ? "
                "AND track = ?",
                (zone, class_name, start_wall_ns, number),
            )
        db.execute("DELETE FROM track WHERE id = ?", (number,))


def code(colour: str) -> int:
    """Return the number of a colour in the table; 0: not known."""
    return COLOURS.index(colour) + 1 if colour in COLOURS else 0


def colour(number: int) -> str:
    """Return the colour of a number in the table."""
    return COLOURS[number - 1] if 0 < number <= len(COLOURS) else ""
