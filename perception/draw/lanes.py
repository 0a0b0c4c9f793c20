"""Lane lines and the own lane, drawn on a picture. Imports the rest of this room and wire."""

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.draw.strokes import INK, LINE, PALETTE, Image, Pen, tint
from perception.wire import LaneMessage

OWN, BESIDE = LINE, PALETTE[5]
SURE = 0.6
"""Lines with less confidence are drawn thin."""


def lanes(image: Image, message: LaneMessage) -> None:
    """Draw the lane lines and tint the own lane. Points are scaled to the size of the image."""
    pen = Pen.of(image)
    scale = image.shape[1] / message.width, image.shape[0] / message.height
    curves = {line.place: (line, np.asarray(line.points * scale, np.float64)) for line in message}
    if -1 in curves and 1 in curves:
        own = np.vstack([curves[-1][1], curves[1][1][::-1]])
        tint(image, _rounded(own), OWN, 0.2)
    for place, (line, points) in curves.items():
        stroke = pen.stroke + (1 if line.confidence >= SURE else 0)
        curve = [_rounded(points)]
        cv2.polylines(image, curve, False, INK, stroke + 2, cv2.LINE_AA)
        cv2.polylines(image, curve, False, OWN if abs(place) == 1 else BESIDE, stroke, cv2.LINE_AA)


def _rounded(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.clip(points, -1e5, 1e5).round().astype(np.int32)
