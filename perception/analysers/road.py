"""The road in one picture: where it runs to, how it bends, and the markings on it.

Ridges (kernels/lanes.py) are linked into chains; the point in which chains meet gives the horizon;
votes for direction and curvature gather them into markings; least squares refine what was voted.
Coordinates are px of the picture, d is the px below the horizon row.

Source: Guiducci 1999 (road model), Veit et al. 2008 (ridges); Hartley and Zisserman, 8.6
(vanishing points). Imports kernels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.kernels import lanes as kernels

Floats = NDArray[np.float64]

ACROSS = 0.1
"""Width of a marking for each px below the horizon: 0.13 m seen from 1.3 m above the road."""
LEAST = 8.0
"""Grey levels by which a marking is lighter than the road beside it."""
MOST = 40.0
"""A brighter ridge does not count for more."""
SIDE = 6.0
"""Camera heights to the side that are looked at."""
ROWS = 120
NEAREST, HOODLESS = 0.02, 0.985
"""Rows looked at: from this share of the height below the horizon to this share of the height."""
LEAST_CHAIN = 3
FAR = 0.1
"""Deviation in px, for each height of the picture by px below the horizon: crests and cars."""
LEAST_VOTES = 2.5
"""Ridges of full weight that a marking has at least."""
WIDER = 4.0, 2.0, 1.0, 1.0
"""How much more room ridges have in the first steps of the fit."""
ALONE = 0.35
"""Weight of a ridge: those of a chain share their error."""
APART = 0.35
"""Camera heights between two markings at least."""
CLUTTER_FROM = 0.25
"""Share of the road's rows, from the horizon, beyond which nobody looks for clutter."""
TURN = 0.12
"""The road may run to a point so far from the middle, shares of the width, beside the last one."""
BEND = 2.5e-3
"""Largest curvature c, share of width times height."""


@dataclass(frozen=True, slots=True)
class Road:
    """vx, vy px of the point that the road runs to; c px^2, its curvature."""

    vx: float
    vy: float
    c: float = 0.0

    def x(self, s: Any, y: Any) -> Any:
        """Return the x px of a marking s at rows y below the horizon."""
        d = y - self.vy
        return self.vx + s * d + self.c / d

    def s(self, points: Floats) -> Floats:
        """Return which marking each point is on: float64 (P,) camera heights to the right."""
        d = points[:, 1] - self.vy
        return (points[:, 0] - self.vx - self.c / d) / d


@dataclass(frozen=True, slots=True)
class Marking:
    """A marking s. cover: share of the rows in sight on which it is seen. near, far: rows px
    between which it is. rows: on how many it is seen, close: of these on the near part of the
    road. contrast: median of its ridges."""

    s: float
    cover: float
    near: float
    far: float
    rows: int
    close: int
    contrast: float


def vanishing(luma: NDArray[np.uint8]) -> tuple[float, float, float] | None:
    """Return where markings of a picture meet: x px, y px and support; None where none do.

    Support grows with the length of chains and with how many directions they come from.
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
    """Return how much chains speak for points: float64 (G,). Those of one direction count by the
    root of their length: one long marking with its own noise is no crossing."""
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
    found = kernels.ridges(luma[rows], below, ACROSS, LEAST)
    y = rows[found[:, 0].astype(np.int64)]
    points = np.empty((len(found), 3))
    points[:, 0], points[:, 1], points[:, 2] = found[:, 1], y, np.minimum(found[:, 2], MOST)
    return points


def rows_below(vy: float, height: int) -> NDArray[np.int64]:
    """Return the rows that are looked at, equally spaced in the logarithm of d where px allow."""
    d = np.geomspace(NEAREST * height, max(HOODLESS * height - vy, 0.1 * height), ROWS)
    rows = np.unique(np.round(vy + d).astype(np.int64))
    return rows[(rows > vy) & (rows < height)]


def evidence(luma: NDArray[np.uint8], road: Road, *, known: bool) -> tuple[Floats, Floats]:
    """Return ridges that may be of markings of a road, and all ridges: float64 (P, 3) x, y px,
    weight. known: the road is of the frame before, so that little room is given.

    Chains of LEAST_CHAIN or more that run along it, as far as a bend and a turn let them.
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
    return points[chained & along & (abs(s) < SIDE)], points


