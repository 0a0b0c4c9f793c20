"""The motion detector of a fixed camera, against OpenCV's MOG2 at its defaults.

vtest is PETS09-S2L1 of MOT15: people are labelled in each picture. The quiet parts of the door's
clips show what is false where nothing moves by eye. Used by benchmarks.attention.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import attention_door as door
from benchmarks import harness, suites
from benchmarks.harness import Report
from perception.detectors import prepare
from perception.detectors.background import MIN_PX, SIDE_PX
from perception.detectors.motion import MotionDetector, MotionOptions
from perception.kernels.boxes import iou_matrix
from perception.pixels import Pixels

TRUTH, SEQUENCE = harness.FOOTAGE / "mot" / "mot15", "PETS09-S2L1"
SETTLED = 100
"""Pictures of vtest before anything is counted."""
IOU, INSIDE = 0.3, 0.3
"""A person is found at this IoU; a box is false with less than this share of it inside people."""
Find = Callable[[NDArray[np.uint8], int], NDArray[np.float32]]


def ours() -> Find:
    """Return what gives boxes, xyxy px, of a BGR picture and its media time in ns."""
    detector = MotionDetector(MotionOptions(camera="fixed"))
    return lambda image, t_ns: detector.infer(prepare(detector, Pixels(image), t_ns)).boxes


def mog2() -> Find:
    """As ours: OpenCV's MOG2 at its defaults, the same size, morphology and least area."""
    model: Any = cv2.createBackgroundSubtractorMOG2()

    def find(image: NDArray[np.uint8], t_ns: int) -> NDArray[np.float32]:
        del t_ns
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
        scale = min(1.0, SIDE_PX / max(grey.shape))
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        mask = cv2.threshold(model.apply(grey), 200, 255, cv2.THRESH_BINARY)[1]
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8))
        stats = cv2.connectedComponentsWithStats(mask)[2][1:]
        spots = [(x, y, x + w, y + h) for x, y, w, h, area in stats.tolist() if area >= MIN_PX]
        return np.array(spots, np.float32).reshape(-1, 4) / np.float32(scale)

    return find


def pictures(path: Path, rate: float = 0.0) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Yield BGR pictures and their media times, ns. rate: true frames a second, where known."""
    with av.open(str(path)) as source:
        video: Any = source.streams.video[0]
        for n, frame in enumerate(source.decode(video)):
            t = n / rate if rate else float(frame.time or 0.0)
            yield frame.to_ndarray(format="bgr24"), round(t * 1e9) + 1


def measure(find: Find) -> dict[str, float]:
    """Return recall, false boxes a picture and the median ms on vtest."""
    sequence = suites.load(TRUTH, SEQUENCE)
    people: list[Any] = sequence.truth["gt_dets"]
    hits = total = false = count = 0
    spent = list[float]()
    path = door.path_of(door.VTEST)
    for n, (image, t_ns) in enumerate(pictures(path, door.TRUE_FPS[door.VTEST])):
        began = time.perf_counter()
        boxes = find(image, t_ns)
        spent.append((time.perf_counter() - began) * 1e3)
        if n < SETTLED:
            continue
        truth = np.asarray(people[n], np.float32).reshape(-1, 4).copy()
        truth[:, 2:] += truth[:, :2]  # the judge keeps width and height
        overlap = iou_matrix(truth, boxes) if len(truth) and len(boxes) else np.zeros((0, 0))
        hits += int((overlap.max(axis=1, initial=0) >= IOU).sum())
        total += len(truth)
        false += int((_share_inside(boxes, truth) < INSIDE).sum())
        count += 1
    return {"recall": hits / total, "false": false / count, "ms": statistics.median(spent)}


def _share_inside(boxes: NDArray[np.float32], people: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return for each box the largest share of it inside one person."""
    if not len(boxes) or not len(people):
        return np.zeros(len(boxes), np.float32)
    low = np.maximum(boxes[:, None, :2], people[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], people[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=2)
    return both.max(axis=1) / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)


def fixed(report: Report, folder: Path) -> None:
    """Add the rows: people of vtest, and what is found where nothing moves."""
    cv2.setNumThreads(1)
    mine, theirs = measure(ours()), measure(mog2())
    peer = "MOG2 at its defaults"
    report.add("fixed camera, vtest: recall of people", "", mine["recall"], peer, theirs["recall"])
    less: dict[str, Any] = {"higher": False}
    report.add(
        "fixed camera, vtest: false boxes a picture",
        "",
        mine["false"],
        peer,
        theirs["false"],
        **less,
    )
    report.add("fixed camera, vtest: median time", "ms", mine["ms"], peer, theirs["ms"], **less)
    for noise in (0.0, door.NOISE):
        for clip in door.QUIET:
            path = door.quiet_clip(clip, noise, folder)
            said = [_quiet(find(), path) for find in (ours, mog2)]
            what = (
                f"fixed camera, nothing moves, {Path(clip).stem}, noise {noise:g}: boxes a picture"
            )
            report.add(what, "", said[0], peer, said[1], **less)


def _quiet(find: Find, path: Path) -> float:
    found = [len(find(image, t_ns)) for image, t_ns in pictures(path)]
    return sum(found) / len(found)
