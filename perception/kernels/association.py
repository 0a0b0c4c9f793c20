"""Which boxes overlap which, and how much: candidates by a sorted sweep, never a dense matrix.

Imports numpy and numba only. Height overlap as in Hybrid-SORT (arXiv 2308.00783): two people who
pass each other share width, rarely height.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import door

inner = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For what only kernels call: compiled into its caller and loaded from the cache with it."""


@inner
def _sort(rows, n, order):
    """Fill order with what sorts the first n rows by column 0: merge sort, stable, n log n."""
    rising = True
    for i in range(n):
        order[i] = i
        rising = rising and (i == 0 or rows[i - 1, 0] <= rows[i, 0])
    if rising:
        return
    scratch = np.empty(n, np.int64)
    width = 1
    source, target, swapped = order, scratch, False
    while width < n:
        for low in range(0, n, 2 * width):
            mid, high = min(low + width, n), min(low + 2 * width, n)
            i, j = low, mid
            for k in range(low, high):
                if i < mid and (j >= high or rows[source[i], 0] <= rows[source[j], 0]):
                    target[k] = source[i]
                    i += 1
                else:
                    target[k] = source[j]
                    j += 1
        source, target, swapped = target, source, not swapped
        width *= 2
    if swapped:
        for i in range(n):
            order[i] = source[i]


@njit("void(f8[:, ::1], i8, f8[:, ::1], i8, i8[:, ::1], f8[:, ::1], i8)", cache=True)
def _note(a, i, b, j, pairs, overlaps, at):
    """Write down that box i of a meets box j of b: IoU and height IoU."""
    x = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
    y = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
    shared = x * y
    area_a = (a[i, 2] - a[i, 0]) * (a[i, 3] - a[i, 1])
    area_b = (b[j, 2] - b[j, 0]) * (b[j, 3] - b[j, 1])
    pairs[at, 0], pairs[at, 1] = i, j
    overlaps[at, 0] = shared / (area_a + area_b - shared)
    overlaps[at, 1] = y / (max(a[i, 3], b[j, 3]) - min(a[i, 1], b[j, 1]))


@njit("i8(f8[:, ::1], i8, f8[:, ::1], i8, i8[:, ::1], f8[:, ::1])", cache=True)
def _sweep(a, m, b, n, pairs, overlaps):
    """Fill pairs (row of a, row of b) and overlaps (IoU, height IoU); return how many there are.

    The first m and n rows are xyxy boxes. Pairs beyond the room of the arrays are only counted.
    """
    order_a, order_b = np.empty(m, np.int64), np.empty(n, np.int64)
    _sort(a, m, order_a)
    _sort(b, n, order_b)
    open_a, open_b = np.empty(m, np.int64), np.empty(n, np.int64)
    count_a = count_b = i = j = found = 0
    room = pairs.shape[0]
    while i < m or j < n:
        kept = 0
        if j >= n or (i < m and a[order_a[i], 0] <= b[order_b[j], 0]):
            row = order_a[i]
            i += 1
            open_a[count_a] = row
            count_a += 1
            left, top, bottom = a[row, 0], a[row, 1], a[row, 3]
            for k in range(count_b):
                other = open_b[k]
                if b[other, 2] > left:
                    open_b[kept] = other
                    kept += 1
                    if b[other, 1] < bottom and b[other, 3] > top:
                        if found < room:
                            _note(a, row, b, other, pairs, overlaps, found)
                        found += 1
            count_b = kept
        else:
            row = order_b[j]
            j += 1
            open_b[count_b] = row
            count_b += 1
            left, top, bottom = b[row, 0], b[row, 1], b[row, 3]
            for k in range(count_a):
                other = open_a[k]
                if a[other, 2] > left:
                    open_a[kept] = other
                    kept += 1
                    if a[other, 1] < bottom and a[other, 3] > top:
                        if found < room:
                            _note(a, other, b, row, pairs, overlaps, found)
                        found += 1
            count_a = kept
    return found


def overlapping_pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every pair of boxes that overlap, and how much.

    a: float (M, 4), b: float (N, 4) xyxy px, finite, x1 <= x2 and y1 <= y2. The result: pairs
    int64 (k, 2) of rows of a and b in the order of the sweep, overlaps float64 (k, 2) of IoU and
    height IoU. M = 0 or N = 0 gives k = 0. Source: see the module.
    """
    boxes_a, boxes_b = door(a, np.float64, -1, 4), door(b, np.float64, -1, 4)
    room = 16 * (len(boxes_a) + len(boxes_b))
    while True:
        pairs, overlaps = np.empty((room, 2), np.int64), np.empty((room, 2))
        found = _sweep(boxes_a, len(boxes_a), boxes_b, len(boxes_b), pairs, overlaps)
        if found <= room:
            return pairs[:found], overlaps[:found]
        room = found
