"""From a decoded FFmpeg frame to pixels in the slot that `allocate` gave (video, stream).

The planes of 8-bit YUV 4:2:0 are copied where the owner of the slot can do with them (0.07 ms at
720p, 0.19 at 1080p: benchmarks.decode); all else becomes BGR.

Measured (1080p, one thread): swscale on one thread and one copy from its own buffer 1.07 ms;
to_ndarray + copy 1.23, with its default of automatic threads 3.97; cv2.cvtColor from packed I420
1.25, and that knows BT.601 limited range only. swscale knows every matrix, range and format. Its
fast path is up to 5 levels off (white 250 253 251) and equal to what cv2.VideoCapture gives; the
accurate one takes 25.8 ms. More than one thread also gives wrong pixels at the seams of slices for
some widths and depths (seen from BGR to 10-bit, 66 px wide), not the same from run to run.
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
"""The largest picture a decoder may make (8K is half of it): a lying header asks for 768 MB."""

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
"""By the matrix of ITU-T H.273: limited range, full range."""


class Painter:
    """Writes decoded frames of any pixel format into slots, upright: as BGR, or as their planes.

    rotate: degrees clockwise (0, 90, 180, 270) in place of what the file's metadata asks for.
    Untagged YUV is taken as BT.601, as OpenCV and FFmpeg do, so models see what they learnt from.
    """

    def __init__(self, rotate: int | None = None) -> None:
        self._rotate = rotate
        self._reformatter = VideoReformatter()

    def paint(self, frame: av.VideoFrame, allocate: Allocate) -> Pixels:
        """Return the array that `allocate` gave, filled with the frame, and what it is.

        Raises SourceError that names a pixel format which cannot be converted.
        """
        turn = self._turn(frame)
        if turn == 0 and isinstance(allocate, TakesPlanes):
            coding = coding_of(frame)
            if coding != "bgr":
                planes = Pixels(allocate.planes(frame.height, frame.width, coding), coding)
                _copy_planes(frame, planes)
                return planes
        return Pixels(turn_into(self._pixels(frame), turn, allocate))

    def _pixels(self, frame: av.VideoFrame) -> Image:
        try:
            bgr = self._reformatter.reformat(frame, format="bgr24", threads=1)
            if bgr.planes[0].line_size < 0:
                # Bottom-up BGR (raw AVI) comes through untouched; PyAV cannot show its memory.
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
    """Return what the frame's planes mean, bgr where they are not handed on.

    Interlaced ones are not: swscale takes the colour of each field by itself.
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
    """Copy row by row: a decoder's lines may be longer than the picture is wide."""
    for plane, place in zip(frame.planes, target.planes(), strict=True):
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        height, width = place.shape
        np.copyto(place, rows[:height, :width])


def one_thread(container: InputContainer) -> str | None:
    """Set the first video stream to decode on one thread, with MAX_PIXELS; return why it cannot."""
    if not container.streams.video:
        return "has no video"
    # None for a codec that FFmpeg does not know; PyAV's types leave that out.
    context = cast("VideoCodecContext | None", container.streams.video[0].codec_context)
    if context is None:
        return "its video codec is unknown"
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return None


def decode_heif(data: bytes, size: tuple[int, int]) -> Image | None:
    """Return uint8 (H, W, 3) BGR of a HEIC or AVIF picture, upright; None where it is not whole.

    size: height and width as its header says. FFmpeg gives one tile of a picture of several.
    """
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            if one_thread(container) is not None:
                return None
            frame = next(container.decode(video=0))
            if {frame.height, frame.width} != set(size):
                return None
            return Painter().paint(frame, _new_image).data
    except (FFmpegError, SourceError, StopIteration, ValueError):
        return None


def _new_image(height: int, width: int) -> Image:
    return np.empty((height, width, 3), np.uint8)


def turn_into(pixels: Image, turn: int, allocate: Allocate) -> Image:
    """Return the array that `allocate` gave, filled with pixels turned clockwise.

    pixels: uint8 (H, W, 3). turn: 0, 90, 180 or 270 degrees.
    """
    height, width = pixels.shape[:2]
    image = allocate(width, height) if turn in (90, 270) else allocate(height, width)
    if turn == 0:
        np.copyto(image, pixels)
    else:
        cv2.rotate(pixels, _TURNS[turn], dst=image)
    return image


def pts_ns(frame: av.VideoFrame, origin: int = 0) -> int | None:
    """Return the frame's stamp in ns after stamp `origin` of its stream, None where it has none."""
    pts, base = frame.pts, frame.time_base
    if pts is None or not base:
        return None
    return (pts - origin) * base.numerator * NS_PER_S // base.denominator


def sane_fps(rate: Fraction | float | None) -> float | None:
    """Return a header's frame rate where it can be true (0.1 to 1000 Hz), else None."""
    return float(rate) if rate and 0.1 <= rate <= 1000 else None
