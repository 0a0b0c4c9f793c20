"""What is worth saying about tracks: events, found by rules, one small class each.

A rule is a plain object, one a camera and entry of the launch file; it thinks in media time only,
so a replay finds the same events. To add one: a file with a class that fits Rule, one row in RULES.
Imports wire and below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from perception.extensions import load
from perception.rules.zones import Line, Zone
from perception.wire import OwnLane, TrackMessage

Phase = Literal["begin", "update", "end", "once"]
Json = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """An instant at which a rule noticed something.

    phase: `begin`, `update` and `end` of something that lasts, at most one at a time for each
    track_id of a rule; `once` for an instant. track_id: its low half is 0 where no single track
    is to blame.
    box: xyxy px when last seen. details: JSON values for people and sinks.
    """

    rule: str
    kind: str
    phase: Phase
    track_id: int
    class_name: str
    score: float
    box: tuple[float, float, float, float]
    t_media_ns: int
    frame_id: int
    details: dict[str, Json] = field(default_factory=dict[str, Json])


class Rule(Protocol):
    """Finds events in the tracks of one camera. counts: totals by name, e.g. per direction."""

    Options: type[BaseModel]
    name: str
    counts: dict[str, int]

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        """Raises ConfigError where the options name a zone or line that is not there."""
        ...

    def update(self, message: TrackMessage) -> list[Event]:
        """Return the events of this frame; frames come in order, gaps are allowed."""
        ...

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs to go on as if nothing had happened, JSON values."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `state` gave; ValueError where it is no such thing (start afresh then)."""
        ...


@runtime_checkable
class SeesLanes(Protocol):
    """A Rule that is told where the own lane is, before the tracks of the same time or later."""

    def see(self, lane: OwnLane) -> None:
        """Take the own lane of a frame. Frames come in order, gaps are allowed."""
        ...


RULES = {
    "zone": "perception.rules.zone:ZoneRule",
    "dwell": "perception.rules.dwell:DwellRule",
    "line": "perception.rules.line:LineRule",
    "visit": "perception.rules.visit:VisitRule",
    "count": "perception.rules.count:CountRule",
    "approach": "perception.rules.approach:ApproachRule",
    "geofence": "perception.rules.geofence:GeofenceRule",
    "collision": "perception.rules.collision:CollisionRule",
    "departure": "perception.rules.departure:DepartureRule",
}


def rule_class(name: str) -> Any:
    """Return the class of a rule; ConfigError with the nearest name where there is none."""
    return load(RULES, "perception.rules", name)
