"""The tables of the catalog, and how those of an earlier version become them.

Tracks stand in `track` alone, not in the rows of their segments; each index serves a kind of
search (benchmarks.search): by class and camera, name, zone, alert, time. Imports rows.
"""

import sqlite3

import msgspec

from perception.footage import track_table
from perception.footage.rows import SegmentRow

VERSION = 2
STRETCH_NS = 600 * 1_000_000_000
"""Table `stretch` has a row for all segments that begin within 10 minutes: a month is read fast.
covered_ns: the sum of their lengths."""
_SUMS = (
    f"camera, start_wall_ns / {STRETCH_NS}, min(start_wall_ns), max(end_wall_ns), count(*), "
    "sum(tracks), sum(bytes), sum(end_wall_ns - start_wall_ns)"
)
TABLES = f"""
CREATE TABLE IF NOT EXISTS segment (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, camera TEXT NOT NULL,
    start_wall_ns INTEGER NOT NULL, end_wall_ns INTEGER NOT NULL, bytes INTEGER NOT NULL,
    alerts INTEGER NOT NULL, tracks INTEGER NOT NULL, row TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS segment_span
    ON segment (camera, start_wall_ns, end_wall_ns, tracks, bytes);
CREATE INDEX IF NOT EXISTS segment_alert ON segment (end_wall_ns, start_wall_ns) WHERE alerts > 0;
CREATE INDEX IF NOT EXISTS segment_track ON segment (end_wall_ns, start_wall_ns)
    WHERE alerts = 0 AND tracks > 0;
CREATE INDEX IF NOT EXISTS segment_empty ON segment (end_wall_ns, start_wall_ns)
    WHERE alerts = 0 AND tracks = 0;
CREATE TABLE IF NOT EXISTS stretch (
    camera TEXT NOT NULL, number INTEGER NOT NULL, start_wall_ns INTEGER NOT NULL,
    end_wall_ns INTEGER NOT NULL, segments INTEGER NOT NULL, tracks INTEGER NOT NULL,
    bytes INTEGER NOT NULL, covered_ns INTEGER NOT NULL,
    PRIMARY KEY (camera, number)) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS segment_added AFTER INSERT ON segment BEGIN
    INSERT OR REPLACE INTO stretch SELECT {_SUMS} FROM segment WHERE camera = NEW.camera
        AND start_wall_ns >= NEW.start_wall_ns / {STRETCH_NS} * {STRETCH_NS}
        AND start_wall_ns < (NEW.start_wall_ns / {STRETCH_NS} + 1) * {STRETCH_NS} GROUP BY 1, 2;
END;
CREATE TRIGGER IF NOT EXISTS segment_removed AFTER DELETE ON segment BEGIN
    DELETE FROM stretch WHERE camera = OLD.camera AND number = OLD.start_wall_ns / {STRETCH_NS};
    INSERT INTO stretch SELECT {_SUMS} FROM segment WHERE camera = OLD.camera
        AND start_wall_ns >= OLD.start_wall_ns / {STRETCH_NS} * {STRETCH_NS}
        AND start_wall_ns < (OLD.start_wall_ns / {STRETCH_NS} + 1) * {STRETCH_NS} GROUP BY 1, 2;
END;
CREATE TRIGGER IF NOT EXISTS segment_changed AFTER UPDATE ON segment BEGIN
    INSERT OR REPLACE INTO stretch SELECT {_SUMS} FROM segment WHERE camera = NEW.camera
        AND start_wall_ns >= NEW.start_wall_ns / {STRETCH_NS} * {STRETCH_NS}
        AND start_wall_ns < (NEW.start_wall_ns / {STRETCH_NS} + 1) * {STRETCH_NS} GROUP BY 1, 2;
END;
CREATE TABLE IF NOT EXISTS loss (
    camera TEXT NOT NULL, from_wall_ns INTEGER NOT NULL, to_wall_ns INTEGER NOT NULL,
    cause TEXT NOT NULL, packets INTEGER NOT NULL,
    PRIMARY KEY (camera, from_wall_ns, cause)) STRICT;
CREATE TABLE IF NOT EXISTS deleted (
    path TEXT PRIMARY KEY, camera TEXT NOT NULL, start_wall_ns INTEGER NOT NULL,
    t_wall_ns INTEGER NOT NULL, bytes INTEGER NOT NULL, why TEXT NOT NULL) STRICT;
"""


def make(db: sqlite3.Connection) -> None:
    """Make the tables that are missing; those of version 1 are taken over in one transaction."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 1:
        try:
            _take_over(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    db.executescript(TABLES + track_table.TABLES)
    some = "SELECT EXISTS (SELECT 1 FROM segment) AND NOT EXISTS (SELECT 1 FROM stretch)"
    if db.execute(some).fetchone()[0]:
        db.execute(f"INSERT INTO stretch SELECT {_SUMS} FROM segment GROUP BY 1, 2")
    db.execute(f"PRAGMA user_version={VERSION}")


def put(db: sqlite3.Connection, row: SegmentRow) -> None:
    """Add or replace a segment and its tracks."""
    bare = msgspec.structs.replace(row, tracks=[])
    (number,) = db.execute(
        "INSERT INTO segment (path, camera, start_wall_ns, end_wall_ns, bytes, alerts, tracks, "
        "row) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
        "camera = excluded.camera, start_wall_ns = excluded.start_wall_ns, "
        "end_wall_ns = excluded.end_wall_ns, bytes = excluded.bytes, alerts = excluded.alerts, "
        "tracks = excluded.tracks, row = excluded.row RETURNING id",
        (
            row.path, row.camera, row.start_wall_ns, row.end_wall_ns, row.size_bytes,
            len(row.alerts), sum(row.objects.values()), msgspec.json.encode(bare).decode(),
        ),
    ).fetchone()  # fmt: skip
    for track in row.tracks:
        track_table.put(db, number, row.camera, track)


def _take_over(db: sqlite3.Connection) -> None:
    """Make the tables anew in a transaction that stays open; triggers fill the stretches."""
    db.executescript(
        """BEGIN IMMEDIATE;
        DROP TABLE IF EXISTS track;
        DROP TABLE IF EXISTS stretch;
        DROP TRIGGER IF EXISTS segment_added;
        DROP TRIGGER IF EXISTS segment_removed;
        DROP INDEX IF EXISTS segment_span;
        ALTER TABLE segment RENAME TO segment_1;"""
        + TABLES
        + track_table.TABLES
    )
    for (text,) in db.execute("SELECT row FROM segment_1 ORDER BY start_wall_ns").fetchall():
        put(db, msgspec.json.decode(text, type=SegmentRow))
    db.execute("DROP TABLE segment_1")
