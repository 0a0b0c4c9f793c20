"""Camera motion between two small grey pictures, from sparse optical flow on the background.

The grey image (long side 240 px) comes with the detections, so tracking needs no frames. Points
under a detected box are left out: they may move by themselves. Imports geometry, cv2 and
numpy.

Source: pyramidal Lucas-Kanade on Shi-Tomasi corners with a robust similarity fit, the recipe of
BoT-SORT (arXiv 2206.14651), on far fewer points.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.geometry.flow import follow_points

Warp = NDArray[np.float32]


class CameraMotion:
    """Estimates the affine from the last picture to this one. One object a camera.

    counters: pictures by outcome: moved, still, unsure (too few points agree), size_changed.
    """

    # Chosen on the clips of benchmarks/README.md, Tracking; px of the small image.
    points: Final = 100
    apart_px: Final = 8
    quality: Final = 0.01
    window: Final = 9
    agree_px: Final = 1.3
    least: Final = 12
    # Still: a quarter of the strongest points stand still, be the rest under way by themselves.
    # Compression noise moves that quarter by up to .09, a slow drone by .08 to .14.
    strongest: Final = 40
    starts_px: Final = 0.10
    stops_px: Final = 0.06

    def __init__(self) -> None:
        self.counters: dict[str, int] = dict.fromkeys(("moved", "still", "unsure", "resized"), 0)
        self._grey: NDArray[np.uint8] | None = None
        self._corners: NDArray[np.float32] | None = None
        self._moving = False

    def estimate(self, grey: NDArray[np.uint8], boxes: ArrayLike, width: int, height: int) -> Warp:
        """Return float32 (2, 3), affine in px of the full picture, last picture to this one.

        grey: uint8 (h, w), the whole picture made small. boxes: (N, 4) xyxy px of the full
        picture, what may move by itself. width, height: the full picture's size in px.
        The identity where the camera is still, there is no last picture, its size changed, or too
        few points agree.
        """
        grey = np.require(grey, np.uint8, ["C"])
        scale = np.array((width / max(grey.shape[1], 1), height / max(grey.shape[0], 1)))
        last, corners = self._grey, self._corners
        self._grey, self._corners = grey, self._find(grey, boxes, scale)
        if last is None or corners is None or len(corners) < self.least:
            return np.eye(2, 3, dtype=np.float32)
        if last.shape != grey.shape:
            self.counters["resized"] += 1
            return np.eye(2, 3, dtype=np.float32)
        return self._fit(last, grey, corners, scale)

    def carry(self, grey: NDArray[np.uint8], boxes: ArrayLike, width: int, height: int) -> None:
        """Compare the next picture with this one: the last, carried into another size.

        As `estimate` takes them, all in the new size.
        """
        scale = np.array((width / max(grey.shape[1], 1), height / max(grey.shape[0], 1)))
        self._grey, self._corners = grey, self._find(grey, boxes, scale)

    def _find(
        self, grey: NDArray[np.uint8], boxes: ArrayLike, scale: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        mask = np.full(grey.shape, 255, np.uint8)
        with np.errstate(invalid="ignore", over="ignore"):
            small = np.asarray(boxes, np.float64).reshape(-1, 4) / np.tile(scale, 2)
        small = small[np.isfinite(small).all(axis=1)].clip(0, 1 << 14).round().astype(np.int64)
        for x1, y1, x2, y2 in small.tolist():
            mask[y1 : y2 + 1, x1 : x2 + 1] = 0
        if min(grey.shape) < 16:
            return None
        corners: Any = cv2.goodFeaturesToTrack(
            grey, self.points, self.quality, self.apart_px, mask=mask
        )
        return corners

    def _fit(
        self,
        last: NDArray[np.uint8],
        grey: NDArray[np.uint8],
        corners: NDArray[np.float32],
        scale: NDArray[np.float64],
    ) -> Warp:
        still = np.eye(2, 3, dtype=np.float32)
        a, b = follow_points(last, grey, corners, self.window)
        if len(a) < self.least:
            self.counters["unsure"] += 1
            return still
        shifts = np.sort(np.abs(b - a)[: self.strongest].max(axis=1))
        least = float(shifts[len(shifts) // 4])
        self._moving = least > (self.stops_px if self._moving else self.starts_px)
        if not self._moving:
            self.counters["still"] += 1
            return still
        full = scale.astype(np.float32)
        similarity: Any = cv2.estimateAffinePartial2D
        fit, inliers = similarity(
            a * full, b * full, ransacReprojThreshold=self.agree_px * float(scale.max())
        )
        if fit is None or not np.isfinite(fit).all() or int(inliers.sum()) < self.least:
            self.counters["unsure"] += 1
            return still
        self.counters["moved"] += 1
        return fit.astype(np.float32)
