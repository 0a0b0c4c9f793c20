"""One frame through the network: our runtimes and precisions against Ultralytics' predict, one
thread, yolo11n at 384x640 and 640x640 on pictures of that size; and what bf16 costs in boxes.

The cost of bf16: on frames of real footage the boxes of f32 (score 0.25 or more) are the truth for
those of bf16; classes have to agree; average precision with 101 points over all frames together.
Boxes of bf16 are taken from score 0.15, and those of f32 scored 0.10 to 0.25 count neither for nor
against: on which side of a line a box falls is chance. In the same way: what it costs that the
canvas is made of a decoder's planes. On a GPU the speed is that of `device: cuda`, where one is.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.harness import Report, Worker, median
from perception import assets
from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.errors import PerceptionError
from perception.kernels.boxes import iou_matrix
from perception.sources import AllocatePlanes
from perception.sources.decoding import Painter
from perception.wire import Detections

CANVASES = ((384, 640), (640, 640))
CALLS = 8
TRUTH, TAKEN, DOUBT = 0.25, 0.15, 0.1
CLIPS = {"highway": 12, "market-street-1906": 30, "driveway": 60}
"""Clip and which of its frames: every n-th."""


def picture(canvas: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a real picture scaled to the network's input."""
    with av.open(str(assets.fetch("highway"))) as container:
        image = next(container.decode(video=0)).to_ndarray(format="bgr24")
    return np.asarray(cv2.resize(image, canvas[::-1]), np.uint8)


def detector(canvas: tuple[int, int], **options: Any) -> OnnxDetector:
    """Return our detector on one thread."""
    return OnnxDetector(OnnxOptions(model="yolo11n", size=canvas, score=TRUTH, **options))


def timed(made: OnnxDetector, image: NDArray[np.uint8]) -> dict[str, Any]:
    """Return ms and CPU ms of CALLS calls."""
    times, cpus = [], []
    for _ in range(CALLS):
        cpu, start = time.process_time(), time.perf_counter()
        made.detect(image)
        times.append((time.perf_counter() - start) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    return {"ms": times, "cpu_ms": cpus}


def speed(report: Report, peer: Worker | None, rounds: int, folder: Path, device: str) -> None:
    """Add the rows of speed."""
    kinds = {
        "OpenVINO f32": ({"runtime": "openvino"}, 1.4),
        "OpenVINO bf16": ({"runtime": "openvino", "precision": "bf16"}, 2.5),
        "ONNX Runtime f32": ({"runtime": "onnxruntime"}, 1.3),
    }
    if device == "cuda":
        kinds = {"ONNX Runtime f32 on cuda": ({"runtime": "onnxruntime", "device": "cuda"}, 1.0)}
    for canvas in CANVASES:
        image = picture(canvas)
        path = folder / f"{canvas[0]}.npy"
        np.save(path, image)
        calls: dict[str, Any] = {}
        for name, (options, _) in kinds.items():
            try:
                made = detector(canvas, **options)
            except PerceptionError as error:
                report.missing(f"ours, {name}", str(error))
                continue
            calls[name] = lambda made=made, image=image: timed(made, image)
        if peer is not None and calls:
            calls["peer"] = lambda path=path, canvas=canvas: peer.call(
                "predict", image=str(path), count=CALLS, imgsz=list(canvas)
            )
        for call in calls.values():
            call()
        found = harness.interleave(calls, rounds)
        theirs = found.pop("peer", None)
        for name, blocks in found.items():
            wall = [median(block["ms"]) for block in blocks]
            cpu = median([median(block["cpu_ms"]) for block in blocks])
            least = kinds[name][1]
            peers = [median(block["ms"]) for block in theirs] if theirs else []
            peer_cpu = median([median(b["cpu_ms"]) for b in theirs]) if theirs else float("nan")
            report.add(
                f"{canvas[0]}x{canvas[1]} {name}", "ms", median(wall),
                "Ultralytics predict, 1 thread" if peers else "", median(peers) if peers else None,
                target=f"x{least:g}", met=lambda r, least=least: r >= least,
                note=f"CPU {cpu:.1f} / {peer_cpu:.1f} ms, x{peer_cpu / cpu:.2f}",
            )  # fmt: skip


def frames(*, short: bool) -> Iterator[tuple[str, av.VideoFrame]]:
    """Yield clip and frame: the assets' clips, and footage where it is; short: every fourth."""
    places = {name: (assets.fetch(name), step) for name, step in CLIPS.items()}
    folder = harness.FOOTAGE / "video"
    for path in sorted(folder.glob("*/*.*")) if folder.is_dir() else []:
        if path.suffix in (".mp4", ".avi") and path.parent.name != "broken":
            places[path.stem] = (path, 60)
    count = itertools.count()
    for name, (path, step) in places.items():
        with av.open(str(path)) as container:
            for n, frame in enumerate(container.decode(video=0)):
                if n % step == 0 and not (next(count) % 4 and short):
                    yield name, frame


def average_precision(truths: list[Detections], found: list[Detections], iou: float) -> float:
    """Return AP at an IoU, 101 points, classes must agree, doubtful truth ignored."""
    scores: list[float] = []
    hits: list[bool] = []
    total = 0
    for truth, seen in zip(truths, found, strict=True):
        sure = truth.scores >= TRUTH
        total += int(sure.sum())
        overlaps = iou_matrix(seen.boxes, truth.boxes)
        overlaps[seen.class_ids[:, None] != truth.class_ids[None]] = 0
        taken = np.zeros(len(truth.scores), bool)
        for row in np.argsort(-seen.scores, kind="stable"):
            free = np.where(taken, 0, overlaps[row]) if len(taken) else np.zeros(1)
            at = int(np.argmax(free))
            if free[at] >= iou:
                taken[at] = True
                if not sure[at]:
                    continue
            hit = bool(free[at] >= iou)
            scores.append(float(seen.scores[row]))
            hits.append(hit)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits)[order])
    recall, precision = right / max(total, 1), right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-9)
    return float(np.mean([best[i] if i < len(best) else 0.0 for i in at]))


