"""Pairs of overlapping boxes of two sets, with IoU and height IoU, by a sweep along x.

No dense (M, N) matrix is made. Height IoU is that of Hybrid-SORT (arXiv 2308.00783): two people who
pass each other overlap in x, but their heights mostly differ. Imports numpy and numba only.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array
from perception.kernels.assignment import inner

INSERTION_ROWS = 32
"""Up to this number of rows insertion sort is faster than merge sort."""

# Columns of a pair, float64: row of the first set, row of the second set, IoU, height IoU. The
# caller uses the others.
PAIR_A, PAIR_B, PAIR_IOU, PAIR_HEIGHT, PAIR_GAIN = range(5)
PAIR_WIDTH = 8


@inner
def _insert(rows, n, order):
    """Write to order the permutation that sorts the first n rows by column 0: insertion sort."""
    for i in range(n):
        k = i
        while k > 0 and rows[order[k - 1], 0] > rows[i, 0]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = i


@inner
def _sort(rows, n, order, scratch):
    """Write to order the stable permutation that sorts the first n rows by column 0: merge sort."""
    if n <= INSERTION_ROWS:
        _insert(rows, n, order)
        return
    rising = True
    for i in range(n):
        order[i] = i
        rising = rising and (i == 0 or rows[i - 1, 0] <= rows[i, 0])
    if rising:
        return
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


@inner
def _write_pair(a, i, b, j, pairs, at):
    """Write row `at` of pairs: box i of a overlaps box j of b, with IoU and height IoU."""
    x = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
    y = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
    shared = x * y
    area_a = (a[i, 2] - a[i, 0]) * (a[i, 3] - a[i, 1])
    area_b = (b[j, 2] - b[j, 0]) * (b[j, 3] - b[j, 1])
    pairs[at, PAIR_A], pairs[at, PAIR_B] = i, j
    pairs[at, PAIR_IOU] = shared / (area_a + area_b - shared)
    pairs[at, PAIR_HEIGHT] = y / (max(a[i, 3], b[j, 3]) - min(a[i, 1], b[j, 1]))


@inner
def _find_overlaps(box, others, candidates, count, hits):
    """Drop the candidates that end left of the box, and write to hits those that overlap it.

    Returns how many candidates are kept and how many hits there are.
    """
    left, top, bottom = box[0], box[1], box[3]
    kept = hit_count = 0
    for k in range(count):
        other = candidates[k]
        if others[other, 2] > left:
            candidates[kept] = other
            kept += 1
            if others[other, 1] < bottom and others[other, 3] > top:
                hits[hit_count] = other
                hit_count += 1
    return kept, hit_count


@njit("i8(f8[:, ::1], i8, f8[:, ::1], i8, f8[:, ::1], i8[::1])", cache=True, _nrt=False)
def _sweep(a, m, b, n, pairs, scratch):
    """Write to pairs all overlapping boxes, in the order of the sweep. Return how many there are.

    a, b: the first m and n rows are xyxy boxes. Pairs beyond the length of the array are counted,
    not written. scratch: int64 (3 (m + n),).
    """
    order_a, order_b = scratch[:m], scratch[m : m + n]
    open_a, open_b = scratch[m + n : 2 * m + n], scratch[2 * m + n : 2 * (m + n)]
    hits = scratch[2 * (m + n) :]
    _sort(a, m, order_a, open_a)
    _sort(b, n, order_b, open_b)
    count_a = count_b = i = j = found = 0
    most = pairs.shape[0]
    while i < m or j < n:
        if j >= n or (i < m and a[order_a[i], 0] <= b[order_b[j], 0]):
            row = order_a[i]
            i += 1
            open_a[count_a] = row
            count_a += 1
            count_b, hit_count = _find_overlaps(a[row], b, open_b, count_b, hits)
            for k in range(min(hit_count, most - found)):
                _write_pair(a, row, b, hits[k], pairs, found + k)
        else:
            row = order_b[j]
            j += 1
            open_b[count_b] = row
            count_b += 1
            count_a, hit_count = _find_overlaps(b[row], a, open_a, count_a, hits)
            for k in range(min(hit_count, most - found)):
                _write_pair(a, hits[k], b, row, pairs, found + k)
        found += hit_count
    return found


def overlapping_pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return every pair of overlapping boxes: rows int64 (k, 2), overlaps float64 (k, 2).

    a: float (M, 4), b: float (N, 4) xyxy px, finite, x1 <= x2 and y1 <= y2. rows: of a and of b, in
    the order of the sweep. overlaps: IoU and height IoU, 0..1. M = 0 or N = 0 gives k = 0. Values
    are not checked. Raises ValueError for other shapes. Source: see the module.
    """
    boxes_a, boxes_b = as_array(a, np.float64, -1, 4), as_array(b, np.float64, -1, 4)
    both = len(boxes_a) + len(boxes_b)
    most, scratch = 16 * both, np.empty(3 * both, np.int64)
    while True:
        pairs = np.empty((most, PAIR_WIDTH))
        found = _sweep(boxes_a, len(boxes_a), boxes_b, len(boxes_b), pairs, scratch)
        if found <= most:
            rows = pairs[:found, PAIR_A : PAIR_B + 1].astype(np.int64)
            return rows, pairs[:found, PAIR_IOU : PAIR_HEIGHT + 1].copy()
        most = found
