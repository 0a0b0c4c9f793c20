"""Hands on the data that a transport stream has beside its video (KLV), with its media time.

The thread that demuxes adds packets; the camera process takes them. Imports PyAV.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import av
from av.container import InputContainer

MAX_WAITING = 256
MAX_BYTES = 10_000
"""A packet that is larger is no KLV of a vehicle."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """A packet's bytes. t_media_ns: of the picture that it belongs to. t_arrival_ns: monotonic."""

    t_media_ns: int
    t_arrival_ns: int
    data: bytes


@runtime_checkable
class HasMetadata(Protocol):
    """A source that can hand on the data beside its video."""

    metadata: "MetadataTap | None"


class MetadataTap:
    """Between a source's thread and the camera process; both may call every method.

    lost: packets that were too large, came before the first picture or were not taken in time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Metadata] = deque()
        self._newest: tuple[int | None, int] | None = None
        self.lost = 0

    def streams(self, container: InputContainer) -> list[Any]:
        """Return the data streams of a container."""
        return [stream for stream in container.streams if stream.type == "data"]

    def picture(self, pts_ns: int | None, t_media_ns: int) -> None:
        """Say which media time the decoded picture of a presentation time was given."""
        with self._lock:
            self._newest = pts_ns, t_media_ns

    def packet(self, packet: "av.Packet[Any]", now_ns: int) -> None:
        """Add a packet: synchronous by its own time, asynchronous by the newest picture's."""
        if not packet.size:
            return
        with self._lock:
            if self._newest is None or packet.size > MAX_BYTES:
                self.lost += 1
                return
            pts_ns, t_media_ns = self._newest
            if packet.pts is not None and pts_ns is not None:
                own_ns = round(packet.pts * packet.time_base * 1_000_000_000)
                t_media_ns += own_ns - pts_ns
            self._waiting.append(Metadata(t_media_ns, now_ns, bytes(packet)))
            if len(self._waiting) > MAX_WAITING:
                self._waiting.popleft()
                self.lost += 1

    def take(self) -> list[Metadata]:
        """Return what has come, oldest first."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken
