"""The recorder process: packets and messages of the recorded cameras to the disk.

It only passes them to the writer's thread. A camera without packets is encoded from its frames.
"""

import dataclasses
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from perception import clock
from perception.errors import ConfigError, RingError, SlotOverwritten
from perception.footage import manifest
from perception.footage.camera import Options
from perception.footage.encoding import FrameEncoder
from perception.footage.fragments import Fragment
from perception.footage.lock import FolderLock
from perception.footage.looks import Looks
from perception.footage.messages import LoggedMessage
from perception.footage.retention import Limits
from perception.footage.seen import SeenTracks
from perception.footage.segment import PacketStamp
from perception.footage.writer import Writer
from perception.processes.gaps import Gaps
from perception.processes.runtime import Runtime
from perception.transport.bus import Inbox
from perception.transport.catch_up import catch_up
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base
from perception.transport.sockets import journal_name
from perception.wire import (
    AlertMessage,
    DetectionMessage,
    FrameMessage,
    IdentityMessage,
    Message,
    PacketMessage,
    TrackMessage,
    make_id,
)
from perception.wire.codec import encode_record, record_table
from perception.wire.plan import CameraPlan, Plan

TOPICS = ("detections", "tracks", "alerts", "identities", "journal")
_WAIT_MS = 20
_IDLE_NS = 2 * clock.NS_PER_S
_NO_GREY = np.empty((0, 0), np.uint8)
"""Grey pictures are not recorded: twice the bytes of the video, and the video has them."""
_HANG_NS = 5 * clock.NS_PER_S


def run(runtime: Runtime) -> None:
    """Record until the run stops."""
    names, plan = runtime.process.cameras, runtime.plan
    asked = plan.recordings
    if asked is None:
        raise ConfigError("this line records nothing")
    root = Path(asked.folder)
    lock = FolderLock(root)
    limits = Limits(asked.max_bytes, asked.min_free_bytes, asked.half_life_days)
    options = {
        name: Options(**(plan.cameras[name].record or {}), manifest=manifest.entry(plan, name))
        for name in names
    }
    writer = Writer(root, plan.name, options, limits, record_table)
    packets = Inbox(runtime.run_dir, "packets", names)
    frames = Inbox(runtime.run_dir, "frames", names)
    topics = {
        topic: Inbox(runtime.run_dir, topic, _publishers(plan, topic, names)) for topic in TOPICS
    }
    for inbox in (packets, frames, *topics.values()):
        runtime.count_rejected(inbox.rejected)
    lines = {name: _Line(runtime, plan.cameras[name], writer) for name in names}
    writer.start()
    runtime.ready(packets, frames, *topics.values())
    try:
        while not runtime.stopping:
            runtime.turn()
            _take_all(packets, frames, topics, lines, _WAIT_MS)
            if runtime.took_new_plan():
                for name, line in lines.items():
                    line.zones(runtime.plan.cameras[name].zones)
            for line in lines.values():
                line.turn()
            _report(runtime, writer)
        for _ in range(20):
            if not _take_all(packets, frames, topics, lines, 20):
                break
    finally:
        for line in lines.values():
            line.close()
        if not writer.end():
            runtime.log.error("recordings: the disk did not take what waited")
        _report(runtime, writer)
        for inbox in (packets, frames, *topics.values()):
            inbox.close()
        lock.close()


def _take_all(
    packets: Inbox, frames: Inbox, topics: dict[str, Inbox], lines: "dict[str, _Line]", wait_ms: int
) -> int:
    """Take what waits; wait for the frames of a camera that is encoded: only the newest stays."""
    count = 0
    encodes = any(line.encodes for line in lines.values())
    for message in frames.poll(wait_ms) if encodes else ():
        lines[message.stamp.camera].frame(message)
    for message in packets.poll(0 if encodes else wait_ms):
        lines[message.stamp.camera].packet(message)
        count += 1
    for topic, inbox in topics.items():
        for message in inbox.poll(0):
            lines[message.stamp.camera].message(topic, message)
            count += 1
    return count


def _publishers(plan: Plan, topic: str, names: list[str]) -> list[str]:
    """Return the names under which a topic of the recorded cameras is published."""
    if topic == "identities":
        return [name for name in names if name in plan.cameras_of("identity")]
    if topic == "lanes":
        return [name for name in names if name in plan.cameras_of("lanes")]
    if topic == "journal":
        return [journal_name(name, kind) for name in names for kind in ("tracking", "alert")]
    return names


def _report(runtime: Runtime, writer: Writer) -> None:
    counters = runtime.metrics.counters
    for name, count in writer.frames().items():
        counters[f"recorded.{name}"] = count
    counters["recordings.deleted"] = writer.deleted
    counters["recordings.repaired"] = writer.repaired
    if writer.set_aside is not None:
        runtime.log.error("catalog was damaged and set aside", moved_to=str(writer.set_aside))
        writer.set_aside = None
    since = writer.busy_since_ns
    hangs = bool(since) and clock.monotonic_ns() - since > _HANG_NS
    trouble = "the disk does not answer" if hangs else writer.trouble
    runtime.note(f"recording: {trouble}" if trouble else "")


