"""The camera process: frames of one source into shared memory, a descriptor for each to whoever
listens. Reconnects by itself; never waits for a reader."""

from dataclasses import replace

from perception import clock
from perception.errors import SourceEnded, SourceError, SourceLost
from perception.launchfile.build import make_source, slots_for, wants_metadata
from perception.processes.metadata import MetadataLine
from perception.processes.packets import Packets
from perception.processes.runtime import Runtime
from perception.sources import Image, Source
from perception.sources.backoff import Backoff
from perception.transport.bus import Publisher
from perception.transport.push_queue import Pusher
from perception.transport.ring import RingWriter
from perception.transport.rundir import ring_base
from perception.transport.sockets import OWN_MOTION
from perception.wire import Coding, FrameMessage, OwnMotion, Stamp, make_id
from perception.wire.plan import CameraPlan

MAX_LINGER_S = 1.0
MOTION_S = 0.005
"""Own motion that tracking does not take in so long is not told: the next frame tells it again."""
LIVE = ("rtsp", "mpegts", "rtp", "rtmp", "hls", "mjpeg", "snapshot", "webcam")
"""Sources that may be well again after a picture that cannot be used; a file never is."""


def run(runtime: Runtime) -> None:
    """Read the source until it ends or the run stops."""
    camera = runtime.plan.cameras[runtime.process.cameras[0]]
    readers = runtime.plan.packet_readers(camera.name)
    packets = Packets(runtime, camera, readers) if readers else None
    metadata = MetadataLine(runtime, camera.name) if wants_metadata(camera) else None
    source = make_source(
        camera,
        runtime.run_dir,
        packets.tap if packets else None,
        metadata.tap if metadata else None,
    )
    publisher = Publisher(runtime.run_dir, "frames", camera.name)
    backoff = Backoff()
    line = _Line(runtime, camera, publisher, packets, metadata)
    runtime.ready(publisher)
    try:
        while not runtime.stopping:
            runtime.turn()
            try:
                source.open()
                line.read_all(source, backoff)
            except SourceEnded:
                return
            except SourceError as lost:
                if not may_come_back(camera, lost):
                    raise
                _offline(runtime, camera, str(lost))
                source.close()
                _wait(runtime, backoff.failed(getattr(lost, "retry_after_s", 0.0)))
    finally:
        source.close()
        line.close(linger_s=min(camera.keep_s, MAX_LINGER_S))


def may_come_back(camera: CameraPlan, error: SourceError) -> bool:
    """Whether a source that failed is tried again, and not given up."""
    return isinstance(error, SourceLost) or camera.source.type in LIVE


class _Line:
    """Writes what a source reads: the ring is made when the first frame tells its size."""

    def __init__(
        self,
        runtime: Runtime,
        camera: CameraPlan,
        publisher: Publisher,
        packets: Packets | None,
        metadata: MetadataLine | None,
    ) -> None:
        self._runtime, self._camera, self._publisher = runtime, camera, publisher
        self._packets, self._metadata = packets, metadata
        self._ring: RingWriter | None = None
        self._n = 0
        self._motion: Pusher | None = None

    def read_all(self, source: Source, backoff: Backoff) -> None:
        runtime, name = self._runtime, self._camera.name
        online, allocate = False, _Slot(self, source)
        while not runtime.stopping:
            runtime.turn()
            try:
                frame = source.read(allocate)
            finally:
                if self._packets is not None:
                    self._packets.send()
                if self._metadata is not None:
                    self._metadata.send()
            for cause, count in source.counters.items():
                runtime.metrics.counters[f"source.{name}.{cause}"] = count
            if frame is None or self._ring is None:
                continue
            if not online:
                online = True
                _online(runtime, self._camera)
            backoff.healthy()
            stamp = Stamp(
                camera=name,
                frame_id=make_id(runtime.epoch, self._n),
                t_media_ns=frame.t_media_ns,
                t_arrival_ns=frame.t_arrival_ns,
                t_wall_ns=clock.wall_ns() - (clock.monotonic_ns() - frame.t_arrival_ns),
            )
            ring, slot, generation = self._ring.commit(stamp.frame_id, stamp.t_media_ns)
            age_ns = clock.monotonic_ns() - frame.t_arrival_ns
            runtime.metrics.latency(f"camera.{name}", age_ns)
            pixels = frame.pixels
            self._publisher.send(
                FrameMessage(
                    stamp=stamp, ring=ring, slot=slot, generation=generation,
                    width=pixels.width, height=pixels.height, coding=pixels.coding,
                    damage=frame.damage,
                )
            )  # fmt: skip
            if frame.own is not None:
                self._say_motion(frame.own, frame.t_arrival_ns)
            self._n += 1
            runtime.metrics.count(f"read.{name}")
            if frame.t_received_ns:
                decoding_ns = frame.t_arrival_ns - frame.t_received_ns
                runtime.metrics.latency(f"decoder.{name}", decoding_ns)
            if frame.damage != "none":
                runtime.metrics.count(f"damaged.{name}.{frame.damage}")

    def _say_motion(self, own: OwnMotion, t_ns: int) -> None:
        """Tell tracking how the vehicle moves, as user code would."""
        if self._motion is None:
            self._motion = Pusher(self._runtime.run_dir, OWN_MOTION)
        self._motion.send(replace(own, t_monotonic_ns=t_ns), MOTION_S)

    def ring_for(self, source: Source) -> RingWriter:
        """Return the ring, made with the first frame: now the source knows its rate."""
        if self._ring is None:
            base = ring_base(self._runtime.run_dir, self._camera.name)
            self._ring = RingWriter(base, slots_for(self._camera, source.fps))
        return self._ring

    def close(self, linger_s: float) -> None:
        """Give late readers time for the last frames, then remove the ring."""
        deadline = clock.monotonic_ns() + clock.to_ns(linger_s)
        while self._ring is not None and clock.monotonic_ns() < deadline:
            self._runtime.turn()
            clock.sleep_until(min(deadline, clock.monotonic_ns() + 50 * clock.NS_PER_MS))
        if self._packets is not None:
            self._packets.close()
        if self._motion is not None:
            self._motion.close()
        if self._metadata is not None:
            self._metadata.close()
        self._publisher.close()
        if self._ring is not None:
            self._ring.close()


class _Slot:
    """The Allocate of a camera: the next slot of its ring, for BGR or for a decoder's planes."""

    def __init__(self, line: _Line, source: Source) -> None:
        self._line, self._source = line, source

    def __call__(self, height: int, width: int) -> Image:
        return self._line.ring_for(self._source).begin(height, width)

    def planes(self, height: int, width: int, coding: Coding) -> Image:
        return self._line.ring_for(self._source).begin(height, width, coding)


def _online(runtime: Runtime, camera: CameraPlan) -> None:
    runtime.metrics.gauge(f"online.{camera.name}", 1)
    runtime.note("")
    runtime.log.info("source online", camera=camera.name, source=camera.source.type)


def _offline(runtime: Runtime, camera: CameraPlan, why: str) -> None:
    runtime.metrics.gauge(f"online.{camera.name}", 0)
    runtime.metrics.count(f"lost.{camera.name}")
    runtime.note(f"offline: {why}")
    runtime.log.warning("source lost", camera=camera.name, reason=why)


def _wait(runtime: Runtime, seconds: float) -> None:
    """Wait, turning, so that a back-off is no hang."""
    deadline = clock.monotonic_ns() + clock.to_ns(seconds)
    while not runtime.stopping and clock.monotonic_ns() < deadline:
        runtime.turn()
        runtime.wait(0.2)
