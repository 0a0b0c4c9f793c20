"""Faces in a picture: YuNet finds them with five landmarks, a similarity aligns them.

Imports assets and errors. Sources: Wu et al., YuNet, Machine Intelligence Research 2023; template:
Deng et al., ArcFace, CVPR 2019 (its five points in 112x112).
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
FOUND = 0.8
"""Lowest score of a face; OpenCV Zoo's demo asks 0.9, which loses faces half turned away."""
_OVERLAP = 0.3
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]],
    np.float32,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face in a picture: xyxy box px, score, landmarks float32 (5, 2) px.

    Landmarks: the eye, then the other, nose tip, mouth corners; left to right in the picture.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: NDArray[np.float32]

    @property
    def width_px(self) -> float:
        """Width of the box."""
        return self.box[2] - self.box[0]

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box, px."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


class FaceFinder:
    """YuNet behind one call. model: asset name or path. Raises ModelError."""

    def __init__(self, model: str = "yunet") -> None:
        path = assets.resolve(model, "face")
        with quiet_opencv():
            try:
                self._net: Any = cv2.FaceDetectorYN.create(
                    str(path), "", (SIDE, SIDE), FOUND, _OVERLAP, 1000
                )
            except cv2.error as error:
                raise ModelError(f"{path}: not a YuNet model: {error.err}") from None

    def find(self, image: Image, long_side: int = 640) -> list[Face]:
        """Return the faces of a uint8 (H, W, 3) BGR picture, widest first; none in an empty one.

        long_side: px that the picture is made smaller to while it is searched, never larger.
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
    """Return the face turned, scaled and moved to the ArcFace template: uint8 (112, 112, 3) BGR.

    The least-squares similarity without reflection, solved over complex numbers.
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
    """Keep OpenCV from writing to stderr while it opens a model: what is wrong is raised."""
    logging: Any = cv2.utils.logging
    before = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
