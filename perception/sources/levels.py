"""Scales 16-bit pictures to 8 bits with fixed levels. Imports OpenCV."""

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from perception.sources import Image


def _rising(levels: tuple[int, int] | None) -> tuple[int, int] | None:
    if levels is not None and not 0 <= levels[0] < levels[1] <= 65535:
        raise ValueError("expected [low, high] with 0 <= low < high <= 65535")
    return levels


LevelsOption = Annotated[tuple[int, int] | None, AfterValidator(_rising)]
"""The 16-bit values that become 0 and 255; None: from the first picture."""


class Levels:
    """The levels of one source. They are the same for all of its pictures."""

    def __init__(self, given: tuple[int, int] | None) -> None:
        """given: None: use the 0.5 and 99.5 percentiles of the first 16-bit picture."""
        self._levels = given

    def apply(self, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Image:
        """Return pixels of any shape as uint8. 8-bit pixels are not changed."""
        if pixels.dtype == np.uint8:
            return pixels.astype(np.uint8, copy=False)
        if self._levels is None:
            low, high = np.percentile(pixels, (0.5, 99.5))
            self._levels = int(low), max(int(low) + 1, int(high))
        low, high = self._levels
        return cv2.convertScaleAbs(
            np.clip(pixels, low, high).astype(np.float32) - low, alpha=255 / (high - low)
        ).astype(np.uint8, copy=False)
