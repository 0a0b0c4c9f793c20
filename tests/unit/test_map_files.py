"""The files of a flight: GeoJSON by RFC 7946, KML, GPX and a page that fetches nothing."""

import itertools
import json
import math
import re
from dataclasses import replace
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from perception.geo.options import MapOptions
from perception.geo.placer import Placer
from perception.recording.flight import parts, ring
from perception.recording.map_files import MapFiles
from perception.wire import Place, ellipse
from perception.wire.codec import decode, encode
from tests.flight import Steady, apart, ground_point, pixel_of, state_of
from tests.unit.test_geo_ground import SIZE, focal, message

OPTIONS = MapOptions(ground={"height_m": 0.0, "datum": "ellipsoid"})
UTC_NS = 1_750_000_000_000_000_000


def fly(folder, lon=11.0, frames=40, live=False, class_name="car"):
    """Fly east over a car that stands; return the map's files and the last message."""
    files = MapFiles(folder, "down", page="map.html", live=live)
    truth = ground_point((48.0, lon, 100.0), 0.0, 60.0)

    def state(t_ns):
        eye = 48.0, (lon + t_ns * 1e-15 + 180) % 360 - 180, 100.0
        return replace(state_of(eye, (0.0, -60.0, 0.0), 60.0), utc_ns=UTC_NS + t_ns)

    placer = Placer(Steady(state), OPTIONS)
    said = None
    for n in range(frames):
        t_ns = n * 100_000_000
        now = state(t_ns)
        eye = now.lat_deg, now.lon_deg, 100.0
        x, y = pixel_of(truth, eye, (0.0, -60.0, 0.0), focal(60.0), SIZE)
        said = message([(x - 5, y - 5, x + 5, y + 5 * (1 - 2 * 0.0))], t_ns)
        said.names = {0: class_name}
        placer.place(said)
        files.add(said)
    files.close()
    return files, said, truth


def test_the_files_of_a_flight_stand_where_the_target_is(tmp_path):
    _, said, truth = fly(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"map-down.geojson", "map-down.kml", "map-down.gpx", "map.html"}
    collection = json.loads((tmp_path / "map-down.geojson").read_text())
    (target,) = [f for f in collection["features"] if f["properties"]["kind"] == "target"]
    lon, lat = target["geometry"]["coordinates"]
    assert np.linalg.norm(apart(truth, (lat, lon))) < 3.0
    assert target["properties"]["class"] == "car"
    assert target["properties"]["time"] == "2025-06-15T15:06:43.900Z"
    kinds = {f["properties"]["kind"] for f in collection["features"]}
    assert kinds == {"flight", "footprint", "target", "ellipse"} | (kinds & {"path"})
    back = decode(encode(said))
    assert back.tracks.row(0, {}).place == said.tracks.row(0, {}).place


def signed_area(points):
    ends = itertools.pairwise(points)
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in ends) / 2


@pytest.mark.parametrize("lon", [11.0, 179.9999, -179.9999])
def test_geojson_keeps_to_its_rfc_also_at_the_antimeridian(tmp_path, lon):
    fly(tmp_path, lon)
    collection = json.loads((tmp_path / "map-down.geojson").read_text())
    cut = 0
    for feature in collection["features"]:
        shape = feature["geometry"]
        for x, y in re.findall(r"\[(-?[\d.e-]+), (-?[\d.e-]+)\]", json.dumps(shape)):
            assert abs(float(x)) <= 180.0
            assert abs(float(y)) <= 90.0
        groups = {"Polygon": [shape["coordinates"]], "MultiPolygon": shape["coordinates"]}
        for polygon in groups.get(shape["type"], []):
            (outer,) = polygon
            assert outer[0] == outer[-1]
            assert len(outer) >= 4
            assert signed_area(outer) > 0
            assert max(p[0] for p in outer) - min(p[0] for p in outer) < 1
        cut += shape["type"].startswith("Multi")
    assert (cut > 0) == (lon != 11.0)


def test_lines_are_cut_at_the_antimeridian():
    assert parts([(179.0, 0.0), (-179.0, 2.0)]) == [
        [(179.0, 0.0), (180.0, 1.0)],
        [(-180.0, 1.0), (-179.0, 2.0)],
    ]
    assert parts([(1.0, 2.0), (3.0, 4.0)]) == [[(1.0, 2.0), (3.0, 4.0)]]


def test_kml_and_gpx_are_well_formed_with_times(tmp_path):
    fly(tmp_path, class_name='<b>"&car')
    space = {"k": "http://www.opengis.net/kml/2.2", "g": "http://www.topografix.com/GPX/1/1"}
    root = Xml.parse(tmp_path / "map-down.kml").getroot()
    names = [mark.text for mark in root.iterfind(".//k:Placemark/k:name", space)]
    assert '<b>"&car 1' in names
    spans = [e.text for e in root.iterfind(".//k:TimeSpan/k:begin", space)]
    assert spans[0].startswith("2025-06-15T15:06:4")
    points = Xml.parse(tmp_path / "map-down.gpx").getroot().findall(".//g:trkpt", space)
    assert len(points) == 20
    assert points[0].find("g:time", space) is not None
    assert float(points[0].get("lat")) == 48.0


def test_the_page_fetches_nothing_and_text_cannot_end_its_script(tmp_path):
    fly(tmp_path, class_name="</script><img src=x onerror=alert(1)>")
    text = (tmp_path / "map.html").read_text()
    assert "default-src 'none'" in text
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    assert "<img" not in text
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)[1]
    classes = {f["properties"].get("class") for f in json.loads(data)["features"]}
    assert "</script><img src=x onerror=alert(1)>" in classes


def test_a_live_file_has_the_newest_targets_or_the_reason(tmp_path):
    files, said, _ = fly(tmp_path, live=True)
    live = json.loads((tmp_path / "targets-down.geojson").read_text())
    kinds = [f["properties"]["kind"] for f in live["features"]]
    assert kinds == ["camera", "target"]
    said.view[:] = 0
    said.view[0] = 8
    said.stamp = replace_time(said.stamp, said.stamp.t_media_ns + 2 * 10**9)
    files.add(said)
    live = json.loads((tmp_path / "targets-down.geojson").read_text())
    assert live["features"] == []
    assert live["reason"] == "telemetry is too old"
    assert not list(tmp_path.glob(".*"))


def replace_time(stamp, t_ns):
    import msgspec

    return msgspec.structs.replace(stamp, t_media_ns=t_ns)


def test_a_flight_without_a_place_writes_no_map(tmp_path):
    files = MapFiles(tmp_path, "down", page="map.html", live=False)
    files.add(message([(1, 2, 3, 4)]))
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_the_ellipse_of_a_covariance():
    major, minor, bearing = ellipse(100.0, 0.0, 4.0)
    assert (major, minor) == pytest.approx((24.477, 4.895), abs=1e-3)
    assert bearing == pytest.approx(90.0)
    assert ellipse(1.0, 0.9, 1.0)[2] == pytest.approx(45.0)
    place = Place(60.0, 10.0, 0.0, 50.0, 10.0, 90.0, None, None, 0.0, "")
    points = ring(place)
    assert points[0] == points[-1]
    assert signed_area(points) > 0
    wide = (max(p[0] for p in points) - min(p[0] for p in points)) * 111_320 * math.cos(math.pi / 3)
    assert wide == pytest.approx(100.0, rel=0.01)
