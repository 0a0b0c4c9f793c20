"""Plays a file in real time: each frame is returned at its media time."""

from dataclasses import replace

from perception.clock import NS_PER_S, monotonic_ns, sleep_until
from perception.sources import Allocate, Frame, Source

_READ_NS = NS_PER_S // 2
_LATE_NS = 5 * NS_PER_S


class Paced:
    """Wraps a source that is not live and returns its frames in real time.

    The due time of a frame is counted from the first frame, so there is no drift: after a stall the
    late frames are returned at once. A frame that is more than 5 s late (a suspended machine, a
    slow decoder) starts the schedule again; `pace_restarts` counts that.

    A frame is decoded into an array of `allocate` before it is due. read() may return None while it
    waits, and returns that frame later: keep the array until then.
    """

    live = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.counters = source.counters
        self.counters["pace_restarts"] = 0
        self._held: Frame | None = None
        self._zero_ns: int | None = None

    @property
    def fps(self) -> float | None:
        """Frames per second of the wrapped source."""
        return self._source.fps

    def open(self) -> None:
        """Open the wrapped source. The first frame is due at once."""
        self._held = self._zero_ns = None
        self._source.open()

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame when it is due. None: it is due in more than 0.5 s."""
        called = monotonic_ns()
        if self._held is None:
            self._held = self._source.read(allocate)
        frame = self._held
        if frame is None:
            return None
        now = monotonic_ns()
        if self._zero_ns is None:
            self._zero_ns = now - frame.t_media_ns
        due = self._zero_ns + frame.t_media_ns
        if now - due > _LATE_NS:
            self.counters["pace_restarts"] += 1
            self._zero_ns = now - frame.t_media_ns
        sleep_until(min(due, called + _READ_NS))
        now = monotonic_ns()
        if now < due:
            return None
        self._held = None
        return replace(frame, t_arrival_ns=now)

    def close(self) -> None:
        """Close the wrapped source."""
        self._held = None
        self._source.close()
