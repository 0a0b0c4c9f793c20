"""Small videos and pictures that tests make for themselves, and a video played as a webcam."""

import threading
from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from perception.errors import SourceEnded
from perception.pixels import Pixels, shape_of
from perception.sources import Allocate, Frame, allocate_new
from perception.wire import Coding


def write_clip(
    path: Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (320, 240),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    fps: int = 25,
    stamps: Sequence[int] | None = None,
    colour: tuple[int, int, int] | None = None,
    options: dict[str, str] | None = None,
    tags: tuple[int, int] | None = None,
    picture: NDArray[np.uint8] | None = None,
) -> Path:
    """Write a clip whose frame n is grey of level 4 n, or all of one BGR colour; return its path.

    picture: uint8 (H, W, 3) BGR that all frames show instead.

    size: (width, height) px. stamps: pts of each frame in 1 / fps s. tags: the colour space and
    range of ITU-T H.273 that it is converted to and tagged with.
    """
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if tags is not None:
            context = stream.codec_context
            context.colorspace, context.color_range = tags
        out.start_encoding()
        for n in range(frames):
            pixels = _picture(n, size, colour) if picture is None else picture
            frame = av.VideoFrame.from_ndarray(pixels, "bgr24")
            # One thread: with more, swscale writes wrong pixels at the seams of odd widths.
            colours = {"dst_colorspace": tags[0], "dst_color_range": tags[1]} if tags else {}
            frame = frame.reformat(format=pix_fmt, threads=1, **colours)
            if stamps is not None:
                frame.pts, frame.time_base = stamps[n], Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def _picture(
    n: int, size: tuple[int, int], colour: tuple[int, int, int] | None
) -> NDArray[np.uint8]:
    picture = np.empty((size[1], size[0], 3), np.uint8)
    picture[:] = (4 * n % 256,) * 3 if colour is None else colour
    return picture


class ClipDevice:
    """OpenCV's capture of a webcam, played by a clip: hangs or is unplugged when told."""

    def __init__(self, clip: Path) -> None:
        self._clip = clip
        self._capture: Any = cv2.VideoCapture(str(clip), cv2.CAP_FFMPEG)
        self._gone = threading.Event()
        self.hung = threading.Event()
        self.in_place = 0
        self.isOpened, self.get = self._capture.isOpened, self._capture.get

    def grab(self) -> bool:
        if self.hung.is_set():
            self._gone.wait()
        return not self._gone.wait(0.01) and self._capture.grab()

    def retrieve(self, image: Any) -> tuple[bool, Any]:
        ok, pixels = self._capture.retrieve(image)
        self.in_place += pixels is image
        return ok, pixels

    def unplug(self) -> None:
        self._gone.set()

    def release(self) -> None:
        self._capture.release()


def play(source: Any, at_most: int = 10_000, allocate: Allocate = allocate_new) -> list[Frame]:
    """Return every frame of a source until its end, at most so many."""
    got: list[Frame] = []
    with closing(source):
        source.open()
        while len(got) < at_most:
            try:
                frame = source.read(allocate)
            except SourceEnded:
                break
            if frame is not None:
                got.append(frame)
    return got


def solid(y: int, u: int, v: int, coding: Coding, height: int = 48, width: int = 64) -> Pixels:
    """Return a picture of one colour that stands as planes."""
    data = np.empty(shape_of(height, width, coding), np.uint8)
    pixels = Pixels(data, coding)
    for plane, level in zip(pixels.planes(), (y, u, v), strict=True):
        plane[:] = level
    return pixels
