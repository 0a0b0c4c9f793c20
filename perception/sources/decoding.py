"""Copies a decoded FFmpeg frame to the array that `allocate` gave, as BGR or as YUV planes.

The planes of 8-bit YUV 4:2:0 are copied where the Allocate takes planes (0.07 ms at 720p, 0.19 ms
at 1080p: benchmarks.decode). All other formats are converted to BGR by swscale on one thread.

Measured at 1080p: swscale with one thread and one copy 1.07 ms; PyAV's to_ndarray and a copy 1.23
ms, with automatic threads 3.97 ms; cv2.cvtColor from I420 1.25 ms, for BT.601 limited range only.
swscale converts every matrix, range and format. Its fast path is up to 5 grey levels off (white is
250 253 251) and equal to cv2.VideoCapture; its accurate path takes 25.8 ms. With several threads
some pixels at the borders of slices are wrong for some widths and depths, and differ from run to
run (seen from BGR to 10 bit, 66 px wide).
"""

import io
from fractions import Fraction
from typing import cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from perception.clock import NS_PER_S
from perception.errors import SourceError
from perception.pixels import Pixels, has_planes
from perception.sources import Allocate, Image, TakesPlanes
from perception.wire import Coding

MAX_PIXELS = 1 << 26
"""Largest picture that a decoder may allocate, px (8K is half of it). Headers can be wrong."""

_TURNS = {
    90: cv2.ROTATE_90_CLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_COUNTERCLOCKWISE,
}
_PLANAR = ("yuv420p", "yuvj420p")
_BT709, _UNTAGGED, _BT470BG, _SMPTE170M, _BT2020 = 1, 2, 5, 6, 9
_FULL_RANGE = 2
_CODINGS: dict[int, tuple[Coding, Coding]] = {
    _BT709: ("bt709", "bt709-full"),
    _UNTAGGED: ("bt601", "bt601-full"),
    _BT470BG: ("bt601", "bt601-full"),
    _SMPTE170M: ("bt601", "bt601-full"),
    _BT2020: ("bt2020", "bt2020-full"),
}
"""By the matrix code of ITU-T H.273: coding for limited and for full range."""


class Painter:
    """Writes decoded frames of any pixel format to allocated arrays, upright, as BGR or as planes.

    rotate: degrees clockwise (0, 90, 180, 270), instead of the rotation in the file's metadata.
    YUV without a matrix tag is taken as BT.601, as in OpenCV and FFmpeg.
    """

    def __init__(self, rotate: int | None = None) -> None:
        self._rotate = rotate
        self._reformatter = VideoReformatter()

    def paint(self, frame: av.VideoFrame, allocate: Allocate) -> Pixels:
        """Return the array that `allocate` gave, filled with the frame, and its coding.

        Raises SourceError for a pixel format that cannot be converted.
        """
        turn = self._turn(frame)
        if turn == 0 and isinstance(allocate, TakesPlanes):
            coding = coding_of(frame)
            if coding != "bgr":
                planes = Pixels(allocate.planes(frame.height, frame.width, coding), coding)
                _copy_planes(frame, planes)
                return planes
        return Pixels(copy_rotated(self._pixels(frame), turn, allocate))

    def _pixels(self, frame: av.VideoFrame) -> Image:
        try:
            bgr = self._reformatter.reformat(frame, format="bgr24", threads=1)
            if bgr.planes[0].line_size < 0:
                # Bottom-up BGR (raw AVI): PyAV cannot give access to it, so convert it twice.
                bgr = self._reformatter.reformat(bgr, format="gbrp", threads=1)
                bgr = self._reformatter.reformat(bgr, format="bgr24", threads=1)
        except (FFmpegError, ValueError) as error:
            name = frame.format.name
            raise SourceError(f"pixel format {name!r} cannot be converted to BGR") from error
        plane = bgr.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return rows[: bgr.height, : bgr.width * 3].reshape(bgr.height, bgr.width, 3)

    def _turn(self, frame: av.VideoFrame) -> int:
        if self._rotate is not None:
            return self._rotate
        return round(-frame.rotation / 90) * 90 % 360


def coding_of(frame: av.VideoFrame) -> Coding:
    """Return the coding of the frame's planes; bgr: the planes cannot be passed on.

    Planes of interlaced frames cannot: swscale converts the chroma of each field separately.
    """
    codings = _CODINGS.get(int(frame.colorspace))
    if (
        frame.format.name not in _PLANAR
        or codings is None
        or not has_planes(frame.height, frame.width)
        or frame.interlaced_frame
        or any(plane.line_size < plane.width for plane in frame.planes)
    ):
        return "bgr"
    full = frame.format.name == "yuvj420p" or int(frame.color_range) == _FULL_RANGE
    return codings[full]


def _copy_planes(frame: av.VideoFrame, target: Pixels) -> None:
    """Copy the planes of a frame without the padding at the end of their rows."""
    for plane, place in zip(frame.planes, target.planes(), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        height, width = place.shape
        np.copyto(place, rows[:height, :width])


def configure_decoder(container: InputContainer) -> str | None:
    """Set the first video stream to one decoder thread and MAX_PIXELS.

    Return why it cannot be decoded; None: it can.
    """
    if not container.streams.video:
        return "has no video"
    # None for a codec that FFmpeg does not know. PyAV's type annotations do not say so.
    context = cast("VideoCodecContext | None", container.streams.video[0].codec_context)
    if context is None:
        return "its video codec is unknown"
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return None


def decode_heif(data: bytes, size: tuple[int, int]) -> Image | None:
    """Return a HEIC or AVIF picture as uint8 (H, W, 3) BGR, upright. None: it cannot be decoded.

    size: height and width in its header, px. FFmpeg decodes only one tile of a tiled picture; its
    size differs then, and the result is None.
    """
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            if configure_decoder(container) is not None:
                return None
            frame = next(container.decode(video=0))
            if {frame.height, frame.width} != set(size):
                return None
            return Painter().paint(frame, _new_image).data
    except (FFmpegError, SourceError, StopIteration, ValueError):
        return None


def _new_image(height: int, width: int) -> Image:
    return np.empty((height, width, 3), np.uint8)


def copy_rotated(pixels: Image, turn: int, allocate: Allocate) -> Image:
    """Return the array that `allocate` gave, filled with the rotated picture.

    pixels: uint8 (H, W, 3). turn: 0, 90, 180 or 270 degrees clockwise.
    """
    height, width = pixels.shape[:2]
    image = allocate(width, height) if turn in (90, 270) else allocate(height, width)
    if turn == 0:
        np.copyto(image, pixels)
    else:
        cv2.rotate(pixels, _TURNS[turn], dst=image)
    return image


def pts_ns(frame: av.VideoFrame, origin: int = 0) -> int | None:
    """Return the time of a frame in ns after `origin` (in units of its stream); None: no pts."""
    pts, base = frame.pts, frame.time_base
    if pts is None or not base:
        return None
    return (pts - origin) * base.numerator * NS_PER_S // base.denominator


def plausible_fps(rate: Fraction | float | None) -> float | None:
    """Return the frame rate of a header if it is plausible (0.1 to 1000 Hz), else None."""
    return float(rate) if rate and 0.1 <= rate <= 1000 else None
