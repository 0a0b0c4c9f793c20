"""Lanes of one picture, without earlier ones: the road and its lines.

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
LEAST_COVER, LEAST_COVER_WITH_NEIGHBOURS = 0.12, 0.05
"""Least share of the rows on which a line is seen. A dashed line (3 m in 12 m) covers a quarter of
the rows at most. Beside a line of a neighbour lane the lower bound is enough."""
STRONG, WEAK = 25.0, 10.0
"""Contrast of a line to the road, grey levels: of a clear line, and at least."""
CLUTTER_TO_BEGIN, CLUTTER_TO_FOLLOW = 0.8, 1.8
"""Largest mean number of ridges per row inside the own lane (see road.clutter)."""
CLUTTER_CONTRAST = 0.3
"""Ridges with less than this share of the contrast of the lines are not counted as clutter."""
LEAST_NEAR_ROWS = 3
"""Both lines of a new own lane have to be seen on this number of rows of the near road."""
LEAST_OFFSET = 0.3
"""The camera is at least so far inside the own lane, camera heights, and at most this share of the
lane width away from its middle."""
HORIZON_RANGE = 0.18, 0.68
"""Range of the horizon row, shares of the picture's height."""
SAME_LINE, NEIGHBOUR_WIDTH = 0.3, (0.8, 1.3)
"""Largest distance of a line to its last place, camera heights; range of the width of a neighbour
lane, own lane widths."""


@dataclass(frozen=True, slots=True)
class SingleView:
    """Road and markings of one picture. pair: the own lane. clear: both lines have the contrast
    STRONG."""

    road: Road
    pair: tuple[Marking, Marking]
    seen: list[Marking]
    clear: bool


def search(luma: NDArray[np.uint8]) -> SingleView | None:
    """Return road and markings of a picture, uint8 (H, W). None: no own lane was found."""
    height, width = luma.shape
    size = width, height
    met = vanishing(luma)
    if met is None or not HORIZON_RANGE[0] < met[1] / height < HORIZON_RANGE[1]:
        return None
    start = Road(met[0], met[1])
    points, every = evidence(luma, start, known=False)
    road = find(points, size, start, known=False)
    seen = [one for one in markings(points, road, size) if one.cover >= LEAST_COVER_WITH_NEIGHBOURS]
    if not seen:
        return None
    road = refine(points, road, _places(seen), size)
    seen = [
        m
        for m in markings(points, road, size)
        if m.cover >= LEAST_COVER_WITH_NEIGHBOURS and m.contrast >= WEAK
    ]
    pair = choose(seen, None)
    if pair is None:
        return None
    faintest = min(one.contrast for one in pair)
    ridges_inside = clutter(
        every, road, (pair[0].s, pair[1].s), CLUTTER_CONTRAST * faintest, height
    )
    if ridges_inside > CLUTTER_TO_BEGIN:
        return None
    return SingleView(road, pair, seen, clear=faintest >= STRONG)


def _places(seen: list[Marking]) -> list[float]:
    """Return the offsets of markings with enough cover; of all, if none has."""
    return [m.s for m in seen if m.cover >= LEAST_COVER] or [m.s for m in seen]


def choose(seen: list[Marking], wide: float | None) -> tuple[Marking, Marking] | None:
    """Return the pair of lines of the own lane with the best score. None: no pair fits.

    The score grows with cover, contrast and lines one lane width beside. wide: expected lane width,
    camera heights; None: unknown.
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
    """Return the weight of a marking in a pair: its cover, less at low contrast."""
    return min(one.cover, 0.5) * min(1.0, one.contrast / STRONG)


def _is_inside(pair: tuple[Marking, Marking]) -> bool:
    """Whether the camera is between two lines that are seen on the near road."""
    left, right = pair
    near = min(-left.s, right.s) >= LEAST_OFFSET and min(left.close, right.close) >= LEAST_NEAR_ROWS
    return near and abs(left.s + right.s) / 2 <= LEAST_OFFSET * (right.s - left.s)


def shows_same(a: SingleView, b: SingleView, size: tuple[int, int]) -> bool:
    """Whether two pictures show the same road and own lane. size: width, height px."""
    lines = zip(a.pair, b.pair, strict=True)
    return (
        abs(a.road.vx - b.road.vx) < 0.03 * size[0]
        and abs(a.road.vy - b.road.vy) < 0.02 * size[1]
        and all(abs(one.s - other.s) < SAME_LINE for one, other in lines)
    )
