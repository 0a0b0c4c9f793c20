"""Questions to a catalog about times: what there is between two, and which segment holds one.

`spans` and `busy` read stretches of 10 minutes: 30 days of 8 cameras take about 40 ms.
"""

from typing import NamedTuple

import msgspec

from perception.footage.catalog import Catalog
from perception.footage.retention import RECENT_NS, Recent
from perception.footage.rows import LossRow, SegmentRow
from perception.footage.tables import STRETCH_NS

LONGEST_NS = 600 * 1_000_000_000
"""No segment is longer: one that began earlier does not reach into a span."""


_STRETCHES = (
    "WITH it AS (SELECT camera, number, start_wall_ns, end_wall_ns, tracks, "
    "end_wall_ns - start_wall_ns - covered_ns AS gaps FROM stretch WHERE camera = ?1 "
    f"AND number >= ?2 / {STRETCH_NS} AND number <= ?3 / {STRETCH_NS})"
)


class Total(NamedTuple):
    """All that is recorded of a camera. start_wall_ns: of the oldest segment."""

    camera: str
    segments: int
    size_bytes: int
    start_wall_ns: int


def segment(catalog: Catalog, path: str) -> SegmentRow | None:
    """Return a segment by its path; None where the catalog has none."""
    rows = catalog.read("SELECT row FROM segment WHERE path = ?", path)
    return msgspec.json.decode(rows[0][0], type=SegmentRow) if rows else None


def at(catalog: Catalog, camera: str, t_wall_ns: int) -> SegmentRow | None:
    """Return the segment of a wall time, or the next later one; None where there is none."""
    rows = catalog.read(
        "SELECT row FROM (SELECT row, end_wall_ns, start_wall_ns FROM segment WHERE camera = ?1 "
        "AND start_wall_ns <= ?2 ORDER BY start_wall_ns DESC LIMIT 1) WHERE end_wall_ns >= ?2 "
        "UNION ALL SELECT row FROM (SELECT row FROM segment WHERE camera = ?1 "
        "AND start_wall_ns > ?2 ORDER BY start_wall_ns LIMIT 1)",
        camera,
        t_wall_ns,
    )
    return msgspec.json.decode(rows[0][0], type=SegmentRow) if rows else None


def segments(catalog: Catalog, camera: str, from_wall_ns: int, to_wall_ns: int) -> list[SegmentRow]:
    """Return the segments that reach into a span of wall time, oldest first."""
    rows = catalog.read(
        "SELECT row FROM segment WHERE camera = ? AND start_wall_ns >= ? AND start_wall_ns < ? "
        "AND end_wall_ns >= ? ORDER BY start_wall_ns",
        camera,
        from_wall_ns - LONGEST_NS,
        to_wall_ns,
        from_wall_ns,
    )
    return [msgspec.json.decode(row, type=SegmentRow) for (row,) in rows]


def totals(catalog: Catalog) -> list[Total]:
    """Return what is recorded, camera by camera."""
    rows = catalog.read(
        "SELECT camera, sum(segments), sum(bytes), min(start_wall_ns) FROM stretch GROUP BY camera"
    )
    return [Total(*row) for row in rows]


def recent(catalog: Catalog, now_wall_ns: int) -> Recent:
    """Return what was recorded lately, of all cameras, to 10 minutes."""
    size, first = catalog.read(
        "SELECT coalesce(sum(bytes), 0), min(start_wall_ns) FROM stretch WHERE end_wall_ns > ?",
        now_wall_ns - RECENT_NS,
    )[0]
    return Recent(size, first if first is not None else now_wall_ns)


def cheapest(catalog: Catalog, limit: int) -> list[SegmentRow]:
    """Return the oldest segments without objects, with objects, with alerts: `limit` of each."""
    found: list[SegmentRow] = []
    for kind in ("alerts = 0 AND tracks = 0", "alerts = 0 AND tracks > 0", "alerts > 0"):
        rows = catalog.read(
            f"SELECT row FROM segment WHERE {kind} ORDER BY end_wall_ns, start_wall_ns LIMIT ?",
            limit,
        )
        found += [msgspec.json.decode(row, type=SegmentRow) for (row,) in rows]
    return found


def spans(
    catalog: Catalog, camera: str, from_wall_ns: int, to_wall_ns: int, join_ns: int
) -> list[tuple[int, int]]:
    """Return when a camera was recorded: start and end in wall ns, oldest first.

    join_ns: segments that are no further apart are one span. A stretch of segments whose gaps are
    less in all is not looked into.
    """
    rows = catalog.read(
        f"{_STRETCHES} SELECT start_wall_ns, end_wall_ns FROM it WHERE gaps <= ?4 UNION ALL "
        "SELECT one.start_wall_ns, one.end_wall_ns FROM it CROSS JOIN segment AS one "
        f"WHERE gaps > ?4 AND one.camera = ?1 AND one.start_wall_ns >= number * {STRETCH_NS} "
        f"AND one.start_wall_ns < (number + 1) * {STRETCH_NS} ORDER BY 1",
        camera,
        from_wall_ns - LONGEST_NS,
        to_wall_ns,
        join_ns,
    )
    found: list[tuple[int, int]] = []
    for start, end in rows:
        if end < from_wall_ns or start >= to_wall_ns:
            continue
        if found and start - found[-1][1] <= join_ns:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def losses(catalog: Catalog, camera: str, from_wall_ns: int, to_wall_ns: int) -> list[LossRow]:
    """Return what was lost of a camera in a span of wall time, oldest first."""
    rows = catalog.read(
        "SELECT from_wall_ns, to_wall_ns, cause, packets FROM loss WHERE camera = ? "
        "AND from_wall_ns < ? AND to_wall_ns >= ? ORDER BY from_wall_ns",
        camera,
        to_wall_ns,
        from_wall_ns,
    )
    return [
        LossRow(camera=camera, from_wall_ns=begin, to_wall_ns=end, cause=cause, packets=packets)
        for begin, end, cause, packets in rows
    ]


def busy(
    catalog: Catalog, camera: str, from_wall_ns: int, to_wall_ns: int, step_ns: int
) -> list[int]:
    """Return how many objects came in each step of a span of wall time."""
    if step_ns >= STRETCH_NS:
        source = f"{_STRETCHES} SELECT (start_wall_ns - ?2) / ?4, sum(tracks) FROM it"
    else:
        source = "SELECT (start_wall_ns - ?2) / ?4, sum(tracks) FROM segment"
    where = "WHERE camera = ?1 AND start_wall_ns >= ?2 AND start_wall_ns < ?3 GROUP BY 1"
    counts = [0] * -(-(to_wall_ns - from_wall_ns) // step_ns)
    for step, count in catalog.read(f"{source} {where}", camera, from_wall_ns, to_wall_ns, step_ns):
        counts[step] = count
    return counts
