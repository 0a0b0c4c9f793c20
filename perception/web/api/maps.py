"""The map of a camera with telemetry: its flight, what it saw, targets with their ellipses."""

import copy
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from perception.recording.flight import Flight
from perception.recording.geojson import features
from perception.web.api.cameras import camera_in_path
from perception.web.permissions import Routes
from perception.web.problems import not_found
from perception.web.site import Site
from perception.wire import places

api = Routes("cameras")
MAX_TARGETS = 200
"""The newest ones are told."""


class FlightMap(BaseModel):
    """A flight since this page's process began, as GeoJSON features (RFC 7946).

    reason: why the camera's place is not known now, null where it is. targets: how many there are
    in all. Kinds of features are those of the run's own map-<camera>.geojson; `camera` is where it
    is now, with yaw_deg.
    """

    camera: str
    reason: str | None
    frames: int
    frames_placed: int
    targets: int
    features: list[dict[str, Any]]


@api.add("GET", "/cameras/{camera}/map", may="viewer", camera=camera_in_path)
async def flight_map(request: Request, camera: str) -> FlightMap:
    """Return the map of a camera. 404: it has no telemetry."""
    site: Site = request.app.state.site
    flight = site.hub.flights.get(camera)
    if flight is None:
        raise not_found("a map of this camera")
    found = features(_newest(flight))
    if flight.view is not None:
        point = {"type": "Point", "coordinates": [flight.view.lon_deg, flight.view.lat_deg]}
        about = {
            "kind": "camera",
            "yaw_deg": round(flight.view.yaw_deg % 360.0, 1),
            "above_m": round(flight.view.above_m, 1),
        }
        found.append({"type": "Feature", "geometry": point, "properties": about})
    return FlightMap(
        camera=camera,
        reason=places.REASONS[site.hub.view_codes.get(camera, places.NONE_YET)] or None,
        frames=flight.frames,
        frames_placed=flight.frames_placed,
        targets=len(flight.targets),
        features=found,
    )


def _newest(flight: Flight) -> Flight:
    """Return the flight with its newest targets only."""
    order = sorted(flight.targets.values(), key=lambda target: -target.last.t_s)
    shown = copy.copy(flight)
    shown.targets = {target.track_id: target for target in order[:MAX_TARGETS]}
    return shown
