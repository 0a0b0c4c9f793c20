"""A flight as KML 2.2 with times, for Google Earth and others. Imports wire and this room."""

from xml.etree import ElementTree as Xml

from perception.recording.flight import Fix, Flight, Target, ring
from perception.recording.geojson import iso
from perception.wire import short_id

_NAMESPACE = "http://www.opengis.net/kml/2.2"
_STYLES = {
    "flight": ("ffffaa33", "3"),
    "footprint": ("66ffffff", "1"),
    "target": ("ff3388ff", "2"),
    "ellipse": ("aa3388ff", "2"),
}
"""Colour (KML: opacity, blue, green, red) and line width."""


def kml(flight: Flight) -> bytes:
    """Return the KML of a flight: path, footprints, targets and alerts, with times where known."""
    root = Xml.Element("kml", xmlns=_NAMESPACE)
    document = Xml.SubElement(root, "Document")
    Xml.SubElement(document, "name").text = f"flight of {flight.camera}"
    for name, (colour, width) in _STYLES.items():
        style = Xml.SubElement(document, "Style", id=name)
        line = Xml.SubElement(style, "LineStyle")
        Xml.SubElement(line, "color").text = colour
        Xml.SubElement(line, "width").text = width
        Xml.SubElement(Xml.SubElement(style, "PolyStyle"), "fill").text = "0"
    if len(flight.path) > 1 and not flight.stills:
        mark = _placemark(document, "flight", "flight")
        _span(mark, flight.path[0], flight.path[-1])
        _line(mark, flight.path)
    folder = _folder(document, "pictures" if flight.stills else "footprints")
    for fix, view in flight.views:
        name = fix.picture or f"{fix.t_s:.0f} s"
        mark = _placemark(folder, name, "flight" if flight.stills else "footprint")
        if flight.stills:
            Xml.SubElement(mark, "description").text = (
                f"{view.above_m:.0f} m above ground, looks {view.yaw_deg % 360:.0f} degrees, "
                f"{view.pitch_deg:+.0f} degrees"
            )
        _span(mark, fix, None)
        shapes = Xml.SubElement(mark, "MultiGeometry")
        if flight.stills:
            point = Xml.SubElement(shapes, "Point")
            Xml.SubElement(point, "coordinates").text = _text([(fix.lon_deg, fix.lat_deg)])
        if corners := [(lon, lat) for lat, lon in view.corners or ()]:
            _polygon(shapes, [*corners, corners[0]])
    folder = _folder(document, "targets")
    for target in flight.targets.values():
        _target(folder, target)
    folder = _folder(document, "alerts")
    for alert in flight.marks:
        mark = _placemark(folder, f"{alert.rule}: {alert.class_name} {alert.track}", "target")
        _span(mark, alert.fix, None)
        point = Xml.SubElement(mark, "Point")
        Xml.SubElement(point, "coordinates").text = _text([(alert.fix.lon_deg, alert.fix.lat_deg)])
    return Xml.tostring(root, "utf-8", xml_declaration=True)


def _target(folder: Xml.Element, target: Target) -> None:
    place, name = target.place, f"{target.class_name} {short_id(target.track_id)}"
    mark = _placemark(folder, name, "target")
    speed = "" if place.speed_m_s is None else f", {place.speed_m_s:.1f} m/s"
    size = f"95 %: {place.major_m:.0f} x {place.minor_m:.0f} m at {place.bearing_deg:.0f} degrees"
    note = f"; {place.reason}" if place.reason else ""
    Xml.SubElement(mark, "description").text = f"{size}{speed}{note}"
    _span(mark, target.first, target.last)
    both = Xml.SubElement(mark, "MultiGeometry")
    point = Xml.SubElement(both, "Point")
    Xml.SubElement(point, "coordinates").text = _text([(place.lon_deg, place.lat_deg)])
    _polygon(both, ring(place))
    if len(target.path) > 1:
        _line(both, target.path)


def _folder(parent: Xml.Element, name: str) -> Xml.Element:
    folder = Xml.SubElement(parent, "Folder")
    Xml.SubElement(folder, "name").text = name
    return folder


def _placemark(parent: Xml.Element, name: str, style: str) -> Xml.Element:
    mark = Xml.SubElement(parent, "Placemark")
    Xml.SubElement(mark, "name").text = name
    Xml.SubElement(mark, "styleUrl").text = f"#{style}"
    return mark


def _span(mark: Xml.Element, first: Fix, last: Fix | None) -> None:
    begin, end = iso(first.utc_ns), iso(last.utc_ns) if last else None
    if begin is None:
        return
    if end is None:
        Xml.SubElement(Xml.SubElement(mark, "TimeStamp"), "when").text = begin
        return
    span = Xml.SubElement(mark, "TimeSpan")
    Xml.SubElement(span, "begin").text = begin
    Xml.SubElement(span, "end").text = end


def _line(parent: Xml.Element, path: list[Fix]) -> None:
    line = Xml.SubElement(parent, "LineString")
    Xml.SubElement(line, "tessellate").text = "1"
    points = [(fix.lon_deg, fix.lat_deg) for fix in path]
    Xml.SubElement(line, "coordinates").text = _text(points)


def _polygon(parent: Xml.Element, points: list[tuple[float, float]]) -> None:
    polygon = Xml.SubElement(parent, "Polygon")
    Xml.SubElement(polygon, "tessellate").text = "1"
    edge = Xml.SubElement(Xml.SubElement(polygon, "outerBoundaryIs"), "LinearRing")
    Xml.SubElement(edge, "coordinates").text = _text(points)


def _text(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{(lon + 180) % 360 - 180:.7f},{lat:.7f}" for lon, lat in points)
