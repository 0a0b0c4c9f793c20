"""Dwell: a track stays in a zone longer than it should.

Imports wire, kernels and the rest of this room.
"""

from perception.rules.observed import Filter, Seconds
from perception.rules.presence import Presence
from perception.rules.stay import StayRule


class DwellRule(StayRule):
    """Begins when a track has been in the zone for `seconds`, ends when it has left for leave_s.

    A walk out of the zone, or out of sight, shorter than leave_s does not start the wait again.
    """

    kind = "dwell"

    class Options(Filter):
        """zone: its name. seconds, leave_s: s of media time inside, outside before it counts."""

        zone: str
        seconds: Seconds
        leave_s: Seconds = 1.0

    def _make_presence(self) -> Presence:
        options = self._options
        return Presence(options.seconds, options.leave_s, grace_s=options.leave_s)
