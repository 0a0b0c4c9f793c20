"""The road in one picture: vanishing point, curvature, and the markings on it.

Ridges (kernels/lanes.py) are linked into chains. The vanishing point of the chains gives the
horizon. A vote over direction and curvature finds the road, and least squares refine it.
Coordinates are px of the picture; d is the number of px below the horizon row.

Source: Guiducci 1999 (road model), Veit et al. 2008 (ridges); Hartley and Zisserman, 8.6
(vanishing points). Imports kernels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.kernels import lanes as kernels

Floats = NDArray[np.float64]

WIDTH_SHARE = 0.1
"""Width of a marking, px per px below the horizon: 0.13 m seen from 1.3 m above the road."""
LEAST_CONTRAST = 8.0
"""Least contrast of a ridge to the road beside it, grey levels."""
MOST_WEIGHT = 40.0
"""Largest weight of a ridge, grey levels."""
MAX_OFFSET = 6.0
"""Largest offset of a marking, camera heights."""
ROWS = 120
NEAREST, LOWEST = 0.02, 0.985
"""Rows used: from this share of the height below the horizon, to this share of the height (below it
the hood of the vehicle may be)."""
LEAST_CHAIN = 3
FAR_SIGMA = 0.1
"""Part of the deviation of a ridge, px, times picture height / d: crests and cars far ahead."""
LEAST_VOTES = 2.5
"""Least sum of votes of a marking; a ridge of full weight has 1."""
FIT_ROOM = 4.0, 2.0, 1.0, 1.0
"""Factor of the search width around a marking, for each step of the fit."""
RIDGE_WEIGHT = 0.35
"""Weight of a ridge in the fit. It is below 1 because ridges of one chain have correlated
errors."""
LEAST_DISTANCE = 0.35
"""Least distance between two markings, camera heights."""
CLUTTER_FROM = 0.25
"""The near road begins at this share of the rows from the horizon to the lower edge."""
MAX_TURN = 0.12
"""Largest distance of the vanishing point from the expected one, share of the width."""
MAX_CURVATURE = 2.5e-3
"""Largest curvature c, share of width times height."""


@dataclass(frozen=True, slots=True)
class Road:
    """vx, vy: vanishing point, px. c: curvature, px^2: a marking is at x = vx + s d + c / d."""

    vx: float
    vy: float
    c: float = 0.0

    def x(self, s: Any, y: Any) -> Any:
        """Return the x, px, of a marking with offset s at rows y below the horizon."""
        d = y - self.vy
        return self.vx + s * d + self.c / d

    def s(self, points: Floats) -> Floats:
        """Return the offset of points, float64 (P,), camera heights to the right. points: px (P,
        2+)."""
        d = points[:, 1] - self.vy
        return (points[:, 0] - self.vx - self.c / d) / d


@dataclass(frozen=True, slots=True)
class Marking:
    """A marking. s: offset, camera heights. cover: share of its rows inside the picture on which it
    has a ridge. near, far: lowest and highest of these rows, px. rows: their number; close: their
    number on the near road. contrast: median weight of its ridges, grey levels."""

    s: float
    cover: float
    near: float
    far: float
    rows: int
    close: int
    contrast: float


def vanishing(luma: NDArray[np.uint8]) -> tuple[float, float, float] | None:
    """Return the vanishing point of the markings: x px, y px, score. None: there is none.

    The score grows with the length of the chains and with the number of their directions.
    """
    height, width = luma.shape
    rows = np.arange(round(0.3 * height), height - 1, max(2, height // 180))
    below = np.maximum(rows - 0.42 * height, 0.06 * height)
    points = _ridges(luma, rows, below)
    _, ends = kernels.chains(points)
    ends = ends[ends[:, 4] >= 5]
    ends = ends[np.argsort(-ends[:, 4], kind="stable")][:60]
    if len(ends) < 2:
        return None
    ones = np.ones((len(ends), 1))
    forms = np.cross(np.hstack([ends[:, :2], ones]), np.hstack([ends[:, 2:4], ones]))
    i, j = np.triu_indices(len(ends), 1)
    met = np.cross(forms[i], forms[j])
    met = met[abs(met[:, 2]) > 1e-9]
    met = met[:, :2] / met[:, 2:]
    share = met / (width, height)
    met = met[(abs(share[:, 0] - 0.5) < 0.4) & (abs(share[:, 1] - 0.475) < 0.275)]
    if not len(met):
        return None
    scores = _support(met, ends, height)
    k = int(scores.argmax())
    return float(met[k, 0]), float(met[k, 1]), float(scores[k])


def _support(met: Floats, ends: Floats, height: int) -> Floats:
    """Return the score of candidate points, float64 (G,). Chains of one direction count by the
    square root of their length: one long marking alone defines no vanishing point."""
    along = ends[:, 2:4] - ends[:, :2]
    lengths = np.hypot(along[:, 0], along[:, 1])
    along /= lengths[:, None]
    to = (ends[:, :2] + ends[:, 2:4]) / 2 - met[:, None]
    away = np.hypot(to[..., 0], to[..., 1]) + 1e-9
    sine = abs(to[..., 0] * along[:, 1] - to[..., 1] * along[:, 0]) / away
    hit = np.maximum(1.0 - (sine / (0.02 + 1.0 / lengths)) ** 2, 0.0) * (to[..., 1] > 0)
    votes = hit * np.minimum(lengths, 0.25 * height)
    directions = ((np.arctan2(to[..., 0], to[..., 1]) + 1.6) / 3.2 * 48).astype(np.int64)
    scores = np.zeros(len(met))
    for k in range(49):
        scores += np.sqrt(np.where(directions == k, votes, 0.0).sum(axis=1))
    return scores


def _ridges(luma: NDArray[np.uint8], rows: NDArray[np.int64], below: Any) -> Floats:
    """Return ridges as float64 (P, 3) x px, y px, weight, by rising row."""
    found = kernels.ridges(luma[rows], below, WIDTH_SHARE, LEAST_CONTRAST)
    y = rows[found[:, 0].astype(np.int64)]
    points = np.empty((len(found), 3))
    points[:, 0], points[:, 1], points[:, 2] = found[:, 1], y, np.minimum(found[:, 2], MOST_WEIGHT)
    return points


def rows_below(vy: float, height: int) -> NDArray[np.int64]:
    """Return the rows used, px: equally spaced in the logarithm of d, each row at most once."""
    d = np.geomspace(NEAREST * height, max(LOWEST * height - vy, 0.1 * height), ROWS)
    rows = np.unique(np.round(vy + d).astype(np.int64))
    return rows[(rows > vy) & (rows < height)]


def evidence(luma: NDArray[np.uint8], road: Road, *, known: bool) -> tuple[Floats, Floats]:
    """Return the ridges along a road, and all ridges: float64 (P, 3) x px, y px, weight.

    A ridge is along the road if its chain has LEAST_CHAIN ridges or more and the direction of the
    road, with a tolerance for curvature and turn. known: the road is of the frame before, which
    makes the tolerance smaller.
    """
    height, width = luma.shape
    rows = rows_below(road.vy, height)
    points = _ridges(luma, rows, rows - road.vy)
    labels, ends = kernels.chains(points)
    top, foot = ends[labels, :2], ends[labels, 2:4]
    chained = ends[labels, 4] >= LEAST_CHAIN
    down = np.maximum(foot[:, 1] - top[:, 1], 1.0)
    slope = (foot[:, 0] - top[:, 0]) / down
    middle = (foot + top) / 2
    d = middle[:, 1] - road.vy
    s = road.s(middle)
    turn = 0.012 if known else 0.03
    room = 0.12 + 3.0 / down + (turn * width + 0.5 * abs(s) * turn * height) / d
    along = abs(slope - (s - road.c / d**2)) < room
    return points[chained & along & (abs(s) < MAX_OFFSET)], points


def clutter(points: Floats, road: Road, own: tuple[float, float], least: float, rows: int) -> float:
    """Return the mean number of ridges per row between two markings, on the near road.

    own: offsets of the two markings. least: least weight of a ridge that counts. rows: height of
    the picture, px. Asphalt has hardly any; paving stones, rails and people have some on each row.
    """
    d = points[:, 1] - road.vy
    s = road.s(points)
    nearest = CLUTTER_FROM * (rows - road.vy)
    inside = (s > own[0] + 0.25) & (s < own[1] - 0.25) & (d > nearest) & (points[:, 2] >= least)
    looked = rows_below(road.vy, rows)
    return float(inside.sum()) / max(1, int((looked - road.vy > nearest).sum()))


def find(points: Floats, size: tuple[int, int], start: Road, *, known: bool) -> Road:
    """Return the road with the best vote near `start`. size: width, height px. known: start is of
    the frame before: only small changes of direction and curvature are tried."""
    width, height = size
    turn = (0.03 if known else MAX_TURN) * width
    bend = MAX_CURVATURE * width * height
    steps = max(5, 2 * round(turn / (0.007 * width)) + 1)
    vxs = start.vx + np.linspace(-turn, turn, steps)
    around = start.c + np.linspace(-0.3, 0.3, 7) * bend if known else np.linspace(-bend, bend, 17)
    cs = np.clip(around, -bend, bend)
    ways = np.stack(np.meshgrid(vxs, [start.vy], cs, indexing="ij"), -1).reshape(-1, 3)
    scores = kernels.vote(points, ways, width, height)
    # of equal votes the straight road in the last direction wins
    usual = start.c if known else 0.0
    cost = 0.3 * abs(ways[:, 2] - usual) / bend
    cost += 0.1 * abs(ways[:, 0] - start.vx) / (MAX_TURN * width)
    vx, vy, c = ways[int((scores * (1.0 - cost)).argmax())]
    return Road(float(vx), float(vy), float(c))


def room_of(d: Floats) -> Floats:
    """Return the largest distance of a ridge at d from its marking, camera heights."""
    return 0.06 + 1.5 / d


def markings(points: Floats, road: Road, size: tuple[int, int]) -> list[Marking]:
    """Return markings by falling votes, none within LEAST_DISTANCE of another."""
    width, height = size
    rows = rows_below(road.vy, height)
    s, d = road.s(points), points[:, 1] - road.vy
    room = room_of(d)
    grid = np.arange(-MAX_OFFSET, MAX_OFFSET + 0.01, 0.05)
    votes = np.exp(-2.0 * ((grid[:, None] - s) / room) ** 2) @ (points[:, 2] / MOST_WEIGHT)
    out: list[Marking] = []
    while len(votes) and votes[k := int(votes.argmax())] >= LEAST_VOTES:
        mine = abs(s - grid[k]) < room
        place = float(np.average(s[mine], weights=points[mine, 2] / room[mine] ** 2))
        votes[(abs(grid - grid[k]) < LEAST_DISTANCE) | (abs(grid - place) < LEAST_DISTANCE)] = 0.0
        mine = abs(s - place) < room
        hit = np.unique(points[mine, 1])
        x = road.x(place, rows)
        sight = rows[(x > 0.01 * width) & (x < 0.99 * width)]
        if (
            len(hit) < 4
            or len(sight) < 10
            or any(abs(place - one.s) < LEAST_DISTANCE for one in out)
        ):
            continue
        cover = len(hit) / len(sight)
        contrast = float(np.median(points[mine, 2]))
        close = int((hit - road.vy > CLUTTER_FROM * (height - road.vy)).sum())
        ends = float(hit[-1]), float(hit[1])
        out.append(Marking(place, cover, *ends, len(hit), close, contrast))
    return out


def refine(
    points: Floats, road: Road, chosen: list[float], size: tuple[int, int], last: Road | None = None
) -> Road:
    """Return the road that fits the ridges of some markings, by iterated least squares.

    chosen: offsets of the markings. Priors on the vanishing point and the curvature keep it near
    `road` where there are few ridges. last: road of the frame before: stronger priors around it.
    """
    width, height = size
    sides = np.array(chosen)
    first = road if last is None else last
    firm, keep = (1.0, 0.7) if last is None else (2.5, 1.0)
    for wide in FIT_ROOM:
        d = points[:, 1] - road.vy
        good = d > NEAREST / 2 * height
        s = road.s(points)
        off = abs(s[:, None] - sides)
        which = off.argmin(axis=1)
        mine = good & (off.min(axis=1) < wide * room_of(np.maximum(d, 1.0)))
        if mine.sum() < 6:
            return road
        d, which, x = d[mine], which[mine], points[mine, 0]
        model = road.vx + sides[which] * d + road.c / d
        error = x - model
        sigma = 1.0 + 0.008 * d + FAR_SIGMA * height / d
        weight = RIDGE_WEIGHT / (sigma * (1.0 + (error / (2.0 * wide * sigma)) ** 2))
        unit = width * height * 1e-3
        design = np.zeros((len(d), 3 + len(sides)))
        design[:, 0] = 1.0
        design[:, 1] = -sides[which] + road.c / d**2
        design[:, 2] = unit / d
        design[np.arange(len(d)), 3 + which] = d
        held = np.diag(
            [
                firm / (0.03 * width),
                1.0 / ((0.02 if last is None else 0.006) * height),
                firm / 0.4,
                *[1.0 / 0.5] * len(sides),
            ]
        )
        pull = np.array(
            [first.vx - road.vx, first.vy - road.vy, (keep * first.c - road.c) / unit]
            + [0.0] * len(sides)
        )
        a = np.vstack([design * weight[:, None], held])
        b = np.concatenate([error * weight, held @ pull])
        step, *_ = np.linalg.lstsq(a, b, rcond=None)
        bend = MAX_CURVATURE * width * height
        road = Road(
            road.vx + float(step[0]),
            road.vy + float(step[1]),
            float(np.clip(road.c + step[2] * unit, -bend, bend)),
        )
        sides = sides + step[3:]
    return road