class _Line:
    """One camera."""

    def __init__(self, runtime: Runtime, camera: CameraPlan, writer: Writer) -> None:
        self._runtime, self._camera, self._writer = runtime, camera, writer
        self._name = camera.name
        self.encodes = not camera.has_packets
        self._header = b""
        self._encoder: FrameEncoder | None = None
        self._reader = RingReader()
        self._n = self._last_frame = self._frame_ns = self._streams = 0
        self._seen, self._looks = SeenTracks(camera.zones), Looks()
        self._gaps, self._track_frame = Gaps(), -1

    def packet(self, message: PacketMessage) -> None:
        """Take a packet of the camera's own stream."""
        stamp = message.stamp
        if message.lost:
            wall = stamp.t_wall_ns
            self._writer.lost(self._name, "queue of the camera", message.lost, wall)
        if not message.timescale:
            if not self.encodes:
                self._runtime.log.warning(
                    "encoded for recording", camera=self._name, reason=message.codec
                )
            self.encodes = True
            return
        self.encodes = False
        data = message.blocks.tobytes()[: message.size]
        if message.header_bytes:
            self._header = data[: message.header_bytes]
        fragment = Fragment(
            data[message.header_bytes :], self._header, message.stream, message.key, message.pts,
            0, message.timescale, message.codec, message.width, message.height, None,
        )  # fmt: skip
        arrived = PacketStamp(stamp.frame_id, stamp.t_media_ns, stamp.t_arrival_ns, stamp.t_wall_ns)
        self._writer.packet(self._name, fragment, arrived)

    def frame(self, message: FrameMessage) -> None:
        """Encode a frame of a camera without packets."""
        if not self.encodes:
            return
        if self._encoder is None:
            self._encoder = FrameEncoder(self._streams << 16)
        self._frame_ns = clock.monotonic_ns()
        if self._last_frame and (missed := message.stamp.frame_id - self._last_frame - 1) > 0:
            self._runtime.metrics.count(f"dropped.{self._name}.not_recorded", missed)
        self._last_frame = message.stamp.frame_id
        place = message.ring, message.slot, message.generation
        try:
            pixels = self._reader.pixels(*place, message.height, message.width, message.coding)
            done = self._encoder.add(pixels, message.stamp.t_media_ns, message.stamp)
            self._reader.check(*place)
        except (SlotOverwritten, RingError):
            self._runtime.metrics.count(f"dropped.{self._name}.not_recorded")
            return
        self._write(done)

    def message(self, topic: str, message: Message) -> None:
        """Record a message; tracks that are confirmed and alerts are noted besides."""
        if isinstance(message, TrackMessage):
            if self._gaps.before(message.message_id) and not self._runtime.stopping:
                self._catch_up(message)
            self._gaps.missed(message.message_id)
            self._track_frame = message.stamp.frame_id
        self._record(topic, message)

    def _catch_up(self, until: TrackMessage) -> None:
        """Record the messages before one that a restart of tracking has kept from this process."""
        for message in catch_up(self._runtime.run_dir, self._name, self._track_frame):
            if self._gaps.last < message.message_id < until.message_id:
                self._gaps.missed(message.message_id)
                self._record("tracks", message)

    def _record(self, topic: str, message: Message) -> None:
        stamp = message.stamp  # type: ignore[union-attr]
        if isinstance(message, DetectionMessage):
            crc = zlib.crc32(message.grey.tobytes())
            message = dataclasses.replace(message, grey=_NO_GREY, grey_crc=crc)
        data = encode_record(message)
        self._writer.message(
            self._name, LoggedMessage(topic, stamp.t_wall_ns, stamp.t_media_ns, data)
        )
        if isinstance(message, TrackMessage):
            for row in self._seen.take(message):
                self._writer.track(self._name, row)
            self._look(message)  # after take: of a track that is not known no colours are kept
        elif isinstance(message, IdentityMessage):
            who = message.who if message.state == "known" else "unknown"
            if message.state != "undecided":
                self._seen.identify(message.track_id, who)
        elif isinstance(message, AlertMessage) and message.alert.state == "raised":
            self._seen.alerted(message.alert.track_id)
            self._writer.alert(self._name, message.alert.key, message.alert.start_t_media_ns)

    def _look(self, message: TrackMessage) -> None:
        """Note the colours of tracks that are seen well, where the ring has the frame."""
        due = self._looks.due(message, clock.monotonic_ns())
        if not due:
            return
        began_ns = time.thread_time_ns()
        base = ring_base(self._runtime.run_dir, self._name)
        try:
            picture = self._reader.picture(base, message.stamp.frame_id)
        except RingError:
            picture = None
        if picture is not None and picture.frame_id == message.stamp.frame_id:
            for at in due:
                self._seen.coloured(*self._looks.add(message, at, picture.image))
        self._looks.spent(clock.monotonic_ns(), time.thread_time_ns() - began_ns)

    def zones(self, zones: dict[str, Any]) -> None:
        """Take the zones of a changed plan."""
        self._seen.zones = zones

    def turn(self) -> None:
        """Write the encoder's last picture where no other comes."""
        if self._encoder is not None and clock.monotonic_ns() - self._frame_ns > _IDLE_NS:
            self.close()

    def close(self) -> None:
        """Write the encoder's last picture."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            self._write(encoder.end())
            self._streams += 1

    def _write(self, done: list[Fragment]) -> None:
        for fragment in done:
            stamp = fragment.tag
            packet_id = make_id(self._runtime.epoch, self._n)
            self._n += 1
            arrived = PacketStamp(packet_id, stamp.t_media_ns, stamp.t_arrival_ns, stamp.t_wall_ns)
            self._writer.packet(self._name, fragment, arrived)
