"""Lanes tracked over the frames of a camera: the road, and its lines with their confidence.

Tracking begins with the first picture of a clip if its lines are clear, else when several pictures
in a row show the same lane. A tracked line may be seen worse than a new one: shadows, worn dashes,
occlusion by cars. Imports road and searching.
"""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception.analysers.road import Marking, Road, clutter, evidence, find, markings, refine
from perception.analysers.searching import (
    CLUTTER_CONTRAST,
    CLUTTER_TO_FOLLOW,
    HORIZON_RANGE,
    LEAST_COVER,
    LEAST_COVER_WITH_NEIGHBOURS,
    LEAST_WIDTH,
    MOST_WIDTH,
    NEIGHBOUR_WIDTH,
    SAME_LINE,
    STRONG,
    WEAK,
    SingleView,
    search,
    shows_same,
)

LEAST_FAR = 0.035
"""A line ends this share of the picture's height below the horizon, or where it is last seen if
that is further away."""
VIEWS_TO_BEGIN = 5
"""Pictures in a row that have to show the same lane before tracking begins; see
SingleView.clear."""
SPACING_GAIN = 1.8
"""Factor of the confidence of a line that is one lane width beside the own lane."""
TRUST_GAIN, DECAY_S, LEAST_TRUST = 0.25, 0.6, 0.08
"""Gain of the confidence filter; time constant, s, with which an unseen line loses confidence; a
line with less confidence than LEAST_TRUST is dropped."""
LOST_NS = 800_000_000
"""After this time without a plausible own lane the road is searched for again."""
GAP_NS = 1_000_000_000
"""After a longer gap between frames tracking starts again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A marking. s: offset to the right of the camera, camera heights. trust: confidence, 0 to
    1."""

    s: float
    trust: float


@dataclass(frozen=True, slots=True)
class Lanes:
    """road; lines by place (-1, 1: own lane; -2, 2: far lines of the neighbours); far: the row,
    px, at which they end."""

    road: Road
    lines: dict[int, Line]
    far: float


class Follower:
    """Tracks the road and its lines. Call `step` for each frame, in the order of media time."""

    def __init__(self) -> None:
        self._road: Road | None = None
        self._lines: list[Line] = []
        self._wide = 0.0
        self._horizons: deque[float] = deque(maxlen=25)
        self._far: deque[float] = deque(maxlen=9)
        self._waiting: list[SingleView] = []
        self._last_ns = self._seen_ns = 0
        self._size, self._is_first = (0, 0), True

    def step(self, luma: NDArray[np.uint8], t_ns: int) -> Lanes | None:
        """Return the lanes of the next picture, uint8 (H, W). None: no lanes. t_ns: media time."""
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
        """Search the picture. Begin to track if it is a clear first one, or if several show the
        same."""
        view = search(luma)
        if view is None:
            self._waiting = self._waiting[1:]
            return
        near = [one for one in self._waiting if shows_same(one, view, self._size)]
        self._waiting = [*near, view][-VIEWS_TO_BEGIN:]
        if not (self._is_first and view.clear) and len(self._waiting) < VIEWS_TO_BEGIN:
            return
        self._road, self._waiting, self._seen_ns = view.road, [], t_ns
        self._wide = view.pair[1].s - view.pair[0].s
        self._lines = [Line(one.s, 0.4) for one in view.pair]
        self._lines = [Line(one.s, self._trust(one)) for one in view.seen]
        for own in view.pair:
            self._lines = [
                one if one.s != own.s else replace(one, trust=max(one.trust, 0.4))
                for one in self._lines
            ]
        self._horizons.append(view.road.vy)
        self._far.append(min(one.far for one in view.pair))

    def _track(self, luma: NDArray[np.uint8], last: Road, t_ns: int, dt_s: float) -> bool:
        """Update the road and its lines by the next picture; return whether they are still
        tracked."""
        start = replace(last, vy=0.5 * last.vy + 0.5 * float(np.median(self._horizons)))
        points, every = evidence(luma, start, known=True)
        found = find(points, self._size, start, known=True)
        trusted = [one.s for one in self._lines if one.trust >= 0.2]
        road = refine(points, found, trusted, self._size, last=start)
        seen = [m for m in markings(points, road, self._size) if m.contrast >= WEAK]
        trusted_seen = self._take(seen, dt_s)
        own = self._own()
        bounds = (own[0].s, own[1].s) if own else (-1.2, 1.2)
        ridges_inside = clutter(every, road, bounds, CLUTTER_CONTRAST * STRONG, luma.shape[0])
        is_seen = (
            trusted_seen > 0
            and own is not None
            and ridges_inside <= CLUTTER_TO_FOLLOW
            and self._is_plausible(road)
        )
        if is_seen:
            self._seen_ns = t_ns
            self._road = road
            self._horizons.append(road.vy)
            self._wide += 0.1 * (bounds[1] - bounds[0] - self._wide)
        return t_ns - self._seen_ns <= LOST_NS and bool(self._lines)

    def _take(self, seen: list[Marking], dt_s: float) -> int:
        """Match lines with markings and update them; return how many confident lines were
        matched."""
        left = [one for one in seen if one.cover >= LEAST_COVER_WITH_NEIGHBOURS]
        kept: list[Line] = []
        trusted_seen, decay = 0, float(np.exp(-dt_s / DECAY_S))
        far: list[float] = []
        for line in sorted(self._lines, key=lambda one: -one.trust):
            mine = min(left, key=lambda one: abs(one.s - line.s), default=None)
            if mine is not None and abs(mine.s - line.s) < SAME_LINE:
                left.remove(mine)
                trusted_seen += line.trust >= 0.2
                far.append(mine.far)
                trust = line.trust + TRUST_GAIN * (self._trust(mine) - line.trust)
                gain = min(1.0, 0.3 + 3.0 * mine.cover)  # of the same fit as the road
                line = Line(line.s + gain * (mine.s - line.s), trust)
            else:
                line = replace(line, trust=line.trust * decay)
            if line.trust >= LEAST_TRUST:
                kept.append(line)
        for one in left:
            if one.cover >= LEAST_COVER and all(abs(one.s - k.s) >= 0.5 for k in kept):
                kept.append(Line(one.s, 0.3 * self._trust(one)))
        if far:
            self._far.append(min(far))
        self._lines = kept
        return trusted_seen

    def _trust(self, one: Marking) -> float:
        """Return the confidence of a marking: higher one lane width beside the own lane."""
        own = self._own()
        sure = min(1.0, 2.5 * one.cover) * min(1.0, one.contrast / STRONG)
        if own is None:
            return sure
        width = own[1].s - own[0].s
        away = (own[0].s - one.s) if one.s < own[0].s else one.s - own[1].s
        return min(1.0, SPACING_GAIN * sure) if abs(away / width - 1.0) < 0.15 else sure

    def _is_plausible(self, road: Road) -> bool:
        width, height = self._size
        return (
            HORIZON_RANGE[0] < road.vy / height < HORIZON_RANGE[1] and 0.1 < road.vx / width < 0.9
        )

    def _own(self) -> tuple[Line, Line] | None:
        """Return the two lines of the own lane: by confidence, and by a width near the last one."""
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
                if NEIGHBOUR_WIDTH[0] <= away <= NEIGHBOUR_WIDTH[1] and (
                    known is None or m.trust > known.trust
                ):
                    lines[2 * side] = m
        far = float(np.median(self._far)) if self._far else road.vy + 0.03 * self._size[1]
        far = min(far, road.vy + LEAST_FAR * self._size[1])
        return Lanes(road, lines, max(far, road.vy + 0.02 * self._size[1])) if lines else None
