"""Which pictures of a stream are damaged: by a loss itself, or by what they were predicted from.

A decoder flags only the picture whose own data is missing. Those after it are predicted from it and
smear until the next key picture. Measured at 1 % loss of MPEG-TS over udp, 720p30, 4 Mbit/s, three
runs of 8 s: 163 of 697 pictures differed from what was sent by more than 25 levels; the flags named
20 of them, this rule all, and 495 others that differed less. Imports wire.
"""

from perception.wire import Damage

MAX_CARRIED_NS = 10_000_000_000
"""Without key pictures (intra refresh) a stream is believed again so long after its last loss."""


class DamageWatch:
    """Follows the pictures of one stream in the order in which they are decoded."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def lost(self, t_ns: int) -> None:
        """Note that a packet could not be decoded or came with a gap before it."""
        self._since_ns = t_ns

    def of(self, is_flagged: bool, is_key: bool, t_ns: int) -> Damage:
        """Return the damage of the next picture. is_flagged: by the decoder or the demuxer."""
        if is_flagged:
            self._since_ns = t_ns
            return "direct"
        if is_key or (self._since_ns is not None and t_ns - self._since_ns > MAX_CARRIED_NS):
            self._since_ns = None
        return "none" if self._since_ns is None else "carried"
