"""Tracking suites on disk and their scores: what benchmarks/tracking.py measures on.

A suite is a folder gt/<sequence>/{gt/gt.txt, seqinfo.ini}, dets/<sequence>.npz, seqmap.txt, as
../shared/data/README.md describes it. Scores are TrackEval's own code, fed from memory.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATES_HZ = {"kitti": 10.0}
"""Suites, by the start of their name, whose seqinfo.ini states a false frame rate."""
IDENTITY = np.eye(2, 3, dtype=np.float32)


@dataclass(slots=True)
class Sequence:
    """One sequence, in the frames that are kept: detections, truth, warps, media times.

    frames: kept frame numbers, from 1. detections[i]: float32 (N, 5) xyxy px and score, of frame i.
    warps[i]: float32 (2, 3) px from the last kept frame's picture, or None. dropped[i]: lost
    frames just before. times_ns[i]: media time.
    """

    name: str
    width: int
    height: int
    rate_hz: float
    frames: NDArray[np.int64]
    detections: list[NDArray[np.float32]]
    warps: list[NDArray[np.float32] | None]
    truth: dict[str, Any]

    @property
    def times_ns(self) -> list[int]:
        return [round((int(f) - 1) / self.rate_hz * 1e9) for f in self.frames]

    @property
    def dropped(self) -> list[int]:
        return (np.diff(self.frames, prepend=0) - 1).tolist()


def sequence_names(folder: Path) -> list[str]:
    """Return the sequences that a suite's seqmap names, in its order."""
    lines = (folder / "seqmap.txt").read_text().split()
    return lines[1:] if lines and lines[0] == "name" else lines


def load(
    folder: Path, name: str, *, gmc: bool = False, drop: float = 0.0, seed: int = 0
) -> Sequence:
    """Return one sequence of the suite in `folder`; a share `drop` of its frames is lost at random.

    Detections scored under .1 are left out for every tracker alike. gmc: give the stored affines,
    composed over lost frames. The first frame is always kept.
    """
    ini = configparser.ConfigParser()
    ini.read(folder / "gt" / name / "seqinfo.ini")
    info = ini["Sequence"]
    stated = float(info["frameRate"])
    rate = next((hz for start, hz in RATES_HZ.items() if folder.name.startswith(start)), stated)
    with np.load(folder / "dets" / f"{name}.npz") as data:
        count = int(data["nframes"])
        frame, rows = data["frame"], data["xyxys"].astype(np.float32)
        affines = data["gmc"].astype(np.float32) if gmc and "gmc" in data else None
        width, height = int(data["W"]), int(data["H"])
    kept = np.ones(count, bool)
    if drop > 0.0:
        kept = np.random.default_rng(seed).random(count) >= drop
        kept[0] = True
    good = rows[:, 4] >= 0.1
    frame, rows = frame[good], rows[good]
    numbers = np.flatnonzero(kept) + 1
    detections = [rows[frame == n] for n in numbers]
    warps: list[NDArray[np.float32] | None] = [None] * len(numbers)
    if affines is not None:
        last = 0
        for i, n in enumerate(numbers.tolist()):
            whole = np.eye(3)
            for k in range(last, n):
                whole = np.vstack((affines[k].astype(np.float64), (0, 0, 1))) @ whole
            warps[i], last = whole[:2].astype(np.float32), n
        warps[0] = IDENTITY
    truth = _truth(folder / "gt" / name / "gt" / "gt.txt", numbers)
    return Sequence(name, width, height, rate, numbers, detections, warps, truth)


def _truth(path: Path, numbers: NDArray[np.int64]) -> dict[str, Any]:
    """Return TrackEval's raw ground truth of the kept frames, renumbered from 0."""
    rows = np.loadtxt(path, delimiter=",", ndmin=2)
    parts = [rows[rows[:, 0] == n] for n in numbers]
    raw = truth_of([part[:, 1:6] for part in parts])
    raw["gt_classes"] = [part[:, 7].astype(int) for part in parts]
    raw["gt_extras"] = [{"zero_marked": part[:, 6].astype(int)} for part in parts]
    return raw


