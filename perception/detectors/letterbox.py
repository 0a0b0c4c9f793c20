"""Letterbox: scales a picture of any size to a network's canvas, keeps its aspect, fills with grey.

Used by the detectors. Imports pixels and kernels.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.detectors.heads import PAD, Canvas, Head, cells
from perception.kernels import colour
from perception.pixels import MATRICES, Pixels

STRIDE = 32
COMMON_CAMERA = (720, 1280)
"""Height and width, px. The network is compiled for it before the first picture."""

_Place = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A letterboxed picture, and what maps boxes back to its px.

    canvas: uint8 (H, W, 3) BGR. scale: canvas px per picture px in x and y. offset: left and top
    margin, canvas px. width, height: of the picture, px.
    """

    canvas: NDArray[np.uint8]
    scale: tuple[float, float]
    offset: tuple[float, float]
    width: int
    height: int


def picture_size(image: NDArray[Any]) -> tuple[int, int]:
    """Return height and width of a picture. Raises ValueError if it is not uint8 (H, W, 3)."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image {image.dtype} {image.shape}, expected uint8 (H, W, 3)")
    return image.shape[0], image.shape[1]


def rectangle(height: int, width: int, long_side: int, rows: int = 0) -> Canvas:
    """Return the smallest canvas for a picture whose longer side becomes `long_side` px.

    height, width: of the picture, px. Sides of the canvas are multiples of STRIDE. rows: lowest
    number of grid cells, for a network that always returns so many boxes; the canvas grows up to a
    square for it.
    """
    scale = long_side / max(height, width)
    h, w = _round_up(height * scale), _round_up(width * scale)
    while cells((h, w)) < rows and h != w:
        h, w = (h + STRIDE, w) if h < w else (h, w + STRIDE)
    return h, w


def _round_up(side: float) -> int:
    return max(1, -(-round(side) // STRIDE)) * STRIDE


def letterbox(image: NDArray[np.uint8], canvas: Canvas, head: Head) -> Prepared:
    """Return a uint8 (H, W, 3) BGR image letterboxed on a canvas."""
    height, width = image.shape[:2]
    prepared, place = _with_margins(height, width, canvas, head)
    target = prepared.canvas[place]
    cv2.resize(image, target.shape[1::-1], dst=target, interpolation=cv2.INTER_LINEAR)
    return prepared


def letterbox_planes(pixels: Pixels, canvas: Canvas, head: Head) -> Prepared:
    """Return a picture in YUV planes letterboxed on a canvas.

    Each plane is scaled first; only the scaled picture is converted to BGR. Time saved:
    benchmarks.decode. Effect on the boxes: benchmarks.inference.
    """
    prepared, (rows, columns) = _with_margins(pixels.height, pixels.width, canvas, head)
    size = columns.stop - columns.start, rows.stop - rows.start
    y, u, v = (
        plane
        if plane.shape == size[::-1]
        else cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
        for plane in pixels.planes()
    )
    matrix = MATRICES[pixels.coding]
    weights = colour.coefficients(matrix.kr, matrix.kb, matrix.full)
    colour.to_bgr(y, u, v, weights, prepared.canvas, rows.start, columns.start)
    return prepared


def _with_margins(height: int, width: int, canvas: Canvas, head: Head) -> tuple[Prepared, _Place]:
    """Return a canvas with grey margins, and the rows and columns for the picture."""
    scale = min(canvas[0] / height, canvas[1] / width)
    new_h = min(canvas[0], max(1, round(height * scale)))
    new_w = min(canvas[1], max(1, round(width * scale)))
    top = (canvas[0] - new_h) // 2 if head.centred else 0
    left = (canvas[1] - new_w) // 2 if head.centred else 0
    out = np.empty((*canvas, 3), np.uint8)
    out[:top], out[top + new_h :] = PAD, PAD
    out[:, :left], out[:, left + new_w :] = PAD, PAD
    prepared = Prepared(out, (new_w / width, new_h / height), (left, top), width, height)
    return prepared, (slice(top, top + new_h), slice(left, left + new_w))
