"""Boxes, xyxy: IoU of two sets, an affine map, and the map from a letterbox canvas to the image.

Imports numpy and numba only.
"""

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array


@nb.njit("void(float32[:, ::1], float32[:, ::1], float32[:, ::1])", cache=True, error_model="numpy")
def _iou_matrix(a: Any, b: Any, out: Any) -> None:
    for i in range(len(a)):
        area = max(a[i, 2] - a[i, 0], np.float32(0)) * max(a[i, 3] - a[i, 1], np.float32(0))
        for j in range(len(b)):
            w = min(a[i, 2], b[j, 2]) - max(a[i, 0], b[j, 0])
            h = min(a[i, 3], b[j, 3]) - max(a[i, 1], b[j, 1])
            # `not >` instead of `<=`: NaN must take this branch too.
            if not (w > 0 and h > 0):
                out[i, j] = 0
                continue
            other = max(b[j, 2] - b[j, 0], np.float32(0)) * max(b[j, 3] - b[j, 1], np.float32(0))
            iou = w * h / (area + other - w * h)
            out[i, j] = iou if iou >= 0 else np.float32(0)  # areas that overflow give NaN


def iou_matrix(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """Return the IoU of every box of `a` with every box of `b`: float32 (N, M), 0..1.

    a: float32 (N, 4), b: float32 (M, 4), xyxy, any unit. A box that is inverted, empty or not
    finite has IoU 0 with all. Raises ValueError for other shapes.
    """
    a, b = as_array(a, np.float32, -1, 4), as_array(b, np.float32, -1, 4)
    out = np.empty((len(a), len(b)), np.float32)
    _iou_matrix(a, b, out)
    return out


@nb.njit(
    "int64(float32[:, ::1], float32[::1], float32[:, ::1], int64[::1], int64[::1])",
    cache=True,
    error_model="numpy",
)
def _to_image(boxes: Any, geometry: Any, out: Any, rows: Any, rejected: Any) -> int:
    scale_x, scale_y, left, top, width, height = geometry
    n = 0
    for i in range(len(boxes)):
        x1, y1 = (boxes[i, 0] - left) / scale_x, (boxes[i, 1] - top) / scale_y
        x2, y2 = (boxes[i, 2] - left) / scale_x, (boxes[i, 3] - top) / scale_y
        if not (np.isfinite(x1) and np.isfinite(y1) and np.isfinite(x2) and np.isfinite(y2)):
            rejected[0] += 1
            continue
        x1, x2 = max(x1, np.float32(0)), min(x2, width)
        y1, y2 = max(y1, np.float32(0)), min(y2, height)
        if not (x2 > x1 and y2 > y1):
            rejected[1] += 1
            continue
        out[n, 0], out[n, 1], out[n, 2], out[n, 3] = x1, y1, x2, y2
        rows[n] = i
        n += 1
    return n


def to_image(
    boxes: ArrayLike,
    width: float,
    height: float,
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    offset: tuple[float, float] = (0.0, 0.0),
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[int, int]]:
    """Map boxes from a letterbox canvas to the image, clip them to it, and drop the unusable.

    boxes: float32 (N, 4) xyxy canvas px. width, height: of the image, px. scale: canvas px per
    image px in x and y. offset: left and top margin, canvas px.
    Returns boxes float32 (n, 4) xyxy image px, their rows in the input int64 (n,), and two numbers
    of dropped boxes: not finite; inverted, empty or outside the image.
    Raises ValueError where boxes has another shape.
    """
    boxes = as_array(boxes, np.float32, -1, 4)
    out = np.empty((len(boxes), 4), np.float32)
    rows, rejected = np.empty(len(boxes), np.int64), np.zeros(2, np.int64)
    geometry = np.array((*scale, *offset, width, height), np.float32)
    n = _to_image(boxes, geometry, out, rows, rejected)
    return out[:n], rows[:n], (int(rejected[0]), int(rejected[1]))


def carry_boxes(boxes: ArrayLike, affine: ArrayLike) -> NDArray[np.float64]:
    """Return boxes mapped by an affine: float64 (N, 4) xyxy px.

    boxes: float (N, 4) xyxy px. affine: float (2, 3), px to px. Two opposite corners are mapped;
    the result is the upright box around them. That is exact where the affine only scales, mirrors
    or swaps axes. NaN stays NaN. Raises ValueError for other shapes.
    """
    matrix = np.asarray(affine, np.float64)
    corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
