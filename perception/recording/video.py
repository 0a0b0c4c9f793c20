"""Annotated video as fragmented MP4 (H.264), which a browser plays also after a kill.

Each second is one fragment, which is written when it is complete. So a killed writer loses at most
the last one. Frames have their media time (variable frame rate). Imports errors and clock.
"""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from perception import clock
from perception.errors import SinkError

TICKS_PER_S = 90_000
FRAGMENT_NS = clock.NS_PER_S
_MOVFLAGS = "frag_keyframe+empty_moov+default_base_moof"
_TICK = Fraction(1, TICKS_PER_S)
_BT709, _LIMITED = 1, 1
"""Code points of ITU-T H.273 for primaries, transfer and matrix; FFmpeg's for the range."""


class VideoWriter:
    """Writes BGR frames at their media time. As a context manager it closes the file.

    The first frame sets the size; an odd side is padded by a repeated row or column. A later frame
    of another size is letterboxed with black margins. BT.709, limited range.
    """

    def __init__(self, path: str | Path, *, preset: str = "veryfast", crf: int = 23) -> None:
        """path: of the file, created with the first frame. preset, crf: options of libx264."""
        self.path = Path(path)
        self.frames = 0
        self.repaired = 0
        """Frames whose media time did not rise; they were moved to one tick after the last one."""
        self._options = {"preset": preset, "crf": str(crf), "tune": "zerolatency"}
        self._container: Any = None
        self._stream: Any = None
        self._reformatter = VideoReformatter()
        self._failed: str | None = None
        self._start_ns = self._key_ns = self._step = 0
        self._last_tick = -1

    def add(self, image: NDArray[np.uint8], t_media_ns: int) -> None:
        """Encode one frame. image: uint8 (H, W, 3) BGR.

        Raises SinkError where the file cannot be written, and then at every later frame.
        """
        if self._failed is not None:
            raise SinkError(self._failed)
        try:
            if self._container is None:
                self._open(image, t_media_ns)
            self._encode(image, t_media_ns)
        except (OSError, av.error.FFmpegError) as error:
            raise self._fail(error) from error

    def close(self) -> None:
        """Write the frames in the encoder and close the file.

        Raises SinkError where that fails, unless `add` has raised before.
        """
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self._failed is None:
                for packet in self._stream.encode(None):
                    container.mux(packet)
            container.close()
        except (OSError, av.error.FFmpegError) as error:
            if self._failed is None:
                raise self._fail(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, image: NDArray[np.uint8], t_media_ns: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(
            str(self.path),
            "w",
            format="mp4",
            options={"movflags": _MOVFLAGS, "flush_packets": "1"},
        )
        stream = self._container.add_stream("libx264", rate=30, options=self._options)
        height, width = image.shape[:2]
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TICK
        context = stream.codec_context
        context.thread_count = 1
        context.gop_size = 100_000
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        self._stream = stream
        self._start_ns = t_media_ns

    def _encode(self, image: NDArray[np.uint8], t_media_ns: int) -> None:
        tick = (t_media_ns - self._start_ns) * TICKS_PER_S // clock.NS_PER_S
        if tick <= self._last_tick:
            tick = self._last_tick + 1
            self.repaired += 1
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(self._fitted(image), "bgr24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,  # several threads give wrong pixels at slice borders with some formats
        )
        frame.pts, frame.time_base = tick, _TICK
        at_ns = tick * clock.NS_PER_S // TICKS_PER_S
        if self._last_tick < 0 or at_ns - self._key_ns >= FRAGMENT_NS:
            frame.pict_type, self._key_ns = PictureType.I, at_ns
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self._last_tick = tick
        self.frames += 1

    def _fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image in the size of the stream: unchanged, padded by 1 px, or letterboxed."""
        width, height = self._stream.width, self._stream.height
        over = height - image.shape[0], width - image.shape[1]
        if over == (0, 0):
            return np.ascontiguousarray(image)
        if min(over) >= 0 and max(over) <= 1:
            return np.pad(image, ((0, over[0]), (0, over[1]), (0, 0)), "edge")
        scale = min(width / image.shape[1], height / image.shape[0])
        inside = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        fitted = np.zeros((height, width, 3), np.uint8)
        x, y = (width - inside[0]) // 2, (height - inside[1]) // 2
        fitted[y : y + inside[1], x : x + inside[0]] = cv2.resize(
            image, inside, interpolation=cv2.INTER_AREA
        )
        return fitted

    def _fail(self, error: Exception) -> SinkError:
        self._failed = (
            f"cannot write the video {self.path}: {getattr(error, 'strerror', None) or error}"
        )
        return SinkError(self._failed)
