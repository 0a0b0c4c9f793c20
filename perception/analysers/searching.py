"""Lanes of one picture of which nothing is known: where the road is and its lines.

Imports road.
"""

from dataclasses import dataclass

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
CLEAN, MESSY = 0.8, 1.8
"""Ridges a row in the own lane: at most where it begins, and at most where it is followed."""
STANDS_OUT = 0.3
"""Ridges of less than this share of the lines' contrast are no clutter."""
LEAST_CLOSE = 3
"""Rows of the near part of the road on which both own lines have to be seen where they begin."""
ASIDE = 0.3
"""The camera is in the own lane: so many camera heights from its lines, and not further from its
middle than this share of its width."""
HORIZON = 0.18, 0.68
"""Shares of the height between which the horizon is."""
SAME, BESIDE = 0.3, (0.8, 1.3)
"""A line is the same within so many camera heights; a neighbour lane is so many own lanes wide."""


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
    faintest = min(one.contrast for one in pair)
    mess = clutter(every, road, (pair[0].s, pair[1].s), STANDS_OUT * faintest, height)
    if mess > CLEAN:
        return None
    return Sight(road, pair, seen, clear=faintest >= PAINT)


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
            if not LEAST_WIDTH <= width <= MOST_WIDTH or not _is_inside((left, right)):
                continue
            beside = [
                min(m.cover, 0.3)
                for m in seen
                for k in (-1, 1)
                if abs(m.s - (left.s if k < 0 else right.s) - k * width) < 0.15 * width
            ]
            score = _weight(left) + _weight(right) + 0.5 * sum(beside)
            if max(left.cover, right.cover) < LEAST_COVER or score < 2.2 * LEAST_COVER:
                continue
            if min(left.cover, right.cover) < LEAST_COVER and not beside:
                continue
            if wide is not None:
                score *= max(0.2, 1.0 - abs(width - wide) / wide)
            if score > best:
                best, pair = score, (left, right)
    return pair


def _weight(one: Marking) -> float:
    """Return what a marking counts in a pair: how well it is seen, less where it is faint."""
    return min(one.cover, 0.5) * min(1.0, one.contrast / PAINT)


def _is_inside(pair: tuple[Marking, Marking]) -> bool:
    """Return whether the camera is well between two lines that begin in front of it."""
    left, right = pair
    near = min(-left.s, right.s) >= ASIDE and min(left.close, right.close) >= LEAST_CLOSE
    return near and abs(left.s + right.s) / 2 <= ASIDE * (right.s - left.s)


def agrees(a: Sight, b: Sight, size: tuple[int, int]) -> bool:
    """Return whether two pictures show the same road and own lane."""
    lines = zip(a.pair, b.pair, strict=True)
    return (
        abs(a.road.vx - b.road.vx) < 0.03 * size[0]
        and abs(a.road.vy - b.road.vy) < 0.02 * size[1]
        and all(abs(one.s - other.s) < SAME for one, other in lines)
    )
