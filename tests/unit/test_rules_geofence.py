"""Geofence: the places come from the flight simulator's pixels through the placer."""

import json

import numpy as np
import pymap3d
import pytest
from pydantic import ValidationError

from perception.errors import ConfigError
from perception.geo.options import MapOptions
from perception.geo.placer import Placer
from perception.rules.geofence import GeofenceRule, Plane, read_area
from perception.wire import make_id
from tests.flight import Steady, pixel_of, state_of
from tests.unit.test_geo_ground import SIZE, focal, message

OPTIONS = MapOptions(ground={"height_m": 0.0, "datum": "ellipsoid"})
DOWN, SPEED_M_S, STEP_S = (0.0, -80.0, 0.0), 8.0, 0.1


def area(lon, width=20.0):
    """Return a square around 20 m north of (48, lon): corners [lon, lat]."""
    corners = []
    for east, north in ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)):
        at = pymap3d.enu2geodetic(east * width, 20 + north * width, 0, 48.0, lon, 0.0)
        corners.append(((at[1] + 180) % 360 - 180, at[0]))
    return corners


def drive(rule, lon, silent=False):
    """Drive a car east through the area at 8 m/s; return phase and its true east in m."""
    eye = 48.0, lon, 100.0
    placer, found = Placer(Steady(state_of(eye, DOWN, 60.0)), OPTIONS), []
    for n in range(100):
        east = -40 + SPEED_M_S * STEP_S * n
        place = pymap3d.enu2geodetic(east, 20.0, 0.0, 48.0, lon, 0.0)
        x, y = pixel_of(place, eye, DOWN, focal(60.0), SIZE)
        said = message([(x - 5, y - 5, x + 5, y + 5)], round(n * STEP_S * 1e9))
        said.stamp = type(said.stamp)(
            camera="down", frame_id=make_id(1, n), t_media_ns=round(n * STEP_S * 1e9),
            t_arrival_ns=n, t_wall_ns=n,
        )  # fmt: skip
        if not silent:
            placer.place(said)
        found += [(event.phase, east, event.details) for event in rule.update(said)]
    return found


def make(**options):
    return GeofenceRule("fence", GeofenceRule.Options.model_validate(options), {}, {})


@pytest.mark.parametrize("lon", [11.0, 179.99995, -180.0])
def test_enter_and_leave_where_the_car_does(lon):
    events = drive(make(area=area(lon), enter_s=0, leave_s=0.5), lon)
    assert [phase for phase, *_ in events] == ["begin", "end"]
    assert events[0][1] == pytest.approx(-10.0, abs=2.0)
    assert events[1][1] == pytest.approx(10.0 + 0.5 * SPEED_M_S, abs=2.5)


def test_outside_is_the_other_way_round():
    events = drive(make(area=area(11.0), when="outside", enter_s=0, leave_s=0.2), 11.0)
    assert [phase for phase, *_ in events] == ["begin", "end", "begin"]
    assert events[2][1] == pytest.approx(10.0, abs=2.0)


def test_it_is_told_before_it_enters():
    rule = make(area=area(11.0), when="ahead", seconds=2.0, enter_s=0, leave_s=0.3)
    events = drive(rule, 11.0)
    begun = [east for phase, east, _ in events if phase == "begin"]
    assert begun
    assert begun[0] == pytest.approx(-10.0 - 2.0 * SPEED_M_S, abs=4.0)


def test_slow_ones_and_ones_without_a_place_are_left_out():
    assert drive(make(area=area(11.0), min_m_s=12.0), 11.0) == []
    assert [e[0] for e in drive(make(area=area(11.0), min_m_s=5.0), 11.0)][:1] == ["begin"]
    assert drive(make(area=area(11.0)), 11.0, silent=True) == []
    assert drive(make(area=area(11.0), when="outside"), 11.0, silent=True) == []


def test_the_area_of_a_geojson_file(tmp_path):
    path, corners = tmp_path / "fence.geojson", area(11.0)
    shape = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    for text in (
        shape,
        {"type": "Feature", "properties": {}, "geometry": shape},
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": shape}]},
    ):
        path.write_text(json.dumps(text))
        assert np.allclose(read_area(path), corners)
    assert [e[0] for e in drive(make(path=str(path)), 11.0)] == ["begin", "end"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no GeoJSON"),
        ("[]", "no GeoJSON"),
        ('{"type": "Point", "coordinates": [1, 2]}', "0 polygons"),
        ('{"type": "Polygon", "coordinates": [[[1, 2], [1, 3]]]}', "3 to"),
        ('{"type": "Polygon", "coordinates": [[[1, 99], [1, 3], [2, 2]]]}', "longitude"),
    ],
)
def test_files_that_are_refused(tmp_path, text, why):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        make(path=str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        make(path=str(tmp_path / "none.geojson"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"area": [[0, 0], [1, 1]]},
        {"area": area(11.0), "when": "ahead"},
        {"area": area(11.0), "seconds": 3},
        {"area": [[0, 91], [1, 1], [2, 2]]},
    ],
)
def test_options_that_contradict(options):
    with pytest.raises(ValidationError):
        make(**options)


def test_areas_without_size_and_too_large():
    with pytest.raises(ConfigError, match="less than 1"):
        make(area=[[0, 0], [0.1, 0.1], [0.2, 0.2]])
    with pytest.raises(ConfigError, match="at most"):
        make(area=[[0, 0], [20, 0], [20, 20]])


@pytest.mark.parametrize("lat", [-60.0, 0.0, 45.0, 70.0])
def test_metres_are_those_of_the_ellipsoid(lat):
    """300 m away: within 0.1 m of pymap3d."""
    plane = Plane([(11.0, lat), (11.002, lat), (11.0, lat + 0.002)])
    for east, north in ((300.0, 0.0), (0.0, 300.0), (-200.0, 200.0)):
        at = pymap3d.enu2geodetic(east, north, 0.0, lat, 11.0, 0.0)
        said = plane.metres(np.array([[at[0], at[1]]]))
        assert said.shape == (1, 2)
        np.testing.assert_allclose(said[0], [east, north], atol=0.1)


def test_a_corner_may_lie_on_the_antimeridian(tmp_path):
    corners = [[179.9999, 10.0], [180.0, 10.0], [180.0, 10.0001]]
    file = tmp_path / "a.geojson"
    file.write_text(json.dumps({"type": "Polygon", "coordinates": [[*corners, corners[0]]]}))
    assert read_area(file) == tuple((lon, lat) for lon, lat in corners)
    corners[1][0] = 180.0001
    file.write_text(json.dumps({"type": "Polygon", "coordinates": [[*corners, corners[0]]]}))
    with pytest.raises(ConfigError, match="corners"):
        read_area(file)
