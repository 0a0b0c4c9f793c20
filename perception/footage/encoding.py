"""Frames of a camera without packets (webcam, push, synthetic, stills) into H.264 by libx264.

`superfast`, crf 23, a key frame each 2 s, one thread: 10.7 ms for a 720p picture, 5.3 Mbit/s
(measured on a motorway). PyAV's wheel carries libx264, which is under the GPL.
"""

from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from perception.footage.fragments import Fragment, Fragmenter
from perception.pixels import Pixels

TICKS = 90_000
_KEY_NS = 2_000_000_000
_OPTIONS = {"preset": "superfast", "crf": "23", "tune": "zerolatency", "sc_threshold": "0"}


class FrameEncoder:
    """Encodes frames as they come; a new size begins a new stream.

    first: number of its first stream.
    """

    def __init__(self, first: int = 0) -> None:
        self._fragments = Fragmenter(first)
        self._codec: VideoCodecContext | None = None
        self._reformatter = VideoReformatter()
        self._start_ns = self._key_ns = self._last_pts = 0

    def add(self, pixels: Pixels, t_media_ns: int, tag: Any) -> list[Fragment]:
        """Return the fragments that are complete now. An odd last row or column is left out."""
        width, height = pixels.width & ~1, pixels.height & ~1
        done: list[Fragment] = []
        if self._codec is None or (self._codec.width, self._codec.height) != (width, height):
            done += self.end()
            self._codec = _new_codec(width, height)
            self._start_ns, self._key_ns, self._last_pts = t_media_ns, t_media_ns - _KEY_NS, -1
        frame = self._frame(pixels, width, height)
        pts = (t_media_ns - self._start_ns) * TICKS // 1_000_000_000
        frame.pts = self._last_pts = max(pts, self._last_pts + 1)
        frame.time_base = Fraction(1, TICKS)
        if t_media_ns - self._key_ns >= _KEY_NS:
            self._key_ns = t_media_ns
            frame.pict_type = PictureType.I
        for packet in self._codec.encode(frame):
            done += self._fragments.add(packet, None, tag)
        return done

    def end(self) -> list[Fragment]:
        """Return the last fragment."""
        self._codec = None
        return self._fragments.end()

    def _frame(self, pixels: Pixels, width: int, height: int) -> av.VideoFrame:
        if pixels.coding == "bgr":
            picture = np.ascontiguousarray(pixels.data[:height, :width])
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            return self._reformatter.reformat(frame, format="yuv420p", threads=1)
        frame = av.VideoFrame(width, height, "yuv420p")
        for plane, source in zip(frame.planes, pixels.planes(), strict=True):
            rows = np.frombuffer(cast(Any, plane), np.uint8).reshape(-1, plane.line_size)
            rows[: source.shape[0], : source.shape[1]] = source
        return frame


def _new_codec(width: int, height: int) -> VideoCodecContext:
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, TICKS)
    codec.gop_size = 10_000
    codec.max_b_frames = 0
    codec.thread_count = 1
    codec.options = dict(_OPTIONS)
    return codec
