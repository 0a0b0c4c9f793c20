"""The brightness of a picture as a painted road wants it: yellow counts as bright.

Yellow paint is no brighter than concrete, but nothing else on a road is as yellow. Imports pixels.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.pixels import Pixels

YELLOW_FROM, GAIN = 20, 4.0
"""Grey levels by which blue is below red and green before it counts, and how much it counts."""
OF_U = 1.77
"""Y - B is so many times 128 - U (BT.601; within 5 % for BT.709)."""

_LEVELS = np.arange(256.0)
_OF_YELLOW = (GAIN * (_LEVELS - YELLOW_FROM)).clip(0, 255).astype(np.uint8)
_OF_BLUE = (GAIN * (OF_U * (128.0 - _LEVELS) - YELLOW_FROM)).clip(0, 255).astype(np.uint8)
_MIX = np.array([[-1.0, 0.5, 0.5]])


def paint(pixels: Pixels, max_width: int) -> NDArray[np.uint8]:
    """Return uint8 (H, W) of a picture, sharing no memory with it, at most max_width px wide."""
    size = pixels.width, pixels.height
    if pixels.coding == "bgr":
        luma: Any = cv2.cvtColor(pixels.data, cv2.COLOR_BGR2GRAY)
        half = max(1, size[0] // 2), max(1, size[1] // 2)
        small: Any = cv2.resize(pixels.data, half, interpolation=cv2.INTER_NEAREST)
        yellow: Any = cv2.LUT(cv2.transform(small, _MIX), _OF_YELLOW)
    else:
        luma, blue, _ = pixels.planes()
        yellow = cv2.LUT(blue, _OF_BLUE)
    if pixels.width > max_width:
        size = max_width, round(pixels.height * max_width / pixels.width)
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    wide: Any = cv2.resize(yellow, size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.add(luma, wide), np.uint8)
