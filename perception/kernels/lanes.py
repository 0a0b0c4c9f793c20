"""Lane markings: light ridges in rows of a picture, chains of them, and votes for a road.

A marking is lighter than the road on both sides. Its width is `across` px per px below the
horizon. The road model of Guiducci 1999 (doi 10.1006/cviu.1999.0746): with d the px below the
horizon row, a marking is at x = vx + s d + c / d. vx: x of the vanishing point. s: offset to the
side in camera heights, one for each marking. c: curvature, the same for all markings.

R rows, P ridges, G roads, B bins. Imports numpy and numba only.
"""

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from perception.kernels import as_array

MAX_IN_ROW = 24
"""Largest number of ridges per row; those furthest to the left are kept."""
BINS = 240
"""Bins of the x of a marking on the lowest row, from one picture width left of the picture to one
right of it."""
NEAREST = 0.02
"""Ridges less than this share of the picture's height below the horizon do not vote."""
MISS_PX, MAX_SLOPE = 1.5, 5.0
"""Largest deviation of a ridge from the line of its chain, px; largest px to the side per px
down."""


@nb.njit(
    "int64(uint8[:, ::1], float64[::1], float64, float64, float64[:, ::1])",
    cache=True,
    error_model="numpy",
)
def _ridges(rows: Any, below: Any, across: float, least: float, out: Any) -> int:
    count, width = 0, rows.shape[1]
    sums = np.empty(width + 1, np.int32)
    response = np.empty(width, np.float32)
    limit = np.float32(least)
    half_share = np.float32(0.5)
    for r in range(rows.shape[0]):
        half = max(1, int(np.floor(across * below[r] / 2.0 + 0.5)))
        core = max(1, (half + 1) // 2)
        gap = half + 1 + half // 2
        reach = gap + 2 * half + 1
        if 2 * reach >= width:
            continue
        inner = np.float32(1.0 / (2 * core - 1))
        outer = np.float32(1.0 / (2 * half + 1))
        sums[0] = 0
        for x in range(width):
            sums[x + 1] = sums[x] + rows[r, x]
        for x in range(reach, width - reach):
            middle = np.float32(sums[x + core] - sums[x - core + 1]) * inner
            left = np.float32(sums[x - gap + 1] - sums[x - gap - 2 * half]) * outer
            right = np.float32(sums[x + gap + 2 * half + 1] - sums[x + gap]) * outer
            value = middle - max(left, right) - half_share * abs(left - right)
            response[x] = value if value >= limit else np.float32(0.0)
        x, found = reach, 0
        while x < width - reach and found < MAX_IN_ROW:
            if response[x] <= 0.0:
                x += 1
                continue
            start, best, total, moment = x, 0.0, 0.0, 0.0
            while x < width - reach and response[x] > 0.0:
                best = max(best, response[x])
                total += response[x]
                moment += response[x] * x
                x += 1
            if x - start > 3 * half + 2:
                continue
            if count == len(out):
                return count
            out[count, 0], out[count, 1], out[count, 2] = r, moment / total, best
            count += 1
            found += 1
    return count


def ridges(
    rows: NDArray[np.uint8], below: NDArray[np.float64], across: float, least: float
) -> NDArray[np.float64]:
    """Return light ridges of rows: float64 (P, 3) index of the row, x px, contrast; row by row.

    rows: uint8 (R, W). below: float64 (R,) px of each row below the horizon, above 0. across:
    expected width of a marking for each px below. least: contrast in grey levels, above 0. What one
    side is lighter than the other counts against a ridge, as in Veit et al. 2008
    (doi 10.1109/ITSC.2008.4732564). A ridge much wider than expected is none. No rows: none.
    """
    rows = as_array(rows, np.uint8, -1, -1)
    out = np.empty((len(rows) * MAX_IN_ROW, 3))
    count = _ridges(rows, as_array(below, np.float64, len(rows)), float(across), float(least), out)
    return out[:count]


@nb.njit(
    "void(float64[:, ::1], float64[:, ::1], float64, float64, float64[::1])",
    cache=True,
    error_model="numpy",
)
def _vote(points: Any, ways: Any, width: float, height: float, scores: Any) -> None:
    bins = np.empty(BINS)
    scale = (BINS - 1) / (3.0 * width)
    nearest = NEAREST * height
    for g in range(len(ways)):
        bins[:] = 0.0
        vx, vy, c = ways[g, 0], ways[g, 1], ways[g, 2]
        foot = height - vy
        for p in range(len(points)):
            d = points[p, 1] - vy
            if d < nearest:
                continue
            s = (points[p, 0] - vx - c / d) / d
            at = (vx + s * foot + width) * scale
            low = int(np.floor(at))
            if 0 <= low < BINS - 1:
                share = at - low
                bins[low] += points[p, 2] * (1.0 - share)
                bins[low + 1] += points[p, 2] * share
        total = 0.0
        for b in range(1, BINS - 1):
            v = bins[b - 1] + 2.0 * bins[b] + bins[b + 1]
            total += v * v
        scores[g] = total


def vote(
    points: NDArray[np.float64], ways: NDArray[np.float64], width: float, height: float
) -> NDArray[np.float64]:
    """Return the vote of ridges for each of some roads, float64 (G,).

    points: float64 (P, 3) x px, y px, weight. ways: float64 (G, 3) vx px, vy px (row of the
    horizon), c px^2 of each road. width, height: of the picture, px. A score is the sum of squares
    of the smoothed histogram of the x of the ridges, moved along the road to the lowest row. It is
    high if the ridges are on few markings.
    """
    ways = as_array(ways, np.float64, -1, 3)
    scores = np.zeros(len(ways))
    _vote(as_array(points, np.float64, -1, 3), ways, float(width), float(height), scores)
    return scores


@nb.njit(
    "void(float64[:, ::1], int64[::1], float64[:, ::1])",
    cache=True,
    error_model="numpy",
)
def _chains(points: Any, labels: Any, ends: Any) -> None:
    count = len(points)
    row_start = 0
    last_start = 0
    taken = np.zeros(count, np.bool_)
    for p in range(count):
        if p > 0 and points[p, 1] != points[p - 1, 1]:
            last_start, row_start = row_start, p
        x, y = points[p, 0], points[p, 1]
        best, cost = -1, 1.0
        for q in range(last_start, row_start):
            if taken[q]:
                continue
            down = y - points[q, 1]
            k = labels[q]
            if ends[k, 4] >= 2.0:
                slope = (ends[k, 2] - ends[k, 0]) / (ends[k, 3] - ends[k, 1])
                miss = abs(x - points[q, 0] - slope * down)
                room = MISS_PX + 0.25 * abs(slope) * down * 2.0 / ends[k, 4]
            else:
                miss = abs(x - points[q, 0])
                room = MISS_PX + MAX_SLOPE * down
            if miss / room < cost:
                best, cost = q, miss / room
        if best >= 0:
            taken[best] = True
            labels[p] = labels[best]
        else:
            labels[p] = p
            ends[p, 0], ends[p, 1], ends[p, 4] = x, y, 0.0
        k = labels[p]
        ends[k, 2], ends[k, 3] = x, y
        ends[k, 4] += 1.0


def chains(points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Link ridges from row to row; return the chain of each, and each chain's ends.

    points: float64 (P, 3) x px, y px, weight, by rising y. Returns int64 (P,) the index of the
    first ridge of its chain, and float64 (P, 5) at that index x, y of the first, x, y of the last
    and how many there are. A chain goes on straight; it does not skip a row that has ridges.
    """
    points = as_array(points, np.float64, -1, 3)
    labels, ends = np.zeros(len(points), np.int64), np.zeros((len(points), 5))
    _chains(points, labels, ends)
    return labels, ends
