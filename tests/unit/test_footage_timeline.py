"""Questions to the catalog of recordings about times."""

import sqlite3

import msgspec
import pytest

from perception.footage import retention, timeline
from perception.footage.catalog import NAME, Catalog
from perception.footage.rows import SegmentRow

S = 1_000_000_000
WALL = 1_795_780_000 * S


def row_at(camera: str, start: int, end: int, objects: dict[str, int]) -> SegmentRow:
    return SegmentRow(
        path=f"{camera}/{start}", camera=camera, run="", stream=0, start_wall_ns=start,
        end_wall_ns=end, start_media_ns=0, end_media_ns=end - start, first_packet=0,
        last_packet=0, frames=1, video_bytes=1000, message_bytes=1, codec="h264", width=1,
        height=1, timescale=1, base_pts=0, objects=objects,
    )  # fmt: skip


def test_a_timeline_is_the_same_from_stretches_and_from_segments(tmp_path):
    """Spans and counts of objects of a day with gaps, beside those counted here by hand."""
    catalog = Catalog(tmp_path)
    day = WALL // S // 86_400 * 86_400 * S
    rows: list[SegmentRow] = []
    for n in range(600):
        if n % 37 in (5, 6, 20):
            continue
        start = day + n * 60 * S
        rows.append(row_at("door", start, start + 60 * S - S // 20, {"person": n % 3}))
    for row in rows:
        catalog.add(row)
    spans: list[list[int]] = []
    for row in rows:
        if spans and row.start_wall_ns - spans[-1][1] <= 2 * S:
            spans[-1][1] = row.end_wall_ns
        else:
            spans.append([row.start_wall_ns, row.end_wall_ns])
    end = day + 86_400 * S
    assert [list(one) for one in timeline.spans(catalog, "door", day, end, 2 * S)] == spans
    assert timeline.spans(catalog, "door", day, end, 3600 * S) == [(day, rows[-1].end_wall_ns)]
    for step_s in (300, 600, 3600):
        counts = [0] * (86_400 // step_s)
        for row in rows:
            counts[(row.start_wall_ns - day) // S // step_s] += sum(row.objects.values())
        assert timeline.busy(catalog, "door", day, end, step_s * S) == counts
    for row in rows[:-1]:
        catalog.remove(row, "full", day)
    last = rows[-1]
    assert timeline.totals(catalog) == [("door", 1, last.size_bytes, last.start_wall_ns)]
    assert timeline.spans(catalog, "door", day, end, 2 * S) == [
        (last.start_wall_ns, last.end_wall_ns)
    ]
    catalog.close()


def test_a_catalog_without_stretches_gets_them(tmp_path):
    catalog = Catalog(tmp_path)
    catalog.add(row_at("door", WALL, WALL + 60 * S, {"person": 2}))
    catalog.close()
    with sqlite3.connect(tmp_path / NAME) as db:
        db.execute("DROP TABLE stretch")
        db.execute("DROP TRIGGER segment_added")
        db.execute("DROP TRIGGER segment_removed")
    db.close()
    catalog = Catalog(tmp_path)
    assert timeline.spans(catalog, "door", WALL, WALL + S, S) == [(WALL, WALL + 60 * S)]
    catalog.close()


def test_what_goes_first_and_how_long_there_is_room(tmp_path):
    """10 MB a day for 5 days: of 100 MB half is left, and there is room for 10 days."""
    catalog = Catalog(tmp_path)
    day, now = 86_400 * S, WALL
    for n in range(5):
        start = now - (5 - n) * day
        row = row_at("door", start, start + 60 * S, {"person": 1} if n < 3 else {})
        catalog.add(msgspec.structs.replace(row, video_bytes=10_000_000 - 1))
    lately, limits = timeline.recent(catalog, now), retention.Limits(100_000_000, 0, 7.0)
    told = retention.forecast(lately, 50_000_000, 10**9, limits, now)
    assert told == pytest.approx((10_000_000, 10, 5))
    order = retention.ordered(timeline.cheapest(catalog, 2), now, 7.0)
    began = [round((now - row.start_wall_ns) / day) for row in order]
    assert began == [2, 1, 5, 4], "nobody in sight first, then the oldest"
    kept = [retention.Kept(row, False) for row in catalog.segments()]
    victims = retention.plan(kept, 200_000_000, 10**9, limits, now)
    assert [victim.row for victim in victims[:4]] == order
    catalog.close()
