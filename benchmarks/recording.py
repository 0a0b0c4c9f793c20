"""What recording costs: a live line with and without it, in turns; and bytes and time a message.

A 720p camera at 30 frames/s (MPEG-TS over tcp, H.264) is detected at 10 frames/s. CPU is of each
process; ages are of frames when they were detected. Messages: an hour of 30 frames/s with 20 tracks
that move, written as the recorder writes them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, Worker, median
from benchmarks.lines import Watched, detector, watch
from perception.footage.messages import LoggedMessage, MessageFile
from perception.wire import CONFIRMED, Stamp, TrackMessage, Tracks, make_id
from perception.wire.codec import encode_record, record_table

TRACKS, FPS = 20, 30
WARM_S = 4.0


def line(port: int, *, record: bool, seconds: float) -> Watched:
    """Run the line for so long."""
    camera: dict[str, Any] = {
        "source": f"tcp://127.0.0.1:{port}", "detect": {"rate_hz": 10},
        "watch": {"offline_s": 60},
    }  # fmt: skip
    if record:
        camera["record"] = {}
    launch = {
        "cameras": {"front": camera},
        "detectors": {"default": detector("f32", size=320)},
        "recordings": {"min_free_gb": 0.1},
    }
    return watch(launch, seconds)


def costs(report: Report, rounds: int, seconds: float) -> None:
    """Add the rows of A1."""
    with Worker("benchmarks.streams") as camera:
        frames = round((seconds + 30) * FPS)
        port = camera.call("open", fps=FPS, frames=frames)
        calls = {
            name: (lambda on=on: line(port, record=on, seconds=seconds))
            for name, on in (("off", False), ("on", True))
        }
        runs = harness.interleave(calls, rounds)

    def of(name: str, value: Any) -> float:
        return median([value(watched) for watched in runs[name]])

    recorder = of("on", lambda w: 100 * w.cpu_share(WARM_S, "recorder"))
    report.add(
        "A1 recorder process", "% of a core", recorder, target="at most 3",
        met=lambda v: v <= 3, of="ours",
    )  # fmt: skip
    cpu = {n: of(n, lambda w: 100 * w.cpu_share(WARM_S, "camera-front")) for n in runs}
    report.add(
        "A1 camera process, more with recording", "points of a core", cpu["on"] - cpu["off"],
        target="at most 1", met=lambda v: v <= 1, of="ours",
        note=f"{cpu['off']:.1f} without, {cpu['on']:.1f} % with",
    )  # fmt: skip
    age = {
        n: of(
            n,
            lambda w: w.times("detection-default", "wait.front", WARM_S).percentile(95),
        )
        for n in runs
    }
    report.add(
        "A1 age of a frame when detection takes it, p95, more with recording", "ms",
        age["on"] - age["off"], target="at most 1", met=lambda v: v <= 1, of="ours",
        note=f"{age['off']:.2f} without, {age['on']:.2f} with",
    )  # fmt: skip
    rate = {n: of(n, lambda w: w.rate("camera-front", "read.front", WARM_S)) for n in runs}
    recorded = of("on", lambda w: w.rate("recorder", "recorded.front", WARM_S))
    report.add(
        "frames recorded a second", "", recorded, "read", rate["on"], higher=True,
        target="x0.97", met=lambda r: r >= 0.97,
    )  # fmt: skip
    report.add(
        "frames read a second, with recording", "", rate["on"], "without", rate["off"],
        higher=True, target="x0.97", met=lambda r: r >= 0.97,
    )  # fmt: skip


def message(n: int, boxes: Any, rng: np.random.Generator) -> TrackMessage:
    """Return the tracks of one frame: 20 objects that move."""
    t = round(n / FPS * 1e9)
    boxes += rng.normal(0, 1.5, (TRACKS, 4)).astype(np.float32)
    ids = np.array([make_id(7, i) for i in range(TRACKS)], np.int64)
    whole = Tracks(
        track_ids=ids,
        boxes=boxes.copy(),
        rates=rng.normal(0, 20, (TRACKS, 4)).astype(np.float32),
        class_ids=np.zeros(TRACKS, np.int32),
        scores=rng.uniform(0.5, 0.9, TRACKS).astype(np.float32),
        states=np.full(TRACKS, CONFIRMED, np.uint8),
        ages_s=np.full(TRACKS, n / FPS, np.float32),
        unseen_s=np.zeros(TRACKS, np.float32),
        detection_rows=np.arange(TRACKS, dtype=np.int32),
    )
    stamp = Stamp(camera="front", frame_id=make_id(7, n), t_media_ns=t, t_arrival_ns=t, t_wall_ns=t)
    return TrackMessage(
        stamp=stamp, width=1280, height=720, names={0: "person"}, dropped={}, t_detected_ns=t,
        t_tracked_ns=t, tracks=whole, warp=np.eye(2, 3, dtype=np.float32), message_id=n,
    )  # fmt: skip


def messages(report: Report, minutes: float) -> None:
    """Add the rows of A4."""
    rng = np.random.default_rng(1)
    boxes = rng.uniform(0, 700, (TRACKS, 4)).astype(np.float32)
    made = [message(n, boxes, rng) for n in range(round(minutes * 60 * FPS))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mcap"
        began = time.process_time()
        file = MessageFile(path, "front", record_table)
        for n, one in enumerate(made):
            stamp = one.stamp
            file.add(LoggedMessage("tracks", stamp.t_wall_ns, stamp.t_media_ns, encode_record(one)))
            if n % FPS == 0:
                file.flush()
        file.finish(None)
        spent = time.process_time() - began
        size = path.stat().st_size
    report.add(
        "A4 messages with 20 tracks, an hour", "MB", size / 1e6 * 60 / minutes,
        target="at most 90", met=lambda v: v <= 90, of="ours",
    )  # fmt: skip
    report.add(
        "A4 one message, all in", "us", spent / len(made) * 1e6, target="at most 20",
        met=lambda v: v <= 20, of="ours",
    )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("recording", __doc__)
    with harness.report("recording", asked.out) as report:
        messages(report, 1.0 if asked.short else 3.0)
        costs(report, 1 if asked.short else 3, 10.0 if asked.short else 20.0)


if __name__ == "__main__":
    main()
