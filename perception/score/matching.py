"""Which box of a result is which label: COCO's greedy matching, for resampling and the worst cases.

The average precision that is told comes from the library (precision.py); this is the same count
with what the library keeps to itself: each box by itself. Imports pairing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.score.pairing import Rows

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100
_CELLS = 1 << 20


@dataclass
class Matches:
    """Boxes of a result of one class, best score first; n of them.

    rows: int64 (n,) into the result's rows. at: int64 (n,) frames. scores: float64 (n,). right:
    bool (10, n), matched at each IoU. left_out: bool (10, n), on an ignored label. labels: int64
    (n,), the label's row that is matched at IoU .5, -1: none. ious: float64 (n,), with that label,
    else with the best one. found: bool (m,), labels that are matched at IoU .5.
    """

    rows: NDArray[np.int64]
    at: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    labels: NDArray[np.int64]
    ious: NDArray[np.float64]
    found: NDArray[np.bool_]


def ious_of(
    boxes: NDArray[np.float64], labels: NDArray[np.float64], ignored: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the IoU of each box x, y, w, h with each label: float64 (n, m).

    With an ignored label it is the share of the box that is in it, as COCO has it.
    """
    low = np.maximum(boxes[:, None, :2], labels[None, :, :2])
    high = np.minimum(
        boxes[:, None, :2] + boxes[:, None, 2:], labels[None, :, :2] + labels[None, :, 2:]
    )
    both = np.prod(np.maximum(high - low, 0.0), axis=2)
    own, other = boxes[:, 2] * boxes[:, 3], labels[:, 2] * labels[:, 3]
    union = np.where(ignored[None], own[:, None], own[:, None] + other[None] - both)
    return both / union


def match(truth: Rows, result: Rows) -> Matches:
    """Return the matches of one class. Rows are by frame."""
    n = len(result)
    right, left_out = np.zeros((10, n), np.bool_), np.zeros((10, n), np.bool_)
    labels, ious = np.full(n, -1, np.int64), np.zeros(n)
    found, kept = np.zeros(len(truth), np.bool_), np.zeros(n, np.bool_)
    for frame in np.unique(result.at).tolist():
        a, b = np.searchsorted(result.at, (frame, frame + 1)).tolist()
        c, d = np.searchsorted(truth.at, (frame, frame + 1)).tolist()
        order = a + np.argsort(-result.scores[a:b], kind="stable")[:MOST]
        kept[order] = True
        if c == d:
            continue
        ignored = truth.ignored[c:d]
        same = ious_of(result.boxes[order], truth.boxes[c:d], ignored)
        free = np.ones((10, d - c), np.bool_)
        for i, row in enumerate(order.tolist()):
            ious[row] = float(same[i].max())
            fits = free & (same[i][None] >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None])
            first = fits & ~ignored[None]
            is_right = first.any(axis=1)
            # Of equal ones COCO takes the last.
            best = d - c - 1 - np.where(first, same[i][None], -1.0)[:, ::-1].argmax(axis=1)
            free[np.flatnonzero(is_right), best[is_right]] = False
            right[:, row] = is_right
            left_out[:, row] = ~is_right & fits.any(axis=1)
            if is_right[0]:
                labels[row], found[c + best[0]] = c + int(best[0]), True
                ious[row] = float(same[i, best[0]])
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(-result.scores[rows], kind="stable")]
    return Matches(
        rows, result.at[rows], result.scores[rows], right[:, rows], left_out[:, rows],
        labels[rows], ious[rows], found,
    )  # fmt: skip


def average_precision(
    matches: Matches, counts: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the average precision of one class at IoU .5 to .95: float64 (d,), nan without labels.

    weights: float64 (d, n), how often each of the n boxes counts in each of d resamples. counts:
    float64 (d,), labels in each that are not ignored.
    """
    made = np.zeros(len(weights))
    if not len(matches.rows):
        return np.where(counts > 0, made, np.nan)
    size = max(1, _CELLS // len(matches.rows))
    for first in range(0, len(weights), size):
        part = slice(first, first + size)
        for right, off in zip(matches.right, matches.left_out, strict=True):
            made[part] += _areas(weights[part], right, ~(right | off), counts[part])
    return np.where(counts > 0, made / len(THRESHOLDS), np.nan)


def _areas(
    weights: NDArray[np.float64],
    right: NDArray[np.bool_],
    false: NDArray[np.bool_],
    counts: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the mean of the precision over RECALLS: float64 (d,)."""
    hits, others = np.cumsum(weights * right, axis=1), np.cumsum(weights * false, axis=1)
    precision = hits / np.maximum(hits + others, np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # A recall belongs to the first box at which it is reached.
    reached = np.searchsorted(RECALLS, hits / np.maximum(counts, 1.0)[:, None], side="right")
    new = np.diff(reached, axis=1, prepend=0)
    return (precision * new).sum(axis=1) / len(RECALLS)
