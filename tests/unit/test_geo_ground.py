"""Pixels on the earth: perfect inputs give the true place, noisy ones an ellipse that is true."""

import math
import time

import numpy as np
import pymap3d
import pytest

from perception.geo.camera import eye_at
from perception.geo.options import MapOptions
from perception.geo.placer import Placer
from perception.geo.terrain import Terrain
from perception.kernels import ground
from perception.wire import TrackMessage, Tracks, places
from tests.flight import Steady, apart, ground_point, pixel_of, state_of
from tests.unit.test_messages import STAMP

SIZE = 1280, 720
DRAWS = 10_000
CHI2_95 = 5.991


def options(**more):
    more = {"max_range_m": 90_000.0, **more}
    return MapOptions(ground={"height_m": 0.0, "datum": "ellipsoid"}, **more)


def focal(hfov):
    return SIZE[0] / 2 / math.tan(math.radians(hfov) / 2)


def locate(state, points, chosen=None):
    chosen = chosen or options()
    placer = Placer(Steady(state), chosen)
    eye, why = eye_at(Steady(state), chosen, 0, *SIZE)
    assert eye is not None, places.REASONS[why]
    return placer.locate(eye, np.asarray(points, np.float64))


@pytest.mark.parametrize("depression", [89.9, 60.0, 30.0, 20.0, 10.0])
@pytest.mark.parametrize("where", [(48.0, 11.0), (-33.0, 179.9999), (0.0, -180.0), (78.2, 15.6)])
@pytest.mark.parametrize("roll", [0.0, 25.0])
def test_perfect_inputs_give_the_place_within_a_decimetre(where, depression, roll):
    for height, bearing, hfov in ((50.0, 10.0, 80.0), (1200.0, 200.0, 20.0), (6000.0, 301.0, 5.0)):
        eye = (*where, height)
        truth = ground_point(eye, bearing, depression)
        east, north, up = pymap3d.geodetic2enu(*truth, *eye)
        distance = math.sqrt(east**2 + north**2 + up**2)
        angles = bearing + hfov / 9, -depression + hfov / 11, roll
        point = pixel_of(truth, eye, angles, focal(hfov), SIZE)
        row = locate(state_of(eye, angles, hfov), [point])[0]
        assert row[ground.CODE] == ground.FOUND
        found = np.degrees(row[ground.LAT]), np.degrees(row[ground.LON])
        assert np.linalg.norm(apart(truth, found)) <= max(0.1, 1e-4 * distance)
        assert row[ground.RANGE] == pytest.approx(distance, rel=1e-4)


def test_distortion_is_undone():
    eye, angles, bent = (10.0, 20.0, 100.0), (40.0, -50.0, 5.0), (-0.25, 0.08, 1e-3, -2e-3, -0.01)
    lens = {"hfov_deg": 84.0, "distortion": bent}
    for bearing, depression in ((20.0, 40.0), (60.0, 65.0), (40.0, 50.0)):
        truth = ground_point(eye, bearing, depression)
        point = pixel_of(truth, eye, angles, focal(84.0), SIZE, bent)
        row = locate(state_of(eye, angles, None), [point], options(lens=lens))[0]
        found = np.degrees(row[ground.LAT]), np.degrees(row[ground.LON])
        assert np.linalg.norm(apart(truth, found)) < 0.05


def test_above_the_horizon_there_is_no_ground():
    rows = locate(state_of((48.0, 11.0, 100.0), (0.0, 0.0, 0.0), 60.0), [(640, 10), (640, 700)])
    assert rows[0, ground.CODE] == ground.ABOVE_HORIZON
    assert rows[1, ground.CODE] == ground.FOUND
    assert not rows[0, :10].any()


def test_points_and_poses_that_are_no_numbers_give_no_place():
    rows = locate(state_of((48.0, 11.0, 100.0), (0.0, -60.0, 0.0), 60.0), [(math.nan, 1), (5, 5)])
    assert rows[0, ground.CODE] == ground.NOT_FINITE
    assert rows[1, ground.CODE] == ground.FOUND
    bad = ground.locate([(1, 1)], [math.nan] * 9, np.zeros(12), [], [0, 0, 0], [[0]], np.ones(7))
    assert bad[0, ground.CODE] == ground.NOT_FINITE
    assert ground.locate([], np.ones(9), np.zeros(12), [], [0, 0, 0], [[0]], np.ones(7)).shape == (
        0,
        ground.WIDTH,
    )


