"""Which segments are deleted when space runs out: the least valuable first. A pure function.

Value: alert 80, tracks 10, nothing 0; halved with every half-life of age. Protected ones stay.
"""

from collections.abc import Iterable
from typing import NamedTuple

from perception.clock import NS_PER_S
from perception.footage.rows import SegmentRow

ALERT, TRACKS, EMPTY = 80.0, 10.0, 0.0
RESERVE_BYTES = 64 << 20
"""Kept free for alerts and the catalog whatever the limits are."""
_DAY_NS = 86_400 * NS_PER_S
RECENT_NS = 7 * _DAY_NS
"""The rate is that of so long."""


class Limits(NamedTuple):
    """max_bytes: of all recordings, None: no limit. min_free: bytes that stay free on the disk."""

    max_bytes: int | None
    min_free: int
    half_life_days: float


class Kept(NamedTuple):
    """A segment as the planner sees it."""

    row: SegmentRow
    protected: bool


class Victim(NamedTuple):
    """A segment that is deleted, and why."""

    row: SegmentRow
    why: str


def value(row: SegmentRow, now_wall_ns: int, half_life_days: float) -> float:
    """Return what a segment is worth now."""
    worth = ALERT if row.alerts else TRACKS if row.objects else EMPTY
    age_days = max(0.0, (now_wall_ns - row.end_wall_ns) / _DAY_NS)
    return worth * 0.5 ** (age_days / half_life_days)


def plan(
    kept: Iterable[Kept], used: int, free: int, limits: Limits, now_wall_ns: int
) -> list[Victim]:
    """Return the segments to delete now, the least valuable first, the older of two alike.

    used: bytes of all recordings; free: bytes free on the disk. Fewer than needed where the rest is
    protected.
    """
    min_free = max(limits.min_free, RESERVE_BYTES)
    over = used - limits.max_bytes if limits.max_bytes is not None else 0
    short = min_free - free
    if over <= 0 and short <= 0:
        return []
    why = f"more than {limits.max_bytes} bytes" if over > short else f"less than {min_free} free"
    order = ordered(
        (one.row for one in kept if not one.protected), now_wall_ns, limits.half_life_days
    )
    victims: list[Victim] = []
    needed = max(over, short)
    for row in order:
        if needed <= 0:
            break
        victims.append(Victim(row, why))
        needed -= row.size_bytes
    return victims


def ordered(
    rows: Iterable[SegmentRow], now_wall_ns: int, half_life_days: float
) -> list[SegmentRow]:
    """Return segments by the order in which they are deleted."""
    return sorted(
        rows, key=lambda row: (value(row, now_wall_ns, half_life_days), row.start_wall_ns)
    )


class Recent(NamedTuple):
    """What was recorded in the last RECENT_NS: its bytes, wall time of its oldest segment."""

    size_bytes: int
    start_wall_ns: int


class Forecast(NamedTuple):
    """bytes_per_day: at the rate of the last week. days: that there is room for in all; days_left:
    until something has to be deleted; None: no limit, nothing is recorded."""

    bytes_per_day: float
    days: float | None
    days_left: float | None


def recent(rows: Iterable[SegmentRow], now_wall_ns: int) -> Recent:
    """Return what was recorded lately."""
    found = [row for row in rows if row.end_wall_ns > now_wall_ns - RECENT_NS]
    first = min((row.start_wall_ns for row in found), default=now_wall_ns)
    return Recent(sum(row.size_bytes for row in found), first)


def forecast(lately: Recent, used: int, free: int, limits: Limits, now_wall_ns: int) -> Forecast:
    """Return how long there is room at the rate of the last 7 days. used: bytes of all."""
    if not lately.size_bytes:
        return Forecast(0.0, None, None)
    rate = lately.size_bytes / max((now_wall_ns - lately.start_wall_ns) / _DAY_NS, 1e-3)
    left = free - max(limits.min_free, RESERVE_BYTES)
    room = left + used
    if limits.max_bytes is not None:
        room = min(room, limits.max_bytes)
        left = min(left, limits.max_bytes - used)
    return Forecast(rate, max(0.0, room / rate), max(0.0, left / rate))
