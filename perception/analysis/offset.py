"""What the pictures of a clip with a gyro say of the offset between both clocks.

It is told, never applied: `telemetry: {offset_s: ...}` does that. Imports telemetry and geometry.
"""

import numpy as np
from numpy.typing import NDArray

from perception.geometry.clock_offset import Offset, clock_offset, picture_turns
from perception.telemetry.feed import TelemetryFeed

MAX_FRAMES = 900
"""Frames that are kept for it: 30 s at 30 frames/s, 30 MB."""
LEAST_EXPLAINED = 0.3


class OffsetWatch:
    """Keeps the small grey pictures of the first frames. Does nothing where there is no gyro."""

    def __init__(self, feed: TelemetryFeed | None) -> None:
        self._gyro = feed.gyro if feed is not None else []
        self._frames: list[tuple[float, NDArray[np.uint8]]] = []

    def see(self, t_ns: int, grey: NDArray[np.uint8]) -> None:
        """Take a frame's grey picture."""
        if self._gyro and len(self._frames) < MAX_FRAMES:
            self._frames.append((t_ns / 1e9, grey))

    def find(self) -> Offset | None:
        """Return the offset; None where there is no gyro or nothing can be said."""
        if not self._gyro:
            return None
        times, motions = picture_turns(self._frames)
        at = np.array([t_s for t_s, _ in self._gyro])
        found = clock_offset(times, motions, at, np.array([rates for _, rates in self._gyro]))
        return None if found is None or found.explained < LEAST_EXPLAINED else found

    @property
    def has_gyro(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self._gyro)


NOT_FOUND = "clock offset of gyro and video: not found, the camera turns too little"
