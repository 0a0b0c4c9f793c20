"""Geofence: a track is inside an area of the map, outside it, or will be in it soon.

Imports wire, kernels and the rest of this room.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from perception.errors import ConfigError
from perception.kernels import polygons
from perception.rules import Event, Json
from perception.rules.observed import Filter, Seconds
from perception.rules.presence import stay_events
from perception.rules.stay import PresenceRule
from perception.rules.zones import Line, Zone
from perception.wire import TrackMessage, places

MAX_CORNERS, MAX_FILE_BYTES = 2000, 4 << 20
MAX_SIDE_DEG = 5.0
"""An area is taken as flat: larger ones are refused."""

Longitude = Annotated[float, Field(ge=-180.0, le=180.0, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90.0, le=90.0, allow_inf_nan=False)]
Corner = tuple[Longitude, Latitude]


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

        area: Annotated[tuple[Corner, ...], Field(max_length=MAX_CORNERS)] = ()
        path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
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
        self._plane = Plane(corners)

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
        rows = message.tracks.places
        known = message.tracks.place_codes == places.PLACE_GOOD
        points = self._plane.metres(rows[:, :2])
        inside = polygons.inside(points, self._plane.corners)
        if self._options.when == "inside":
            return known & inside
        if self._options.when == "outside":
            return known & ~inside
        velocities = np.ascontiguousarray(rows[:, 6:8])
        away_s = polygons.entry_times(points, velocities, self._plane.corners)
        return known & ~inside & (away_s <= (self._options.seconds or 0.0))


class Plane:
    """A plane at an area: east and north in m of its first corner. corners: float64 (P, 2)."""

    def __init__(self, area: Sequence[tuple[float, float]]) -> None:
        self._lon, self._lat = area[0]
        degrees = np.array([(lat, lon) for lon, lat in area])
        spans = np.ptp(degrees[:, 0]), np.ptp(_turned(degrees[:, 1] - self._lon))
        if max(spans) > MAX_SIDE_DEG:
            raise ConfigError(f"an area of {max(spans):.1f} degrees, {MAX_SIDE_DEG:g} at most")
        phi = math.radians(self._lat)
        # Metres of a degree on WGS 84, series of the meridian and the parallel (NGA TR8350.2).
        self._north = 111_132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)
        self._east = 111_412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi)
        self.corners = self.metres(degrees)
        x, y = self.corners.T
        if abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) < 2.0:
            raise ConfigError("the area's corners enclose less than 1 m^2")

    def metres(self, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return east, north m of latitudes and longitudes (N, 2)."""
        east = _turned(degrees[:, 1] - self._lon) * self._east
        return np.column_stack([east, (degrees[:, 0] - self._lat) * self._north])


def _turned(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return differences of longitude within -180 and 180."""
    return (degrees + 180.0) % 360.0 - 180.0


def read_area(path: Path) -> tuple[tuple[float, float], ...]:
    """Return the corners of the one polygon in a GeoJSON file. Raises ConfigError with the path."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
        found = _polygons(json.loads(path.read_text(encoding="utf-8")))
        if len(found) != 1 or len(found[0]) != 1:
            raise ConfigError(
                f"{path}: {len(found)} polygons, expected one without holes: one rule an area"
            )
        corners = [(float(point[0]), float(point[1])) for point in found[0][0]]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise ConfigError(f"{path}: no GeoJSON (RFC 7946) with a polygon") from None
    if corners and corners[0] == corners[-1]:
        corners = corners[:-1]
    good = all(abs(lon) <= 180.0 and abs(lat) <= 90.0 for lon, lat in corners)
    if not good or not 3 <= len(corners) <= MAX_CORNERS:
        raise ConfigError(f"{path}: 3 to {MAX_CORNERS} corners [longitude, latitude] are expected")
    return tuple(corners)


def _polygons(shape: Any) -> list[Any]:
    """Return the coordinates of all polygons in a GeoJSON object."""
    kind = shape["type"]
    if kind == "FeatureCollection":
        return [polygon for feature in shape["features"] for polygon in _polygons(feature)]
    if kind == "Feature":
        return _polygons(shape["geometry"])
    if kind == "Polygon":
        return [shape["coordinates"]]
    return list(shape["coordinates"]) if kind == "MultiPolygon" else []
