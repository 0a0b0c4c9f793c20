"""Brightness of a picture with yellow made brighter, so that yellow markings have contrast.

Yellow paint is not brighter than concrete. Imports pixels.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.pixels import Pixels

YELLOW_FROM, GAIN = 20, 4.0
"""From this difference between blue and the mean of red and green, grey levels, the rest is added
to the brightness, times GAIN."""
OF_U = 1.77
"""Y - B = OF_U * (128 - U) in BT.601; within 5 % for BT.709."""

_LEVELS = np.arange(256.0)
_OF_YELLOW = (GAIN * (_LEVELS - YELLOW_FROM)).clip(0, 255).astype(np.uint8)
_OF_BLUE = (GAIN * (OF_U * (128.0 - _LEVELS) - YELLOW_FROM)).clip(0, 255).astype(np.uint8)
_MIX = np.array([[-1.0, 0.5, 0.5]])


def paint(pixels: Pixels, max_width: int) -> NDArray[np.uint8]:
    """Return the brightness of a picture, uint8 (H, W), at most max_width px wide, as a copy."""
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
