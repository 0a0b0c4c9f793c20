"""Curves on the ground with their names: distance rings. Imports the rest of this room."""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.draw.strokes import INK, LINE, Colour, Image, Pen, label


def curves(image: Image, named: Mapping[str, NDArray[np.float64]], colour: Colour = LINE) -> None:
    """Draw curves, float64 (P, 2) px each, on a dark edge, each name where its curve is in sight.

    A curve of less than two points is left out; an empty name is not written.
    """
    pen = Pen.of(image)
    for name, points in named.items():
        if len(points) < 2:
            continue
        steps = [np.clip(points, -1e5, 1e5).round().astype(np.int32)]
        cv2.polylines(image, steps, False, INK, pen.stroke + 2, cv2.LINE_AA)
        cv2.polylines(image, steps, False, colour, pen.stroke, cv2.LINE_AA)
        inside = (points >= 0).all(axis=1) & (points < image.shape[1::-1]).all(axis=1)
        if name and inside.any():
            seen = points[inside]
            at = seen[len(seen) // 2]
            label(image, name, (float(at[0]), float(at[1])), colour, pen)
