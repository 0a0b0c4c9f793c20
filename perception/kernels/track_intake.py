"""What a detector says, made fit for tracking: no NaN, no inside-out box, no twin. Counted.

Imports numpy and numba only.
"""

import numpy as np

from perception.kernels.association import _sort, inner
from perception.kernels.track_layout import (
    BOX_CLASS,
    BOX_SCORE,
    BOX_WIDTH,
    CLIPPED,
    DEGENERATE,
    DUPLICATE,
    NOT_FINITE,
)

FAR_PX = 1e6
LEAST_PX = 1e-3


@inner
def _sift(raw, rows, book):
    """Move usable rows of raw to its front, clipped to FAR_PX; rows: where each came from."""
    n = 0
    for i in range(raw.shape[0]):
        total = 0.0
        for c in range(BOX_WIDTH):
            total += raw[i, c]
        if not np.isfinite(total):
            book[NOT_FINITE] += 1
            continue
        for c in range(4):
            if abs(raw[i, c]) > FAR_PX:
                raw[i, c] = min(max(raw[i, c], -FAR_PX), FAR_PX)
                book[CLIPPED] += 1
        if raw[i, 2] - raw[i, 0] < LEAST_PX or raw[i, 3] - raw[i, 1] < LEAST_PX:
            book[DEGENERATE] += 1
            continue
        for c in range(BOX_WIDTH):
            raw[n, c] = raw[i, c]
        rows[n] = i
        n += 1
    return n


@inner
def _twin(boxes, count, box):
    """Return the row of boxes, sorted by their left side, that has this very box, or -1."""
    k = count - 1
    while k >= 0 and boxes[k, 0] == box[0, 0]:
        same = boxes[k, BOX_CLASS] == box[0, BOX_CLASS]
        for c in range(1, 4):
            same = same and boxes[k, c] == box[0, c]
        if same:
            return k
        k -= 1
    return -1


@inner
def _take_in(raw, boxes, rows, book):
    """Fill boxes with the usable detections, sorted by their left side; return how many.

    raw, boxes: float64 (N, BOX_WIDTH); raw is spent. rows: the row of raw each came from. Of twins
    the better score stays.
    """
    n = _sift(raw, rows, book)
    order = np.empty(n, np.int64)
    _sort(raw, n, order)
    source = np.empty(n, np.int64)
    kept = 0
    for k in range(n):
        i = order[k]
        at = _twin(boxes, kept, raw[i : i + 1])
        if at >= 0:
            book[DUPLICATE] += 1
            if raw[i, BOX_SCORE] <= boxes[at, BOX_SCORE]:
                continue
        else:
            at = kept
            kept += 1
        for c in range(BOX_WIDTH):
            boxes[at, c] = raw[i, c]
        source[at] = rows[i]
    for k in range(kept):
        rows[k] = source[k]
    return kept
