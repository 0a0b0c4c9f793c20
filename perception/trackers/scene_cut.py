"""Scene cut detection: an edited film, or a camera that was turned.

Tracks must end at a cut, because boxes of two scenes may overlap by chance. Uses the small grey
picture that comes with the detections. Imports cv2 and numpy.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray


class SceneCut:
    """Compares each picture with the last one at 32x18 px. Each camera has its own object.

    There is a cut where the normalised correlation of the two pictures is low and few of 12 parts
    are similar. The second condition is for an object that fills half of the picture: it changes
    the whole, but the background beside it stays.

    likeness: correlation of the whole picture below which there may be a cut. On labelled clips
    cuts have 0.01 to 0.29 and pictures 0.1 s apart 0.51 or more (moving cameras 0.83). One
    exception is 0.25, where a head that fills half of the picture leaves. part_likeness:
    correlation from which a part is similar. parts: share of similar parts from which there is no
    cut. Measured: at most 0.10 at cuts, 0.17 between other shots; 0.33 or more with a passing car,
    up to 2 s apart. contrast: standard deviation, grey levels, below which a picture or part cannot
    be compared (a covered lens).
    """

    size: Final = (32, 18)
    likeness: Final = 0.35
    part_likeness: Final = 0.8
    parts: Final = 0.25
    contrast: Final = 2.0

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def carry(self, grey: NDArray[np.uint8]) -> None:
        """Use this picture as the last one: the last picture, mapped to another size."""
        self._last = self._shrunk(grey)

    def is_cut(self, grey: NDArray[np.uint8]) -> bool:
        """Return whether there is a cut before this picture, uint8 (h, w).

        False for the first picture, and where this or the last one has too little contrast.
        """
        small = self._shrunk(grey)
        last, self._last = self._last, small
        if last is None:
            return False
        were, are = float((last * last).mean()), float((small * small).mean())
        if min(were, are) < self.contrast**2:
            return False
        unlike = float((last * small).mean()) < self.likeness * math.sqrt(were * are)
        return unlike and self._alike(last, small) < self.parts

    def _alike(self, last: NDArray[np.float32], small: NDArray[np.float32]) -> float:
        """Return the share of similar parts among those with enough contrast; 0: there are none."""
        were, are = _parts(last), _parts(small)
        energy, energy_now = (were * were).mean(axis=1), (are * are).mean(axis=1)
        told = np.minimum(energy, energy_now) >= self.contrast**2
        if not told.any():
            return 0.0
        likeness = (were * are).mean(axis=1)[told] / np.sqrt((energy * energy_now)[told])
        return float((likeness >= self.part_likeness).mean())

    def _shrunk(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = np.asarray(cv2.resize(grey, self.size, interpolation=cv2.INTER_AREA), np.float32)
        small -= small.mean()
        return small


def _parts(small: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the 12 parts of a picture of 32x18 px, each minus its mean: float32 (12, 48)."""
    parts = small.reshape(3, 6, 4, 8).swapaxes(1, 2).reshape(12, 48)
    return parts - parts.mean(axis=1, keepdims=True)
