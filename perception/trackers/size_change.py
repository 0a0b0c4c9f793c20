"""Finds the affine between two pictures of a camera whose picture size changes in mid stream.

A camera or encoder may stretch the view, add bars, crop it, or rotate it by 90 degrees. Each
of these is tried on the small grey pictures. The one with the highest correlation is taken.
Imports cv2 and numpy.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LIKENESS = 0.35
"""Below this normalised correlation the new picture shows another scene; as in scene_cut.py."""
SAME_ASPECT = 0.01
"""Relative difference of two aspect ratios up to which they are the same."""

Affine = NDArray[np.float64]
Grey = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height, px."""


def find_affine(last: Grey, grey: Grey, last_size: Size, size: Size) -> Affine | None:
    """Return the affine, float64 (2, 3), from px of the last picture to px of this one.

    last, grey: uint8 (h, w), the two pictures scaled down. last_size, size: of the pictures at full
    size, px. The affine is for full size. None: this picture shows another scene.
    """
    found = [
        (_likeness(shrink_affine(affine, last, grey, last_size, size), last, grey), -order, affine)
        for order, affine in enumerate(_candidates(last_size, size))
    ]
    likeness, _, affine = max(found, key=lambda one: one[:2])
    return affine if likeness >= LIKENESS else None


def shrink_affine(affine: Affine, last: Grey, grey: Grey, last_size: Size, size: Size) -> Affine:
    """Return the affine between the small pictures, from the one between the full-size pictures."""
    scale = np.array([[grey.shape[1] / size[0]], [grey.shape[0] / size[1]]])
    small = affine * scale
    small[:, 0] *= last_size[0] / last.shape[1]
    small[:, 1] *= last_size[1] / last.shape[0]
    # In OpenCV the centre of a pixel has whole coordinates; in boxes its corner has.
    small[:, 2] += small[:, :2] @ (0.5, 0.5) - 0.5
    return small


def _candidates(last_size: Size, size: Size) -> Iterator[Affine]:
    """Yield the affines to try: three rotations, each stretched, with bars (letterbox)
    and cropped.
    """
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
    """Return the normalised correlation of the mapped last picture and this one, -1 to 1.

    Only the pixels that the mapped picture covers count. -1 where these are too few or too even.
    """
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
