"""HOTA and IDF1 of tracks, by TrackEval (extra `eval`).

Sources: Luiten et al. 2021 (doi 10.1007/s11263-020-01375-2); Ristani et al. 2016 (arXiv
1609.01775). A result on an ignored box is left out as TrackEval's MOTChallenge does: matched at IoU
.5. Imports pairing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.score.pairing import Pair, Rows
from perception.score.precision import MISSING


@dataclass(frozen=True)
class Tracking:
    """Scores 0..1, means of the classes, and counts over them.

    alphas: float64 (19,), HOTA by IoU .05 to .95. by_class: hota and idf1 of each class.
    """

    hota: float
    deta: float
    assa: float
    idf1: float
    switches: int
    alphas: NDArray[np.float64]
    by_class: dict[str, tuple[float, float]]


class Judge:
    """TrackEval's own metrics, fed from memory. Raises ConfigError where it is not installed."""

    def __init__(self) -> None:
        try:
            from scipy.optimize import linear_sum_assignment
            from trackeval.datasets import MotChallenge2DBox
            from trackeval.metrics import CLEAR, HOTA, Identity
        except ImportError:
            raise ConfigError(MISSING) from None
        quiet = {"PRINT_CONFIG": False}
        self.hota: Any = HOTA()
        self.clear: Any = CLEAR(quiet)
        self.identity: Any = Identity(quiet)
        self._iou: Any = MotChallenge2DBox._calculate_box_ious  # pyright: ignore[reportPrivateUsage]
        self._assign: Any = linear_sum_assignment

    def data(self, truth: Rows, result: Rows, first: int, last: int) -> dict[str, Any]:
        """Return frames first to last - 1 of one class as TrackEval's metrics take them."""
        made: dict[str, Any] = {"gt_ids": [], "tracker_ids": [], "similarity_scores": []}
        ends = [
            np.searchsorted(rows.at, np.arange(first, last + 1)).tolist()
            for rows in (truth, result)
        ]
        for n in range(last - first):
            a, b = slice(ends[0][n], ends[0][n + 1]), slice(ends[1][n], ends[1][n + 1])
            same = self._iou(truth.boxes[a], result.boxes[b], box_format="xywh")
            ignored, ids, others = truth.ignored[a], truth.tracks[a], result.tracks[b]
            if ignored.any():
                score = np.where(same < 0.5 - np.finfo(float).eps, 0.0, same)
                rows, columns = self._assign(-score)
                off = (score[rows, columns] > np.finfo(float).eps) & ignored[rows]
                kept = np.setdiff1d(np.arange(len(others)), columns[off])
                same, ids, others = same[~ignored][:, kept], ids[~ignored], others[kept]
            made["gt_ids"].append(ids)
            made["tracker_ids"].append(others)
            made["similarity_scores"].append(same)
        for name, kind in (("gt", "gt_ids"), ("tracker", "tracker_ids")):
            every = np.concatenate([np.empty(0, np.int64), *made[kind]])
            unique, place = np.unique(every, return_inverse=True)
            sizes = np.cumsum([len(ids) for ids in made[kind]])[:-1]
            made[kind] = np.split(place, sizes)
            made[f"num_{name}_ids"], made[f"num_{name}_dets"] = len(unique), len(every)
        made["num_timesteps"] = last - first
        return made


def tracking(pair: Pair) -> Tracking | None:
    """Return the scores; None where a side has boxes without tracks, or there is no truth."""
    if not (pair.truth.has_tracks and pair.result.has_tracks):
        return None
    judge = Judge()
    by_class: dict[str, tuple[float, float]] = {}
    parts: list[tuple[NDArray[np.float64], float, float]] = []
    switches = 0
    for k, truth, result in pair.classes():
        data = judge.data(truth, result, 0, len(pair.frames))
        hota, identity = judge.hota.eval_sequence(data), judge.identity.eval_sequence(data)
        switches += int(judge.clear.eval_sequence(data)["IDSW"])
        parts.append((
            np.asarray(hota["HOTA"], np.float64), float(np.mean(hota["DetA"])),
            float(np.mean(hota["AssA"])),
        ))  # fmt: skip
        by_class[pair.names[k]] = float(np.mean(hota["HOTA"])), float(identity["IDF1"])
    if not parts:
        return None
    alphas = np.mean([part[0] for part in parts], axis=0)
    return Tracking(
        float(alphas.mean()), float(np.mean([p[1] for p in parts])),
        float(np.mean([p[2] for p in parts])), float(np.mean([v[1] for v in by_class.values()])),
        switches, alphas, by_class,
    )  # fmt: skip
