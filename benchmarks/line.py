"""The whole line, and `analyze`, against Ultralytics YOLO.track with ByteTrack: same clip, same
weights, same input of 384x640, same score and overlap limits; decode to tracks, every frame.

Peer and `analyze` take turns in blocks of frames. The line runs live: its clip is offered faster
than it can detect, so that it is never idle; frames tracked a second, and CPU of all processes
(the frames that are decoded and not used included). A second run at 30 fps gives the ages.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, Worker, median, percentile
from benchmarks.lines import Watched, clip_720p, detector, watch
from perception import assets

SCORE, IOU = 0.1, 0.7
BLOCK = 30
OVER = 1.25
"""The clip is offered to the live line at so many times what `analyze` reached."""
FPS_30 = 30.0


def same_weights(report: Report, peer: Worker, folder: Path) -> None:
    """Compare what both files say of a real picture."""
    import av
    import cv2
    import onnxruntime

    with av.open(str(clip_720p())) as container:
        image = next(container.decode(video=0)).to_ndarray(format="bgr24")
    canvas = np.full((384, 640, 3), 114, np.uint8)
    canvas[12:372] = cv2.resize(image, (640, 360))
    blob = cv2.dnn.blobFromImage(canvas, 1 / 255, swapRB=True)
    np.save(folder / "blob.npy", blob)
    peer.call("raw", blob=str(folder / "blob.npy"), out=str(folder / "raw.npy"))
    theirs = np.load(folder / "raw.npy")
    session = onnxruntime.InferenceSession(str(assets.fetch("yolo11n")))
    ours = session.run(None, {session.get_inputs()[0].name: blob})[0]
    boxes = float(np.abs(ours[:, :4] - theirs[:, :4]).max())
    report.add(
        "largest difference of a score, yolo11n.onnx and yolo11n.pt", "",
        float(np.abs(ours[:, 4:] - theirs[:, 4:]).max()), target="same weights: < 0.001",
        met=lambda v: v < 1e-3, of="ours", note=f"boxes {boxes:.3f} px",
    )  # fmt: skip


def measure_blocks(contenders: dict[str, Worker], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return blocks of frames by contender, in turns."""
    for worker in contenders.values():
        worker.call("frames", count=BLOCK // 2)
    calls = {
        name: (lambda w=worker: w.call("frames", count=BLOCK))
        for name, worker in contenders.items()
    }
    return harness.interleave(calls, rounds)


def compare(
    report: Report, what: str, ours: list[dict[str, Any]], peers: dict[str, list[dict[str, Any]]],
    fps_target: float, cpu_target: float,
) -> None:  # fmt: skip
    """Add rows of speed, CPU and latency of blocks against each peer."""
    mine, my_cpu = [fps(block) for block in ours], [cpu_ms(block) for block in ours]
    for peer, blocks in peers.items():
        rates, cpus = [fps(block) for block in blocks], [cpu_ms(block) for block in blocks]
        own = peer.endswith("1 thread")
        report.add(
            f"{what}: frames/s", "", median(mine), peer, median(rates), higher=True,
            target=f"x{fps_target}" if own else "",
            met=(lambda r: r >= fps_target) if own else None,
        )  # fmt: skip
        share = median(my_cpu) / median(cpus)
        report.add(
            f"{what}: CPU a frame", "ms", median(my_cpu), peer, median(cpus),
            target=f"at most {cpu_target} of it" if own else "",
            met=(lambda r: 1 / r <= cpu_target) if own else None, note=f"{share:.2f} of it",
        )  # fmt: skip
    for name, blocks in {what: ours, **(peers if what.endswith("f32") else {})}.items():
        times = [ms for block in blocks for ms in block["ms"]]
        report.add(
            f"{name}: p50 of a frame", "ms", median(times), note=f"p95 {percentile(times, 95):.0f}"
        )


def fps(block: dict[str, Any]) -> float:
    """Return frames a second of a block."""
    return len(block["ms"]) / sum(block["ms"]) * 1e3


def cpu_ms(block: dict[str, Any]) -> float:
    """Return CPU ms a frame of a block."""
    return block["cpu_ms"] / len(block["ms"])


def live(precision: str, offered: float, seconds: float) -> Watched:
    """Run the line on the clip at `offered` frames a second."""
    source = {"type": "video", "path": str(clip_720p()), "loop": True, "fps": round(offered, 1)}
    launch = {
        "cameras": {"highway": {"source": source}},
        "detectors": {"default": detector(precision, score=SCORE, iou=IOU)},
    }
    return watch(launch, seconds)


def measure_line(
    report: Report, precision: str, rate: float, peers: dict[str, list[dict[str, Any]]],
    rounds: int, targets: tuple[float, float],
) -> None:  # fmt: skip
    """Add rows of the live line, offered more than it can do, against each peer."""
    warm, runs = 2.0, [live(precision, rate * OVER, 8.0) for _ in range(rounds)]
    rates = [run.rate("tracking", "tracked.highway", warm) for run in runs]
    cpus = [
        run.cpu_share(warm) / r * 1e3 if r else float("nan")
        for run, r in zip(runs, rates, strict=True)
    ]
    name = f"line {precision}"
    for peer, blocks in peers.items():
        own = peer.endswith("1 thread")
        theirs = median([fps(block) for block in blocks])
        report.add(
            f"{name}: frames/s", "", median(rates), peer, theirs, higher=True,
            target=f"x{targets[0]}" if own else "",
            met=(lambda r: r >= targets[0]) if own else None,
            note=f"offered {rate * OVER:.0f}/s",
        )  # fmt: skip
        theirs = median([cpu_ms(block) for block in blocks])
        report.add(
            f"{name}: CPU a frame, all processes", "ms", median(cpus), peer, theirs,
            target=f"at most {targets[1]} of it" if own else "",
            met=(lambda r: 1 / r <= targets[1]) if own else None,
            note=f"{median(cpus) / theirs:.2f} of it",
        )  # fmt: skip


def measure_age(report: Report, precision: str, seconds: float) -> None:
    """Add rows of the ages of a camera of 30 fps."""
    run, warm = live(precision, FPS_30, seconds), 2.0
    ages = run.times("tracking", "tracking.highway", warm)
    waits = run.times("detection-default", "wait.highway", warm)
    network = run.times("detection-default", "inference.highway", warm)
    tracker = run.times("tracking", "tracker.highway", warm)
    rate = run.rate("tracking", "tracked.highway", warm)
    name = f"line {precision} at 30 fps"
    parts = {"wait": waits, "inference": network, "tracker": tracker}
    said = ", ".join(f"{k} {h.percentile(50):.1f}/{h.percentile(95):.1f}" for k, h in parts.items())
    report.add(
        f"{name}: age at track p50", "ms", ages.percentile(50),
        note=f"p95 {ages.percentile(95):.0f}; {said}; {rate:.1f} tracked/s",
    )  # fmt: skip
    limit = 1e3 / FPS_30 + 15
    report.add(
        f"{name}: p95 age at track - p95 inference", "ms",
        ages.percentile(95) - network.percentile(95),
        target=f"at most {limit:.0f}: a frame + 15", met=lambda v: v <= limit, of="ours",
    )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("line", __doc__, rounds=(int, 12, f"blocks of {BLOCK} frames"))
    rounds = max(3, asked.rounds // (4 if asked.short else 1))
    clip = str(clip_720p())
    with harness.report("line", asked.out) as report, contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers: dict[str, Worker] = {}
        for name, options in {
            "analyze f32": detector("f32", score=SCORE, iou=IOU),
            "analyze bf16": detector("bf16", score=SCORE, iou=IOU),
        }.items():
            one = {f"{lib}_NUM_THREADS": "1" for lib in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
            workers[name] = stack.enter_context(Worker("benchmarks.lines", env=one))
            workers[name].call("begin", clip=clip, options=options)
        python = harness.peer_python("ultralytics", "torch", "lap")
        if python is None:
            report.missing("ultralytics track")
        else:
            for threads in (1, 2):
                peer = Worker("benchmarks.peer_ultralytics", python)
                stack.enter_context(peer)
                peer.call("load", weights=str(assets.fetch("yolo11n.pt")), threads=threads)
                if threads == 1:
                    report.note_versions(peer.call("about"))
                    same_weights(report, peer, folder)
                peer.call("track", source=clip, conf=SCORE, iou=IOU)
                workers[f"track, {threads} thread{'s' * (threads > 1)}"] = peer
        blocks = measure_blocks(workers, rounds)
        peers = {name: found for name, found in blocks.items() if name.startswith("track")}
        targets = {"f32": (1.4, 0.75), "bf16": (2.3, 0.45)}
        for precision, wanted in targets.items():
            compare(report, f"analyze {precision}", blocks[f"analyze {precision}"], peers, *wanted)
        stack.pop_all().close()
        for precision, wanted in targets.items():
            rate = median([fps(block) for block in blocks[f"analyze {precision}"]])
            measure_line(report, precision, rate, peers, 1 if asked.short else 3, wanted)
        for precision in targets:
            measure_age(report, precision, 6.0 if asked.short else 12.0)


if __name__ == "__main__":
    main()