def slope(angle_deg, west, south, cells=201, step_deg=1e-4, base=0.0):
    """Return terrain that rises to the north at an angle, and its height as a function."""
    rows = np.arange(cells)[:, None] * np.ones((1, cells))
    per_cell = math.radians(step_deg) * ground.A * math.tan(math.radians(angle_deg))
    heights = (base + rows * per_cell).astype(np.float32)
    step = math.radians(step_deg)
    terrain = Terrain(heights, (math.radians(west), math.radians(south)), (step, step))
    return terrain, lambda lat: base + (lat - south) / step_deg * per_cell


@pytest.mark.parametrize("angle", [0.0, 20.0, -20.0])
@pytest.mark.parametrize("west", [11.0, 179.995])
def test_a_slope_from_a_terrain_model_is_met_where_it_is(angle, west):
    terrain, height_of = slope(angle, west, 48.0, base=800.0 if angle < 0 else 0.0)
    middle = west + 0.01
    eye = 48.004, middle, height_of(48.004) + 150.0
    state = state_of(eye, (5.0, -40.0, 3.0), 60.0)
    chosen = options()
    placer = Placer(Steady(state), chosen)
    placer._terrain, placer._at = terrain, terrain.at(20_000.0)
    found_eye, _ = eye_at(Steady(state), chosen, 0, *SIZE)
    for lat in (48.0045, 48.0052, 48.006):
        truth = lat, middle + 0.0003, height_of(lat)
        point = pixel_of(truth, eye, (5.0, -40.0, 3.0), focal(60.0), SIZE)
        row = placer.locate(found_eye, point[None])[0]
        assert row[ground.CODE] == ground.FOUND
        found = np.degrees(row[ground.LAT]), np.degrees(row[ground.LON])
        assert np.linalg.norm(apart(truth, found)) < 0.1
        assert row[ground.HEIGHT] == pytest.approx(truth[2], abs=0.1)
        if angle == 20.0:  # a slope that faces the camera is met at a steeper angle: less error
            flat = locate(state, point[None])[0]
            assert row[ground.NN] < flat[ground.NN]


def test_outside_the_terrain_or_in_its_holes_nothing_is_placed():
    terrain, _ = slope(0.0, 11.0, 48.0)
    state = state_of((48.0005, 11.01, 150.0), (180.0, -20.0, 0.0), 60.0)
    placer = Placer(Steady(state), options())
    placer._terrain, placer._at = terrain, terrain.at(20_000.0)
    eye, _ = eye_at(Steady(state), options(), 0, *SIZE)
    assert placer.locate(eye, np.array([(640.0, 360.0)]))[0, ground.CODE] == ground.OUTSIDE
    terrain.heights[:] = np.nan
    assert placer.locate(eye, np.array([(640.0, 700.0)]))[0, ground.CODE] == ground.OUTSIDE


SIGMAS = {
    "position_m": 2.0, "altitude_m": 3.0, "yaw_deg": 2.0, "pitch_deg": 0.7, "roll_deg": 0.7,
    "focal": 0.01, "time_s": 0.0, "pixel": 3.0, "terrain_m": 0.0,
}  # fmt: skip


def coverage(depression, roll, height, hfov, offset, draws=DRAWS, seed=0, sigmas=SIGMAS):
    """Return the share of draws whose 95 % ellipse holds the true place."""
    rng, eye = np.random.default_rng(seed), (47.0, 8.0, height)
    truth = ground_point(eye, 30.0, depression)
    centre = 30.0 + offset[0], -depression + offset[1]
    clean = pixel_of(truth, eye, (*centre, roll), focal(hfov), SIZE)
    s, inside = sigmas, 0
    chosen = options(sigmas=sigmas)
    placer = Placer(Steady(None), chosen)
    for _ in range(draws):
        noise = rng.standard_normal(9)
        lat, lon, _ = pymap3d.enu2geodetic(*(noise[:2] * s["position_m"]), 0.0, *eye)
        seen_eye = float(lat), float(lon), height + noise[2] * s["altitude_m"]
        angles = (
            centre[0] + noise[3] * s["yaw_deg"],
            centre[1] + noise[4] * s["pitch_deg"],
            roll + noise[5] * s["roll_deg"],
        )
        wide = 2 * math.degrees(
            math.atan(SIZE[0] / 2 / (focal(hfov) * (1 + noise[6] * s["focal"])))
        )
        found_eye, _ = eye_at(Steady(state_of(seen_eye, angles, wide)), chosen, 0, *SIZE)
        row = placer.locate(found_eye, (clean + noise[7:9] * s["pixel"])[None])[0]
        if row[ground.CODE] != ground.FOUND:
            continue
        found = np.degrees(row[ground.LAT]), np.degrees(row[ground.LON])
        off = apart(truth, found)
        matrix = np.array([[row[ground.EE], row[ground.EN]], [row[ground.EN], row[ground.NN]]])
        inside += float(off @ np.linalg.solve(matrix, off)) <= CHI2_95
    return inside / draws


