"""Sources of frames: cameras, streams and files. A source is an object in the camera process.

To add one: a file with a class that fits Source, and one row in SOURCES. Imports transport and
below.
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
from perception.wire import Coding, Damage, OwnMotion

Image = NDArray[np.uint8]
Allocate = Callable[[int, int], Image]
"""From height and width to a C-contiguous, writable array uint8 (H, W, 3) for the frame."""


@runtime_checkable
class TakesPlanes(Protocol):
    """An Allocate that also gives arrays for YUV planes. A source may use either method."""

    def __call__(self, height: int, width: int, /) -> Image: ...

    def planes(self, height: int, width: int, coding: Coding) -> Image:
        """Return a C-contiguous, writable uint8 (H * 3 / 2, W) for planes; layout: see Pixels."""
        ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. image: uint8 (H, W, 3) BGR, or uint8 (H * 3 / 2, W) planes where coding is not
    bgr.

    t_media_ns: media time, of the source's timeline. t_arrival_ns: monotonic time. coding: not bgr
    only where the Allocate takes planes. name: file name, for stills only. damage: see damage.py.
    t_received_ns: monotonic time at which the last packet of the frame was received; 0: no stream.
    own: motion of the vehicle at this frame, if the source knows it.
    """

    image: Image
    t_media_ns: int
    t_arrival_ns: int
    coding: Coding = "bgr"
    name: str = ""
    damage: Damage = "none"
    t_received_ns: int = 0
    own: OwnMotion | None = None

    @property
    def pixels(self) -> Pixels:
        """The image with its coding."""
        return Pixels(self.image, self.coding)


class Source(Protocol):
    """A camera, file or stream.

    live: true: frames come in real time (a camera); false: as fast as they are read (a file).
    fps: frames per second; None: unknown. counters: repaired and rejected inputs by name; they
    never decrease.
    """

    live: bool
    counters: dict[str, int]

    @property
    def fps(self) -> float | None: ...

    def open(self) -> None:
        """Open the source. Raises SourceError if it cannot work, SourceLost if a retry may help.

        A live source returns after at most 0.5 s and may still be connecting then. It is online
        with its first frame. read() raises SourceLost where the connection fails later.
        """
        ...

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame. None: there was none within 0.5 s, call again.

        The frame's image is the array that `allocate` returned last, maybe in an earlier call that
        returned None: keep that array until read() returns a frame or raises. Raises SourceEnded
        after the last frame, SourceLost when the connection is lost (then close, wait and open).
        """
        ...

    def close(self) -> None:
        """Free all resources. Safe to call twice, and on a source that was never opened."""
        ...


class SourceType(Protocol):
    """The class of a source. Options: model of its launch file options.

    run_dir: directory of the run's sockets, for sources that other processes feed.
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
"""Types that can pass on coded packets (tap.py)."""
WITH_METADATA = ("mpegts",)
"""Live types that can pass on the data beside their video (metadata.py)."""


def source_class(name: str) -> SourceType:
    """Return the class of a source type. Raises ConfigError with the nearest name if unknown."""
    return load(SOURCES, "perception.sources", name)


def allocate_new(height: int, width: int) -> Image:
    """Return a new array uint8 (H, W, 3): the Allocate for readers without a ring."""
    return np.empty((height, width, 3), np.uint8)


class AllocatePlanes:
    """The Allocate with planes for readers without a ring."""

    def __call__(self, height: int, width: int) -> Image:
        """Return a new BGR image."""
        return allocate_new(height, width)

    def planes(self, height: int, width: int, coding: Coding) -> Image:
        """Return a new array for planes."""
        return np.empty(shape_of(height, width, coding), np.uint8)
