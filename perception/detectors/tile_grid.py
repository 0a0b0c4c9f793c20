"""Tiles of a picture: their rectangles, and a tile letterboxed on a network's canvas.

Imports the letterbox and pixels.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.detectors.heads import PAD, Canvas
from perception.detectors.letterbox import Prepared
from perception.detectors.parts import Rect
from perception.kernels import colour
from perception.pixels import MATRICES, Pixels


def grid(height: int, width: int, side: int, overlap: float) -> list[Rect]:
    """Return tiles of at most `side` x `side` px that cover a picture, evenly spaced, row by row.

    height, width: of the picture, px. overlap: smallest share of a side that neighbours share.
    Coordinates of the upper left corners are even.
    """
    return [
        Rect(x, y, min(width, x + side), min(height, y + side))
        for y in _starts(height, side, overlap)
        for x in _starts(width, side, overlap)
    ]


def _starts(length: int, side: int, overlap: float) -> list[int]:
    if length <= side:
        return [0]
    step = side * (1 - overlap)
    count = int(np.ceil((length - side) / step)) + 1
    last = length - side
    return [round(last * k / (count - 1)) // 2 * 2 for k in range(count)]


def crop(pixels: Pixels, rect: Rect, canvas: Canvas) -> Prepared:
    """Return a rectangle of a picture letterboxed on a new canvas. Only its pixels are read.

    rect: px of the picture, upper left corner even. Boxes are mapped back to px of the rectangle.
    """
    scale = min(canvas[0] / rect.height, canvas[1] / rect.width)
    size = min(canvas[1], round(rect.width * scale)), min(canvas[0], round(rect.height * scale))
    left, top = (canvas[1] - size[0]) // 2, (canvas[0] - size[1]) // 2
    out = np.full((*canvas, 3), PAD, np.uint8)
    if pixels.coding == "bgr":
        view = pixels.data[rect.y1 : rect.y2, rect.x1 : rect.x2]
        out[top : top + size[1], left : left + size[0]] = _scaled(view, size)
    else:
        y, u, v = (
            _scaled(plane[rect.y1 // s : -(-rect.y2 // s), rect.x1 // s : -(-rect.x2 // s)], size)
            for plane, s in zip(pixels.planes(), (1, 2, 2), strict=True)
        )
        matrix = MATRICES[pixels.coding]
        weights = colour.coefficients(matrix.kr, matrix.kb, matrix.full)
        colour.to_bgr(y, u, v, weights, out, top, left)
    exact = size[0] / rect.width, size[1] / rect.height
    return Prepared(out, exact, (left, top), rect.width, rect.height)


def _scaled(view: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if view.shape[1::-1] == size:
        return view
    scaled: Any = cv2.resize(view, size, interpolation=cv2.INTER_LINEAR)
    return scaled