@pytest.mark.parametrize(
    ("depression", "roll", "hfov"),
    [(89.0, 0.0, 60.0), (70.0, 15.0, 60.0), (50.0, 0.0, 30.0), (35.0, -20.0, 60.0),
     (25.0, 0.0, 40.0), (20.0, 5.0, 20.0), (16.0, 0.0, 40.0)],
)  # fmt: skip
def test_the_95_percent_ellipse_holds_the_truth_in_93_to_97_percent(depression, roll, hfov):
    share = coverage(depression, roll, 120.0, hfov, (hfov / 8, -hfov / 10))
    print(f"depression {depression}: {100 * share:.1f} %")
    assert 0.93 <= share <= 0.97


def message(boxes, t_ns=0, rows=None):
    count = len(boxes)
    tracks = Tracks(
        track_ids=np.arange(count, dtype=np.int64) + 1,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        rates=np.zeros((count, 4), np.float32),
        class_ids=np.zeros(count, np.int32),
        scores=np.ones(count, np.float32),
        states=np.ones(count, np.uint8),
        ages_s=np.ones(count, np.float32),
        unseen_s=np.zeros(count, np.float32),
        detection_rows=np.arange(count, dtype=np.int32)
        if rows is None
        else np.array(rows, np.int32),
    )
    import msgspec

    return TrackMessage(
        stamp=msgspec.structs.replace(STAMP, t_media_ns=t_ns),
        width=SIZE[0], height=SIZE[1], names={0: "car"}, dropped={}, t_detected_ns=0,
        t_tracked_ns=0, tracks=tracks, warp=np.eye(2, 3, dtype=np.float32),
    )  # fmt: skip


def test_a_flat_look_says_so_and_how_large_the_error_is():
    placer = Placer(Steady(state_of((48.0, 11.0, 100.0), (0.0, -10.0, 0.0), 30.0)), options())
    said = message([(600, 340, 640, 360)])
    placer.place(said)
    place = said.tracks.row(0, {0: "car"}).place
    assert place.reason == "too flat"
    assert place.major_m > 50.0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lat_deg": None}, "position missing"),
        ({"gimbal_deg": None}, "attitude missing"),
        ({"altitudes_m": {}}, "altitude missing"),
        ({"hfov_deg": None}, "lens missing"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_placed(change, reason):
    from dataclasses import replace

    state = replace(state_of((48.0, 11.0, 100.0), (0.0, -50.0, 0.0), 60.0), **change)
    placer, said = Placer(Steady(state), options()), message([(600, 340, 640, 360)])
    placer.place(said)
    assert places.REASONS[int(said.tracks.place_codes[0])] == reason
    assert not said.tracks.places.any()
    assert said.tracks.row(0, {}).place is None
    assert placer.reasons == {reason: 1}


def test_fifty_thousand_points_a_second_and_1000_tracks_within_2_ms():
    state = state_of((48.0, 11.0, 300.0), (0.0, -40.0, 0.0), 60.0)
    placer, points = Placer(Steady(state), options()), np.random.default_rng(0)
    eye, _ = eye_at(Steady(state), options(), 0, *SIZE)
    many = points.uniform((0, 0), SIZE, (20_000, 2))
    started = time.process_time()
    placer.locate(eye, many)
    rate = len(many) / (time.process_time() - started)
    boxes = points.uniform((0, 0), SIZE, (1000, 2))
    boxes = np.hstack([boxes, boxes + 20])
    times = []
    for n in range(30):
        said = message(boxes, n * 40_000_000)
        started = time.process_time()
        placer.place(said)
        times.append(time.process_time() - started)
    print(f"{rate:.0f} points/s, {1e3 * np.median(times):.2f} ms for 1000 tracks")
    assert rate > 50_000
    assert np.median(times) < 2e-3
