"""Zone: a track is inside a zone, from its entering to its leaving.

Imports wire, kernels and the rest of this room.
"""

from perception.rules.observed import Filter, Seconds
from perception.rules.stay import StayRule


class ZoneRule(StayRule):
    """Begins when a track has been seen in the zone for enter_s, ends when it has left for leave_s.

    A track that is lost inside ends after leave_s too, with the reason `lost`.
    """

    kind = "zone"

    class Options(Filter):
        """zone: its name. enter_s, leave_s: s of media time inside, outside before it counts."""

        zone: str
        enter_s: Seconds = 0.2
        leave_s: Seconds = 1.0
