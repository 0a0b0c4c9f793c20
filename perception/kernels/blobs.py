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
LONG_GAP_PX = 9.0
"""Boxes in one line, along the longer side of both together, may be so far apart."""
LINE_SHARE, LINE_SIDES, LINE_WIDTH, LINE_LENGTH_PX = 0.6, 1.3, 1.4, 60.0
"""In one line: across it they share so much of the smaller one; both together are so many times as
long as wide, at most so many times as wide as the wider one, and at most so long."""


@njit("b1(f4, f4, f4, f4, f4, f4, f4, f4, f4)", cache=True)
def _in_line(a1, a2, across1, across2, b1, b2, down1, down2, gap):
    """Whether two boxes lie in one line along an axis.

    a1 to a2, b1 to b2: the boxes along it. across1 to across2, down1 to down2: across it.
    """
    apart = max(a1, b1) - min(a2, b2)
    length = max(a2, b2) - min(a1, b1)
    width_a, width_b = across2 - across1, down2 - down1
    shared = min(across2, down2) - max(across1, down1)
    width = max(across2, down2) - min(across1, down1)
    return (
        apart <= gap
        and length <= LINE_LENGTH_PX
        and shared >= LINE_SHARE * min(width_a, width_b)
        and width <= LINE_WIDTH * max(width_a, width_b, 4.0)
        and length >= LINE_SIDES * width
    )


@njit("i8(f4[:, ::1], f4, f4, f4)", cache=True)
def _join(boxes, gap, most, long_gap):
    """Join boxes in place until none are near; return how many are left, in the first rows."""
    count = boxes.shape[0]
    i = 0
    while i < count:
        j = i + 1
        joined = False
        while j < count:
            p, q = boxes[i], boxes[j]
            across = max(p[0], q[0]) - min(p[2], q[2])
            down = max(p[1], q[1]) - min(p[3], q[3])
            x1, y1 = min(p[0], q[0]), min(p[1], q[1])
            x2, y2 = max(p[2], q[2]), max(p[3], q[3])
            short_i = min(p[2] - p[0], p[3] - p[1])
            short_j = min(q[2] - q[0], q[3] - q[1])
            near = (
                across <= gap
                and down <= gap
                and min(x2 - x1, y2 - y1) <= most * max(short_i, short_j)
            )
            if (
                near
                or _in_line(p[0], p[2], p[1], p[3], q[0], q[2], q[1], q[3], long_gap)
                or _in_line(p[1], p[3], p[0], p[2], q[1], q[3], q[0], q[2], long_gap)
            ):
                boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3] = x1, y1, x2, y2
                count -= 1
                boxes[j] = boxes[count]
                joined = True
                continue
            j += 1
        i = 0 if joined else i + 1
    return count


def join_boxes(
    boxes: ArrayLike,
    gap: float = GAP_PX,
    most: float = MAX_SIDES,
    long_gap: float = LONG_GAP_PX,
) -> NDArray[np.float32]:
    """Return boxes with those that are near each other, or in one line, joined.

    boxes: (N, 4) xyxy px, finite. gap, long_gap: px. most: see MAX_SIDES. The result is float32
    (K, 4), K <= N; the order is not kept. N = 0 gives (0, 4).
    """
    own = np.array(door(boxes, np.float32, -1, 4))
    return own[: _join(own, gap, most, long_gap)]
