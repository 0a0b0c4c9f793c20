"""Lane markings of one picture: the two of the own lane and their neighbours. Imports this room."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.analysers.road import Marking, Road, evidence, find, markings, refine, vanishing

LEAST_COVER = 0.12
"""A broken line of 3 m in 12 m is seen on a quarter of the rows, some of them too far to see."""
LEAST_WIDTH, MOST_WIDTH = 1.5, 3.8
"""Width of the own lane in camera heights: 2.5 m at 1.65 m, 4.5 m at 1.2 m."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The road, and markings by place: -2 and 2 of the neighbour lanes, -1 and 1 of the own."""

    road: Road
    lines: dict[int, Marking]


def lanes_of(luma: NDArray[np.uint8]) -> Lanes | None:
    """Return the lanes of one picture, uint8 (H, W); None where there are none."""
    height, width = luma.shape
    size = width, height
    met = vanishing(luma)
    if met is None:
        return None
    points = evidence(luma, met[0], met[1])
    road = find(points, size, Road(met[0], met[1]), known=False)
    seen = [one for one in markings(points, road, size) if one.cover >= LEAST_COVER]
    if not seen:
        return None
    road = refine(points, road, [one.s for one in seen], size)
    seen = markings(points, road, size)
    lines = choose(seen, (width / 2.0 - road.vx) / (height - road.vy))
    return Lanes(road, lines) if lines else None


def choose(seen: list[Marking], middle: float) -> dict[int, Marking]:
    """Return the own pair that is seen best and of a lane's width, and its neighbours.

    middle: of the vehicle, in camera heights from where the road runs to.
    """
    best, pair = 0.0, None
    for left in seen:
        for right in seen:
            wide = right.s - left.s
            if not left.s < middle < right.s or not LEAST_WIDTH <= wide <= MOST_WIDTH:
                continue
            if min(left.cover, right.cover) < LEAST_COVER:
                continue
            score = min(left.cover, 0.5) + min(right.cover, 0.5)
            if score > best:
                best, pair = score, (left, right)
    if pair is None:
        return {}
    out, wide = {-1: pair[0], 1: pair[1]}, pair[1].s - pair[0].s
    for side, own in ((-1, pair[0]), (1, pair[1])):
        beside = [m for m in seen if 0.75 <= side * (m.s - own.s) / wide <= 1.35]
        beside = [m for m in beside if m.cover >= 0.6 * LEAST_COVER]
        if beside:
            out[2 * side] = max(beside, key=lambda m: m.cover)
    return out
