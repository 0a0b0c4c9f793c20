"""What moves in the picture of a camera that stands still: what differs from its background.

The background is a mixture of normal distributions for each pixel, with its own noise: leaves that
swing, rain and sensor noise become part of it. What stands still for `absorb_s` becomes background
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
"""Pictures with a longer side are scaled down to this, where `size` does not say otherwise."""
MIN_PX = 60
"""Least area of a spot in the picture that is looked at, where `min_px` does not say otherwise."""
FLOOD_SHARE = 0.7
"""Where more of the picture differs the light has changed: the background is learned anew."""
LEARN_FRAMES = 15
"""Pictures in which a background is learned before anything is found."""
DEVIATIONS = 4.0
"""A pixel differs by more than so many standard deviations of its noise."""
MAX_NOISE = 16.0
"""Largest standard deviation of a pixel that is taken for noise, grey levels."""
_BACKGROUND_SHARE = 0.9
_OPEN = np.ones((3, 3), np.uint8)
_CLOSE = np.ones((9, 5), np.uint8)
"""Head, body and legs of a person are joined: higher than wide."""

Grey = NDArray[np.uint8]


class Background:
    """The background of one camera. flooded: how often it was learned anew."""

    def __init__(self, contrast: float, absorb_s: float, min_px: int, max_side_px: float) -> None:
        """contrast: grey levels. absorb_s: s of media time. min_px, max_side_px: of a spot."""
        self._contrast, self._absorb_s = contrast, absorb_s
        self._min_px, self._max_side_px = min_px, max_side_px
        self._model: Any = None
        self._frames, self._last_ns = 0, 0
        self._size = (0, 0)
        self._before: NDArray[np.uint8] | None = None
        self.flooded = 0

    def find(self, grey: Grey, t_ns: int, scale: float) -> Detections:
        """Return what differs from the background, boxes in px of the picture before `scale`.

        grey: uint8 (H, W). t_ns: its media time. Class 0. A score is at most 0.5 where the spot
        was not in the last picture; else it rises with the contrast towards 1.
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
