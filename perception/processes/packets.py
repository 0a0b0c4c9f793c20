"""Coded packets of a camera to whoever records or shows the stream; part of the camera process."""

import numpy as np

from perception import clock
from perception.footage.fragments import Fragment
from perception.processes.runtime import Runtime
from perception.sources.tap import PacketTap
from perception.transport.bus import Publisher
from perception.wire import MAX_MESSAGE_BYTES, PACKET_BLOCK, PacketMessage, Stamp, make_id
from perception.wire.plan import CameraPlan

_SAY_UNSUPPORTED_NS = clock.NS_PER_S
_SETTLE_NS = 100 * clock.NS_PER_MS
START_S = 5.0


class Packets:
    """Publishes what a tap has taken. A packet that is too large for a message is counted lost.

    readers: how many processes take the packets.
    """

    def __init__(self, runtime: Runtime, camera: CameraPlan, readers: int) -> None:
        self.tap = PacketTap()
        self._runtime, self._name = runtime, camera.name
        self._publisher = Publisher(runtime.run_dir, "packets", camera.name, readers=readers)
        self._n = self._told_lost = self._said_ns = self._connected_ns = 0
        self._begun_ns = clock.monotonic_ns()

    def send(self) -> None:
        """Send what is complete; wait for the readers first, START_S at most.

        The subscription follows the connection: what is sent in between would be missed.
        """
        now = clock.monotonic_ns()
        if not self._connected_ns and self._publisher.is_connected():
            self._connected_ns = now
        waited = now - self._begun_ns > clock.to_ns(START_S)
        if not waited and (not self._connected_ns or now - self._connected_ns < _SETTLE_NS):
            return
        for fragment in self.tap.take():
            self._send(fragment)
        if self.tap.unsupported and clock.monotonic_ns() - self._said_ns > _SAY_UNSUPPORTED_NS:
            self._said_ns = clock.monotonic_ns()
            self._publisher.send(self._unsupported())

    def close(self) -> None:
        """Send the last packet and end."""
        self.tap.broken()
        self.send()
        self._publisher.close()

    def _send(self, fragment: Fragment) -> None:
        header = fragment.header if fragment.key else b""
        data = header + fragment.data
        if len(data) > MAX_MESSAGE_BYTES - 4 * PACKET_BLOCK:
            self._runtime.metrics.count(f"packets_too_large.{self._name}")
            self.tap.lost += 1
            return
        rows = -(-len(data) // PACKET_BLOCK)
        blocks = np.zeros((rows, PACKET_BLOCK), np.uint8)
        blocks.reshape(-1)[: len(data)] = np.frombuffer(data, np.uint8)
        lost, self._told_lost = self.tap.lost - self._told_lost, self.tap.lost
        times = fragment.tag
        self._publisher.send(
            PacketMessage(
                stamp=self._stamp(times.t_media_ns or 0, times.t_arrival_ns),
                stream=fragment.stream, key=fragment.key, pts=fragment.pts,
                timescale=fragment.timescale, codec=fragment.codec,
                width=fragment.width, height=fragment.height,
                header_bytes=len(header), lost=lost, size=len(data), blocks=blocks,
            )
        )  # fmt: skip
        self._n += 1
        self._runtime.metrics.count(f"packets.{self._name}")

    def _unsupported(self) -> PacketMessage:
        """Return the message that says that MP4 cannot hold this source's codec."""
        return PacketMessage(
            stamp=self._stamp(0, clock.monotonic_ns()), stream=0, key=True, pts=0, timescale=0,
            codec=self.tap.unsupported[:64], width=0, height=0, header_bytes=0, lost=0, size=0,
            blocks=np.empty((0, PACKET_BLOCK), np.uint8),
        )  # fmt: skip

    def _stamp(self, t_media_ns: int, t_arrival_ns: int) -> Stamp:
        return Stamp(
            camera=self._name,
            frame_id=make_id(self._runtime.epoch, self._n),
            t_media_ns=t_media_ns,
            t_arrival_ns=t_arrival_ns,
            t_wall_ns=clock.wall_ns() - (clock.monotonic_ns() - t_arrival_ns),
        )
