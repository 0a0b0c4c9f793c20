"""Passes on a source's coded packets, for recording and for viewers, beside the decoded frames.

The thread that demuxes adds packets and the media times of the decoded pictures. The camera process
takes complete fragments. Where it is too slow, fragments are dropped up to the next key frame.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import av
from av.error import FFmpegError
from av.video.stream import VideoStream

from perception.footage.fragments import Fragment, Fragmenter, UnsupportedCodec

MAX_BYTES = 8 << 20
"""Limit of the complete fragments that wait for the reader, bytes. More are dropped."""
_REORDER = 17
"""After this number of packets a media time is estimated. H.264 delays at most 16 pictures."""


@dataclass(slots=True)
class PacketTime:
    """Times of a packet. t_media_ns: None until its picture was decoded."""

    pts: int | None
    t_media_ns: int | None
    t_arrival_ns: int


@runtime_checkable
class Tapped(Protocol):
    """A source that can pass on its coded packets."""

    tap: "PacketTap | None"


class PacketTap:
    """Queue of fragments between a source's thread and the camera process. It is thread-safe.

    unsupported: why the packets cannot be written to MP4; "": they can. lost: number of fragments
    and packets that were dropped.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lock = threading.Lock()
        self._fragments = Fragmenter()
        self._open: deque[PacketTime] = deque()
        self._done: deque[Fragment] = deque()
        self._bytes, self._max_bytes = 0, max_bytes
        self._until_key = False
        self._offset_ns: int | None = None
        self._ns_per_tick = 0.0
        self.unsupported = ""
        self.lost = 0

    def packet(self, packet: "av.Packet[VideoStream]", source: VideoStream, now_ns: int) -> None:
        """Add a demuxed packet, before its pictures. now_ns: its arrival, monotonic time."""
        if self.unsupported or not packet.size:
            return
        with self._lock:
            base = packet.time_base or source.time_base
            self._ns_per_tick = float(base) * 1e9 if base else 0.0
            times = PacketTime(packet.pts, None, now_ns)
            self._open.append(times)
            if len(self._open) > _REORDER:
                self._estimate(self._open.popleft())
            try:
                self._keep(self._fragments.add(packet, source, times))
            except UnsupportedCodec as error:
                self.unsupported = str(error)
            except (FFmpegError, ValueError):
                self.lost += 1
                self._keep(self._fragments.end())

    def picture(self, pts: int | None, t_media_ns: int) -> None:
        """Set the media time of the packet with this pts, when its picture was decoded."""
        with self._lock:
            if pts is not None:
                self._offset_ns = t_media_ns - round(pts * self._ns_per_tick)
            for times in self._open:
                if times.pts == pts:
                    times.t_media_ns = t_media_ns
                    self._open.remove(times)
                    return

    def broken(self) -> None:
        """Record that the connection has ended: the next packet begins a new stream."""
        with self._lock:
            for times in self._open:
                self._estimate(times)
            self._open.clear()
            self._offset_ns = None
            try:
                self._keep(self._fragments.end())
            except (FFmpegError, ValueError):
                self.lost += 1

    def take(self) -> list[Fragment]:
        """Return the complete fragments with a media time, in decoding order.

        The tag of a fragment is its PacketTime. The newest one is complete at the next packet.
        """
        taken: list[Fragment] = []
        with self._lock:
            while self._done and self._done[0].tag.t_media_ns is not None:
                fragment = self._done.popleft()
                self._bytes -= len(fragment.data)
                taken.append(fragment)
        return taken

    def _keep(self, fragments: list[Fragment]) -> None:
        for fragment in fragments:
            self._until_key = self._until_key and not fragment.key
            if self._until_key or self._bytes + len(fragment.data) > self._max_bytes:
                self._until_key = True
                self.lost += 1
                continue
            self._done.append(fragment)
            self._bytes += len(fragment.data)

    def _estimate(self, times: PacketTime) -> None:
        """Estimate the media time of a packet without a picture: from the last picture's offset of
        media time and pts, else its arrival."""
        if times.t_media_ns is not None:
            return
        if self._offset_ns is None or times.pts is None:
            times.t_media_ns = times.t_arrival_ns
        else:
            times.t_media_ns = self._offset_ns + round(times.pts * self._ns_per_tick)
