"""What rules about how long a track meets a condition have in common: zone, dwell, approach, count,
collision, geofence.

Imports wire, kernels and the rest of this room.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perception.kernels import polygons
from perception.rules import Event, Json
from perception.rules.observed import Timeline, TrackSelector, about_speed, feet, place
from perception.rules.presence import Ended, Presence, stay_events
from perception.rules.zones import Line, Zone
from perception.wire import TrackMessage


class PresenceRule:
    """Holds what such a rule keeps from frame to frame. A subclass gives `kind`, Options, update.

    Options has enter_s and leave_s, or the subclass makes its own Presence.
    """

    kind: str

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        self.name = name
        self.counts: dict[str, int] = {}
        self._options = options
        self._presence = self._make_presence()
        self._selector = TrackSelector(options, zones)
        self._time = Timeline()

    def _make_presence(self) -> Presence:
        """Return how long a track has to meet the condition, and not to, before it counts."""
        return Presence(self._options.enter_s, self._options.leave_s)

    def state(self) -> dict[str, Any]:
        return {
            "time": self._time.state(),
            "chooser": self._selector.state(),
            "stays": self._presence.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self._presence.restore(state["stays"])
        self._selector.restore(state["chooser"])
        self._time.restore(state["time"])


class StayRule(PresenceRule):
    """Begins and ends as Presence says of the feet in a zone: `zone` of the options."""

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        super().__init__(name, options, zones, lines)
        self._zone = place(options.zone, zones, "zone")

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        polygon = self._zone.pixels(message.width, message.height)
        inside = polygons.inside(feet(message), polygon)
        chosen = self._selector.rows(message, t_ns)
        return self._events(message, *self._presence.update(message, t_ns, inside, chosen))

    def _events(self, message: TrackMessage, begun: list[int], ended: list[Ended]) -> list[Event]:
        about: dict[str, Json] = {"zone": self._options.zone}
        events = stay_events(self.name, self.kind, message, self._presence, begun, ended, about)
        return [self._with_speed(message, event) for event in events]

    def _with_speed(self, message: TrackMessage, event: Event) -> Event:
        if event.phase != "begin":
            return event
        speed = about_speed(message, event.track_id)
        return replace(event, details={**event.details, **speed}) if speed else event
