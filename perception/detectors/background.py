"""Background subtraction for a fixed camera: finds what differs from the background.

The background is a mixture of Gaussians for each pixel with its own noise, so moving leaves, rain
and sensor noise become part of it. An object that stands still for `absorb_s` becomes background
too. Imports cv2 and wire.

Source: OpenCV's BackgroundSubtractorMOG2: Zivkovic 2004 (ICPR), Zivkovic and van der Heijden 2006.
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.wire import Detections

SIDE_PX = 640
"""Default of the option `size`: pictures with a longer side are scaled down to it."""
MIN_PX = 60
"""Default of the option `min_px`: smallest area of a blob, px^2 of the scaled picture."""
FLOOD_SHARE = 0.7
"""Where a larger share of the picture differs, the light has changed: the background is learned
again."""
LEARN_FRAMES = 15
"""Number of first pictures of a background for which nothing is returned."""
DEVIATIONS = 4.0
"""A pixel is foreground where it differs by more standard deviations of its noise."""
MAX_NOISE = 16.0
"""Upper bound of the standard deviation of a pixel's noise, grey levels."""
_BACKGROUND_SHARE = 0.9
_OPEN = np.ones((3, 3), np.uint8)
_CLOSE = np.ones((9, 5), np.uint8)
"""Higher than wide, to join head, body and legs of a person."""

Grey = NDArray[np.uint8]


class Background:
    """The background of one camera. flooded: how often it was learned again."""

    def __init__(self, contrast: float, absorb_s: float, min_px: int, max_side_px: float) -> None:
        """contrast: grey levels. absorb_s: s of media time. min_px: area of a blob, px^2.
        max_side_px: longer side of a blob. Both in px of the scaled picture."""
        self._contrast, self._absorb_s = contrast, absorb_s
        self._min_px, self._max_side_px = min_px, max_side_px
        self._model: Any = None
        self._frames, self._last_ns = 0, 0
        self._size = (0, 0)
        self._before: NDArray[np.uint8] | None = None
        self.flooded = 0

    def find(self, grey: Grey, t_ns: int, scale: float) -> Detections:
        """Return the blobs that differ from the background, boxes in px of the original picture.

        grey: uint8 (H, W), the picture scaled by `scale`. t_ns: its media time. All have class 0.
        The score is 0.5 for a blob that overlaps none of the last picture; else it rises with the
        contrast from 0.5 towards 1.
        """
        if self._size != grey.shape or t_ns <= self._last_ns:
            self._learn_anew(grey)
        calm: Any = cv2.GaussianBlur(grey, (3, 3), 0)
        seconds = (t_ns - self._last_ns) / 1e9
        self._last_ns, self._frames = t_ns, self._frames + 1
        mask: Any = self._model.apply(calm, learningRate=self._rate(seconds))
        mask = cv2.threshold(mask, 200, 255, cv2.THRESH_BINARY)[1]  # shadows have 127
        if self._frames <= LEARN_FRAMES:
            return Detections.none()
        if cv2.countNonZero(mask) > FLOOD_SHARE * mask.size:
            self._learn_anew(grey)
            self.flooded += 1
            return Detections.none()
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _OPEN)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSE)
        found = self._boxes(mask, calm, scale)
        grown: Any = cv2.dilate(mask, _CLOSE)
        self._before = grown
        return found

    def _rate(self, seconds: float) -> float:
        """Return the share of the newest picture in the background.

        A new value counts as background once its weight is above 1 - _BACKGROUND_SHARE.
        """
        usual = 1.0 - _BACKGROUND_SHARE ** (seconds / self._absorb_s)
        return max(usual, 1.0 / (2 * self._frames))

    def _learn_anew(self, grey: Grey) -> None:
        self._model = cv2.createBackgroundSubtractorMOG2(varThreshold=DEVIATIONS**2)
        self._model.setBackgroundRatio(_BACKGROUND_SHARE)
        self._model.setVarMax(MAX_NOISE**2)
        self._frames, self._size, self._before = 0, grey.shape, None

    def _boxes(self, mask: Any, calm: Grey, scale: float) -> Detections:
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        ground: Any = self._model.getBackgroundImage()
        difference: Any = cv2.absdiff(calm, ground)
        boxes, scores = list[tuple[int, int, int, int]](), list[float]()
        for x, y, w, h, area in stats[1:count].tolist():
            if area < self._min_px or max(w, h) > self._max_side_px:
                continue
            part = np.s_[y : y + h, x : x + w]
            contrast = float(cv2.mean(difference[part], mask=mask[part])[0])
            if contrast < self._contrast:
                continue
            stayed = self._before is not None and bool(
                cv2.countNonZero(cv2.bitwise_and(self._before[part], mask[part]))
            )
            score = 1.0 - 0.5 * math.exp(1.0 - contrast / self._contrast)
            boxes.append((x, y, x + w, y + h))
            scores.append(score if stayed else 0.5)
        given = np.array(boxes, np.float32).reshape(-1, 4) / np.float32(scale)
        values = np.array(scores, np.float32)
        order = np.argsort(-values, kind="stable")
        return Detections.of(given[order], values[order], np.zeros(len(order)))
