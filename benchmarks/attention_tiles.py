"""Tiles: all of them against SAHI on pictures, and a third of their time on video.

Used by benchmarks.attention.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.harness import Report, Worker, median, percentile
from perception import assets
from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.detectors.tiles import TiledDetector
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey
from perception.kernels.boxes import iou_matrix
from perception.pixels import Pixels
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED

SIZE, OVERLAP, SCORE = 512, 0.2, 0.1
VIDEOS = (
    "surveillance/vtest_PETS09-S2L1.avi",
    "driving/highway_solidWhiteRight.mp4",
    "aerial/gopro_karma_drone_gpmf.mp4",
)
PEOPLE = "sahi_terrain1"
SURE = 0.25


def average_precision(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], truth: NDArray[np.float32], iou: float
) -> float:
    """Return the average precision of one picture and class, 101 points as COCO has it."""
    order = np.argsort(-scores, kind="stable")
    overlap, free = iou_matrix(boxes[order], truth), np.ones(len(truth), np.bool_)
    hits = np.zeros(len(order))
    for i, row in enumerate(overlap):
        row = np.where(free, row, 0)
        if len(row) and row.max() >= iou:
            free[row.argmax()], hits[i] = False, 1
    found = np.cumsum(hits)
    precision = found / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = found / max(1, len(truth))
    points = [precision[recall >= r].max(initial=0.0) for r in np.linspace(0, 1, 101)]
    return float(np.mean(points))


def pictures(report: Report) -> None:
    """Add AP where there are labels, finds and time of each picture, ours and SAHI's."""
    folder = harness.FOOTAGE / "images" / "aerial"
    detector = OnnxDetector(OnnxOptions(size=640, score=SCORE), threads=1)
    tiled = TiledDetector(detector, budget_ms=None, size=SIZE, overlap=OVERLAP)
    python = harness.peer_python("sahi")
    if python is None:
        report.missing("SAHI")
        return
    with Worker("benchmarks.peer_sahi", python) as peer:
        weights = str(assets.fetch("yolo11n.pt"))
        report.note_versions(peer.call("load", weights=weights, threads=1, score=SCORE))
        for path in sorted([*folder.glob("*.jpg"), *folder.glob("*.jpeg")]):
            image: Any = cv2.imread(str(path))
            tiled.detect(image)
            ours_s, theirs_s, said = list[float](), list[float](), dict[str, Any]()
            found = tiled.detect(image)
            for _ in range(3):
                said = peer.call("slices", path=str(path), size=SIZE, overlap=OVERLAP)
                theirs_s.append(said["s"])
                started = time.perf_counter()
                found = tiled.detect(image)
                ours_s.append(time.perf_counter() - started)
            rows = said["rows"]
            sure = int((found.scores >= SURE).sum())
            report.add(
                f"all tiles, {path.stem}: time",
                "ms",
                1e3 * median(ours_s),
                "SAHI",
                1e3 * median(theirs_s),
                target="at most 0.6 of it",
                met=lambda ratio: ratio >= 1 / 0.6,
                note=f"objects of score {SURE}: {sure}, SAHI {sum(row[4] >= SURE for row in rows)}",
            )
            labels = folder / f"{path.stem}_coco.json"
            if not labels.exists():
                continue
            truth = _people(labels)
            mine = np.array([tiled.names[k] == "person" for k in found.class_ids.tolist()])
            theirs = np.array([row[:5] for row in rows if row[5] == "person"], np.float32)
            theirs = theirs.reshape(-1, 5)
            boxes, scores = found.boxes[mine], found.scores[mine]
            report.add(
                f"all tiles, {path.stem}: AP at IoU .5",
                "",
                average_precision(boxes, scores, truth, 0.5),
                "SAHI",
                average_precision(theirs[:, :4], theirs[:, 4], truth, 0.5),
                higher=True,
                target="at least SAHI's",
                met=lambda ratio: ratio >= 1,
                note=f"{len(truth)} people",
            )


def _people(labels: Path) -> NDArray[np.float32]:
    rows = [a["bbox"] for a in json.loads(labels.read_text())["annotations"]]
    boxes = np.array(rows, np.float32)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


class _Followed:
    """A tiled detector and a tracker over the frames of a clip; took: ms of each frame."""

    def __init__(self, tiled: TiledDetector) -> None:
        self._tiled, self._tracker, self._motion = tiled, TwoStageTracker(), CameraMotion()
        self.took = list[float]()

    def boxes(self, pixels: Pixels, t_ns: int, *, seen: bool) -> NDArray[np.float32]:
        """Return confirmed tracks after a frame. seen: only those found in it."""
        started = time.perf_counter()
        found = self._tiled.infer(self._tiled.prepare_at(pixels, t_ns))
        self.took.append(1e3 * (time.perf_counter() - started))
        size = pixels.width, pixels.height
        warp = self._motion.estimate(small_grey(pixels), found.boxes, *size)
        tracks = self._tracker.update(found, t_ns, warp)
        rows = tracks.states == CONFIRMED
        return tracks.boxes[rows & (tracks.unseen_s == 0)] if seen else tracks.boxes[rows]


def video(report: Report, short: bool) -> None:
    """Add the track-seconds that a third of the time finds, and whether it keeps to it."""
    detector = OnnxDetector(OnnxOptions(size=640, score=SCORE), threads=1)
    for clip in VIDEOS:
        path = harness.FOOTAGE / "video" / clip
        every = _Followed(TiledDetector(detector, budget_ms=None))
        budgeted: _Followed | None = None
        tiled: TiledDetector | None = None
        seen = missed = 0
        budget_ms = 0.0
        with av.open(str(path)) as container:
            for n, frame in enumerate(container.decode(video=0)):
                if n == (60 if short else 200):
                    break
                pixels = Pixels(frame.to_ndarray(format="bgr24"))
                t_ns = round(float(frame.time or 0) * 1e9)
                truth = every.boxes(pixels, t_ns, seen=True)
                if n < 4:
                    continue
                if budgeted is None:
                    budget_ms = median(every.took[1:]) / 3
                    tiled = TiledDetector(detector, budget_ms=budget_ms)
                    budgeted = _Followed(tiled)
                boxes = budgeted.boxes(pixels, t_ns, seen=False)
                seen += len(truth)
                missed += int((iou_matrix(truth, boxes).max(axis=1, initial=0) < 0.3).sum())
        if budgeted is None or tiled is None:
            continue
        stem = Path(clip).stem
        report.add(
            f"tiles in a third of the time, {stem}: track-seconds of all tiles found",
            "%",
            100 * (1 - missed / max(1, seen)),
            target="at least 90",
            met=lambda percent: percent >= 90,
            of="ours",
            note=f"{seen} boxes; {tiled.looks}",
        )
        report.add(
            f"tiles in a third of the time, {stem}: p95 of the time to the budget",
            "",
            percentile(budgeted.took[2:], 95) / budget_ms,
            target="at most 1.1",
            met=lambda share: share <= 1.1,
            of="ours",
            note=f"budget {budget_ms:.0f} ms, median {median(budgeted.took[2:]):.0f} ms",
        )
