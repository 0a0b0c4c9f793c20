"""Merges the detections of overlapping tiles to one box for each object.

An object near the border of a tile is detected twice or in two halves. Boxes are visited in order:
first those that no tile border cuts, then the cut ones, each by falling score. A box is the same
object as a kept box of its class where their IoU is high or, with one of them cut, where one lies
mostly inside the other. Two cut boxes of one object become the box around both.
Imports numpy and numba only.
"""

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array


@nb.njit("boolean(float32[::1], float32[::1], float32, float32)", cache=True, error_model="numpy")
def _are_halves(a: Any, b: Any, w: Any, h: Any) -> bool:
    """Return whether two boxes are halves of one object: w x h px of overlap, as wide or as high as
    the wider or higher box."""
    most = np.float32(0.7)
    heights = min(a[3] - a[1], b[3] - b[1]), max(a[3] - a[1], b[3] - b[1])
    widths = min(a[2] - a[0], b[2] - b[0]), max(a[2] - a[0], b[2] - b[0])
    return (h > most * heights[1] and w < h) or (w > most * widths[1] and h <= w)


@nb.njit(
    "int64(float32[:, ::1], int32[::1], boolean[::1], int64[::1], float32, float32,"
    " float32[:, ::1], int64[::1], boolean[::1])",
    cache=True,
    error_model="numpy",
)
def _merge(
    boxes: Any,
    class_ids: Any,
    cut: Any,
    order: Any,
    iou: Any,
    inside: Any,
    out: Any,
    rows: Any,
    is_cut: Any,
) -> int:
    n = 0
    for i in order:
        same = -1
        for k in range(n):
            if class_ids[rows[k]] != class_ids[i]:
                continue
            w = min(boxes[i, 2], out[k, 2]) - max(boxes[i, 0], out[k, 0])
            h = min(boxes[i, 3], out[k, 3]) - max(boxes[i, 1], out[k, 1])
            if w <= 0 or h <= 0:
                continue
            own = (boxes[i, 2] - boxes[i, 0]) * (boxes[i, 3] - boxes[i, 1])
            other = (out[k, 2] - out[k, 0]) * (out[k, 3] - out[k, 1])
            shared = w * h
            overlaps = shared > iou * (own + other - shared)
            # Neither is cut: a box inside another one is a second object.
            within = (cut[i] or is_cut[k]) and shared > inside * min(own, other)
            halves = cut[i] and is_cut[k] and _are_halves(boxes[i], out[k], w, h)
            if overlaps or within or halves:
                same = k
                if cut[i] and is_cut[k]:
                    out[k, 0] = min(out[k, 0], boxes[i, 0])
                    out[k, 1] = min(out[k, 1], boxes[i, 1])
                    out[k, 2] = max(out[k, 2], boxes[i, 2])
                    out[k, 3] = max(out[k, 3], boxes[i, 3])
                break
        if same < 0:
            out[n] = boxes[i]
            rows[n], is_cut[n] = i, cut[i]
            n += 1
    return n


def merge_tiles(
    boxes: ArrayLike,
    scores: ArrayLike,
    class_ids: ArrayLike,
    cut: ArrayLike,
    *,
    iou: float = 0.5,
    inside: float = 0.7,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return one box for each object, float32 (k, 4), and the row of its score and class, int64
    (k,).

    boxes: float32 (N, 4) xyxy px of the picture, finite. scores: float32 (N,). class_ids: int32
    (N,). cut: bool (N,), whether the border of a tile inside the picture cuts the box. iou: boxes
    with a higher IoU are the same object. inside: with one of two boxes cut, so are those that
    share more than this share of the smaller one. Order: boxes that are not cut first, then by
    score. Raises ValueError where shapes or lengths differ.
    """
    boxes, scores = as_array(boxes, np.float32, -1, 4), as_array(scores, np.float32, -1)
    class_ids, cut = as_array(class_ids, np.int32, -1), as_array(cut, np.bool_, -1)
    if not len(boxes) == len(scores) == len(class_ids) == len(cut):
        raise ValueError(
            f"{len(boxes)} boxes, {len(scores)} scores, {len(class_ids)} classes, {len(cut)} cuts"
        )
    order = np.lexsort((-scores, cut)).astype(np.int64)
    out, rows = np.empty((len(boxes), 4), np.float32), np.empty(len(boxes), np.int64)
    is_cut = np.empty(len(boxes), np.bool_)
    n = _merge(boxes, class_ids, cut, order, np.float32(iou), np.float32(inside), out, rows, is_cut)
    return out[:n], rows[:n]
