"""When the next frame of a camera is due, by the arrival of earlier ones. Part of detection."""

import statistics
from collections import deque

from perception.wire import Stamp

FRAMES = 9
LATE_SHARE = 8
"""A frame may be late by this part of the period."""


class NextFrame:
    """Says whether to wait for the next frame: where the newest is old and the next one is due."""

    def __init__(self, fresh_ns: int) -> None:
        """fresh_ns: a younger frame is taken at once; no wait is longer than this."""
        self._fresh_ns = fresh_ns
        self._periods: deque[int] = deque(maxlen=FRAMES)
        self._last: Stamp | None = None

    def wait_ns(self, stamp: Stamp, now_ns: int) -> int:
        """Return for how long to wait for the next frame; 0: take this one.

        stamp: of the newest frame. now_ns: CLOCK_MONOTONIC.
        """
        self._note(stamp)
        age_ns = now_ns - stamp.t_arrival_ns
        if age_ns <= self._fresh_ns or len(self._periods) < FRAMES // 2:
            return 0
        period_ns = int(statistics.median(self._periods))
        late_ns = period_ns // LATE_SHARE
        due_ns = period_ns - age_ns
        if not -late_ns < due_ns <= self._fresh_ns - late_ns:
            return 0
        return due_ns + late_ns

    def _note(self, stamp: Stamp) -> None:
        last, self._last = self._last, stamp
        if last is None:
            return
        frames = stamp.frame_id - last.frame_id
        if last.frame_id >> 32 != stamp.frame_id >> 32:
            self._periods.clear()  # the camera was started again
        elif frames > 0:
            self._periods.append((stamp.t_arrival_ns - last.t_arrival_ns) // frames)
