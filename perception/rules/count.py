"""Count: too many, or too few, are in a zone of the picture, or an area of the map, at once.

Imports wire, kernels and the rest of this room.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from perception.kernels import polygons
from perception.rules import Event, Json, Phase
from perception.rules.observed import Filter, Seconds, feet, place
from perception.rules.on_map import Corners, File, MapArea, read_area
from perception.rules.stay import PresenceRule
from perception.rules.zones import Line, Zone
from perception.wire import TrackMessage

Number = Annotated[int, Field(ge=0, le=10_000)]


class CountRule(PresenceRule):
    """Begins when more than `above`, or fewer than `below`, have been in the zone for hold_s.

    Ends when that has not been so for hold_s. Who is in counts from enter_s after coming to leave_s
    after going, so a flicker changes nothing. An update tells each new count while it lasts.
    On the map only tracks with a good place count. track_id: the camera's epoch with 0 for the
    track, as no single one is to blame.
    """

    kind = "count"

    class Options(Filter):
        """zone: its name. above, below: one of them. enter_s, leave_s, hold_s: s of media time.

        On the map instead: area, corners [longitude, latitude], or path, a GeoJSON file with one
        polygon.
        """

        zone: str | None = None
        area: Corners = ()
        path: File | None = None
        above: Number | None = None
        below: Annotated[int, Field(ge=1, le=10_000)] | None = None
        enter_s: Seconds = 0.2
        leave_s: Seconds = 1.0
        hold_s: Seconds = 0.5

        @model_validator(mode="after")
        def _one_limit(self) -> Self:
            if (self.above is None) == (self.below is None):
                raise ValueError("needs one of above and below")
            given = (self.zone is not None, bool(self.area), self.path is not None)
            if sum(given) != 1:
                raise ValueError("needs one of zone, area and path")
            if self.area and len(self.area) < 3:
                raise ValueError(f"area needs at least 3 corners, there are {len(self.area)}")
            return self

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        super().__init__(name, options, zones, lines)
        self._zone: Zone | None = None
        self._area: MapArea | None = None
        if options.zone is not None:
            self._zone = place(options.zone, zones, "zone")
        else:
            self._area = MapArea(options.area or read_area(options.path))
        self._open: int | None = None
        self._told = 0
        self._changed_ns: int | None = None

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        inside = self._inside(message)
        self._presence.update(message, t_ns, inside, self._selector.rows(message, t_ns))
        count = sum(stay.begun for stay in self._presence.stays.values())
        wanted = self._beyond(count) and (self._open is not None or self._selector.active(message))
        if wanted == (self._open is not None):
            self._changed_ns = None
            if self._open is not None and count != self._told:
                return [self._event(message, "update", count, self._open)]
            return []
        if self._changed_ns is None:
            self._changed_ns = t_ns
        if t_ns - self._changed_ns < round(self._options.hold_s * 1e9):
            return []
        self._changed_ns = None
        if wanted:
            self._open = message.stamp.frame_id >> 32 << 32
            return [self._event(message, "begin", count, self._open)]
        track_id, self._open = self._open, None
        return [self._event(message, "end", count, track_id or 0)]

    def _inside(self, message: TrackMessage) -> NDArray[np.bool_]:
        if self._area is not None:
            return self._area.holds(message)
        assert self._zone is not None
        polygon = self._zone.pixels(message.width, message.height)
        return polygons.inside(feet(message), polygon)

    def _beyond(self, count: int) -> bool:
        options = self._options
        if options.above is not None:
            return count > options.above
        return options.below is not None and count < options.below

    def _event(self, message: TrackMessage, phase: Phase, count: int, track_id: int) -> Event:
        self._told = count
        box, about = (0.0, 0.0, float(message.width), float(message.height)), dict[str, Json]()
        if self._area is not None:
            lat, lon = self._area.centre
            about = {"zone": "map", "lat": round(lat, 7), "lon": round(lon, 7)}
        elif self._zone is not None:
            polygon = self._zone.pixels(message.width, message.height)
            (x1, y1), (x2, y2) = polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()
            box, about = (x1, y1, x2, y2), {"zone": self._options.zone}
        return Event(
            rule=self.name,
            kind=self.kind,
            phase=phase,
            track_id=track_id,
            class_name=", ".join(self._options.objects)[:64] or "any",
            score=1.0,
            box=box,
            t_media_ns=message.stamp.t_media_ns,
            frame_id=message.stamp.frame_id,
            details={**about, "count": count},
        )

    def state(self) -> dict[str, Any]:
        return {**super().state(), "open": [self._open, self._told, self._changed_ns]}

    def restore(self, state: dict[str, Any]) -> None:
        opened, told, changed_ns = state["open"]
        super().restore(state)
        self._open, self._told, self._changed_ns = opened, int(told), changed_ns
