"""Exponential back-off: the wait before a lost source is opened again. Imports clock only."""

from random import Random

from perception.clock import NS_PER_S, monotonic_ns


class Backoff:
    """Doubling waits with jitter, so that cameras behind one switch do not reconnect together.

    first_s, max_s: shortest and longest wait before jitter. healthy_s: after a failure, the waits
    start from first_s again when frames have come for so long. random: for tests.
    """

    def __init__(
        self,
        first_s: float = 1.0,
        max_s: float = 30.0,
        healthy_s: float = 30.0,
        random: Random | None = None,
    ) -> None:
        self._first_s, self._max_s, self._healthy_s = first_s, max_s, healthy_s
        self._random = random or Random()
        self._failures = 0
        self._since_ns: int | None = None

    def healthy(self) -> None:
        """Record that a frame came."""
        now = monotonic_ns()
        if self._since_ns is None:
            self._since_ns = now
        elif self._failures and now - self._since_ns >= self._healthy_s * NS_PER_S:
            self._failures = 0

    def failed(self, at_least_s: float = 0.0) -> float:
        """Record that the source was lost. Return the wait before the next try, s.

        The wait is min(max_s, first_s * 2**failures) times 0.75 to 1.25, and at least at_least_s
        (SourceLost.retry_after_s).
        """
        self._since_ns = None
        wait = min(self._max_s, self._first_s * 2 ** min(self._failures, 30))
        self._failures += 1
        return max(at_least_s, wait * (0.75 + 0.5 * self._random.random()))
