"""Whether a picture shows another scene than the last: an edited film, a camera that was turned.

Nothing can be followed across a cut, though boxes may overlap by chance. Uses the small grey image
that comes with the detections. Imports cv2 and numpy.
"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray


class SceneCut:
    """Compares each picture with the last, both very small. One object a camera.

    likeness: normalised correlation below which it is another scene. On the clips of shared/data
    cuts have 0.01 to 0.29, pictures 0.1 s apart 0.51 or more (moving cameras 0.83), except once
    where a head that fills half of the picture goes away (0.25). contrast: grey levels below which
    a picture is too even to tell, a covered lens for one.
    """

    size: Final = (32, 18)
    likeness: Final = 0.35
    contrast: Final = 2.0

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def carry(self, grey: NDArray[np.uint8]) -> None:
        """Compare the next picture with this one: the last, carried into another size."""
        self._last = self._shrunk(grey)

    def is_cut(self, grey: NDArray[np.uint8]) -> bool:
        """Take the next picture, uint8 (h, w); the first one, and an even one, is no cut."""
        small = self._shrunk(grey)
        last, self._last = self._last, small
        if last is None:
            return False
        were, are = float((last * last).mean()), float((small * small).mean())
        if min(were, are) < self.contrast**2:
            return False
        return float((last * small).mean()) < self.likeness * math.sqrt(were * are)

    def _shrunk(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        small = np.asarray(cv2.resize(grey, self.size, interpolation=cv2.INTER_AREA), np.float32)
        small -= small.mean()
        return small
