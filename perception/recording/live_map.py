"""The newest targets of a running line as GeoJSON. Imports wire and this room."""

import json
from typing import Any

from perception.recording.flight import Flight
from perception.recording.geojson import Feature, iso, place_properties
from perception.wire import CONFIRMED, TrackMessage, places, short_id


def live_collection(message: TrackMessage, flight: Flight) -> str:
    """Return the camera and the confirmed tracks of a frame as a FeatureCollection, JSON text.

    If the position of the camera is unknown, there are no features, and `reason` has the cause.
    """
    found: list[Feature] = []
    view, newest = flight.view, flight.newest
    if view is not None and newest is not None:
        about: dict[str, Any] = {
            "kind": "camera", "height_m": round(view.height_m, 1),
            "above_m": round(view.above_m, 1),
            "yaw_deg": round(view.yaw_deg, 1), "pitch_deg": round(view.pitch_deg, 1),
        }  # fmt: skip
        found.append(_point(view.lat_deg, view.lon_deg, about))
        for row in (message.tracks.states == CONFIRMED).nonzero()[0].tolist():
            track = message.tracks.row(row, message.names)
            if track.place is not None:
                about = {
                    "kind": "target", "track": short_id(track.track_id), "class": track.class_name,
                    "score": round(track.score, 3), **place_properties(track.place),
                }  # fmt: skip
                found.append(_point(track.place.lat_deg, track.place.lon_deg, about))
    text = {
        "type": "FeatureCollection",
        "camera": message.stamp.camera,
        "time": iso(newest.utc_ns) if newest else iso(message.stamp.t_wall_ns),
        "reason": places.REASONS[int(message.view[0])] or None,
        "features": found,
    }
    return json.dumps(text) + "\n"


def _point(lat: float, lon: float, about: dict[str, Any]) -> Feature:
    point = {"type": "Point", "coordinates": [round(lon, 7), round(lat, 7)]}
    return {"type": "Feature", "geometry": point, "properties": about}
