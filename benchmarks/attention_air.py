"""Moving targets from above against hand labels: recall and precision of boxes and of tracks.

Used by benchmarks.attention. launch/drone.yaml as it is, but for the source.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.harness import Report, median
from perception.geometry.grey import small_grey
from perception.kernels.boxes import iou_matrix
from perception.launchfile import build, config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import parse
from perception.pixels import Pixels
from perception.wire import CONFIRMED, DetectionMessage, Detections, Stamp, make_id
from perception.wire.plan import Plan

CLIP = "aerial/nadir_drone_orthovideo.mp4"
LABELS = harness.ROOT / "tests" / "golden" / "nadir.json"
SIZE = (1920, 1080)
BORDER_PX, NEAR_PX, SAME_IOU = 8, 6.0, 0.3
SETTLED = 40
"""Frame from which the tracker has seen enough."""


def labels() -> dict[int, dict[str, NDArray[np.float32]]]:
    """Return the labels by frame: vehicles and unclear places, (N, 4) each."""
    frames = json.loads(LABELS.read_text())["frames"]
    return {
        int(n): {k: np.array(v, np.float32).reshape(-1, 4) for k, v in kinds.items()}
        for n, kinds in frames.items()
    }


def score(boxes: NDArray[np.float32], truth: dict[str, NDArray[np.float32]]) -> NDArray[np.int64]:
    """Return hits, labels and false boxes of one frame: one to one, the best overlap first."""
    vehicles, unclear = _inside(truth["vehicles"]), truth["unclear"]
    boxes = _inside(boxes)
    overlap, far = iou_matrix(vehicles, boxes), _distances(vehicles, boxes)
    good = (overlap >= SAME_IOU) | (far <= NEAR_PX)
    worth = np.where(good, 10 + overlap - far / 100, 0.0)
    free = np.ones(len(boxes), np.bool_)
    hits = 0
    while worth.size and worth.max() > 0:
        i, j = np.unravel_index(worth.argmax(), worth.shape)
        worth[i], worth[:, j], free[j] = 0, 0, False
        hits += 1
    if len(unclear):
        free &= ~(_distances(unclear, boxes) <= NEAR_PX).any(axis=0)
    return np.array((hits, len(vehicles), int(free.sum())))


def _inside(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    low = (boxes[:, :2] >= BORDER_PX).all(axis=1)
    return boxes[low & (boxes[:, 2:] <= np.array(SIZE) - BORDER_PX).all(axis=1)]


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    one, other = (a[:, :2] + a[:, 2:]) / 2, (b[:, :2] + b[:, 2:]) / 2
    return np.linalg.norm(one[:, None] - other[None], axis=2)


def plan_of(path: Path) -> Plan:
    """Return the plan of launch/drone.yaml with another source."""
    given: dict[str, Any] = yaml.safe_load((harness.ROOT / "launch" / "drone.yaml").read_text())
    (camera,) = given["cameras"].values()
    camera["source"] = {"type": "video", "path": str(path)}
    camera.pop("telemetry", None)
    document = parse(yaml.safe_dump(given), "benchmark")
    checked = document.validate(config.Launch, document.data)
    return resolving.resolve(checked, document, realtime=False)


def moving(report: Report) -> None:
    """Add recall, precision, tracks at once and the time of the motion detector."""
    path = harness.FOOTAGE / "video" / CLIP
    plan = plan_of(path)
    (name,) = plan.cameras
    camera = plan.cameras[name]
    alone: Any = build.make_detector(plan, ["moving"], 1)
    both: Any = build.make_detector(plan, camera.detectors, 1)
    keep = build.class_filter(both, camera.objects)
    follower = build.make_follower(plan, name, 0)
    truth = labels()
    of_boxes, of_tracks = np.zeros(3, np.int64), np.zeros(3, np.int64)
    took, at_once = list[float](), list[int]()
    with av.open(str(path)) as container:
        for n, frame in enumerate(container.decode(video=0)):
            image, t_ns = frame.to_ndarray(format="bgr24"), round(float(frame.time or 0) * 1e9)
            start = time.process_time()
            boxes: Detections = alone.infer(alone.prepare_at(Pixels(image), t_ns))
            took.append(1e3 * (time.process_time() - start))
            found = keep(both.infer(both.prepare_at(Pixels(image), t_ns)))
            message = follower.follow(_message(name, n, t_ns, found, image))
            tracks = message.tracks
            is_seen = (tracks.states == CONFIRMED) & (tracks.unseen_s == 0)
            at_once.append(int((tracks.states == CONFIRMED).sum()))
            if n in truth:
                of_boxes += score(boxes.boxes, truth[n])
                of_tracks += score(tracks.boxes[is_seen], truth[n])
    for what, counts in (("boxes", of_boxes), ("tracks", of_tracks)):
        hits, labelled, false = counts.tolist()
        report.add(
            f"nadir, moving vehicles, {what}: recall",
            "",
            hits / labelled,
            target="at least .85",
            met=lambda share: share >= 0.85,
            of="ours",
            note=f"{hits} of {labelled} in {len(truth)} frames",
        )
        report.add(
            f"nadir, moving vehicles, {what}: precision",
            "",
            hits / (hits + false),
            target="at least .90",
            met=lambda share: share >= 0.9,
            of="ours",
            note=f"{false} false",
        )
    settled = at_once[SETTLED:]
    report.add(
        "nadir: confirmed tracks at once, median",
        "",
        float(median([float(n) for n in settled])),
        target="at least 55",
        met=lambda count: count >= 55,
        of="ours",
        note=f"{min(settled)} to {max(settled)} from frame {SETTLED} on",
    )
    report.add(
        "motion detector: CPU a 1080p frame, median",
        "ms",
        median(took),
        target="at most 25",
        met=lambda ms: ms <= 25,
        of="ours",
    )


def _message(
    camera: str, n: int, t_ns: int, found: Detections, image: NDArray[np.uint8]
) -> DetectionMessage:
    return DetectionMessage(
        stamp=Stamp(
            camera=camera,
            frame_id=make_id(0, n),
            t_media_ns=t_ns,
            t_arrival_ns=t_ns,
            t_wall_ns=t_ns,
        ),
        width=image.shape[1],
        height=image.shape[0],
        names={},
        dropped={},
        t_taken_ns=t_ns,
        t_detected_ns=t_ns,
        inference_ns=0,
        detections=found,
        grey=small_grey(image),
    )
