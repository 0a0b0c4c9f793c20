"""Lanes followed from picture to picture: the road, and lines with the trust that they have won.

A first picture is believed where it leaves no doubt; else several in a row have to agree. What is
followed may be seen worse: shadows, worn dashes, cars in the way. Imports road.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception.analysers.road import (
    Marking,
    Road,
    clutter,
    evidence,
    find,
    markings,
    refine,
    vanishing,
)

LEAST_WIDTH, MOST_WIDTH = 1.5, 3.8
"""Width of the own lane in camera heights: 2.5 m at 1.65 m, 4.5 m at 1.2 m."""
LEAST_COVER, FEW = 0.12, 0.05
"""A broken line of 3 m in 12 m is seen on a quarter of the rows, some of them too far to see. FEW
are enough where the other lines say that one has to be there."""
PAINT, FAINT = 25.0, 10.0
"""Grey levels by which a line is lighter than the road: without doubt, and at least."""
CLEAN, UNSURE, MESSY = 0.8, 1.0, 1.8
"""Ridges a row in the own lane: a road without doubt, at most where it begins, and at most."""
LEAST_CLOSE = 4
"""Rows of the near part of the road on which both own lines have to be seen where they begin."""
ASIDE = 0.3
"""The camera is in the own lane: so many camera heights from its lines, and not further from its
middle than this share of its width."""
REACH = 0.06
"""Lines are told to this share of the height below the horizon, or as far as they are seen."""
HORIZON = 0.18, 0.68
"""Shares of the height between which the horizon is."""
AGREE = 6
"""Pictures in a row that have to agree where one alone leaves doubt."""
SAME, BESIDE = 0.3, (0.8, 1.3)
"""A line is the same within so many camera heights; a neighbour lane is so many own lanes wide."""
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


@dataclass(frozen=True, slots=True)
class Sight:
    """What one picture shows. clear: it leaves no doubt."""

    road: Road
    pair: tuple[Marking, Marking]
    seen: list[Marking]
    clear: bool


def search(luma: NDArray[np.uint8]) -> Sight | None:
    """Return what a picture of uint8 (H, W) shows without anything known; None: no lane."""
    height, width = luma.shape
    size = width, height
    met = vanishing(luma)
    if met is None or not HORIZON[0] < met[1] / height < HORIZON[1]:
        return None
    start = Road(met[0], met[1])
    points, every = evidence(luma, start, known=False)
    road = find(points, size, start, known=False)
    seen = [one for one in markings(points, road, size) if one.cover >= FEW]
    if not seen:
        return None
    road = refine(points, road, _places(seen), size)
    seen = [m for m in markings(points, road, size) if m.cover >= FEW and m.contrast >= FAINT]
    pair = choose(seen, None)
    if pair is None:
        return None
    mess = clutter(every, road, pair[0].s, pair[1].s, height)
    if mess > UNSURE or not _is_inside(pair):
        return None
    clear = mess <= CLEAN and min(one.contrast for one in pair) >= PAINT
    return Sight(road, pair, seen, clear)


def _places(seen: list[Marking]) -> list[float]:
    """Return the places of those that are seen well; of all, where none is."""
    return [m.s for m in seen if m.cover >= LEAST_COVER] or [m.s for m in seen]


def choose(seen: list[Marking], wide: float | None) -> tuple[Marking, Marking] | None:
    """Return the own lane's lines: of a lane's width, seen best, in step with their neighbours.

    wide: what is known of the width, camera heights.
    """
    best, pair = 0.0, None
    for left in seen:
        for right in seen:
            width = right.s - left.s
            if not left.s < 0.0 < right.s or not LEAST_WIDTH <= width <= MOST_WIDTH:
                continue
            beside = [
                min(m.cover, 0.3)
                for m in seen
                for k in (-1, 1)
                if abs(m.s - (left.s if k < 0 else right.s) - k * width) < 0.15 * width
            ]
            score = min(left.cover, 0.5) + min(right.cover, 0.5) + 0.5 * sum(beside)
            if max(left.cover, right.cover) < LEAST_COVER or score < 2.2 * LEAST_COVER:
                continue
            if min(left.cover, right.cover) < LEAST_COVER and not beside:
                continue
            if wide is not None:
                score *= max(0.2, 1.0 - abs(width - wide) / wide)
            if score > best:
                best, pair = score, (left, right)
    return pair


def _is_inside(pair: tuple[Marking, Marking]) -> bool:
    """Return whether the camera is well between two lines that begin in front of it."""
    left, right = pair
    near = min(-left.s, right.s) >= ASIDE and min(left.close, right.close) >= LEAST_CLOSE
    return near and abs(left.s + right.s) / 2 <= ASIDE * (right.s - left.s)


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
        self._size = (0, 0)

    def step(self, luma: NDArray[np.uint8], t_ns: int) -> Lanes | None:
        """Return the lanes of the next picture, uint8 (H, W); None where there are none."""
        gap_ns, self._last_ns = t_ns - self._last_ns, t_ns
        size = luma.shape[1], luma.shape[0]
        if size != self._size or not 0 < gap_ns <= GAP_NS:
            self._forget()
            self._size = size
        if self._road is not None and not self._track(luma, self._road, t_ns, gap_ns * 1e-9):
            self._forget()
        if self._road is None:
            self._begin(luma, t_ns)
        return self._lanes()

    def _forget(self) -> None:
        self._road, self._lines, self._waiting = None, [], []
        self._horizons.clear()
        self._far.clear()

    def _begin(self, luma: NDArray[np.uint8], t_ns: int) -> None:
        """Search; begin where a picture is clear, or where several agree."""
        sight = search(luma)
        if sight is None:
            self._waiting = self._waiting[1:]
            return
        near = [one for one in self._waiting if _agrees(one, sight, self._size)]
        self._waiting = [*near, sight][-AGREE:]
        if not sight.clear and len(self._waiting) < AGREE:
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
        mess = clutter(every, road, *bounds, luma.shape[0])
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
                line = Line(line.s + 0.5 * (mine.s - line.s), trust)
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


def _agrees(a: Sight, b: Sight, size: tuple[int, int]) -> bool:
    """Return whether two pictures show the same road and own lane."""
    lines = zip(a.pair, b.pair, strict=True)
    return (
        abs(a.road.vx - b.road.vx) < 0.03 * size[0]
        and abs(a.road.vy - b.road.vy) < 0.02 * size[1]
        and all(abs(one.s - other.s) < SAME for one, other in lines)
    )
