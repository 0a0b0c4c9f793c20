"""`perception analyze` of one recording against its limit: the bare network on the same cores.

The 720p highway clip, yolo11n at 640, every frame decoded, detected, tracked and written as text.
The limit: as many threads run the same network on one prepared picture, again and again, with
nothing else to do. In turns, medians. Also `analyze` with one request, as it was before.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from benchmarks import harness
from benchmarks.lines import clip_720p, detector, make_plan
from perception.analysis.recording import analyze
from perception.detectors.model import OnnxDetector
from perception.wire.plan import Plan

REQUESTS, WARM, FRAMES, ROUNDS = 2, 20, 300, 5
WANTED = 0.92


class Enough(Exception):
    """So many frames have been analysed."""


def plan(folder: Path) -> Plan:
    """Return what `analyze` does with the clip at its defaults, without a video."""
    launch = {
        "cameras": {"clip": {"source": {"type": "video", "path": str(clip_720p()), "loop": True}}},
        "detectors": {"default": detector()},
        "output": {"folder": str(folder), "tracks": True},
    }
    return make_plan(launch, folder, realtime=False)


def analysed(requests: int, threads: int, frames: int) -> float:
    """Return frames a second of `analyze` after WARM frames."""
    ends: list[float] = []

    def step(done: int, expected: int | None) -> None:
        del expected
        ends.append(time.perf_counter())
        if done == WARM + frames:
            raise Enough

    folder = tempfile.TemporaryDirectory(prefix="perception-bench-")
    with folder as name, contextlib.suppress(Enough):
        analyze(plan(Path(name)), step, threads=threads, requests=requests)
    return frames / (ends[-1] - ends[WARM - 1])


def bare(requests: int, threads: int, frames: int) -> float:
    """Return pictures a second of the network alone, so many requests at the same time."""
    image = np.zeros((720, 1280, 3), np.uint8)
    options = OnnxDetector.Options.model_validate(
        {k: v for k, v in detector().items() if k != "type"}
    )
    made = [OnnxDetector(options, threads=threads) for _ in range(requests)]
    canvases = [one.prepare(image).canvas for one in made]

    def work(n: int, count: int) -> None:
        for _ in range(count):
            made[n].look(canvases[n])

    for count in (WARM // requests, frames // requests):
        begun = time.perf_counter()
        each = [threading.Thread(target=work, args=(n, count)) for n in range(requests)]
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()
        took = time.perf_counter() - begun
    return frames / took


def main() -> None:
    """Measure in turns."""
    asked = harness.options("analyze", __doc__)
    cv2.setNumThreads(1)
    cores = len(os.sched_getaffinity(0))
    threads, frames = max(1, cores // 2), FRAMES // 4 if asked.short else FRAMES
    said: dict[str, list[float]] = {"two": [], "one": [], "bare": []}
    for _ in range(3 if asked.short else ROUNDS):
        said["two"].append(analysed(REQUESTS, threads, frames))
        said["bare"].append(bare(REQUESTS, threads, frames))
        said["one"].append(analysed(1, threads, frames))
    two, one, limit = (median(said[key]) for key in ("two", "one", "bare"))
    share = median(a / b for a, b in zip(said["two"], said["bare"], strict=True))
    with harness.report("analyze", asked.out) as made:
        made.add("analyze, as shipped", "fps", two, "one request", one, higher=True)
        made.add("analyze, as shipped", "fps", two, "bare network", limit, higher=True)
        made.add(
            "share of the bare network, median of rounds", "", share, target=f"at least {WANTED}",
            met=lambda ratio: ratio >= WANTED, of="ours",
        )  # fmt: skip


if __name__ == "__main__":
    main()
