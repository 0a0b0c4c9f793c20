"""The small grey image that detections carry, so that camera motion needs no shared memory.

Imports messages and below.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.messages import GREY_LONG_SIDE


def small_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a uint8 (h, w) copy of a BGR image, long side at most GREY_LONG_SIDE px.

    The green channel of every second or more pixel, then scaled down by less than 3: 0.1 ms at 720p
    on one thread, where averaging by area takes 0.3 and that of the whole picture 5 to 7.
    """
    height, width = image.shape[:2]
    scale = max(height, width) / GREY_LONG_SIDE
    if scale <= 1:
        return np.ascontiguousarray(image[:, :, 1])
    step = max(1, round(scale / 2))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    return np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_LINEAR), np.uint8)