def clutter(points: Floats, road: Road, own: tuple[float, float], least: float, rows: int) -> float:
    """Return how many ridges a row has between two markings, on the near part of the road.

    own: s of the two markings. least: weight of the ridges that count. rows: of the picture.
    Asphalt has hardly any; paving stones, rails and people have some on every row.
    """
    d = points[:, 1] - road.vy
    s = road.s(points)
    nearest = CLUTTER_FROM * (rows - road.vy)
    inside = (s > own[0] + 0.25) & (s < own[1] - 0.25) & (d > nearest) & (points[:, 2] >= least)
    looked = rows_below(road.vy, rows)
    return float(inside.sum()) / max(1, int((looked - road.vy > nearest).sum()))


def find(points: Floats, size: tuple[int, int], start: Road, *, known: bool) -> Road:
    """Return the road that most ridges agree on. size: width, height px. known: start is of the
    frame before, so that only its neighbourhood is looked at."""
    width, height = size
    turn = (0.03 if known else TURN) * width
    bend = BEND * width * height
    steps = max(5, 2 * round(turn / (0.007 * width)) + 1)
    vxs = start.vx + np.linspace(-turn, turn, steps)
    around = start.c + np.linspace(-0.3, 0.3, 7) * bend if known else np.linspace(-bend, bend, 17)
    cs = np.clip(around, -bend, bend)
    ways = np.stack(np.meshgrid(vxs, [start.vy], cs, indexing="ij"), -1).reshape(-1, 3)
    scores = kernels.vote(points, ways, width, height)
    # a straight road that runs where it ran explains as much with less
    usual = start.c if known else 0.0
    cost = 0.3 * abs(ways[:, 2] - usual) / bend
    cost += 0.1 * abs(ways[:, 0] - start.vx) / (TURN * width)
    vx, vy, c = ways[int((scores * (1.0 - cost)).argmax())]
    return Road(float(vx), float(vy), float(c))


def room_of(d: Floats) -> Floats:
    """Return how many camera heights a ridge at d may be beside its marking."""
    return 0.06 + 1.5 / d


def markings(points: Floats, road: Road, size: tuple[int, int]) -> list[Marking]:
    """Return markings, best seen first, none within APART of another."""
    width, height = size
    rows = rows_below(road.vy, height)
    s, d = road.s(points), points[:, 1] - road.vy
    room = room_of(d)
    grid = np.arange(-SIDE, SIDE + 0.01, 0.05)
    votes = np.exp(-2.0 * ((grid[:, None] - s) / room) ** 2) @ (points[:, 2] / MOST)
    out: list[Marking] = []
    while len(votes) and votes[k := int(votes.argmax())] >= LEAST_VOTES:
        mine = abs(s - grid[k]) < room
        place = float(np.average(s[mine], weights=points[mine, 2] / room[mine] ** 2))
        votes[(abs(grid - grid[k]) < APART) | (abs(grid - place) < APART)] = 0.0
        mine = abs(s - place) < room
        hit = np.unique(points[mine, 1])
        x = road.x(place, rows)
        sight = rows[(x > 0.01 * width) & (x < 0.99 * width)]
        if len(hit) < 4 or len(sight) < 10 or any(abs(place - one.s) < APART for one in out):
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
    """Return the road that fits the ridges of chosen markings best, by iterated least squares.

    The horizon row and what was voted hold it where ridges say little. last: road of the frame
    before, which holds it more.
    """
    width, height = size
    sides = np.array(chosen)
    first = road if last is None else last
    firm, keep = (1.0, 0.7) if last is None else (2.5, 1.0)
    for wide in WIDER:
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
        sigma = 1.0 + 0.008 * d + FAR * height / d
        weight = ALONE / (sigma * (1.0 + (error / (2.0 * wide * sigma)) ** 2))
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
        bend = BEND * width * height
        road = Road(
            road.vx + float(step[0]),
            road.vy + float(step[1]),
            float(np.clip(road.c + step[2] * unit, -bend, bend)),
        )
        sides = sides + step[3:]
    return road
