"""Media time from the time stamps (pts) of a file or stream. Missing and wrong stamps are repaired.

Trackers divide by differences of media time, so it must rise with every frame. One wrong stamp must
not shift all later frames. Used by video.py and live.py. Imports clock only.
"""

from perception.clock import NS_PER_S, to_ns

_GLITCH_PERIODS = 4
_JUMP_NS = 10 * NS_PER_S
_JUMP_PERIODS = 50
_SLEW = 1024


class Timeline:
    """Turns the stamps of one pass over a file into strictly rising media times, ns.

    fps: set by the user: frame n is at n / fps and stamps are ignored. header_fps: rate in the
    header, used until two stamps give the period. counters: pts_absent, pts_repeated, pts_backward
    and pts_jumped count the repairs.
    """

    def __init__(
        self, counters: dict[str, int], *, fps: float | None = None, header_fps: float | None = None
    ) -> None:
        self._counters = counters
        for name in ("pts_absent", "pts_repeated", "pts_backward", "pts_jumped"):
            counters.setdefault(name, 0)
        self._fps = fps
        self.period_ns = to_ns(1 / (fps or header_fps or 25.0))
        self._n = 0
        self._raw: int | None = None
        self._last: int | None = None
        self._offset = 0

    def stamp(self, raw_ns: int | None) -> int:
        """Return the media time of the next frame, ns. raw_ns: its pts, ns; None: it has none.

        Where a stamp goes back by at most 4 periods, media time rises by quarter periods until the
        stamps have caught up. Where it goes back further, or jumps by more than 10 s and 50
        periods, media time continues one period after the last frame, with a new offset.
        """
        if self._fps is not None:
            self._last = to_ns(self._n / self._fps)
        elif raw_ns is None:
            self._counters["pts_absent"] += 1
            self._last = self._next()
        else:
            self._last = self._from_pts(raw_ns)
            self._raw = raw_ns
        self._n += 1
        return self._last

    def _next(self) -> int:
        return 0 if self._last is None else self._last + self.period_ns

    def _from_pts(self, raw: int) -> int:
        if self._last is None:
            return raw
        if self._raw is None:
            self._raw = raw - self.period_ns
        step = raw - self._raw
        if step == 0:
            self._counters["pts_repeated"] += 1
            return self._next()
        if step < 0:
            self._counters["pts_backward"] += 1
            if -step > _GLITCH_PERIODS * self.period_ns:
                return self._restart(raw)
        elif step > max(_JUMP_NS, _JUMP_PERIODS * self.period_ns):
            self._counters["pts_jumped"] += 1
            return self._restart(raw)
        else:
            self.period_ns = step
        return max(raw + self._offset, self._last + max(1, self.period_ns // 4))

    def _restart(self, raw: int) -> int:
        at = self._next()
        self._offset = at - raw
        return at


class LiveTimeline:
    """Media time of a live stream: the arrival of the first frame plus differences of its stamps.

    So it rises across reconnects. The offset to the arrival is corrected by 1/1024 of the
    difference per frame: that follows the drift of the camera's clock and filters network jitter.
    """

    def __init__(self, counters: dict[str, int]) -> None:
        self._counters = counters
        for name in ("pts_absent", "pts_repeated", "pts_backward", "pts_jumped"):
            counters.setdefault(name, 0)
        self._raw: int | None = None
        self._offset: int | None = None
        self._last: int | None = None

    def reconnected(self) -> None:
        """Drop the stamps of the last connection. Media time continues to rise."""
        self._raw = self._offset = None

    def stamp(self, raw_ns: int | None, t_arrival_ns: int) -> int:
        """Return the media time of the next frame, ns. Without a plausible stamp: its arrival."""
        t = self._media(raw_ns, t_arrival_ns)
        if self._last is not None and t <= self._last:
            t = self._last + 1
        self._last = t
        return t

    def _media(self, raw: int | None, arrival: int) -> int:
        if raw is None:
            self._counters["pts_absent"] += 1
            return arrival
        last, self._raw = self._raw, raw
        if last is not None and raw <= last:
            self._counters["pts_repeated" if raw == last else "pts_backward"] += 1
            self._offset = None
        if self._offset is not None and abs(raw + self._offset - arrival) > _JUMP_NS:
            self._counters["pts_jumped"] += 1
            self._offset = None
        if self._offset is None:
            self._offset = arrival - raw
        self._offset += (arrival - raw - self._offset) // _SLEW
        return raw + self._offset
