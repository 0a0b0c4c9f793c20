"""Lanes followed from picture to picture: the road, and lines with the trust that they have won.

A first picture is believed where it leaves no doubt; later ones where several in a row agree. What
is followed may be seen worse: shadows, worn dashes, cars in the way. Imports road
and searching.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception.analysers.road import Marking, Road, clutter, evidence, find, markings, refine
from perception.analysers.searching import (
    BESIDE,
    FAINT,
    FEW,
    HORIZON,
    LEAST_COVER,
    LEAST_WIDTH,
    MESSY,
    MOST_WIDTH,
    PAINT,
    SAME,
    STANDS_OUT,
    Sight,
    agrees,
    search,
)

REACH = 0.035
"""Lines are told to this share of the height below the horizon, or as far as they are seen."""
AGREE = 5
"""Pictures in a row that have to agree; a first one is believed where it leaves no doubt."""
IN_STEP = 1.8
"""A line a lane beside the own one is so much surer."""
GAIN, DECAY_S, FORGOTTEN = 0.25, 0.6, 0.08
"""Share of new evidence in a line's trust; how long the trust of an unseen line lasts."""
LOST_NS = 800_000_000
"""A road that has not been seen for so long is searched anew."""
GAP_NS = 1_000_000_000
"""After a longer gap between frames nothing is known."""


@dataclass(frozen=True, slots=True)
class Line:
    """A marking, s camera heights to the right, and how sure it is, 0 to 1."""

    s: float
    trust: float


@dataclass(frozen=True, slots=True)
class Lanes:
    """The road, its lines by place (-2 and 2: of the neighbour lanes) and the row they end at."""

    road: Road
    lines: dict[int, Line]
    far: float


