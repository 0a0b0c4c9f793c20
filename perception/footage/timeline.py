"""Questions to a catalog about times: what there is between two, and which segment holds one.

`spans`, `busy` and `totals` read an index only: a day of 8 cameras takes about 10 ms.
"""

from typing import NamedTuple

import msgspec

from perception.footage.catalog import Catalog
from perception.footage.rows import SegmentRow

LONGEST_NS = 600 * 1_000_000_000
"""No segment is longer: one that began earlier does not reach into a span."""


EXACT_NS = 26 * 3600 * 1_000_000_000
"""Times up to this length are told exactly, longer ones in _STEPS steps."""
_STEPS = 1000


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
        "SELECT camera, count(*), sum(bytes), min(start_wall_ns) FROM segment GROUP BY camera"
    )
    return [Total(*row) for row in rows]


def spans(
    catalog: Catalog, camera: str, from_wall_ns: int, to_wall_ns: int, join_ns: int
) -> list[tuple[int, int]]:
    """Return when a camera was recorded: start and end in wall ns, oldest first.

    join_ns: segments that are no further apart are one span. Beyond EXACT_NS a gap within one of
    1000 steps of the time is not told.
    """
    values = (camera, from_wall_ns - LONGEST_NS, to_wall_ns)
    where = "FROM segment WHERE camera = ? AND start_wall_ns >= ? AND start_wall_ns < ?"
    if to_wall_ns - from_wall_ns <= EXACT_NS:
        rows = catalog.read(f"SELECT start_wall_ns, end_wall_ns {where} ORDER BY 1", *values)
    else:
        step_ns = (to_wall_ns - from_wall_ns) // _STEPS
        rows = catalog.read(
            f"SELECT min(start_wall_ns), max(end_wall_ns) {where} "
            f"GROUP BY start_wall_ns / {step_ns} ORDER BY 1",
            *values,
        )
    found: list[tuple[int, int]] = []
    for start, end in rows:
        if end < from_wall_ns:
            continue
        if found and start - found[-1][1] <= join_ns:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def busy(
    catalog: Catalog, camera: str, from_wall_ns: int, to_wall_ns: int, step_ns: int
) -> list[int]:
    """Return how many objects came in each step of a span of wall time."""
    counts = [0] * -(-(to_wall_ns - from_wall_ns) // step_ns)
    rows = catalog.read(
        "SELECT (start_wall_ns - ?2) / ?4, sum(tracks) FROM segment WHERE camera = ?1 "
        "AND start_wall_ns >= ?2 AND start_wall_ns < ?3 GROUP BY 1",
        camera,
        from_wall_ns,
        to_wall_ns,
        step_ns,
    )
    for step, count in rows:
        counts[step] = count
    return counts
