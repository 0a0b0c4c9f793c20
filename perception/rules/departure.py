"""Departure: the vehicle crosses a line of its own lane, or will within seconds.

It uses the lines from `lanes:` of the camera, not tracks. It warns only; it does not steer.

Source: time to line crossing after Godthelp, Milgram and Blaauw 1984 (doi 10.1177/
001872088402600302). Imports wire and the rest of this room.
"""

from collections import deque
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from perception.rules import Event, Json, Phase
from perception.rules.hours import Hours
from perception.rules.observed import Seconds, Timeline
from perception.rules.zones import Line, Zone
from perception.wire import OwnLane, TrackMessage

Side = Literal["left", "right"]
HISTORY_NS, LEAST = 500_000_000, 4
"""The speed towards a line is the slope of a straight line through its distances in this time, ns,
if there are LEAST of them."""
STALE_NS = 500_000_000
"""After this time without being seen a line is unknown."""
JUMP = 0.5
"""A line whose offset jumps by more, camera heights, is taken for another line."""
USUAL_HEIGHT_M = 1.3
"""Height of a camera without `calibration:`, m."""


class DepartureRule:
    """Begins when a side of the vehicle is over a line, or will be within `seconds`.

    Ends leave_s after that, or when the line was not seen for leave_s. track_id: its lower 32 bits
    are 1 for the left line, 2 for the right. details: side, distance_m between the
    vehicle's side and the line (negative: over it), speed_m_s towards it, crossing_s.
    """

    kind = "departure"

    class Options(Hours):
        """seconds: largest time to the crossing, s; 0: only after the crossing. width_m: of the
        vehicle. offset_m: of the camera, to the right of the middle of the vehicle. min_speed:
        least own speed, m/s, if it is known. min_side_speed: least speed towards the line, m/s.
        enter_s, leave_s: s of media time."""

        seconds: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 1.0
        width_m: Annotated[float, Field(gt=0.0, le=4.0, allow_inf_nan=False)] = 1.8
        offset_m: Annotated[float, Field(ge=-2.0, le=2.0, allow_inf_nan=False)] = 0.0
        min_speed: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 5.0
        min_side_speed: Annotated[float, Field(ge=0.0, le=10.0, allow_inf_nan=False)] = 0.15
        enter_s: Seconds = 0.15
        leave_s: Seconds = 1.0

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        del zones, lines
        self.name = name
        self.counts: dict[str, int] = {}
        self._options = options
        self._time = Timeline()
        self._sides: dict[Side, _Side] = {"left": _Side(), "right": _Side()}

    def see(self, lane: OwnLane) -> None:
        """Take the own lane of a frame."""
        height_m = lane.height_m or USUAL_HEIGHT_M
        half, camera = self._options.width_m / 2.0, self._options.offset_m
        sides = self._sides["left"], self._sides["right"]
        both = zip(sides, (lane.left, lane.right), (-1.0, 1.0), strict=True)
        for side, offset, sign in both:
            if offset is not None:
                free = sign * (offset * height_m + camera) - half
                side.take(lane.t_media_ns, free, JUMP * height_m)

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        own = message.own_speed_m_s
        active = self._options.active(message.stamp.t_wall_ns)
        active &= own is None or own >= self._options.min_speed
        events: list[Event] = []
        for name, side in self._sides.items():
            threat = self._threat(side, message.stamp.t_media_ns)
            if threat is not None:
                side.since_ns = t_ns if side.since_ns is None else side.since_ns
                side.last_ns, side.told = t_ns, threat
            elif side.since_ns is not None and not side.open:
                side.since_ns = None
            if side.open and t_ns - side.last_ns >= round(self._options.leave_s * 1e9):
                side.open, side.since_ns = False, None
                events.append(self._event(message, name, "end"))
            is_due = side.since_ns is not None and not side.open and active
            if is_due and t_ns - (side.since_ns or 0) >= round(self._options.enter_s * 1e9):
                side.open = True
                events.append(self._event(message, name, "begin"))
        return events

    def _threat(self, side: "_Side", t_media_ns: int) -> dict[str, Json] | None:
        """Return the details of a line that is crossed or soon will be; None: it is not."""
        known = side.now(t_media_ns)
        if known is None:
            return None
        free, speed = known
        crossing_s = max(free, 0.0) / speed if speed > 1e-6 else float("inf")
        soon = speed >= self._options.min_side_speed and crossing_s <= self._options.seconds
        if free > 0.0 and not soon:
            return None
        return {
            "distance_m": round(free, 2),
            "speed_m_s": round(speed, 2),
            "crossing_s": round(min(crossing_s, 60.0), 2),
        }

    def _event(self, message: TrackMessage, name: Side, phase: Phase) -> Event:
        size = float(message.width), float(message.height)
        left = name == "left"
        return Event(
            rule=self.name,
            kind=self.kind,
            phase=phase,
            track_id=(message.stamp.frame_id >> 32 << 32) + (1 if left else 2),
            class_name="lane",
            score=1.0,
            box=(0.0 if left else size[0] / 2, size[1] / 2, size[0] / (2 if left else 1), size[1]),
            t_media_ns=message.stamp.t_media_ns,
            frame_id=message.stamp.frame_id,
            details={"side": name, **(self._sides[name].told if phase == "begin" else {})},
        )

    def state(self) -> dict[str, Any]:
        return {
            "time": self._time.state(),
            "sides": {name: side.state() for name, side in self._sides.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        sides: dict[Side, _Side] = {name: _Side() for name in self._sides}
        for name, side in sides.items():
            side.restore(state["sides"][name])
        self._time.restore(state["time"])
        self._sides = sides


class _Side:
    """One line's distances from the vehicle's side, of the last HISTORY_NS."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque()
        self.open = False
        self.since_ns: int | None = None
        self.last_ns = 0
        self.told: dict[str, Json] = {}

    def take(self, t_ns: int, free_m: float, jump_m: float) -> None:
        seen = self._seen
        if seen and (t_ns < seen[-1][0] or abs(free_m - seen[-1][1]) > jump_m):
            seen.clear()
        seen.append((t_ns, free_m))
        while t_ns - seen[0][0] > HISTORY_NS:
            seen.popleft()

    def now(self, t_ns: int) -> tuple[float, float] | None:
        """Return distance m and speed towards the line m/s at a time; None: not known."""
        seen = self._seen
        if not seen or not 0 <= t_ns - seen[-1][0] <= STALE_NS:
            return None
        if len(seen) < LEAST:
            return seen[-1][1], 0.0
        mean_t = sum(t for t, _ in seen) / len(seen)
        mean_d = sum(d for _, d in seen) / len(seen)
        spread = sum((t - mean_t) ** 2 for t, _ in seen)
        slope = sum((t - mean_t) * (d - mean_d) for t, d in seen) / spread if spread else 0.0
        return mean_d + slope * (t_ns - mean_t), -slope * 1e9

    def state(self) -> list[Any]:
        return [list(self._seen), self.open, self.since_ns, self.last_ns, self.told]

    def restore(self, state: Any) -> None:
        seen, self.open, self.since_ns, self.last_ns, self.told = state
        self._seen = deque((int(t), float(d)) for t, d in seen)
