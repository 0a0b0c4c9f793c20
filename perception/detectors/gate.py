"""Whether anything moves in a fixed view, so that a still one need not be looked at by the network.

Works on the small grey picture that detection makes anyway. Imports cv2, numpy and clock. Used by
the detection process where a camera asks for it (detect.motion_gate); a moving camera never rests.
"""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from perception import clock


class MotionGate:
    """Lets pictures pass while something moves, and a second after; else `floor_hz` of them.

    A place moves where it differs, averaged over 5x5 px of the small picture, by more than `levels`
    from what it was about half a second before; light that changes everywhere alike does not count.
    One object a camera; times are media time.
    """

    levels: Final = 8.0
    least_px: Final = 6
    hold_ns: Final = clock.NS_PER_S
    memory_s: Final = 0.5

    def __init__(self, floor_hz: float) -> None:
        """floor_hz: pictures a second that pass although nothing moves."""
        self._floor_ns = round(clock.NS_PER_S / floor_hz)
        self._before: NDArray[np.float32] | None = None
        self._t_ns = self._moved_ns = self._passed_ns = 0

    def passes(self, grey: NDArray[np.uint8], t_ns: int) -> bool:
        """Return whether the network shall look at this picture: uint8 (h, w), at media time."""
        now: NDArray[np.float32] = grey.astype(np.float32)
        before, gone_ns = self._before, t_ns - self._t_ns
        self._t_ns = t_ns
        if before is None or before.shape != now.shape or gone_ns < 0:
            self._before, self._moved_ns, self._passed_ns = now, t_ns, t_ns
            return True
        if self._moves(before, now):
            self._moved_ns = t_ns
        share = 1.0 - float(np.exp(-clock.seconds(gone_ns) / self.memory_s))
        cv2.accumulateWeighted(now, before, share)
        held = t_ns - self._moved_ns <= self.hold_ns
        if not held and t_ns - self._passed_ns < self._floor_ns:
            return False
        self._passed_ns = t_ns
        return True

    def _moves(self, before: NDArray[np.float32], now: NDArray[np.float32]) -> bool:
        change: Any = cv2.subtract(now, before)
        change -= float(np.median(change[::4, ::4]))
        blurred: Any = cv2.blur(change, (5, 5))
        return int(np.count_nonzero(np.abs(blurred) > self.levels)) >= self.least_px