def cost_of_bf16(report: Report, *, short: bool) -> None:
    """Add the rows of AP of bf16."""
    options = {"model": "yolo11n", "runtime": "openvino"}
    try:
        exact = OnnxDetector(OnnxOptions(**options, score=DOUBT))
        fast = OnnxDetector(OnnxOptions(**options, precision="bf16", score=TAKEN))
    except PerceptionError as error:
        report.missing("bf16", str(error))
        return
    images = ((clip, frame.to_ndarray(format="bgr24")) for clip, frame in frames(short=short))
    pairs = ((clip, exact.detect(image), fast.detect(image)) for clip, image in images)
    agreement(report, "bf16 against f32", pairs)


def cost_of_planes(report: Report, *, short: bool) -> None:
    """Add the rows of AP of a canvas made of a decoder's planes against one of full-size BGR."""
    painter, allocate = Painter(), AllocatePlanes()
    exact = OnnxDetector(OnnxOptions(model="yolo11n", score=DOUBT))
    taken = OnnxDetector(OnnxOptions(model="yolo11n", score=TAKEN))
    pixels = ((clip, painter.paint(frame, allocate)) for clip, frame in frames(short=short))
    pairs = (
        (clip, exact.detect(picture.bgr()), taken.infer(taken.prepare_planes(picture)))
        for clip, picture in pixels
        if picture.coding != "bgr"
    )
    agreement(report, "planes against BGR, f32", pairs)


def agreement(
    report: Report, what: str, pairs: Iterable[tuple[str, Detections, Detections]]
) -> None:
    """Add the rows of AP. pairs: clip, the truth of a frame, what was found in it."""
    truths, found, clips = list[Detections](), list[Detections](), set[str]()
    for clip, truth, seen in pairs:
        clips.add(clip)
        truths.append(truth)
        found.append(seen)
    boxes = sum(int((t.scores >= TRUTH).sum()) for t in truths)
    note = f"{boxes} boxes in {len(truths)} frames of {len(clips)} clips"
    ap50 = average_precision(truths, found, 0.5)
    mean = float(np.mean([average_precision(truths, found, i / 100) for i in range(50, 100, 5)]))
    report.add(
        f"{what}: AP50", "", ap50, target="at least 0.99", met=lambda v: v >= 0.99, of="ours",
        note=note,
    )  # fmt: skip
    report.add(
        f"{what}: AP50-95", "", mean, target="at least 0.95", met=lambda v: v >= 0.95, of="ours",
        note=note,
    )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options(
        "inference", __doc__, rounds=(int, 12, "rounds"), device=(str, "cpu", "cpu or cuda")
    )
    rounds = max(3, asked.rounds // (4 if asked.short else 1))
    cv2.setNumThreads(1)
    with harness.report("inference", asked.out) as report, contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = harness.peer_python("ultralytics", "torch")
        peer = None
        if python is None:
            report.missing("Ultralytics predict")
        else:
            peer = stack.enter_context(Worker("benchmarks.peer_ultralytics", python))
            weights = str(assets.fetch("yolo11n.pt"))
            peer.call("load", weights=weights, threads=1, device=asked.device)
            report.note_versions(peer.call("about"))
        speed(report, peer, rounds, folder, asked.device)
        if asked.device == "cpu":
            cost_of_bf16(report, short=asked.short)
            cost_of_planes(report, short=asked.short)


if __name__ == "__main__":
    main()
