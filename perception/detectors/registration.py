"""Image registration: the homography between two grey pictures of a moving camera.

Imports geometry, cv2 and numpy.

Source: pyramidal Lucas-Kanade on Shi-Tomasi corners and RANSAC (Hartley and Zisserman, Multiple
View Geometry, chapter 4). Corners are found at a quarter of the size and tracked at half of it.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.geometry.flow import follow_points

Grey = NDArray[np.uint8]
Homography = NDArray[np.float64]


class Registration:
    """Finds the homography from the last picture to this one. Each camera has its own object.

    agreement: share of RANSAC inliers of the last homography. It is near 1 over flat ground, and
    0.7 to 0.85 with parallax between near and far objects.
    """

    points: Final = 250
    quality: Final = 0.01
    apart_px: Final = 8
    window: Final = 15
    agree_px: Final = 1.0
    least_points: Final = 24
    least_share: Final = 0.5

    def __init__(self) -> None:
        self.agreement = 1.0
        self._small: Grey | None = None
        self._corners: NDArray[np.float32] | None = None

    def to_this(self, grey: Grey) -> Homography | None:
        """Return the homography, float64 (3, 3), from px of the last picture to px of this one.

        grey: uint8 (H, W). The identity for the first picture. None where the size has changed,
        there are too few corners, or fewer than half of the points are inliers (cut, blur).
        """
        small: Any = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        last, corners = self._small, self._corners
        self._small, self._corners = small, self._find(small)
        if last is None:
            return np.eye(3)
        if corners is None or len(corners) < self.least_points or last.shape != small.shape:
            return None
        return self._fit(last, small, corners)

    def _find(self, small: Grey) -> NDArray[np.float32] | None:
        if min(small.shape) < 64:
            return None
        quarter: Any = cv2.resize(small, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        found: Any = cv2.goodFeaturesToTrack(quarter, self.points, self.quality, self.apart_px)
        return None if found is None else found * 2 + 0.5

    def _fit(self, last: Grey, small: Grey, corners: NDArray[np.float32]) -> Homography | None:
        starts, ends = follow_points(last, small, corners, self.window)
        if len(starts) < self.least_points:
            return None
        a, b = starts * 2 + 0.5, ends * 2 + 0.5
        homography: Any = cv2.findHomography
        fit, inliers = homography(a, b, cv2.RANSAC, self.agree_px)
        self.agreement = 0.0 if inliers is None else float(inliers.mean())
        if fit is None or not np.isfinite(fit).all() or self.agreement < self.least_share:
            return None
        return np.asarray(fit, np.float64)
