"""Where the picture of a camera lies in the next one when its size changes in mid stream.

A camera or encoder may stretch the same view, add bars, cut two sides off or turn it by a quarter.
Each of these is tried on the small grey picture; the one that looks most alike is taken.
Imports cv2 and numpy.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LIKENESS = 0.35
"""Normalised correlation below which the new picture shows another scene; as in scene_cut.py."""
SAME_ASPECT = 0.01

Affine = NDArray[np.float64]
Grey = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height, px."""


def find_affine(last: Grey, grey: Grey, last_size: Size, size: Size) -> Affine | None:
    """Return float64 (2, 3): px of the last full picture to px of this one; None: another scene.

    last, grey: uint8 (h, w), both pictures made small. last_size, size: of the full pictures.
    """
    found = [
        (_likeness(shrink_affine(affine, last, grey, last_size, size), last, grey), -order, affine)
        for order, affine in enumerate(_candidates(last_size, size))
    ]
    likeness, _, affine = max(found, key=lambda one: one[:2])
    return affine if likeness >= LIKENESS else None


def shrink_affine(affine: Affine, last: Grey, grey: Grey, last_size: Size, size: Size) -> Affine:
    """Return the affine between the small pictures that belongs to one between the full ones."""
    scale = np.array([[grey.shape[1] / size[0]], [grey.shape[0] / size[1]]])
    small = affine * scale
    small[:, 0] *= last_size[0] / last.shape[1]
    small[:, 1] *= last_size[1] / last.shape[0]
    # OpenCV counts from the centres of pixels, boxes from their edges.
    small[:, 2] += small[:, :2] @ (0.5, 0.5) - 0.5
    return small


def _candidates(last_size: Size, size: Size) -> Iterator[Affine]:
    """Yield the affines tried: upright, clockwise, counter-clockwise; stretched, whole, cut."""
    width, height = last_size
    turns = (
        (np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]), width, height),
        (np.array([[0.0, -1.0, height], [1.0, 0.0, 0.0]]), height, width),
        (np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, width]]), height, width),
    )
    for turn, w, h in turns:
        across, down = size[0] / w, size[1] / h
        yield turn * [[across], [down]]
        if abs(across / down - 1.0) > SAME_ASPECT:
            for scale in (min(across, down), max(across, down)):
                placed = turn * scale
                placed[:, 2] += (size[0] - scale * w) / 2.0, (size[1] - scale * h) / 2.0
                yield placed


def _likeness(small: Affine, last: Grey, grey: Grey) -> float:
    """Return the normalised correlation where the last picture lies in this one, -1 to 1."""
    shape = grey.shape[1], grey.shape[0]
    moved: Any = cv2.warpAffine(last, small, shape)
    covered: Any = cv2.warpAffine(np.full_like(last, 255), small, shape)
    inside = covered > 0
    a, b = (cv2.blur(p, (5, 5)).astype(np.float32)[inside] for p in (moved, grey))
    if a.size < 64:
        return -1.0
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a * a).mean() * (b * b).mean()))
    return float((a * b).mean()) / spread if spread > 4.0 else -1.0
