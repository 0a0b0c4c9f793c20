"""Where frames come from. A source is a plain object: no socket of the line, no process.

To add one: a file with a class that fits Source, one row in SOURCES. Imports transport and below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.extensions import load
from perception.pixels import Pixels, shape_of
from perception.wire import Coding, Damage

Image = NDArray[np.uint8]
Allocate = Callable[[int, int], Image]
"""Given height and width, return a C-contiguous writable uint8 (H, W, 3) to write into."""


@runtime_checkable
class TakesPlanes(Protocol):
    """An Allocate whose owner can do with a decoder's planes; a source may use either."""

    def __call__(self, height: int, width: int, /) -> Image: ...

    def planes(self, height: int, width: int, coding: Coding) -> Image:
        """Return a C-contiguous writable uint8 (H * 3 / 2, W) for planes as Pixels has them."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """image: uint8 (H, W, 3) BGR. t_media_ns: the source's timeline. t_arrival_ns: monotonic.

    coding: other than bgr only where the Allocate takes planes: then image is uint8 (H * 3 / 2, W).
    name: the name of its file, for stills only. damage: what a loss did to it (damage.py).
    t_received_ns: monotonic, when the packet that completed it had come; 0: from no stream.
    """

    image: Image
    t_media_ns: int
    t_arrival_ns: int
    coding: Coding = "bgr"
    name: str = ""
    damage: Damage = "none"
    t_received_ns: int = 0

    @property
    def pixels(self) -> Pixels:
        """The image and what it is."""
        return Pixels(self.image, self.coding)


class Source(Protocol):
    """A camera, file or stream.

    live: frames come when they come (a camera); otherwise as fast as they are read (a file).
    fps: frames a second as far as is known, else None. counters: repaired or refused things by
    name, rising only.
    """

    live: bool
    counters: dict[str, int]

    @property
    def fps(self) -> float | None: ...

    def open(self) -> None:
        """Open it; returns within its own deadline. Raises SourceError, or SourceLost to retry.

        A live source may still be connecting when this returns (at most 0.5 s): it is online with
        its first frame, and read() raises SourceLost where the connection fails.
        """
        ...

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame, or None where none came within 0.5 s (call again).

        The frame's image is the array that `allocate` last returned, maybe in an earlier call that
        gave None: keep that array until a frame or an error comes. Raises SourceEnded
        when no more will come, SourceLost when the connection is gone (close, back off, open).
        """
        ...

    def close(self) -> None:
        """Give everything back; safe to call twice and on a source never opened."""
        ...


class SourceType(Protocol):
    """The class of a source: `Options` validates its part of a launch file, calling it makes one.

    run_dir: the run's directory of sockets, for sources that other processes feed.
    """

    Options: type[BaseModel]

    def __call__(self, options: Any, *, camera: str, run_dir: Path | None = None) -> Source: ...


SOURCES = {
    "video": "perception.sources.video:VideoSource",
    "rtsp": "perception.sources.stream:RtspSource",
    "mpegts": "perception.sources.stream:MpegTsSource",
    "rtp": "perception.sources.rtp:RtpSource",
    "rtmp": "perception.sources.web_stream:RtmpSource",
    "hls": "perception.sources.web_stream:HlsSource",
    "mjpeg": "perception.sources.web_stream:MjpegSource",
    "snapshot": "perception.sources.snapshot:SnapshotSource",
    "webcam": "perception.sources.webcam:WebcamSource",
    "images": "perception.sources.images:ImagesSource",
    "bag": "perception.sources.bag:BagSource",
    "push": "perception.sources.push:PushSource",
    "synthetic": "perception.sources.synthetic:SyntheticSource",
}

WITH_PACKETS = ("video", "rtsp", "mpegts", "rtp", "rtmp", "hls", "mjpeg")
"""Types that can hand on coded packets (tap.py)."""


def source_class(name: str) -> SourceType:
    """Return the class of a source type; ConfigError with the nearest name where there is none."""
    return load(SOURCES, "perception.sources", name)


def allocate_new(height: int, width: int) -> Image:
    """Return a new image: the Allocate for readers without a ring."""
    return np.empty((height, width, 3), np.uint8)


class AllocatePlanes:
    """The Allocate for readers without a ring that can do with planes."""

    def __call__(self, height: int, width: int) -> Image:
        """Return a new BGR image."""
        return allocate_new(height, width)

    def planes(self, height: int, width: int, coding: Coding) -> Image:
        """Return a new array for planes."""
        return np.empty(shape_of(height, width, coding), np.uint8)
