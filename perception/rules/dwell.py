"""Dwell: a track stays in a zone longer than it should.

Imports messages, kernels and the rest of this room.
"""

from collections.abc import Mapping
from typing import Any

from perception.kernels import polygons
from perception.messages import TrackMessage
from perception.rules import Event, Json
from perception.rules.observed import Chooser, Filter, Seconds, Timeline, feet, place
from perception.rules.presence import Presence, stay_events
from perception.rules.zones import Line, Zone


class DwellRule:
    """Begins when a track has been in the zone for `seconds`, ends when it has left for leave_s.

    A walk out of the zone, or out of sight, shorter than leave_s does not start the wait again.
    """

    kind = "dwell"

    class Options(Filter):
        """zone: its name. seconds, leave_s: s of media time inside, outside before it counts."""

        zone: str
        seconds: Seconds
        leave_s: Seconds = 1.0

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        self.name = name
        self.counts: dict[str, int] = {}
        self._options: DwellRule.Options = options
        self._zone = place(options.zone, zones, "zone")
        self._presence = Presence(options.seconds, options.leave_s, grace_s=options.leave_s)
        self._chooser = Chooser(options, zones)
        self._time = Timeline()

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        polygon = self._zone.pixels(message.width, message.height)
        inside = polygons.inside(feet(message), polygon)
        begun, ended = self._presence.update(
            message, t_ns, inside, self._chooser.rows(message, t_ns)
        )
        about: dict[str, Json] = {"zone": self._options.zone}
        return stay_events(self.name, self.kind, message, self._presence, begun, ended, about)

    def state(self) -> dict[str, Any]:
        return {
            "time": self._time.state(),
            "chooser": self._chooser.state(),
            "stays": self._presence.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._presence.restore(state["stays"])
        self._chooser.restore(state["chooser"])
        self._time.restore(state["time"])
