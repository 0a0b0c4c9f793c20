"""What a detector says, made fit for tracking: no NaN, no inside-out box, no twin. Counted.

Imports numpy and numba only.
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

FAR_PX = 1e6
LEAST_PX = 1e-3


@inner
def _sift(seen, scores, class_ids, groups, raw, rows, book):
    """Write the usable detections to raw, clipped to FAR_PX, scores to 0..1; rows: their rows."""
    n = 0
    for i in range(scores.shape[0]):
        total = np.float64(scores[i])
        for c in range(4):
            total += seen[i, c]
        if not np.isfinite(total):
            book[NOT_FINITE] += 1
            continue
        for c in range(4):
            raw[n, c] = seen[i, c]
            if abs(raw[n, c]) > FAR_PX:
                raw[n, c] = min(max(raw[n, c], -FAR_PX), FAR_PX)
                book[CLIPPED] += 1
        if raw[n, 2] - raw[n, 0] < LEAST_PX or raw[n, 3] - raw[n, 1] < LEAST_PX:
            book[DEGENERATE] += 1
            continue
        raw[n, BOX_SCORE], raw[n, BOX_CLASS] = scores[i], class_ids[i]
        if raw[n, BOX_SCORE] > 1.0 or raw[n, BOX_SCORE] < 0.0:
            raw[n, BOX_SCORE] = min(max(raw[n, BOX_SCORE], 0.0), 1.0)
            book[CLIPPED] += 1
        raw[n, BOX_GROUP] = groups[i]
        rows[n] = i
        n += 1
    return n


@inner
def _twin(boxes, count, raw, i):
    """Return the row of boxes, sorted by their left side, that has the very box i, or -1."""
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
def _take_in(seen, scores, class_ids, groups, work, source, book, room):
    """Fill the first rows of work with the usable detections, sorted by their left side.

    source: the detection each came from. Of twins the better score stays. work: 2 N rows, room:
    3 N, to work in. Returns how many.
    """
    total = scores.shape[0]
    boxes, raw = work[:total], work[total : 2 * total]
    rows, order = room[:total], room[total : 2 * total]
    n = _sift(seen, scores, class_ids, groups, raw, rows, book)
    _sort(raw, n, order, room[2 * total :])
    kept = 0
    for k in range(n):
        i = order[k]
        at = _twin(boxes, kept, raw, i)
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
    return kept
