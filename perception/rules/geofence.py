"""Geofence: a track is inside an area of the map, outside it, or will be in it soon.

Imports wire, kernels and the rest of this room.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from perception.kernels import polygons
from perception.rules import Event, Json
from perception.rules.observed import Filter, Seconds
from perception.rules.on_map import Corners, File, MapArea, good, read_area
from perception.rules.presence import stay_events
from perception.rules.stay import PresenceRule
from perception.rules.zones import Line, Zone
from perception.wire import TrackMessage


class GeofenceRule(PresenceRule):
    """Begins when a track has met `when` for enter_s, ends when it has not for leave_s.

    Only tracks with a place count whose ellipse is a measure: one that is too flat to see, or whose
    telemetry is silent, is neither inside nor outside.
    """

    kind = "geofence"

    class Options(Filter):
        """area: corners [longitude, latitude]; or path: a GeoJSON file with one polygon (RFC 7946).

        when: inside, outside, or ahead: it will be inside within `seconds` where it keeps its
        velocity. min_m_s: speed over ground. enter_s, leave_s: s of media time before it counts.
        """

        area: Corners = ()
        path: File | None = None
        when: Literal["inside", "outside", "ahead"] = "inside"
        seconds: Annotated[float, Field(gt=0.0, le=3600.0)] | None = None
        min_m_s: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
        enter_s: Seconds = 0.5
        leave_s: Seconds = 2.0

        @model_validator(mode="after")
        def _fits(self) -> Self:
            if bool(self.area) == (self.path is not None):
                raise ValueError("needs one of area and path")
            if self.area and len(self.area) < 3:
                raise ValueError(f"area needs at least 3 corners, there are {len(self.area)}")
            if (self.when == "ahead") != (self.seconds is not None):
                raise ValueError("`when: ahead` and `seconds` belong together")
            return self

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        super().__init__(name, options, zones, lines)
        corners = read_area(options.path) if options.path is not None else options.area
        self._area = MapArea(corners)

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        chosen = self._selector.rows(message, t_ns)
        if self._options.min_m_s > 0.0:
            speeds = np.hypot(message.tracks.places[:, 6], message.tracks.places[:, 7])
            chosen &= speeds >= self._options.min_m_s
        begun, ended = self._presence.update(message, t_ns, self._met(message), chosen)
        about: dict[str, Json] = {"when": self._options.when}
        return stay_events(self.name, self.kind, message, self._presence, begun, ended, about)

    def _met(self, message: TrackMessage) -> NDArray[np.bool_]:
        known, inside = good(message), self._area.holds(message)
        if self._options.when == "inside":
            return inside
        if self._options.when == "outside":
            return known & ~inside
        rows, plane = message.tracks.places, self._area.plane
        velocities = np.ascontiguousarray(rows[:, 6:8])
        away_s = polygons.entry_times(plane.metres(rows[:, :2]), velocities, plane.corners)
        return known & ~inside & (away_s <= (self._options.seconds or 0.0))
