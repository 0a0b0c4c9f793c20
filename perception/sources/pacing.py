"""A file played as a camera: each frame waits for its media time."""

from dataclasses import replace

from perception.clock import NS_PER_S, monotonic_ns, sleep_until
from perception.sources import Allocate, Frame, Source

_READ_NS = NS_PER_S // 2
_LATE_NS = 5 * NS_PER_S


class Paced:
    """Wraps a source that is not live and gives its frames in real time.

    Frame times hang on the first frame, not on the one before: after a stall the frames that are
    due come at once and nothing drifts. After more than 5 s late (a suspended machine, a decoder
    slower than real time) the schedule starts anew, counted in `pace_restarts`.

    A frame is decoded, into an array of `allocate`, before its time; read() may return None while
    it waits and returns the same frame later. Do not give its slot away meanwhile.
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
        """Frames a second of the wrapped source."""
        return self._source.fps

    def open(self) -> None:
        """Open the wrapped source; the first frame is due at once."""
        self._held = self._zero_ns = None
        self._source.open()

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame at its time, None where that is more than 0.5 s away."""
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
