"""How long a sink rests after it took nothing. Used by delivery.py; imports clock only."""

from random import Random

from perception import clock

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
"""So that what waits is delivered within 10 s after a sink is back."""


class BackOff:
    """The waits of one sink: 0.25 s, doubling up to 8 s, times 0.5 to 1 (jitter).

    until_ns: when the sink is tried again, monotonic. failed: keys of the alerts that it did not
    take in the last turn.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._turns = 0
        self.until_ns = 0
        self.failed: frozenset[str] = frozenset()

    @property
    def one_failed(self) -> bool:
        """Whether one alert alone failed: that one may be to blame, not the sink."""
        return len(self.failed) == 1

    def turn_ended(self, failed: frozenset[str], sent: int, now_ns: int) -> None:
        """Set the next wait. failed: keys of what failed in this turn; sent: how many arrived."""
        if failed == self.failed and now_ns < self.until_ns:
            return  # only what is new was tried, and it arrived
        if not failed:
            self._turns, self.failed = 0, frozenset()
            return
        self._turns = 1 if sent else self._turns + 1
        self.failed = failed
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._turns - 1, 16))
        self.until_ns = now_ns + clock.to_ns(wait_s * self._random.uniform(0.5, 1.0))
