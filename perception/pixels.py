"""A picture as it stands in memory: BGR, or the planes that a decoder made (YUV 4:2:0).

Cameras hand planes on as they are: detection needs a small canvas and tracking a small grey picture
only. Who needs full-size BGR has it made then, with the same swscale as sources.decoding: equal to
the last bit to what the camera process makes of such a frame. Imports wire, and PyAV only once
planes are to become BGR.
"""

import importlib
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.wire import Coding


class Matrix(NamedTuple):
    """What Y, U and V mean. code: of ITU-T H.273. kr, kb: weights of red and blue in Y."""

    code: int
    kr: float
    kb: float
    full: bool


MATRICES: Final[dict[Coding, Matrix]] = {
    "bt601": Matrix(5, 0.299, 0.114, False),
    "bt601-full": Matrix(5, 0.299, 0.114, True),
    "bt709": Matrix(1, 0.2126, 0.0722, False),
    "bt709-full": Matrix(1, 0.2126, 0.0722, True),
    "bt2020": Matrix(9, 0.2627, 0.0593, False),
    "bt2020-full": Matrix(9, 0.2627, 0.0593, True),
}
"""Every coding but bgr."""
_RANGES = {False: 1, True: 2}  # FFmpeg's


def warm_up() -> None:
    """Import what `bgr` needs: 0.1 s that the picture of a first alert shall not wait for."""
    importlib.import_module("av.video.reformatter")


def has_planes(height: int, width: int) -> bool:
    """Return whether a picture of this size may stand as planes.

    U has to begin and end at a row of `data`, which is also all that PyAV 18 makes a frame of.
    """
    return height % 4 == 0 and width % 2 == 0


def shape_of(height: int, width: int, coding: Coding) -> tuple[int, ...]:
    """Return the shape of a picture's data: (H, W, 3), or (H * 3 / 2, W) for planes.

    Raises ValueError for planes of a size that has none.
    """
    if coding == "bgr":
        return height, width, 3
    if not has_planes(height, width):
        raise ValueError(f"planes of {width}x{height}: expected even width, height in fours")
    return height * 3 // 2, width


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """data: uint8 (H, W, 3) BGR; or (H * 3 / 2, W), C-contiguous: Y (H, W), then U and V of
    (H / 2, W / 2), packed. coding: which of them, and what the planes mean."""

    data: NDArray[np.uint8]
    coding: Coding = "bgr"

    @property
    def height(self) -> int:
        """Of the picture, px."""
        return self.data.shape[0] if self.coding == "bgr" else self.data.shape[0] * 2 // 3

    @property
    def width(self) -> int:
        """Of the picture, px."""
        return self.data.shape[1]

    def planes(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Return views of Y (H, W), U and V (H / 2, W / 2); not for BGR."""
        height, width = self.height, self.width
        flat, luma, chroma = self.data.reshape(-1), height * width, height * width // 4
        half = height // 2, width // 2
        return (
            flat[:luma].reshape(height, width),
            flat[luma : luma + chroma].reshape(half),
            flat[luma + chroma :].reshape(half),
        )

    def bgr(self) -> NDArray[np.uint8]:
        """Return uint8 (H, W, 3) BGR: `data` itself where it is that, else a new array."""
        if self.coding == "bgr":
            return self.data
        import av
        from av.video.reformatter import VideoReformatter

        matrix = MATRICES[self.coding]
        frame = av.VideoFrame.from_numpy_buffer(self._with_slack(), "yuv420p")
        frame.colorspace, frame.color_range = matrix.code, _RANGES[matrix.full]
        made = VideoReformatter().reformat(frame, format="bgr24", threads=1)
        plane = made.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        packed = np.ascontiguousarray(rows[: made.height, : made.width * 3])
        return packed.reshape(made.height, made.width, 3)

    def _with_slack(self) -> NDArray[np.uint8]:
        """Return the planes in memory that may be read beyond their end, where swscale does: up to
        8 bytes where the width is not in 16s. Behind the last slot of a ring there may be none."""
        if self.width % 16 == 0:
            return self.data
        size = self.data.size
        roomy = np.empty(size + 64, np.uint8)[:size].reshape(self.data.shape)
        np.copyto(roomy, self.data)
        return roomy
