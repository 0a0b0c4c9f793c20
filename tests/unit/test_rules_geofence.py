"""Geofence: the places come from the flight simulator's pixels through the placer."""

import json

import numpy as np
import pymap3d
import pytest
from pydantic import ValidationError

from perception.errors import ConfigError
from perception.geo.options import MapOptions
from perception.geo.placer import Placer
from perception.rules.count import CountRule
from perception.rules.geofence import GeofenceRule
from perception.rules.line import LineRule
from perception.rules.on_map import Plane, read_area, read_line
from perception.rules.reasons import reasons
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


def make_line(**options):
    return LineRule("gate", LineRule.Options.model_validate(options), {}, {})


def north_to_south(lon, east=0.0):
    """Return a line of two parts with a bend at the car's lane, from 60 m north to 20 m south."""
    corners = []
    for e, n in ((east, 60.0), (east, 22.0), (east, -20.0)):
        at = pymap3d.enu2geodetic(e, n, 0, 48.0, lon, 0.0)
        corners.append([(at[1] + 180) % 360 - 180, at[0]])
    return corners


@pytest.mark.parametrize("lon", [11.0, 179.99995, -180.0])
def test_a_line_on_the_map_is_crossed_where_the_car_crosses_it(lon):
    """Who goes along it from north to south has the east on the left: the car comes from the
    right."""
    rule = make_line(points=north_to_south(lon), names=["out", "in"])
    events = drive(rule, lon)
    assert [phase for phase, *_ in events] == ["once"]
    assert events[0][1] == pytest.approx(1.0, abs=2.0)
    assert events[0][2]["direction"] == "in"
    assert rule.counts == {"out": 0, "in": 1}
    back = make_line(points=north_to_south(lon)[::-1], names=["out", "in"])
    assert [e[2]["direction"] for e in drive(back, lon)] == ["out"]


def test_a_line_beside_the_way_is_not_crossed_and_silence_is_no_crossing():
    short = north_to_south(11.0)[:2]
    assert drive(make_line(points=short), 11.0) == []
    assert drive(make_line(points=north_to_south(11.0)), 11.0, silent=True) == []
    assert drive(make_line(points=north_to_south(11.0), margin_m=60.0), 11.0) == []


def test_the_line_of_a_geojson_file(tmp_path):
    path, corners = tmp_path / "gate.geojson", north_to_south(11.0)
    shape = {"type": "LineString", "coordinates": corners}
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": shape}))
    assert np.allclose(read_line(path), corners)
    assert len(drive(make_line(path=str(path)), 11.0)) == 1
    for text, why in (
        ({"type": "Point", "coordinates": [1, 2]}, "0 lines"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "2 to"),
        ({"type": "LineString", "coordinates": [1, 2]}, "corners are"),
        ({"type": "LineString", "coordinates": [[1, 91], [2, 2]]}, "longitude"),
    ):
        path.write_text(json.dumps(text))
        with pytest.raises(ConfigError, match=why):
            make_line(path=str(path))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"line": "a", "points": [[0, 0], [1, 1]]},
        {"points": [[0, 0]]},
        {"points": [[0, 0], [0, 91]]},
        {"points": [[0, 0], [1, 1]], "names": ["a", "a"]},
    ],
)
def test_lines_that_contradict(options):
    with pytest.raises(ValidationError):
        make_line(**options)


def test_lines_without_length_and_too_long():
    with pytest.raises(ConfigError, match="apart"):
        make_line(points=[[0, 0], [0, 0]])
    with pytest.raises(ConfigError, match="at most"):
        make_line(points=[[0, 0], [20, 0]])


def test_a_count_on_the_map_is_of_those_in_the_area():
    def count(**options):
        whole = {"above": 0, "enter_s": 0, "leave_s": 0.5, "hold_s": 0, **options}
        return CountRule("crowd", CountRule.Options.model_validate(whole), {}, {})

    events = drive(count(area=area(11.0)), 11.0)
    assert [phase for phase, *_ in events] == ["begin", "end"]
    assert events[0][1] == pytest.approx(-10.0, abs=2.0)
    about = events[0][2]
    assert (about["zone"], about["count"]) == ("map", 1)
    middle = pymap3d.enu2geodetic(0.0, 20.0, 0.0, 48.0, 11.0, 0.0)[:2]
    assert (about["lat"], about["lon"]) == pytest.approx(middle, abs=1e-6)
    assert drive(count(area=area(11.0)), 11.0, silent=True) == []
    assert drive(count(area=area(11.0), above=1), 11.0) == []
    with pytest.raises(ValidationError, match="one of zone, area and path"):
        count()
    with pytest.raises(ValidationError, match="at least 3"):
        count(area=[[0, 0], [1, 1]])


def test_what_has_no_place_is_told_to_who_asks_why():
    said = message([(1, 2, 3, 4)])
    options = GeofenceRule.Options(area=area(11.0))
    rule = make(area=area(11.0))
    rule.update(said)
    found = reasons("geofence", rule.state(), options, said, 0, {}, {})
    place = next(r for r in found if r.key == "place")
    assert not place.met
    assert place.text == "no good place on the map: not asked"
