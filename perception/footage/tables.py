"""The tables of the catalog of recordings."""

VERSION = 1
STRETCH_NS = 600 * 1_000_000_000
"""Table `stretch` has a row for all segments that begin within 10 minutes: a month is read fast.
covered_ns: the sum of their lengths."""
_SUMS = (
    f"camera, start_wall_ns / {STRETCH_NS}, min(start_wall_ns), max(end_wall_ns), count(*), "
    "sum(tracks), sum(bytes), sum(end_wall_ns - start_wall_ns)"
)
TABLES = f"""
CREATE TABLE IF NOT EXISTS segment (
    path TEXT PRIMARY KEY, camera TEXT NOT NULL, start_wall_ns INTEGER NOT NULL,
    end_wall_ns INTEGER NOT NULL, bytes INTEGER NOT NULL, alerts INTEGER NOT NULL,
    tracks INTEGER NOT NULL, row TEXT NOT NULL) STRICT;
DROP INDEX IF EXISTS segment_time;
CREATE INDEX IF NOT EXISTS segment_span
    ON segment (camera, start_wall_ns, end_wall_ns, tracks, bytes);
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
CREATE TABLE IF NOT EXISTS track (
    camera TEXT NOT NULL, track_id INTEGER NOT NULL, class_name TEXT NOT NULL,
    start_wall_ns INTEGER NOT NULL, end_wall_ns INTEGER NOT NULL, zones TEXT NOT NULL,
    who TEXT NOT NULL, alerts INTEGER NOT NULL, segment TEXT NOT NULL,
    segment_wall_ns INTEGER NOT NULL, PRIMARY KEY (camera, track_id)) STRICT;
CREATE INDEX IF NOT EXISTS track_time ON track (start_wall_ns);
CREATE INDEX IF NOT EXISTS track_class ON track (class_name, start_wall_ns);
CREATE INDEX IF NOT EXISTS track_who ON track (who, start_wall_ns) WHERE who <> '';
CREATE TABLE IF NOT EXISTS loss (
    camera TEXT NOT NULL, from_wall_ns INTEGER NOT NULL, to_wall_ns INTEGER NOT NULL,
    cause TEXT NOT NULL, packets INTEGER NOT NULL,
    PRIMARY KEY (camera, from_wall_ns, cause)) STRICT;
CREATE TABLE IF NOT EXISTS deleted (
    path TEXT PRIMARY KEY, camera TEXT NOT NULL, start_wall_ns INTEGER NOT NULL,
    t_wall_ns INTEGER NOT NULL, bytes INTEGER NOT NULL, why TEXT NOT NULL) STRICT;
"""
FILL_STRETCHES = f"INSERT INTO stretch SELECT {_SUMS} FROM segment GROUP BY 1, 2"
"""Of a catalog that had none."""
