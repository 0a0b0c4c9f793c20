"""Spots of one object joined: boxes with a small gap between them become one.

A car and its shadow, or the front and the end of a lorry whose roof is of one colour, differ from
the background in two spots. Imports numpy and numba only.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import door

GAP_PX = 3.0
"""Boxes that are not further apart than this are joined; see MAX_SIDES for those that are not."""
MAX_SIDES = 1.8
"""Two boxes stay apart where the shorter side of both together would be more than so many times the
larger of their own shorter sides: two cars side by side are two."""


@njit("i8(f4[:, ::1], f4, f4)", cache=True)
def _join(boxes, gap, most):
    """Join boxes in place until none are near; return how many are left, in the first rows."""
    count = boxes.shape[0]
    i = 0
    while i < count:
        j = i + 1
        joined = False
        while j < count:
            across = max(boxes[i, 0], boxes[j, 0]) - min(boxes[i, 2], boxes[j, 2])
            down = max(boxes[i, 1], boxes[j, 1]) - min(boxes[i, 3], boxes[j, 3])
            if across <= gap and down <= gap:
                x1, y1 = min(boxes[i, 0], boxes[j, 0]), min(boxes[i, 1], boxes[j, 1])
                x2, y2 = max(boxes[i, 2], boxes[j, 2]), max(boxes[i, 3], boxes[j, 3])
                short_i = min(boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1])
                short_j = min(boxes[j, 2] - boxes[j, 0], boxes[j, 3] - boxes[j, 1])
                if min(x2 - x1, y2 - y1) <= most * max(short_i, short_j):
                    boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = x1, y1, x2, y2
                    count -= 1
                    boxes[j] = boxes[count]
                    joined = True
                    continue
            j += 1
        i = 0 if joined else i + 1
    return count


def join_boxes(
    boxes: ArrayLike, gap: float = GAP_PX, most: float = MAX_SIDES
) -> NDArray[np.float32]:
    """Return boxes with those that are near each other joined: float32 (K, 4), K <= N.

    boxes: (N, 4) xyxy px, finite. gap: px. most: see MAX_SIDES. The order is not kept. N = 0 gives
    (0, 4).
    """
    own = np.array(door(boxes, np.float32, -1, 4))
    return own[: _join(own, gap, most)]
