"""Joins boxes that are parts of one object: boxes with a small gap between them become one.

Background subtraction can find one object as two blobs: a car and its shadow, or the front and the
rear of a lorry whose roof has the colour of the road. Imports numpy and numba only.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array

GAP_PX = 3.0
"""Boxes with at most this gap in x and in y are joined, unless MAX_SIDES forbids it."""
MAX_SIDES = 1.8
"""The box around both is not used where its shorter side is more than this many times the larger
one of the two shorter sides. So two cars side by side stay two boxes."""
LONG_GAP_PX = 9.0
"""Largest gap of two boxes in one line, along that line."""
LINE_SHARE, LINE_SIDES, LINE_WIDTH, LINE_LENGTH_PX = 0.6, 1.3, 1.4, 60.0
"""Two boxes are in one line where, across the line, they share at least LINE_SHARE of the narrower
one, and the box around both is at least LINE_SIDES times as long as wide, at most LINE_WIDTH times
as wide as the wider one, and at most LINE_LENGTH_PX long."""


@njit("b1(f4, f4, f4, f4, f4, f4, f4, f4, f4)", cache=True)
def _in_line(a1, a2, a_low, a_high, b1, b2, b_low, b_high, gap):
    """Return whether two boxes lie in one line along an axis.

    a1, a2, b1, b2: ends of the boxes along the axis. a_low, a_high, b_low, b_high: across it. px.
    """
    apart = max(a1, b1) - min(a2, b2)
    length = max(a2, b2) - min(a1, b1)
    width_a, width_b = a_high - a_low, b_high - b_low
    shared = min(a_high, b_high) - max(a_low, b_low)
    width = max(a_high, b_high) - min(a_low, b_low)
    return (
        apart <= gap
        and length <= LINE_LENGTH_PX
        and shared >= LINE_SHARE * min(width_a, width_b)
        and width <= LINE_WIDTH * max(width_a, width_b, 4.0)
        and length >= LINE_SIDES * width
    )


@njit("i8(f4[:, ::1], f4, f4, f4)", cache=True)
def _join(boxes, gap, max_sides, long_gap):
    """Join boxes in place until no two can be joined. Return how many rows are left."""
    count = boxes.shape[0]
    i = 0
    while i < count:
        j = i + 1
        joined = False
        while j < count:
            p, q = boxes[i], boxes[j]
            gap_x = max(p[0], q[0]) - min(p[2], q[2])
            gap_y = max(p[1], q[1]) - min(p[3], q[3])
            x1, y1 = min(p[0], q[0]), min(p[1], q[1])
            x2, y2 = max(p[2], q[2]), max(p[3], q[3])
            short_i = min(p[2] - p[0], p[3] - p[1])
            short_j = min(q[2] - q[0], q[3] - q[1])
            near = (
                gap_x <= gap
                and gap_y <= gap
                and min(x2 - x1, y2 - y1) <= max_sides * max(short_i, short_j)
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
    max_sides: float = MAX_SIDES,
    long_gap: float = LONG_GAP_PX,
) -> NDArray[np.float32]:
    """Return the boxes after joining those that are close together or in one line: float32 (k, 4).

    boxes: float (N, 4) xyxy px, finite; values are not checked. gap: see GAP_PX. max_sides: see
    MAX_SIDES. long_gap: see LONG_GAP_PX. k <= N; the order is not kept. N = 0 gives (0, 4). Raises
    ValueError for other shapes.
    """
    own = np.array(as_array(boxes, np.float32, -1, 4))
    return own[: _join(own, gap, max_sides, long_gap)]
