"""Face detection with five landmarks (YuNet), and alignment by a similarity transform.

Imports assets and errors. Sources: Wu et al., YuNet, Machine Intelligence Research 2023; template
of five points in 112x112 px: Deng et al., ArcFace, CVPR 2019.
"""

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception import assets
from perception.errors import ModelError
from perception.identity import Image

SIDE = 112
"""Side in px of an aligned face."""
MIN_SCORE = 0.8
"""Lowest score of a face. The demo of the OpenCV Zoo has 0.9, which misses half-turned faces."""
_NMS_IOU = 0.3
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]],
    np.float32,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture: box xyxy px, score 0..1, landmarks float32 (5, 2) px.

    Landmarks: left eye, right eye, nose tip, left and right corner of the mouth; left and right as
    in the picture.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32]

    @property
    def width_px(self) -> float:
        """Width of the box, px."""
        return self.box[2] - self.box[0]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box, px."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


class FaceFinder:
    """The face detector YuNet. model: asset name or path. Raises ModelError."""

    def __init__(self, model: str = "yunet") -> None:
        path = assets.resolve(model, "face")
        with quiet_opencv():
            try:
                self._net: Any = cv2.FaceDetectorYN.create(
                    str(path), "", (SIDE, SIDE), MIN_SCORE, _NMS_IOU, 1000
                )
            except cv2.error as error:
                raise ModelError(f"{path}: not a YuNet model: {error.err}") from None

    def find(self, image: Image, long_side: int = 640) -> list[Face]:
        """Return the faces of a uint8 (H, W, 3) BGR picture, the widest first.

        long_side: a larger picture is scaled down to this long side, px, for detection. A picture
        with a side below 16 px has no faces.
        """
        height, width = image.shape[:2]
        if height < 16 or width < 16:
            return []
        scale = min(1.0, long_side / max(height, width))
        size = max(16, round(width * scale)), max(16, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        self._net.setInputSize(size)
        rows = self._net.detect(np.ascontiguousarray(small))[1]
        if rows is None:
            return []
        back = np.array([width / size[0], height / size[1]], np.float32)
        found = [_face(row, back) for row in np.asarray(rows, np.float32) if np.isfinite(row).all()]
        return sorted(found, key=lambda face: -face.width_px)


def _face(row: NDArray[np.float32], back: NDArray[np.float32]) -> Face:
    corner, size = row[:2] * back, row[2:4] * back
    x1, y1, x2, y2 = (*corner.tolist(), *(corner + size).tolist())
    return Face((x1, y1, x2, y2), float(row[14]), row[4:14].reshape(5, 2) * back)


def align(image: Image, face: Face) -> Image:
    """Return a face aligned to the ArcFace template: uint8 (112, 112, 3) BGR.

    image: uint8 (H, W, 3) BGR. The transform is the least-squares similarity (rotation, scale,
    shift) of the landmarks, solved in complex numbers.
    """
    source = face.landmarks.astype(np.float64) @ (1, 1j)
    target = _TEMPLATE.astype(np.float64) @ (1, 1j)
    from_, to = source - source.mean(), target - target.mean()
    turn = (from_.conj() * to).sum() / max((abs(from_) ** 2).sum(), 1e-9)
    move = target.mean() - turn * source.mean()
    matrix = np.array([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE)), np.uint8)


@contextlib.contextmanager
def quiet_opencv() -> Generator[None]:
    """Turn off OpenCV's output to stderr while it opens a model. Errors are raised anyway."""
    logging: Any = cv2.utils.logging
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
