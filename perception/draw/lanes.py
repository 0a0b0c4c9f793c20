"""The own lane and the lines beside it, on one picture. Imports the rest of this room and wire."""

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.draw.strokes import INK, LINE, PALETTE, Image, Pen
from perception.wire import LaneMessage

OWN, BESIDE = LINE, PALETTE[5]
SURE = 0.6
"""Lines of less confidence are thin."""


def lanes(image: Image, message: LaneMessage) -> None:
    """Draw the lines of lanes and tint the own lane. Points are scaled to the image's size."""
    pen = Pen.of(image)
    scale = image.shape[1] / message.width, image.shape[0] / message.height
    curves = {line.place: (line, np.asarray(line.points * scale, np.float64)) for line in message}
    if -1 in curves and 1 in curves:
        _tint(image, np.vstack([curves[-1][1], curves[1][1][::-1]]))
    for place, (line, points) in curves.items():
        stroke = pen.stroke + (1 if line.confidence >= SURE else 0)
        steps = [_steps(points)]
        cv2.polylines(image, steps, False, INK, stroke + 2, cv2.LINE_AA)
        cv2.polylines(image, steps, False, OWN if abs(place) == 1 else BESIDE, stroke, cv2.LINE_AA)


def _steps(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.clip(points, -1e5, 1e5).round().astype(np.int32)


def _tint(image: Image, outline: NDArray[np.float64]) -> None:
    points = _steps(outline)
    x, y, w, h = cv2.boundingRect(points)
    x2, y2 = min(x + w, image.shape[1]), min(y + h, image.shape[0])
    x, y = max(x, 0), max(y, 0)
    if x2 <= x or y2 <= y:
        return
    part = image[y:y2, x:x2]
    filled = part.copy()
    cv2.fillPoly(filled, [points - (x, y)], OWN, cv2.LINE_AA)
    cv2.addWeighted(filled, 0.2, part, 0.8, 0, dst=part)
