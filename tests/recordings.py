"""Recordings made without a line: the stages' own objects, and the recorder's own files."""

import dataclasses
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from perception.alerts.book import AlertBook
from perception.footage import manifest
from perception.footage.camera import CameraRecorder, Options
from perception.footage.catalog import Catalog
from perception.footage.chain import Chain
from perception.footage.fragments import Fragment
from perception.footage.messages import LoggedMessage
from perception.footage.seen import SeenTracks
from perception.footage.segment import PacketStamp
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
    TrackMessage,
    make_id,
)
from perception.wire.codec import encode_record, record_table
from perception.wire.journal import to_text
from perception.wire.plan import Plan

S = 1_000_000_000
WALL = 1_795_780_000 * S
WIDTH, HEIGHT = 1280, 720
ZONES = {"porch": [[0.3, 0.3], [0.9, 0.3], [0.9, 1.0], [0.3, 1.0]]}
RULES = {
    "inside": {"type": "zone", "zone": "porch"},
    "stays": {"type": "dwell", "zone": "porch", "seconds": 2.0},
}
Alter = Callable[[int, DetectionMessage], DetectionMessage]


def plan(**camera: Any) -> Plan:
    """Return the plan of one camera `door` with zone and rules."""
    data = {
        "name": "line",
        "detectors": {"default": {"type": "motion"}},
        "cameras": {"door": {"source": "push", "zones": ZONES, "rules": RULES, **camera}},
    }
    document = Document("launch.yaml", data, {})
    return resolving.resolve(document.validate(config.Launch, data), document)


def detections(
    n: int, count: int, fps: int = 30, *, seed: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> DetectionMessage:
    """Return frame n of so many objects that walk to and fro, each seen in 19 of 20 frames."""
    t_ns, rng = n * S // fps, np.random.default_rng((seed, n))
    i = np.arange(count)
    phase = n / fps * (0.15 + 0.02 * i) + i * 0.61
    x = (0.1 + 0.8 * (0.5 + 0.5 * np.sin(phase))) * size[0]
    y = (0.25 + 0.6 * ((i * 0.37) % 1.0)) * size[1]
    w, h = 24 + 2 * (i % 5), 60 + 3 * (i % 7)
    boxes = np.stack([x - w / 2, y - h, x + w / 2, y], axis=1) + rng.normal(0, 0.7, (count, 4))
    scores = rng.uniform(0.5, 0.95, count)
    kept = rng.uniform(size=count) > 0.05
    return DetectionMessage(
        stamp=stamp(n, t_ns), width=size[0], height=size[1], names={0: "person"}, dropped={},
        t_taken_ns=0, t_detected_ns=0, inference_ns=0,
        detections=Detections.of(boxes[kept], scores[kept], np.zeros(int(kept.sum()))),
        grey=np.full((135, 240), 90, np.uint8), message_id=make_id(7, n),
    )  # fmt: skip


def stamp(n: int, t_ns: int) -> Stamp:
    return Stamp(
        camera="door", frame_id=make_id(3, n), t_media_ns=t_ns, t_arrival_ns=t_ns,
        t_wall_ns=WALL + t_ns,
    )  # fmt: skip


class Maker:
    """Writes frames as a line and its recorder would: detections, tracks, alerts and journal."""

    def __init__(
        self, root: Path, plan: Plan, *, states_ns: int = 60 * S, clips: bool = False
    ) -> None:
        (root / "door").mkdir(parents=True, exist_ok=True)
        self.catalog = Catalog(root)
        options = Options(
            clips=clips, before_s=1.0, after_s=1.0, manifest=manifest.entry(plan, "door")
        )
        self.recorder = CameraRecorder(
            self.catalog, Chain(root, "door"), "door", plan.name, options, record_table
        )
        self._seen = SeenTracks(plan.cameras["door"].zones)
        self.follower = build.make_follower(plan, "door", 9)
        self.book = AlertBook("door", build.make_rules(plan.cameras["door"]))
        self._camera = plan.cameras["door"]
        self.alerts = 0
        self._states_ns, self._told_ns = states_ns, -(1 << 60)
        self._n = 0

    def packet(self, fragment: Fragment, n: int, t_ns: int) -> None:
        stamped = PacketStamp(make_id(3, n), t_ns, t_ns, WALL + t_ns)
        self.recorder.packet(fragment, stamped, t_ns)

    def frame(self, found: DetectionMessage, alter: Alter | None = None) -> TrackMessage:
        """Take a frame's detections; alter: changes what is recorded, not what is tracked."""
        at, n = found.stamp, self._n
        message = self.follower.follow(found)
        message.message_id = make_id(9, n)
        due = at.t_media_ns - self._told_ns >= self._states_ns
        crc = zlib.crc32(found.grey.tobytes())
        self._write("detections", at, _stripped(alter(n, found) if alter else found, crc))
        self._write("tracks", at, message)
        if due:
            self._journal("tracking", "state", message, self.follower.state())
            self._journal("alert", "began" if not n else "state", message, self.state())
            self._told_ns = at.t_media_ns
        for alert in self.book.update(message):
            self.alerts += 1
            self._write("alerts", at, AlertMessage(stamp=at, t_alerted_ns=0, alert=alert))
            if alert.state == "raised":
                self.recorder.alert(alert.key, alert.start_t_media_ns, at.t_media_ns)
        for row in self._seen.take(message):
            self.recorder.track(row)
        self.recorder.turn(at.t_media_ns)
        self._n += 1
        return message

    def state(self) -> dict[str, Any]:
        return {"book": self.book.state(), "rules": rules_of(self._camera)}

    def name(self, message: TrackMessage, track_id: int, who: dict[str, Any]) -> None:
        """Take an identity before a message, the next one to come."""
        self.book.name(track_id, who)
        self._journal("alert", "named", message, {"track_id": track_id, "who": who})

    def close(self) -> None:
        self.recorder.close()
        self.catalog.close()

    def _journal(self, process: str, kind: Any, message: TrackMessage, data: Any) -> None:
        self._write(
            "journal",
            message.stamp,
            JournalMessage(
                stamp=message.stamp, process=process, kind=kind, message_id=message.message_id,
                data=to_text(data),
            ),
        )  # fmt: skip

    def _write(self, topic: str, at: Stamp, message: Any) -> None:
        logged = LoggedMessage(topic, at.t_wall_ns, at.t_media_ns, encode_record(message))
        self.recorder.message(logged, at.t_media_ns)


def _stripped(found: DetectionMessage, crc: int) -> DetectionMessage:
    return dataclasses.replace(found, grey=np.empty((0, 0), np.uint8), grey_crc=crc)
