"""Cleans the detections of a frame: drops NaN, inverted boxes and duplicates, and counts them.

Compiled into kernels/tracking.py. Imports numpy and numba only.
"""

import numpy as np

from perception.kernels.assignment import inner
from perception.kernels.association import _sort
from perception.kernels.track_layout import (
    BOX_CLASS,
    BOX_GROUP,
    BOX_SCORE,
    BOX_WIDTH,
    CLIPPED,
    DEGENERATE,
    DUPLICATE,
    NOT_FINITE,
)

MAX_COORDINATE_PX = 1e6
"""Coordinates are clipped to +- this."""
MIN_SIDE_PX = 1e-3
"""A box with a smaller side is dropped as degenerate."""


@inner
def _filter(given, scores, class_ids, groups, raw, rows, counts):
    """Write the usable detections to raw, clipped, and their rows in the input to rows.

    Coordinates are clipped to MAX_COORDINATE_PX, scores to 0..1. Returns how many are usable.
    """
    n = 0
    for i in range(scores.shape[0]):
        total = np.float64(scores[i])
        for c in range(4):
            total += given[i, c]
        if not np.isfinite(total):
            counts[NOT_FINITE] += 1
            continue
        for c in range(4):
            raw[n, c] = given[i, c]
            if abs(raw[n, c]) > MAX_COORDINATE_PX:
                raw[n, c] = min(max(raw[n, c], -MAX_COORDINATE_PX), MAX_COORDINATE_PX)
                counts[CLIPPED] += 1
        if raw[n, 2] - raw[n, 0] < MIN_SIDE_PX or raw[n, 3] - raw[n, 1] < MIN_SIDE_PX:
            counts[DEGENERATE] += 1
            continue
        raw[n, BOX_SCORE], raw[n, BOX_CLASS] = scores[i], class_ids[i]
        if raw[n, BOX_SCORE] > 1.0 or raw[n, BOX_SCORE] < 0.0:
            raw[n, BOX_SCORE] = min(max(raw[n, BOX_SCORE], 0.0), 1.0)
            counts[CLIPPED] += 1
        raw[n, BOX_GROUP] = groups[i]
        rows[n] = i
        n += 1
    return n


@inner
def _find_duplicate(boxes, count, raw, i):
    """Return the row of boxes that equals raw[i] in box and class; -1: none.

    The first `count` rows of boxes are sorted by their left side.
    """
    k = count - 1
    while k >= 0 and boxes[k, 0] == raw[i, 0]:
        same = boxes[k, BOX_CLASS] == raw[i, BOX_CLASS]
        for c in range(1, 4):
            same = same and boxes[k, c] == raw[i, c]
        if same:
            return k
        k -= 1
    return -1


@inner
def _clean(given, scores, class_ids, groups, work, source, counts, scratch):
    """Write the usable detections to the first rows of work, sorted by their left side.

    source: written, the row of each in the input. Of equal boxes the one with the better score is
    kept. Scratch memory: work (2 N rows), scratch (3 N,). Returns how many are usable.
    """
    total = scores.shape[0]
    boxes, raw = work[:total], work[total : 2 * total]
    rows, order = scratch[:total], scratch[total : 2 * total]
    n = _filter(given, scores, class_ids, groups, raw, rows, counts)
    _sort(raw, n, order, scratch[2 * total :])
    kept = 0
    for k in range(n):
        i = order[k]
        at = _find_duplicate(boxes, kept, raw, i)
        if at >= 0:
            counts[DUPLICATE] += 1
            if raw[i, BOX_SCORE] <= boxes[at, BOX_SCORE]:
                continue
        else:
            at = kept
            kept += 1
        for c in range(BOX_WIDTH):
            boxes[at, c] = raw[i, c]
        source[at] = rows[i]
    return kept
