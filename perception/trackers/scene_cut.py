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

    It is another scene where the whole picture is unlike the last one and hardly any part of it is
    alike. A car that fills half of the picture changes the whole, above all where frames between
    the two were not detected; the background beside it stays.

    likeness: normalised correlation of the whole below which it may be another scene. On labelled
    clips cuts have 0.01 to 0.29, pictures 0.1 s apart 0.51 or more (moving cameras 0.83), except
    once where a head that fills half of the picture goes away (0.25). part_likeness: correlation
    from which one of 12 parts is alike. parts: share of alike parts from which the scene is the
    same: after cuts at most 0.10, between other shots 0.17; with a car that passes, up to 2 s
    apart, 0.33 or more. contrast: grey levels below which a picture or a part is too even to tell,
    a covered lens for one.
    """

    size: Final = (32, 18)
    likeness: Final = 0.35
    part_likeness: Final = 0.8
    parts: Final = 0.25
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
        unlike = float((last * small).mean()) < self.likeness * math.sqrt(were * are)
        return unlike and self._alike(last, small) < self.parts

    def _alike(self, last: NDArray[np.float32], small: NDArray[np.float32]) -> float:
        """Return which share of the parts that can be told are alike; 0 where none can be told."""
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
    """Return the 12 parts of a picture of 32x18, each less its mean: float32 (12, 48)."""
    parts = small.reshape(3, 6, 4, 8).swapaxes(1, 2).reshape(12, 48)
    return parts - parts.mean(axis=1, keepdims=True)
