"""Telemetry over time: a series for each piece of the state, read at any media time.

Pieces come at different rates, so each has its own times: between two values it is interpolated,
beside one it is held for max_age_s, and after that it is missing. Imports the rest of this room.
"""

import bisect
import math
from dataclasses import dataclass, field, replace

from perception.clock import NS_PER_S, to_ns
from perception.geo.state import PIECES, Angles, State, checked

JUMP_M_S = 400.0
"""A position that needs a higher speed than this is not believed."""
_KEEP = 40_000
_EARTH_M = 6_371_000.0


@dataclass(slots=True)
class _Piece:
    times: list[int] = field(default_factory=list[int])
    states: list[State] = field(default_factory=list[State])

    def add(self, state: State) -> None:
        if self.times and state.t_ns <= self.times[-1]:
            at = bisect.bisect_left(self.times, state.t_ns)
            if at < len(self.times) and self.times[at] == state.t_ns:
                self.states[at] = state
                return
            self.times.insert(at, state.t_ns)
            self.states.insert(at, state)
            return
        self.times.append(state.t_ns)
        self.states.append(state)

    def around(self, t_ns: int) -> tuple[State | None, State | None]:
        at = bisect.bisect_right(self.times, t_ns)
        before = self.states[at - 1] if at else None
        return before, self.states[at] if at < len(self.times) else None


class Series:
    """States in time order. refused: parts that were not believed, counted by reason.

    live: only the newest _KEEP values of a piece are held, and time may not go back. alone: see
    Moments.
    """

    alone = False

    def __init__(self, *, live: bool = False) -> None:
        self.refused: dict[str, int] = {}
        self._live = live
        self._pieces = {name: _Piece() for name in PIECES}
        self._suspect: State | None = None
        self.last_why = ""

    def __len__(self) -> int:
        return max(len(piece.times) for piece in self._pieces.values())

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """First and last time of a position; None where there is none."""
        times = self._pieces["position"].times
        return (times[0], times[-1]) if times else None

    def positions(self) -> list[State]:
        """Return the states that have a position, in time order."""
        return list(self._pieces["position"].states)

    def has(self, piece: str) -> bool:
        """Whether any value of a piece was taken."""
        return bool(self._pieces[piece].times)

    def add(self, state: State) -> None:
        """Take a state, or those parts of it that can be true."""
        state, wrong = checked(state)
        for why in wrong:
            self._refuse(why)
        for name in state.pieces:
            piece = self._pieces[name]
            if self._live and piece.times and state.t_ns < piece.times[-1]:
                self._refuse("time went back")
                continue
            if name == "position" and self._jumps(piece, state):
                self._refuse("position jumped")
                continue
            piece.add(state)
            if self._live and len(piece.times) > _KEEP:
                del piece.times[: _KEEP // 2], piece.states[: _KEEP // 2]

    def _jumps(self, piece: _Piece, state: State) -> bool:
        """Whether a position is too far from the last; one that its next agrees with is taken."""
        before, _ = piece.around(state.t_ns)
        suspect, self._suspect = self._suspect, None
        if before is None or _speed(before, state) <= JUMP_M_S:
            return False
        if suspect is not None and _speed(suspect, state) <= JUMP_M_S and suspect != state:
            piece.times.clear()
            piece.states.clear()
            return False
        self._suspect = state
        return True

    def _refuse(self, why: str) -> None:
        self.last_why = why
        key = why if len(self.refused) < 40 or why in self.refused else "other"
        self.refused[key] = self.refused.get(key, 0) + 1

    def at(self, t_ns: int, max_age_s: float) -> tuple[State, dict[str, float]]:
        """Return the state at a time and how old each of its pieces is in s.

        A piece that is older than max_age_s is left out; its age is told all the same.
        """
        found, ages = State(t_ns=t_ns), dict[str, float]()
        for name, piece in self._pieces.items():
            before, after = piece.around(t_ns)
            near = [s for s in (before, after) if s is not None]
            if not near:
                continue
            age_s = min(abs(t_ns - s.t_ns) for s in near) / NS_PER_S
            ages[name] = age_s
            limit = to_ns(max_age_s)
            near = [s for s in near if abs(t_ns - s.t_ns) <= limit]
            if not near:
                continue
            share = 0.0
            if len(near) == 2 and near[1].t_ns > near[0].t_ns:
                share = (t_ns - near[0].t_ns) / (near[1].t_ns - near[0].t_ns)
                ages[name] = 0.0
            found = _with(found, name, near[0], near[-1], share)
        return found, ages


def _with(found: State, name: str, a: State, b: State, share: float) -> State:
    sigmas = {**found.sigmas, **a.sigmas}
    if name == "position":
        assert a.lat_deg is not None
        assert a.lon_deg is not None
        assert b.lat_deg is not None
        assert b.lon_deg is not None
        return replace(
            found,
            utc_ns=None
            if a.utc_ns is None
            else a.utc_ns + round(share * ((b.utc_ns or a.utc_ns) - a.utc_ns)),
            lat_deg=a.lat_deg + share * (b.lat_deg - a.lat_deg),
            lon_deg=wrap(a.lon_deg + share * wrap(b.lon_deg - a.lon_deg)),
            altitudes_m={
                kind: value + share * (b.altitudes_m[kind] - value)
                for kind, value in a.altitudes_m.items()
                if kind in b.altitudes_m
            },
            sigmas=sigmas,
        )
    if name == "velocity":
        assert a.velocity_m_s is not None
        assert b.velocity_m_s is not None
        pairs = zip(a.velocity_m_s, b.velocity_m_s, strict=True)
        north, east, down = (x + share * (y - x) for x, y in pairs)
        return replace(found, velocity_m_s=(north, east, down))
    if name == "airframe":
        return replace(
            found, airframe_deg=_between(a.airframe_deg, b.airframe_deg, share), sigmas=sigmas
        )
    if name == "heading":
        assert a.heading_deg is not None
        assert b.heading_deg is not None
        turned = share * wrap(b.heading_deg - a.heading_deg)
        return replace(found, heading_deg=wrap(a.heading_deg + turned))
    if name == "gimbal":
        return replace(
            found,
            gimbal_deg=_between(a.gimbal_deg, b.gimbal_deg, share),
            gimbal_frame=a.gimbal_frame,
            sigmas=sigmas,
        )
    return replace(found, hfov_deg=a.hfov_deg, vfov_deg=a.vfov_deg, focal_35_mm=a.focal_35_mm)


def _between(a: Angles | None, b: Angles | None, share: float) -> Angles | None:
    if a is None or b is None:
        return None
    yaw, pitch, roll = (wrap(x + share * wrap(y - x)) for x, y in zip(a, b, strict=True))
    return yaw, pitch, roll


def wrap(angle: float) -> float:
    """Return an angle in degrees within -180 and 180."""
    return (angle + 180.0) % 360.0 - 180.0


def _speed(a: State, b: State) -> float:
    """Return the speed between two positions in m/s; short times count as 0.2 s."""
    assert a.lat_deg is not None
    assert a.lon_deg is not None
    assert b.lat_deg is not None
    assert b.lon_deg is not None
    north = math.radians(b.lat_deg - a.lat_deg)
    east = math.radians(wrap(b.lon_deg - a.lon_deg)) * math.cos(math.radians(a.lat_deg))
    return _EARTH_M * math.hypot(north, east) / max(abs(b.t_ns - a.t_ns) / NS_PER_S, 0.2)
