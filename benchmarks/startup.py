"""How long until it works: a killed detection process until its next detection, kernels compiled
cold and loaded from the cache, against importing Ultralytics and its first predict.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, Worker, median
from benchmarks.inference import picture
from benchmarks.lines import clip_720p, detector, watch
from perception import assets


def restart(precision: str, kills: int) -> list[float]:
    """Return the seconds from each kill -9 of detection to the next detection."""
    source = {"type": "video", "path": str(clip_720p()), "loop": True}
    launch = {
        "cameras": {"highway": {"source": source}},
        "detectors": {"default": detector(precision)},
    }
    detected: list[int] = []
    killed: list[int] = []
    listening: list[threading.Thread] = []
    over = threading.Event()
    every_s = 6.0

    def listen(run_dir: Path) -> None:
        from perception.transport.bus import Inbox

        inbox = Inbox(run_dir, "detections", ["highway"])
        while not over.is_set():
            detected.extend(message.t_detected_ns for message in inbox.poll(100))
        inbox.close()

    def meanwhile(supervisor: Any, since_s: float) -> None:
        if not listening:
            thread = threading.Thread(target=listen, args=(supervisor.run_dir.path,))
            listening.append(thread)
            thread.start()
        if len(killed) < kills and since_s > 3.0 + every_s * len(killed):
            child = next(c for c in supervisor.children if c.process.kind == "detection")
            killed.append(time.monotonic_ns())
            os.kill(child.pid, signal.SIGKILL)

    try:
        watch(launch, 3.0 + every_s * kills, meanwhile=meanwhile)
    finally:
        over.set()
        for thread in listening:
            thread.join()
    # What was on its way when the process died does not count.
    grace = 50_000_000
    return [(min(d for d in detected if d > k + grace) - k) / 1e9 for k in killed]


def spent(code: list[str], **env: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a Python process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, *code], cwd=harness.ROOT, env={**os.environ, **env}, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def kernels(report: Report, rounds: int) -> None:
    """Add the rows of compiling and loading all kernels."""
    with tempfile.TemporaryDirectory() as cache:
        cold_wall, cold_cpu = spent(["-m", "perception.launchfile.warm"], NUMBA_CACHE_DIR=cache)
        found = harness.interleave(
            {
                "cached": lambda: spent(
                    ["-m", "perception.launchfile.warm"], NUMBA_CACHE_DIR=cache
                ),
                "imports": lambda: spent(["-c", "import perception.launchfile.warm, numba"]),
            },
            rounds,
        )
    report.add(
        "all kernels, cold: CPU", "s", cold_cpu, target="at most 25 s, once",
        met=lambda v: v <= 25, of="ours", note=f"{cold_wall:.1f} s wall",
    )  # fmt: skip
    cached, imports = (median([wall for wall, _ in found[k]]) for k in ("cached", "imports"))
    report.add(
        "all kernels, cached: beyond imports", "s", cached - imports, target="at most 1.0 s",
        met=lambda v: v <= 1.0, of="ours", note=f"{cached:.2f} s with imports of {imports:.2f} s",
    )  # fmt: skip


def peer_start(report: Report, rounds: int) -> float | None:
    """Return seconds of importing Ultralytics, loading and its first predict; add its row."""
    python = harness.peer_python("ultralytics", "torch")
    if python is None:
        report.missing("Ultralytics import + first predict")
        return None
    totals: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.npy"
        np.save(path, picture((384, 640)))
        for _ in range(rounds):
            start = time.perf_counter()
            with Worker("benchmarks.peer_ultralytics", python) as peer:
                peer.call("load", weights=str(assets.fetch("yolo11n.pt")), threads=1)
                peer.call("predict", image=str(path), count=1, imgsz=[384, 640])
                totals.append(time.perf_counter() - start)
                report.note_versions(peer.call("about"))
    return median(totals)


def main() -> None:
    """Measure."""
    asked = harness.options("startup", __doc__, rounds=(int, 3, "rounds"))
    rounds = 1 if asked.short else asked.rounds
    with harness.report("startup", asked.out) as report:
        theirs = peer_start(report, rounds)
        for precision in ("f32", "bf16"):
            report.add(
                f"detection killed to next detection, {precision}", "s",
                median(restart(precision, max(2, rounds))), "Ultralytics import + first predict",
                theirs, target="at most 2.5 s", met=lambda v: v <= 2.5, of="ours",
            )  # fmt: skip
        kernels(report, 3)


if __name__ == "__main__":
    main()