class Follower:
    """Keeps the road and its lines; `step` once a frame, in media time."""

    def __init__(self) -> None:
        self._road: Road | None = None
        self._lines: list[Line] = []
        self._wide = 0.0
        self._horizons: deque[float] = deque(maxlen=25)
        self._far: deque[float] = deque(maxlen=9)
        self._waiting: list[Sight] = []
        self._last_ns = self._seen_ns = 0
        self._size, self._is_first = (0, 0), True

    def step(self, luma: NDArray[np.uint8], t_ns: int) -> Lanes | None:
        """Return the lanes of the next picture, uint8 (H, W); None where there are none."""
        gap_ns, self._last_ns = t_ns - self._last_ns, t_ns
        size = luma.shape[1], luma.shape[0]
        if size != self._size or not 0 < gap_ns <= GAP_NS:
            self._forget()
            self._size, self._is_first = size, True
        if self._road is not None and not self._track(luma, self._road, t_ns, gap_ns * 1e-9):
            self._forget()
        if self._road is None:
            self._begin(luma, t_ns)
        self._is_first = False
        return self._lanes()

    def _forget(self) -> None:
        self._road, self._lines, self._waiting = None, [], []
        self._horizons.clear()
        self._far.clear()

    def _begin(self, luma: NDArray[np.uint8], t_ns: int) -> None:
        """Search; begin where a first picture is clear, or where several agree."""
        sight = search(luma)
        if sight is None:
            self._waiting = self._waiting[1:]
            return
        near = [one for one in self._waiting if agrees(one, sight, self._size)]
        self._waiting = [*near, sight][-AGREE:]
        if not (self._is_first and sight.clear) and len(self._waiting) < AGREE:
            return
        self._road, self._waiting, self._seen_ns = sight.road, [], t_ns
        self._wide = sight.pair[1].s - sight.pair[0].s
        self._lines = [Line(one.s, 0.4) for one in sight.pair]
        self._lines = [Line(one.s, self._trust(one)) for one in sight.seen]
        for own in sight.pair:
            self._lines = [
                one if one.s != own.s else replace(one, trust=max(one.trust, 0.4))
                for one in self._lines
            ]
        self._horizons.append(sight.road.vy)
        self._far.append(min(one.far for one in sight.pair))

    def _track(self, luma: NDArray[np.uint8], last: Road, t_ns: int, dt_s: float) -> bool:
        """Follow the road into the next picture; return whether it is still known."""
        start = replace(last, vy=0.5 * last.vy + 0.5 * float(np.median(self._horizons)))
        points, every = evidence(luma, start, known=True)
        found = find(points, self._size, start, known=True)
        trusted = [one.s for one in self._lines if one.trust >= 0.2]
        road = refine(points, found, trusted, self._size, last=start)
        seen = [m for m in markings(points, road, self._size) if m.contrast >= FAINT]
        hits = self._take(seen, dt_s)
        own = self._own()
        bounds = (own[0].s, own[1].s) if own else (-1.2, 1.2)
        mess = clutter(every, road, bounds, STANDS_OUT * PAINT, luma.shape[0])
        is_seen = hits > 0 and own is not None and mess <= MESSY and self._is_plausible(road)
        if is_seen:
            self._seen_ns = t_ns
            self._road = road
            self._horizons.append(road.vy)
            self._wide += 0.1 * (bounds[1] - bounds[0] - self._wide)
        return t_ns - self._seen_ns <= LOST_NS and bool(self._lines)

    def _take(self, seen: list[Marking], dt_s: float) -> int:
        """Give the lines what was seen of them; return how many trusted ones were seen."""
        left = [one for one in seen if one.cover >= FEW]
        kept: list[Line] = []
        hits, decay = 0, float(np.exp(-dt_s / DECAY_S))
        far: list[float] = []
        for line in sorted(self._lines, key=lambda one: -one.trust):
            mine = min(left, key=lambda one: abs(one.s - line.s), default=None)
            if mine is not None and abs(mine.s - line.s) < SAME:
                left.remove(mine)
                hits += line.trust >= 0.2
                far.append(mine.far)
                trust = line.trust + GAIN * (self._trust(mine) - line.trust)
                gain = min(1.0, 0.3 + 3.0 * mine.cover)  # of the same fit as the road
                line = Line(line.s + gain * (mine.s - line.s), trust)
            else:
                line = replace(line, trust=line.trust * decay)
            if line.trust >= FORGOTTEN:
                kept.append(line)
        for one in left:
            if one.cover >= LEAST_COVER and all(abs(one.s - k.s) >= 0.5 for k in kept):
                kept.append(Line(one.s, 0.3 * self._trust(one)))
        if far:
            self._far.append(min(far))
        self._lines = kept
        return hits

    def _trust(self, one: Marking) -> float:
        """Return how sure a marking is; one that is in step with the lane's lines is surer."""
        own = self._own()
        sure = min(1.0, 2.5 * one.cover) * min(1.0, one.contrast / PAINT)
        if own is None:
            return sure
        width = own[1].s - own[0].s
        away = (own[0].s - one.s) if one.s < own[0].s else one.s - own[1].s
        return min(1.0, IN_STEP * sure) if abs(away / width - 1.0) < 0.15 else sure

    def _is_plausible(self, road: Road) -> bool:
        width, height = self._size
        return HORIZON[0] < road.vy / height < HORIZON[1] and 0.1 < road.vx / width < 0.9

    def _own(self) -> tuple[Line, Line] | None:
        """Return the own lane's two lines: trusted, a lane apart."""
        best, pair = 0.0, None
        for left in self._lines:
            for right in self._lines:
                width = right.s - left.s
                if not left.s < 0.0 <= right.s or not LEAST_WIDTH <= width <= MOST_WIDTH:
                    continue
                fit = max(0.1, 1.0 - 2.0 * abs(width - self._wide) / self._wide)
                score = min(left.trust, right.trust) * fit + 0.1 * (left.trust + right.trust)
                if score > best:
                    best, pair = score, (left, right)
        return pair

    def _lanes(self) -> Lanes | None:
        road = self._road
        if road is None:
            return None
        own, lines = self._own(), dict[int, Line]()
        if own is not None:
            lines = {-1: own[0], 1: own[1]}
        else:
            for side in (-1, 1):
                mine = [m for m in self._lines if 0.2 * self._wide < side * m.s < self._wide]
                if mine:
                    lines[side] = max(mine, key=lambda one: one.trust)
        for side in (-1, 1):
            if side not in lines:
                continue
            for m in self._lines:
                away = side * (m.s - lines[side].s) / self._wide
                known = lines.get(2 * side)
                if BESIDE[0] <= away <= BESIDE[1] and (known is None or m.trust > known.trust):
                    lines[2 * side] = m
        far = float(np.median(self._far)) if self._far else road.vy + 0.03 * self._size[1]
        far = min(far, road.vy + REACH * self._size[1])
        return Lanes(road, lines, max(far, road.vy + 0.02 * self._size[1])) if lines else None
