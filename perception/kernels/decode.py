"""Decodes the raw output of a detection network to candidates: box, best class and score.

One function for each kind of head. YOLO scores are compared as uint32, because Numba does not
vectorise the maximum of floats: 35 us instead of 375 us for 80 x 8400 scores. Non-negative floats
have the same order as their bits. Negative numbers, infinity and NaN compare above all others that
way; an anchor with such a value is decoded again with floats. Imports numpy and numba only.
"""

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array

STRIDES = (8, 16, 32)
_BLOCK = 2048  # anchors in one pass: their best scores fit into the L1 cache
_INF_BITS = np.uint32(0x7F800000)


class Candidates(NamedTuple):
    """Boxes float32 (n, 4) xyxy canvas px, scores float32 (n,), class ids int32 (n,).

    In the order of the head. rejected: how many anchors were not finite, and how many boxes empty.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int32]
    rejected: tuple[int, int]


@nb.njit("boolean(float32, float32, float32, float32, int64[::1])", cache=True, error_model="numpy")
def _acceptable(x1: Any, y1: Any, x2: Any, y2: Any, rejected: Any) -> bool:
    if not (np.isfinite(x1) and np.isfinite(y1) and np.isfinite(x2) and np.isfinite(y2)):
        rejected[0] += 1
        return False
    if not (x2 > x1 and y2 > y1):
        rejected[1] += 1
        return False
    return True


@nb.njit("int64(float32[:])", cache=True, error_model="numpy")
def _best_class(scores: Any) -> int:
    """Return the first class with the highest score; -1 where one is not finite."""
    best = 0
    for k in range(len(scores)):
        if not np.isfinite(scores[k]):
            return -1
        if scores[k] > scores[best]:
            best = k
    return best


@nb.njit(
    "int64(float32[:, ::1], float32, uint8[::1], float32[:, ::1], float32[::1], int32[::1],"
    " int64[::1])",
    cache=True,
    error_model="numpy",
)
def _decode_yolo(
    head: Any, threshold: Any, allowed: Any, boxes: Any, scores: Any, class_ids: Any, rejected: Any
) -> int:
    bits = head.view(np.uint32)
    floor = np.full(1, threshold, np.float32).view(np.uint32)[0]
    best = np.empty(_BLOCK, np.uint32)
    n = 0
    for start in range(0, head.shape[1], _BLOCK):
        block = best[: min(_BLOCK, head.shape[1] - start)]
        block[:] = floor
        end = start + len(block)
        # Four classes in one pass: 35 us instead of 46 for 80 x 8400 (benchmarks/postprocess.py).
        whole = head.shape[0] - head.shape[0] % 4
        for k in range(4, whole, 4):
            r0, r1, r2, r3 = (
                bits[k, start:end],
                bits[k + 1, start:end],
                bits[k + 2, start:end],
                bits[k + 3, start:end],
            )
            for i in range(len(block)):
                block[i] = max(block[i], max(max(r0[i], r1[i]), max(r2[i], r3[i])))
        for k in range(whole, head.shape[0]):
            row = bits[k, start:end]
            for i in range(len(block)):
                block[i] = max(block[i], row[i])
        for i in range(len(block)):
            if block[i] == floor:
                continue
            a = start + i
            k = 4
            if block[i] < _INF_BITS:
                while bits[k, a] != block[i]:
                    k += 1
            else:
                k = _best_class(head[4:, a]) + 4
                if k == 3:
                    rejected[0] += 1
                    continue
                if head[k, a] <= threshold:
                    continue
            if allowed[k - 4] == 0:
                continue
            half_w, half_h = head[2, a] / np.float32(2), head[3, a] / np.float32(2)
            x1, y1 = head[0, a] - half_w, head[1, a] - half_h
            x2, y2 = head[0, a] + half_w, head[1, a] + half_h
            if _acceptable(x1, y1, x2, y2, rejected):
                boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3] = x1, y1, x2, y2
                scores[n] = head[k, a]
                class_ids[n] = k - 4
                n += 1
    return n


def decode_yolo(head: ArrayLike, score: float, allowed: ArrayLike | None = None) -> Candidates:
    """Decode the head of YOLOv8 and YOLO11: centre x, centre y, width, height, K class scores.

    head: float32 (4 + K, A), boxes in canvas px. score: a candidate's best class score is above it;
    below 0 it counts as 0. allowed: bool (K,), classes to keep; None: all. A candidate whose best
    class is not allowed is dropped. An anchor with a score that is NaN or infinite is rejected and
    counted. Raises ValueError for other shapes.
    Source: Ultralytics docs, non-maximum suppression with multi_label=False.
    """
    head = as_array(head, np.float32, -1, -1)
    mask, out = _prepare(head.shape[0] - 4, head.shape[1], allowed)
    n = _decode_yolo(head, np.float32(max(score, 0.0)), mask, *out)
    return _candidates(n, *out)


@nb.njit(
    "int64(float32[:, ::1], float32, uint8[::1], int64[:, ::1], float32[:, ::1], float32[::1],"
    " int32[::1], int64[::1])",
    cache=True,
    error_model="numpy",
)
def _decode_yolox(
    head: Any,
    threshold: Any,
    allowed: Any,
    grids: Any,
    boxes: Any,
    scores: Any,
    class_ids: Any,
    rejected: Any,
) -> int:
    n = 0
    a = -1
    for g in range(len(grids)):
        for cell in range(grids[g, 0] * grids[g, 1]):
            a += 1
            # NaN is not <= threshold: it goes on and is counted below.
            if head[a, 4] <= threshold:
                continue
            k = _best_class(head[a, 5:])
            score = head[a, 4] * head[a, 5 + max(k, 0)]
            if k < 0 or not np.isfinite(score):
                rejected[0] += 1
                continue
            if score <= threshold or allowed[k] == 0:
                continue
            stride = np.float32(grids[g, 2])
            x = (head[a, 0] + np.float32(cell % grids[g, 1])) * stride
            y = (head[a, 1] + np.float32(cell // grids[g, 1])) * stride
            half_w = np.exp(head[a, 2]) * stride / np.float32(2)
            half_h = np.exp(head[a, 3]) * stride / np.float32(2)
            x1, y1, x2, y2 = x - half_w, y - half_h, x + half_w, y + half_h
            if _acceptable(x1, y1, x2, y2, rejected):
                boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3] = x1, y1, x2, y2
                scores[n] = score
                class_ids[n] = k
                n += 1
    return n


def decode_yolox(
    head: ArrayLike, canvas: tuple[int, int], score: float, allowed: ArrayLike | None = None
) -> Candidates:
    """Decode the raw head of YOLOX: x and y offset, log width and height, objectness, K classes.

    head: float32 (A, 5 + K), offsets and sizes in grid cells; A is the number of cells of strides
    8, 16 and 32. canvas: (H, W) px. score, allowed: as in decode_yolo. A candidate's score is its
    objectness times its best class score, both 0..1. Raises ValueError where A does not fit the
    canvas. Source: Ge et al. 2021, YOLOX, section 2.1.
    """
    head = as_array(head, np.float32, -1, -1)
    grids = np.array([(canvas[0] // s, canvas[1] // s, s) for s in STRIDES], np.int64)
    if head.size and (grids[:, 0] * grids[:, 1]).sum() != head.shape[0]:
        raise ValueError(f"{head.shape[0]} anchors do not fit a canvas of {canvas}")
    mask, out = _prepare(head.shape[1] - 5, head.shape[0], allowed)
    n = _decode_yolox(head, np.float32(score), mask, grids, *out) if head.size else 0
    return _candidates(n, *out)


@nb.njit(
    "int64(float32[:, ::1], float32, uint8[::1], float32[:, ::1], float32[::1], int32[::1],"
    " int64[::1])",
    cache=True,
    error_model="numpy",
)
def _decode_end_to_end(
    head: Any, threshold: Any, allowed: Any, boxes: Any, scores: Any, class_ids: Any, rejected: Any
) -> int:
    n = 0
    for i in range(len(head)):
        score, label = head[i, 4], head[i, 5]
        if score <= threshold:
            continue
        if not np.isfinite(score + label) or label < 0 or label >= len(allowed):
            rejected[0] += 1
            continue
        k = np.int64(label)
        if allowed[k] == 0:
            continue
        x1, y1, x2, y2 = head[i, 0], head[i, 1], head[i, 2], head[i, 3]
        if _acceptable(x1, y1, x2, y2, rejected):
            boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3] = x1, y1, x2, y2
            scores[n] = score
            class_ids[n] = k
            n += 1
    return n


def decode_end_to_end(
    head: ArrayLike, classes: int, score: float, allowed: ArrayLike | None = None
) -> Candidates:
    """Decode the end-to-end head of YOLO26 and YOLOv10: rows of x1, y1, x2, y2, score, class.

    head: float32 (A, 6), boxes in canvas px. classes: K. A row whose class is not in 0..K-1 is
    rejected and counted as not finite. score, allowed: as in decode_yolo. Raises ValueError for
    other shapes.
    """
    head = as_array(head, np.float32, -1, 6)
    mask, out = _prepare(classes, len(head), allowed)
    n = _decode_end_to_end(head, np.float32(score), mask, *out)
    return _candidates(n, *out)


def _prepare(classes: int, anchors: int, allowed: ArrayLike | None) -> tuple[Any, tuple[Any, ...]]:
    if allowed is None:
        mask = np.ones(max(classes, 0), np.uint8)
    else:
        mask = as_array(np.asarray(allowed) != 0, np.uint8, max(classes, 0))
    boxes, scores = np.empty((anchors, 4), np.float32), np.empty(anchors, np.float32)
    return mask, (boxes, scores, np.empty(anchors, np.int32), np.zeros(2, np.int64))


def _candidates(n: int, boxes: Any, scores: Any, class_ids: Any, rejected: Any) -> Candidates:
    return Candidates(boxes[:n], scores[:n], class_ids[:n], (int(rejected[0]), int(rejected[1])))
