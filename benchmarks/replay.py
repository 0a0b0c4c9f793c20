"""How long it takes to replay an hour of tracks and alerts, and how large its journal is.

An hour of 30 frames/s with 20 objects that walk to and fro, written as the recorder writes it, a
minute a segment; then `replay` from the recorded detections on, on one core, every bit compared.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report
from perception.alerts.book import AlertBook
from perception.analysis import replay
from perception.analysis.recorded import Part
from perception.footage import manifest
from perception.footage.messages import LoggedMessage, MessageFile
from perception.footage.rows import SegmentRow
from perception.launchfile import build, config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import Document
from perception.processes.journal import rules_of
from perception.wire import (
    AlertMessage,
    DetectionMessage,
    Detections,
    JournalMessage,
    Stamp,
    make_id,
)
from perception.wire.codec import decode_record, encode_record, record_table
from perception.wire.journal import from_text, to_text

OBJECTS, FPS, SIZE = 20, 30, (1280, 720)
LAUNCH = {
    "name": "line",
    "detectors": {"default": {"type": "motion"}},
    "cameras": {
        "front": {
            "source": "push",
            "zones": {"porch": [[0.3, 0.3], [0.9, 0.3], [0.9, 1.0], [0.3, 1.0]]},
            "rules": {
                "inside": {"type": "zone", "zone": "porch"},
                "visit": {"type": "visit", "zone": "porch"},
            },
        }
    },
}


def detections(n: int, rng: np.random.Generator, objects: int) -> DetectionMessage:
    """Return what is detected in frame n: each object in 19 of 20."""
    i, t_ns = np.arange(objects), n * 1_000_000_000 // FPS
    x = (0.1 + 0.8 * (0.5 + 0.5 * np.sin(n / FPS * (0.15 + 0.02 * i) + i * 0.61))) * SIZE[0]
    y = (0.25 + 0.6 * ((i * 0.37) % 1.0)) * SIZE[1]
    w, h = 24 + 2 * (i % 5), 60 + 3 * (i % 7)
    boxes = np.stack([x - w / 2, y - h, x + w / 2, y], axis=1) + rng.normal(0, 0.7, (objects, 4))
    kept = rng.uniform(size=objects) > 0.05
    return DetectionMessage(
        stamp=Stamp(
            camera="front", frame_id=make_id(3, n), t_media_ns=t_ns, t_arrival_ns=t_ns,
            t_wall_ns=t_ns,
        ),
        width=SIZE[0], height=SIZE[1], names={0: "person"}, dropped={}, t_taken_ns=0,
        t_detected_ns=0, inference_ns=0,
        detections=Detections.of(boxes[kept], rng.uniform(0.5, 0.9, objects)[kept],
                                 np.zeros(int(kept.sum()))),
        grey=np.full((135, 240), 90, np.uint8), message_id=make_id(7, n),
    )  # fmt: skip


def record(root: Path, minutes: int, objects: int) -> Part:
    """Write so many minutes; return them as a part."""
    document = Document("launch.yaml", LAUNCH, {})
    plan = resolving.resolve(document.validate(config.Launch, LAUNCH), document)
    follower = build.make_follower(plan, "front", 9)
    book = AlertBook("front", build.make_rules(plan.cameras["front"]))
    rules = rules_of(plan.cameras["front"])
    first, rng = manifest.entry(plan, "front"), np.random.default_rng(1)
    part = Part(root, "front", from_text(decode_record(first).data))
    empty = np.empty((0, 0), np.uint8)
    for minute in range(minutes):
        file = MessageFile(root / f"{minute}.mcap", "front", record_table)
        file.add(LoggedMessage("journal", 0, 0, first))

        def write(topic: str, message: Any, file: MessageFile = file) -> None:
            at = message.stamp
            data = encode_record(message)
            file.add(LoggedMessage(topic, at.t_wall_ns, at.t_media_ns, data))

        for n in range(minute * 60 * FPS, (minute + 1) * 60 * FPS):
            found = detections(n, rng, objects)
            tracked = follower.follow(found)
            tracked.message_id = make_id(9, n)
            found.grey = empty
            write("detections", found)
            write("tracks", tracked)
            if n % (60 * FPS) == 0:
                for process, kind, state in (
                    ("tracking", "state", follower.state()),
                    ("alert", "state" if n else "began", {"book": book.state(), "rules": rules}),
                ):
                    write(
                        "journal",
                        JournalMessage(
                            stamp=found.stamp, process=process, kind=kind,  # type: ignore[arg-type]
                            message_id=tracked.message_id, data=to_text(state),
                        ),
                    )  # fmt: skip
            for alert in book.update(tracked):
                write("alerts", AlertMessage(stamp=found.stamp, t_alerted_ns=0, alert=alert))
        file.finish(None)
        part.rows.append(_row(minute))
    return part


def _row(minute: int) -> SegmentRow:
    return SegmentRow(
        path=str(minute), camera="front", run="line", stream=0, start_wall_ns=0, end_wall_ns=0,
        start_media_ns=0, end_media_ns=0, first_packet=0, last_packet=0, frames=0, video_bytes=0,
        message_bytes=0, codec="h264", width=1, height=1, timescale=1, base_pts=0,
    )  # fmt: skip


def measure(report: Report, minutes: int) -> None:
    """Add the rows."""
    with tempfile.TemporaryDirectory() as folder:
        part = record(Path(folder), minutes, OBJECTS)
        began, wall = time.process_time(), time.perf_counter()
        result = replay.replay(part)
        spent, wall = time.process_time() - began, time.perf_counter() - wall
        hour = 60 / minutes
        said = result.first or f"{result.stages[0].compared} frames equal"
        report.add(
            "C3 replay of an hour of tracks and alerts, 20 objects", "s of CPU", spent * hour,
            target="at most 60", met=lambda v: v <= 60 and not result.first, of="ours",
            note=f"{wall * hour:.0f} s by the clock; {said}",
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        empty = record(Path(folder), max(1, minutes // 10), 0)
        journal = sum(
            len(one.data) for row in empty.rows for one in empty.raw(row).get("journal", ())
        )
        report.add(
            "C4 journal of an hour without objects", "MB",
            journal / 1e6 * 60 / len(empty.rows), target="at most 3", met=lambda v: v <= 3,
            of="ours",
        )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("replay", __doc__)
    with harness.report("replay", asked.out) as report:
        measure(report, 3 if asked.short else 60)


if __name__ == "__main__":
    main()
