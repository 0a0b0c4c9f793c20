"""Points followed from one grey picture to the next: sparse optical flow. Imports cv2 and numpy.

Source: pyramidal Lucas-Kanade, Bouguet 2001, as in OpenCV.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 2
"""Levels of the pyramid above the picture itself."""
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
"""A search ends after 10 steps, or with one below 0.03 px."""


def follow_points(
    last: NDArray[np.uint8], this: NDArray[np.uint8], points: NDArray[np.float32], window: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the points that were found again, and where: float32 (K, 2) each, px, K <= N.

    last, this: uint8 (h, w). points: float32 (N, 1, 2) px of the last picture. window: side of the
    square that is compared, px.
    """
    start: Any = None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        last, this, points, start, winSize=(window, window), maxLevel=LEVELS, criteria=CRITERIA
    )
    good = found.reshape(-1) == 1
    ends = np.asarray(moved, np.float32).reshape(-1, 2)
    return points.reshape(-1, 2)[good], ends[good]
