"""What the motion gate saves and what it misses: full rate against gated, the same stages.

Missed track-seconds: a confirmed track of the full-rate run, seen in the frame, that has no box at
IoU 0.3 in what the gated run last said, held for at most one floor period and a half.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, median
from perception import assets
from perception.detectors.gate import MotionGate
from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.kernels.boxes import iou_matrix
from perception.trackers.grey import small_grey
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED, Detections

FLOOR_HZ = 2.0
CLIPS = ("surveillance/vtest_PETS09-S2L1.avi", "surveillance/intel_person_bicycle_car.mp4")


def clips() -> dict[str, Path]:
    """Return the clips that are here, by name."""
    found = {Path(name).stem: harness.FOOTAGE / "video" / name for name in CLIPS}
    return {k: p for k, p in found.items() if p.exists()} | {"driveway": assets.fetch("driveway")}


def measure(report: Report, name: str, path: Path, most: int) -> None:
    """Add the rows of one clip."""
    detector = OnnxDetector(OnnxOptions(model="yolo11n", precision="f32"))
    gate, full, gated = MotionGate(FLOOR_HZ), TwoStageTracker(), TwoStageTracker()
    said, said_ns = np.empty((0, 4), np.float32), 0
    seen = missed = 0
    looked, cpu_s, gate_s, frames = 0, list[float](), list[float](), 0
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        rate = float(stream.average_rate)
        for n, frame in enumerate(container.decode(stream)):
            if n == most:
                break
            image, t_ns = frame.to_ndarray(format="bgr24"), round(n / rate * 1e9)
            start = time.process_time()
            found: Detections = detector.detect(image)
            cpu_s.append(time.process_time() - start)
            truth = full.update(found, t_ns)
            start = time.process_time()
            passes = gate.passes(small_grey(image), t_ns)
            gate_s.append(time.process_time() - start)
            if passes:
                looked += 1
                now = gated.update(found, t_ns)
                said, said_ns = now.boxes[(now.states == CONFIRMED) & (now.unseen_s == 0)], t_ns
            here = truth.boxes[(truth.states == CONFIRMED) & (truth.unseen_s == 0)]
            frames, seen = frames + 1, seen + len(here)
            held = said if t_ns - said_ns <= 1.5e9 / FLOOR_HZ else said[:0]
            best = iou_matrix(here, held).max(axis=1, initial=0.0)
            missed += int((best < 0.3).sum())
    spared = 1 - (looked * median(cpu_s) + frames * median(gate_s)) / (frames * median(cpu_s))
    report.add(
        f"motion gate, {name}: share of the network's CPU spared", "", spared,
        note=f"{looked} of {frames} frames looked at; the gate takes "
        f"{median(gate_s) * 1e6:.0f} us with its grey picture",
    )  # fmt: skip
    report.add(
        f"motion gate, {name}: missed track-seconds", "s", missed / rate,
        note=f"of {seen / rate:.0f} s at full rate",
    )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("gate", __doc__, frames=(int, 2000, "frames of each clip at most"))
    cv2.setNumThreads(1)
    with harness.report("gate", asked.out) as report:
        for name, path in clips().items():
            measure(report, name, path, 200 if asked.short else asked.frames)


if __name__ == "__main__":
    main()
