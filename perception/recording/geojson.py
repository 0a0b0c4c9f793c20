"""A flight as GeoJSON (RFC 7946), for QGIS and others, and as GPX 1.1.

Imports wire and this room.
"""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from perception.recording.flight import Fix, Flight, Target, parts, ring
from perception.wire import Place, View, short_id

Feature = dict[str, Any]


def iso(utc_ns: int | None) -> str | None:
    """Return a UTC time as ISO 8601 with milliseconds; None for None."""
    if utc_ns is None:
        return None
    text = datetime.fromtimestamp(utc_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def features(flight: Flight) -> list[Feature]:
    """Return the features: flight path, footprints, targets with paths and ellipses, alerts."""
    found: list[Feature] = []
    if len(flight.path) > 1 and not flight.stills:
        about = {"kind": "flight", "camera": flight.camera, "frames": flight.frames}
        times = {"begin": iso(flight.path[0].utc_ns), "end": iso(flight.path[-1].utc_ns)}
        found.append(_line(flight.path, {**about, **times}))
    for fix, view in flight.views:
        about = {"t_s": round(fix.t_s, 2), "time": iso(fix.utc_ns)}
        if flight.stills:
            about["picture"] = fix.picture
            found.append(_point(fix.lat_deg, fix.lon_deg, picture_properties(fix, view) | about))
        corners = [(lon, lat) for lat, lon in view.corners or ()]
        if corners:
            found.append(_polygon([*corners, corners[0]], {"kind": "footprint", **about}))
    for target in flight.targets.values():
        about = target_properties(target)
        if len(target.path) > 1:
            found.append(_line(target.path, {**about, "kind": "path"}))
        found.append(_polygon(ring(target.place), {**about, "kind": "ellipse"}))
        found.append(_point(target.place.lat_deg, target.place.lon_deg, about))
    for mark in flight.marks:
        about = {
            "kind": "alert", "alert": mark.kind, "rule": mark.rule, "track": mark.track,
            "class": mark.class_name, "t_s": round(mark.fix.t_s, 2), "time": iso(mark.fix.utc_ns),
        }  # fmt: skip
        found.append(_point(mark.fix.lat_deg, mark.fix.lon_deg, about))
    return found


def picture_properties(fix: Fix, view: View) -> dict[str, Any]:
    """Return height and viewing direction of a still, for the properties of its feature."""
    return {
        "kind": "picture",
        "height_m": round(fix.height_m, 1),
        "above_m": round(view.above_m, 1),
        "yaw_deg": round(view.yaw_deg % 360.0, 1),
        "pitch_deg": round(view.pitch_deg, 1),
    }


def target_properties(target: Target) -> dict[str, Any]:
    """Return the properties of a target's features."""
    picture = {"picture": target.last.picture} if target.last.picture else {}
    return {
        **picture,
        "kind": "target",
        "track": short_id(target.track_id),
        "class": target.class_name,
        "score": round(target.score, 3),
        "seen_frames": target.seen,
        "first_s": round(target.first.t_s, 2),
        "last_s": round(target.last.t_s, 2),
        "time": iso(target.last.utc_ns),
        **place_properties(target.place),
    }


def place_properties(place: Place) -> dict[str, Any]:
    """Return height, 95 % ellipse, speed and course of a position, and why it is uncertain."""
    return {
        "height_m": round(place.height_m, 1),
        "ellipse_major_m": round(place.major_m, 1),
        "ellipse_minor_m": round(place.minor_m, 1),
        "ellipse_bearing_deg": round(place.bearing_deg, 1),
        "speed_m_s": None if place.speed_m_s is None else round(place.speed_m_s, 2),
        "course_deg": None if place.course_deg is None else round(place.course_deg, 1),
        "reservation": place.reason or None,
    }


def collection(flight: Flight) -> str:
    """Return the flight as the text of a FeatureCollection."""
    return json.dumps({"type": "FeatureCollection", "features": features(flight)}) + "\n"


def load_targets(path: Path) -> list[dict[str, Any]]:
    """Return the properties of the targets in a GeoJSON file, with lat and lon. No file: []."""
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = []
    for feature in json.loads(path.read_text())["features"]:
        if feature["properties"]["kind"] == "target":
            lon, lat = feature["geometry"]["coordinates"]
            found.append({**feature["properties"], "lat": lat, "lon": lon})
    return found


def gpx(flight: Flight) -> bytes:
    """Return the flight path as GPX 1.1, for stills a way point each, with times where known."""
    root = Xml.Element("gpx", version="1.1", creator="perception")
    root.set("xmlns", "http://www.topografix.com/GPX/1/1")
    parent, kind = root, "wpt"
    if not flight.stills:
        parent, kind = Xml.SubElement(Xml.SubElement(root, "trk"), "trkseg"), "trkpt"
    for fix in flight.path:
        where = {"lat": f"{fix.lat_deg:.7f}", "lon": f"{fix.lon_deg:.7f}"}
        point = Xml.SubElement(parent, kind, where)
        Xml.SubElement(point, "ele").text = f"{fix.height_m:.1f}"
        if (time := iso(fix.utc_ns)) is not None:
            Xml.SubElement(point, "time").text = time
        if fix.picture:
            Xml.SubElement(point, "name").text = fix.picture
    return Xml.tostring(root, "utf-8", xml_declaration=True)


def _point(lat: float, lon: float, about: dict[str, Any]) -> Feature:
    return _feature("Point", _rounded((lon, lat)), about)


def _line(path: list[Fix], about: dict[str, Any]) -> Feature:
    found = parts([(fix.lon_deg, fix.lat_deg) for fix in path])
    lines = [[_rounded(p) for p in part] for part in found if len(part) > 1]
    if len(lines) == 1:
        return _feature("LineString", lines[0], about)
    return _feature("MultiLineString", lines, about)


def _polygon(points: list[tuple[float, float]], about: dict[str, Any]) -> Feature:
    """Return a polygon, counter-clockwise; one across the antimeridian is split in two."""
    first = points[0][0]
    points = [(first + (lon - first + 180.0) % 360.0 - 180.0, lat) for lon, lat in points]
    ends = itertools.pairwise(points)
    if sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in ends) > 0:
        points = points[::-1]
    low, high = min(p[0] for p in points), max(p[0] for p in points)
    if low >= -180.0 and high <= 180.0:
        return _feature("Polygon", [[_rounded(p) for p in points]], about)
    edge = 180.0 if high > 180.0 else -180.0
    west, east = _clip(points, edge, -1.0), _clip(points, edge, 1.0)
    shift = -360.0 if edge > 0 else 360.0
    if edge > 0:
        east = [(lon + shift, lat) for lon, lat in east]
    else:
        west = [(lon + shift, lat) for lon, lat in west]
    rings = [[[_rounded(p) for p in part]] for part in (west, east) if len(part) > 3]
    return _feature("MultiPolygon", rings, about)


def _clip(points: list[tuple[float, float]], edge: float, side: float) -> list[tuple[float, float]]:
    """Return the part of a closed ring on one side of a meridian (Sutherland and Hodgman 1974)."""
    found: list[tuple[float, float]] = []
    for a, b in itertools.pairwise(points):
        in_a, in_b = (a[0] - edge) * side >= 0, (b[0] - edge) * side >= 0
        if in_a:
            found.append(a)
        if in_a != in_b:
            share = (edge - a[0]) / (b[0] - a[0])
            found.append((edge, a[1] + share * (b[1] - a[1])))
    return [*found, found[0]] if found else []


def _feature(kind: str, coordinates: Any, about: dict[str, Any]) -> Feature:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": about}


def _rounded(point: tuple[float, float]) -> list[float]:
    return [round(point[0], 7), round(point[1], 7)]
