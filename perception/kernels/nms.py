"""Greedy non-maximum suppression, per class or over all classes.

Same result as torchvision.ops.nms: an IoU strictly above the threshold suppresses, and boxes of
equal score keep their order. Each box is compared with the boxes kept so far: at most N x `limit`
comparisons. Imports numpy and numba only.
"""

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array

_STEP = 16  # kept boxes compared in one pass: fills SIMD registers and still stops early


@nb.njit(
    "int64(float32[:, ::1], int32[::1], int64[::1], float32, int64[::1])",
    cache=True,
    error_model="numpy",
)
def _greedy(boxes: Any, class_ids: Any, order: Any, limit: Any, keep: Any) -> int:
    room = len(keep) + _STEP
    x1, y1 = np.zeros(room, np.float32), np.zeros(room, np.float32)
    x2, y2 = np.zeros(room, np.float32), np.zeros(room, np.float32)
    area, kind = np.zeros(room, np.float32), np.full(room, -1, np.int32)
    n = 0
    for key in order:
        if n == len(keep):
            break
        i = key & 0xFFFFFFFF
        a1, b1, a2, b2 = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        own, c = (a2 - a1) * (b2 - b1), class_ids[i]
        hits = np.int32(0)
        for start in range(0, n, _STEP):
            end = start + _STEP
            # Slices and an int32 count let LLVM vectorise: 10 us instead of 76 for 300 boxes.
            p1, q1, p2, q2 = x1[start:end], y1[start:end], x2[start:end], y2[start:end]
            other, same = area[start:end], kind[start:end]
            for j in range(_STEP):
                w = max(min(a2, p2[j]) - max(a1, p1[j]), np.float32(0))
                h = max(min(b2, q2[j]) - max(b1, q1[j]), np.float32(0))
                iou = w * h / (own + other[j] - w * h)
                hits += np.int32((iou > limit) & (same[j] == c))
            if hits:
                break
        if hits == 0:
            x1[n], y1[n], x2[n], y2[n], area[n], kind[n] = a1, b1, a2, b2, own, c
            keep[n] = i
            n += 1
    return n


@nb.njit(
    "int64(float32[:, ::1], float32[::1], int32[::1], int64[::1])", cache=True, error_model="numpy"
)
def _keys(boxes: Any, scores: Any, bits: Any, keys: Any) -> int:
    """Write the sort keys of the finite rows. Return how many. 2 us; NumPy takes 12."""
    n = 0
    for i in range(len(scores)):
        finite = np.isfinite(scores[i])
        for c in range(4):
            finite &= np.isfinite(boxes[i, c])
        if finite:
            b = np.int64(0) if scores[i] == 0 else np.int64(bits[i])  # -0.0 and 0.0 are equal
            keys[n] = ((b ^ 0x7FFFFFFF if b < 0 else b) ^ -1) << 32 | i
            n += 1
    return n


def nms(
    boxes: ArrayLike,
    scores: ArrayLike,
    class_ids: ArrayLike | None,
    iou: float,
    limit: int = 300,
) -> NDArray[np.int64]:
    """Return the rows to keep, int64 (k,), best score first, k <= `limit`.

    boxes: float32 (N, 4) xyxy px. scores: float32 (N,). class_ids: int32 (N,), >= 0: boxes suppress
    boxes of their class only; None: of all classes. iou: above it a box is suppressed, 0..1.
    Rows with a box or score that is not finite are dropped. Raises ValueError where shapes or
    lengths differ. Source: the greedy algorithm of torchvision.ops.nms and batched_nms, in own
    code.
    """
    boxes, scores = as_array(boxes, np.float32, -1, 4), as_array(scores, np.float32, -1)
    kinds = (
        np.zeros(len(scores), np.int32) if class_ids is None else as_array(class_ids, np.int32, -1)
    )
    if not len(boxes) == len(scores) == len(kinds):
        raise ValueError(f"{len(boxes)} boxes, {len(scores)} scores, {len(kinds)} classes")
    keep = np.empty(min(limit, len(scores)), np.int64)
    n = _greedy(boxes, kinds, _order(boxes, scores), np.float32(iou), keep)
    return keep[:n]


def _order(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return sorted int64 keys: best score first, equal scores in row order.

    The low 32 bits of a key are its row. Keys are unique, so the fast unstable np.sort is enough.
    """
    keys = np.empty(len(scores), np.int64)
    keys = keys[: _keys(boxes, scores, scores.view(np.int32), keys)]
    keys.sort()
    return keys