def truth_of(parts: list[NDArray[np.float64]]) -> dict[str, Any]:
    """Return TrackEval's raw ground truth. parts[i]: (N, 5) id, x, y, width, height of frame i."""
    return {
        "gt_dets": [part[:, 1:5] for part in parts],
        "gt_ids": [part[:, 0].astype(int) for part in parts],
        "gt_classes": [np.ones(len(part), int) for part in parts],
        "gt_extras": [{"zero_marked": np.ones(len(part), int)} for part in parts],
        "gt_crowd_ignore_regions": [np.empty((0, 4))] * len(parts),
    }


class Judge:
    """Scores of one suite by TrackEval's dataset and metric classes, without files."""

    def __init__(self, suite: str) -> None:
        from trackeval.datasets import MotChallenge2DBox
        from trackeval.metrics import CLEAR, HOTA, Identity

        self._dataset = object.__new__(MotChallenge2DBox)
        self._dataset.do_preproc = True
        self._dataset.benchmark = "MOT15" if suite.startswith("mot15") else "MOT17"
        self._dataset.class_name_to_class_id = {
            "pedestrian": 1,
            "person_on_vehicle": 2,
            "car": 3,
            "bicycle": 4,
            "motorbike": 5,
            "non_mot_vehicle": 6,
            "static_person": 7,
            "distractor": 8,
            "occluder": 9,
            "occluder_on_ground": 10,
            "occluder_full": 11,
            "reflection": 12,
            "crowd": 13,
        }
        self._dataset.valid_class_numbers = list(range(1, 14))
        self._metrics = [HOTA(), CLEAR({"PRINT_CONFIG": False}), Identity({"PRINT_CONFIG": False})]

    def sequence(self, sequence: Sequence, result: list[NDArray[np.float64]]) -> list[Any]:
        """Return the raw results of the metrics. result[i]: (k, 5) id and xyxy px, of frame i."""
        raw: dict[str, Any] = dict(sequence.truth)
        raw["tracker_ids"] = [r[:, 0].astype(int) for r in result]
        raw["tracker_dets"] = [np.hstack((r[:, 1:3], r[:, 3:5] - r[:, 1:3])) for r in result]
        raw["tracker_classes"] = [np.ones(len(r), int) for r in result]
        raw["tracker_confidences"] = [np.ones(len(r)) for r in result]
        raw["num_timesteps"], raw["seq"] = len(result), sequence.name
        raw["similarity_scores"] = [
            self._dataset._calculate_similarities(a, b)
            for a, b in zip(raw["gt_dets"], raw["tracker_dets"], strict=True)
        ]
        data = self._dataset.get_preprocessed_seq_data(raw, "pedestrian")
        return [metric.eval_sequence(data) for metric in self._metrics]

    def summary(self, parts: dict[str, list[Any]]) -> dict[str, dict[str, float]]:
        """Return HOTA, IDF1, MOTA in percent and IDSW, for each sequence and "combined"."""
        whole = [
            metric.combine_sequences({name: part[k] for name, part in parts.items()})
            for k, metric in enumerate(self._metrics)
        ]
        return {name: _numbers(part) for name, part in {**parts, "combined": whole}.items()}


def _numbers(part: list[Any]) -> dict[str, float]:
    hota, clear, identity = part
    return {
        "HOTA": 100.0 * float(np.mean(hota["HOTA"])),
        "DetA": 100.0 * float(np.mean(hota["DetA"])),
        "AssA": 100.0 * float(np.mean(hota["AssA"])),
        "IDF1": 100.0 * float(identity["IDF1"]),
        "MOTA": 100.0 * float(clear["MOTA"]),
        "IDSW": float(clear["IDSW"]),
    }
