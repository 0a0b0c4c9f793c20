"""Areas and lines on the map, in m: of geofence, and of line and count where they are on it.

Corners are longitude, latitude, as in GeoJSON. Imports wire, kernels, errors.
"""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from perception.errors import ConfigError
from perception.kernels import polygons
from perception.wire import TrackMessage, places

MAX_CORNERS, MAX_FILE_BYTES = 2000, 4 << 20
MAX_SIDE_DEG = 5.0
"""An area or a line is taken as flat: larger ones are refused."""

Longitude = Annotated[float, Field(ge=-180.0, le=180.0, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90.0, le=90.0, allow_inf_nan=False)]
Corner = tuple[Longitude, Latitude]
Corners = Annotated[tuple[Corner, ...], Field(max_length=MAX_CORNERS)]
File = Annotated[Path, AfterValidator(Path.expanduser)]


class Plane:
    """A plane at a shape: east and north in m of its first corner. corners: float64 (P, 2)."""

    def __init__(self, shape: Sequence[tuple[float, float]]) -> None:
        self._lon, self._lat = shape[0]
        degrees = np.array([(lat, lon) for lon, lat in shape])
        spans = np.ptp(degrees[:, 0]), np.ptp(_turned(degrees[:, 1] - self._lon))
        if max(spans) > MAX_SIDE_DEG:
            raise ConfigError(f"{max(spans):.1f} degrees across, {MAX_SIDE_DEG:g} at most")
        phi = math.radians(self._lat)
        # Metres of a degree on WGS 84, series of the meridian and the parallel (NGA TR8350.2).
        self._north = 111_132.92 - 559.82 * math.cos(2 * phi) + 1.175 * math.cos(4 * phi)
        self._east = 111_412.84 * math.cos(phi) - 93.5 * math.cos(3 * phi)
        self.corners = self.metres(degrees)

    def metres(self, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return east, north m of latitudes and longitudes (N, 2)."""
        east = _turned(degrees[:, 1] - self._lon) * self._east
        return np.column_stack([east, (degrees[:, 0] - self._lat) * self._north])


class MapArea:
    """A polygon on the map. centre: latitude and longitude of the mean of its corners.

    Raises ConfigError where it has no area or is too large.
    """

    def __init__(self, corners: Sequence[tuple[float, float]]) -> None:
        self.plane = Plane(corners)
        x, y = self.plane.corners.T
        if abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) < 2.0:
            raise ConfigError("the area's corners enclose less than 1 m^2")
        lon = corners[0][0] + float(
            _turned(np.array([c[0] - corners[0][0] for c in corners])).mean()
        )
        self.centre = float(np.mean([c[1] for c in corners])), (lon + 180.0) % 360.0 - 180.0

    def holds(self, message: TrackMessage) -> NDArray[np.bool_]:
        """Return which tracks have a good place in the area: bool (M,)."""
        points = self.plane.metres(message.tracks.places[:, :2])
        return good(message) & polygons.inside(points, self.plane.corners)


class MapLine:
    """A line of one or more parts on the map. Points are east and south m, as y in a picture.

    Raises ConfigError where it has no length or is too large.
    """

    def __init__(self, corners: Sequence[tuple[float, float]]) -> None:
        self._plane = Plane(corners)
        ends = self._plane.corners * (1.0, -1.0)
        self._parts = [np.array(p) for p in itertools.pairwise(ends)]
        if any(np.hypot(*(b - a)) < 0.1 for a, b in self._parts):
            raise ConfigError("two corners of the line are less than 0.1 m apart")

    def points(self, message: TrackMessage) -> NDArray[np.float64]:
        """Return where tracks are, float64 (M, 2) m; NaN without a good place."""
        found = self._plane.metres(message.tracks.places[:, :2]) * (1.0, -1.0)
        found[~good(message)] = np.nan
        return found

    def crossings(
        self, starts: NDArray[np.float64], ends: NDArray[np.float64]
    ) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        """Return net crossings of movements, and signed m of their ends from the nearest part."""
        net = np.zeros(len(starts), np.int8)
        away = np.full(len(starts), np.inf)
        for part in self._parts:
            net += polygons.crossings(starts, ends, part)
            along = part[1] - part[0]
            offsets = ends - part[0]
            share = (offsets @ along / (along @ along)).clip(0.0, 1.0)
            distance = np.hypot(*(offsets - share[:, None] * along).T)
            side = np.sign(along[0] * offsets[:, 1] - along[1] * offsets[:, 0])
            away = np.where(distance < np.abs(away), side * distance, away)
        return net, away


def good(message: TrackMessage) -> NDArray[np.bool_]:
    """Return which tracks have a place whose ellipse is a measure: bool (M,)."""
    return message.tracks.place_codes == places.PLACE_GOOD


def _turned(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return differences of longitude within -180 and 180."""
    return (degrees + 180.0) % 360.0 - 180.0


def read_area(path: Path) -> tuple[tuple[float, float], ...]:
    """Return the corners of the one polygon in a GeoJSON file. Raises ConfigError with the path."""
    found = _load(path, "Polygon")
    try:
        whole = len(found) == 1 and len(found[0]) == 1
    except TypeError:
        raise ConfigError(f"{path}: no GeoJSON (RFC 7946) with a Polygon") from None
    if not whole:
        raise ConfigError(
            f"{path}: {len(found)} polygons, expected one without holes: one rule an area"
        )
    return _corners(found[0][0], path, 3)


def read_line(path: Path) -> tuple[tuple[float, float], ...]:
    """Return the corners of the one line in a GeoJSON file. Raises ConfigError with the path."""
    found = _load(path, "LineString")
    if len(found) != 1:
        raise ConfigError(f"{path}: {len(found)} lines, expected one: one rule a line")
    return _corners(found[0], path, 2)


def _load(path: Path, kind: str) -> list[Any]:
    """Return the coordinates of all shapes of a kind in a GeoJSON file. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes")
        return _shapes(json.loads(path.read_text(encoding="utf-8")), kind)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise ConfigError(f"{path}: no GeoJSON (RFC 7946) with a {kind}") from None


def _corners(shape: Any, path: Path, least: int) -> tuple[tuple[float, float], ...]:
    try:
        corners = [(float(point[0]), float(point[1])) for point in shape]
    except (ValueError, TypeError, KeyError, IndexError):
        raise ConfigError(f"{path}: corners are [longitude, latitude]") from None
    if least > 2 and corners and corners[0] == corners[-1]:
        corners = corners[:-1]
    good = all(abs(lon) <= 180.0 and abs(lat) <= 90.0 for lon, lat in corners)
    if not good or not least <= len(corners) <= MAX_CORNERS:
        expected = f"{least} to {MAX_CORNERS} corners [longitude, latitude] are expected"
        raise ConfigError(f"{path}: {expected}")
    return tuple(corners)


def _shapes(shape: Any, kind: str) -> list[Any]:
    """Return the coordinates of all shapes of a kind, or of a multiple of it, in GeoJSON."""
    own = shape["type"]
    if own == "FeatureCollection":
        return [found for feature in shape["features"] for found in _shapes(feature, kind)]
    if own == "Feature":
        return _shapes(shape["geometry"], kind)
    if own == kind:
        return [shape["coordinates"]]
    return list(shape["coordinates"]) if own == f"Multi{kind}" else []
