"""What the analysis of a clip with a gyro says of the offset between both clocks.

It is told, never applied: `telemetry: {offset_s: ...}` does that. Imports telemetry and geometry.
"""

import numpy as np
from numpy.typing import NDArray

from perception.geometry.clock_offset import clock_offset, picture_turns
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

    def note(self) -> list[str]:
        """Return a sentence for the summary; none where nothing can be said."""
        if not self._gyro:
            return []
        times, motions = picture_turns(self._frames)
        at = np.array([t_s for t_s, _ in self._gyro])
        found = clock_offset(times, motions, at, np.array([rates for _, rates in self._gyro]))
        if found is None or found.explained < LEAST_EXPLAINED:
            return ["clock offset of gyro and video: not found, the camera turns too little"]
        return [
            f"clock offset of gyro and video: {found.seconds:+.3f} s, sigma {found.sigma_s:.3f} s; "
            f"to apply it: telemetry: {{offset_s: {found.seconds:.3f}}}"
        ]
