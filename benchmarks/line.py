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
TARGETS = {"f32": (1.4, 0.75), "bf16": (2.3, 0.45)}
"""Times the frames a second of the peer's one thread, and the share of its CPU a frame."""


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


def block_of(worker: Worker, name: str, count: int = BLOCK) -> dict[str, Any]:
    """Return a block of frames; a peer of 2 threads, which may take seconds a frame, does fewer."""
    return worker.call("frames", count=count // 3 if name.endswith("threads") else count)


def measure_blocks(workers: dict[str, Worker], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Return blocks of frames by contender, in turns."""
    for name, worker in workers.items():
        block_of(worker, name, BLOCK // 2)
    calls = {name: (lambda w=w, n=name: block_of(w, n)) for name, w in workers.items()}
    return harness.interleave(calls, rounds)


def compare(
    report: Report, what: str, rates: list[float], cpus: list[float],
    peers: dict[str, list[dict[str, Any]]], targets: tuple[float, float], note: str = "",
) -> None:  # fmt: skip
    """Add rows of frames a second and CPU a frame against each peer; targets: of one thread."""
    for peer, blocks in peers.items() or [("", [])]:
        own = peer.endswith("1 thread")
        theirs = median([fps(block) for block in blocks]) if blocks else None
        report.add(
            f"{what}: frames/s", "", median(rates), peer, theirs, higher=True,
            target=f"x{targets[0]}" if own else "",
            met=(lambda r: r >= targets[0]) if own else None, note=note,
        )  # fmt: skip
        theirs = median([cpu_ms(block) for block in blocks]) if blocks else None
        report.add(
            f"{what}: CPU a frame", "ms", median(cpus), peer, theirs,
            target=f"at most {targets[1]} of it" if own else "",
            met=(lambda r: 1 / r <= targets[1]) if own else None,
            note=f"{median(cpus) / theirs:.2f} of it" if theirs else "",
        )  # fmt: skip


def latencies(report: Report, blocks: dict[str, list[dict[str, Any]]]) -> None:
    """Add rows of how long a frame takes."""
    for name, found in blocks.items():
        times = [ms for block in found for ms in block["ms"]]
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
    report: Report, offered: dict[str, float], peers: dict[str, Worker], rounds: int
) -> None:
    """Add rows of the live line, offered more than it can do, in turns with each peer."""
    warm = 2.0
    calls: dict[str, Any] = {
        precision: (lambda p=precision, r=rate: live(p, r, 8.0))
        for precision, rate in offered.items()
    }
    calls |= {name: (lambda w=w, n=name: block_of(w, n)) for name, w in peers.items()}
    found = harness.interleave(calls, rounds)
    for precision, rate in offered.items():
        runs: list[Watched] = found[precision]
        rates = [run.rate("tracking", "tracked.highway", warm) for run in runs]
        cpus = [run.cpu_share(warm) / max(r, 0.1) * 1e3 for run, r in zip(runs, rates, strict=True)]
        compare(
            report, f"line {precision}", rates, cpus, {name: found[name] for name in peers},
            TARGETS[precision], f"offered {rate:.0f}/s",
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
        peers = {name: worker for name, worker in workers.items() if name.startswith("track")}
        of_peers = {name: blocks[name] for name in peers}
        offered: dict[str, float] = {}
        for precision, wanted in TARGETS.items():
            found = blocks[f"analyze {precision}"]
            rates, cpus = [fps(block) for block in found], [cpu_ms(block) for block in found]
            compare(report, f"analyze {precision}", rates, cpus, of_peers, wanted)
            offered[precision] = median(rates) * OVER
        latencies(report, blocks)
        measure_line(report, offered, peers, 1 if asked.short else 3)
        for precision in TARGETS:
            measure_age(report, precision, 6.0 if asked.short else 12.0)


if __name__ == "__main__":
    main()
