"""Lanes of rendered roads, against where the markings were painted."""

import numpy as np
import pytest

from perception.analysers import ANALYSERS, analyser_class
from perception.geometry.calibration import Calibration
from perception.pixels import Pixels
from perception.wire import LaneMessage, Stamp
from tests import roads

CALIBRATION = Calibration(
    focal_px=roads.FOCAL,
    width_px=roads.W,
    height_m=roads.HEIGHT_M,
    horizon=0.5,
)
LANE = {-1.7: "solid", 1.8: "dashed"}


def look(pictures, calibration=CALIBRATION, **options):
    """Return the message of the last of some pictures, 25 a second."""
    cls = analyser_class("markings")
    finder = cls(cls.Options(**options), calibration)
    said = None
    for n, picture in enumerate(pictures):
        bgr = np.repeat(picture[:, :, None], 3, axis=2)
        stamp = Stamp(
            camera="ahead", frame_id=n, t_media_ns=n * 40_000_000, t_arrival_ns=1, t_wall_ns=1
        )
        said = finder.analyse(finder.prepare(Pixels(bgr)), stamp)
        assert isinstance(said, LaneMessage)
    return said


def check(said, lines, *, curvature=0.0, yaw=0.0, horizon=roads.HORIZON, px=6.0, near_m=7.0):
    """Compare own lines with the painted ones: px from 7 to 40 m, and metres."""
    found = {line.place: line for line in said}
    for place, line_m in lines.items():
        line = found[place]
        painted = roads.at(line_m, np.linspace(near_m, 40.0, 60), curvature, yaw, horizon)
        points = line.points[np.argsort(line.points[:, 1])]
        x = np.interp(painted[:, 1], points[:, 1], points[:, 0])
        assert np.abs(x - painted[:, 0]).max() < px
        assert line.offset_m == pytest.approx(line_m, abs=0.12)
        ahead = line.metres[:, 1]
        across = line_m + curvature * ahead**2 / 2 + yaw * ahead
        near = ahead < 30
        assert np.abs(line.metres[near, 0] - across[near]).max() < 0.2


@pytest.mark.parametrize("kind", ANALYSERS)
def test_every_analyser_fits_its_protocol(kind):
    cls = analyser_class(kind)
    one = cls(cls.Options(), None)
    assert one.topic == "lanes"
    picture = np.zeros((64, 96, 3), np.uint8)
    stamp = Stamp(camera="a", frame_id=0, t_media_ns=0, t_arrival_ns=0, t_wall_ns=0)
    prepared = one.prepare(Pixels(picture))
    assert not np.shares_memory(prepared, picture)
    assert len(one.analyse(prepared, stamp).lines) == 0


def test_a_straight_road():
    said = look([roads.road(LANE)])
    check(said, {-1: -1.7, 1: 1.8})
    assert said.horizon_px == pytest.approx(roads.HORIZON, abs=5)
    assert abs(said.curvature_1_m) < 5e-4
    assert all(line.confidence > 0.4 for line in said)


@pytest.mark.parametrize("radius", [800])
def test_a_curve(radius):
    pictures = [roads.road(LANE, curvature=1 / radius, travelled=n, seed=n) for n in range(8)]
    said = look(pictures)
    check(said, {-1: -1.7, 1: 1.8}, curvature=1 / radius, px=14)
    assert said.curvature_1_m == pytest.approx(1 / radius, rel=0.35)


def test_dashes_on_both_sides_of_a_moving_vehicle():
    lines = {-1.7: "dashed", 1.8: "dashed", 5.3: "solid", -5.2: "solid"}
    for start in range(0, 12, 3):
        pictures = [roads.road(lines, travelled=start + n, seed=n) for n in range(8)]
        said = look(pictures)
        check(said, {-1: -1.7, 1: 1.8})
        assert [line.place for line in said] == [-2, -1, 1, 2]
    assert [line.place for line in look(pictures, neighbours=False)] == [-1, 1]


def test_a_vehicle_that_looks_aside():
    pictures = [roads.road(LANE, yaw=0.05, travelled=n, seed=n) for n in range(4)]
    check(look(pictures), {-1: -1.7, 1: 1.8}, yaw=0.05)


def test_night():
    pictures = [
        roads.road(LANE, asphalt=14, paint=60, noise=4, travelled=n, seed=n) for n in range(6)
    ]
    check(look(pictures), {-1: -1.7, 1: 1.8})


def test_shadows():
    pictures = [roads.with_shadow(roads.road(LANE, travelled=n, seed=n)) for n in range(6)]
    check(look(pictures), {-1: -1.7, 1: 1.8})


@pytest.mark.parametrize("seed", range(4))
def test_a_road_without_markings_has_no_lanes(seed):
    pictures = [roads.road({}, seed=10 * seed + n) for n in range(6)]
    assert len(look(pictures).lines) == 0
    assert len(look([roads.with_shadow(one) for one in pictures]).lines) == 0


def test_noise_and_boxes_have_no_lanes():
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 255, (roads.H, roads.W)).astype(np.uint8) for _ in range(3)]
    assert len(look(noise).lines) == 0
    for _ in range(3):
        picture = np.full((roads.H, roads.W), 90, np.uint8)
        for _ in range(40):
            x, y = rng.integers(0, roads.W), rng.integers(0, roads.H)
            w, h = rng.integers(8, 160, 2)
            picture[y : y + h, x : x + w] = rng.integers(20, 240)
        assert len(look([picture] * 3).lines) == 0


def test_without_calibration_there_are_no_metres():
    said = look([roads.road(LANE)], calibration=None)
    assert [line.place for line in said] == [-1, 1]
    assert said.curvature_1_m is None
    for line in said:
        assert line.metres is None
        assert line.offset_m is None
        line_m = -1.7 if line.place < 0 else 1.8
        assert line.offset * roads.HEIGHT_M == pytest.approx(line_m, abs=0.12)


def test_a_larger_picture_has_the_same_lines_in_its_own_px():
    import cv2

    picture = roads.road(LANE)
    large = cv2.resize(picture, (2 * roads.W, 2 * roads.H))
    small, twice = look([picture]), look([large])
    for a, b in zip(small, twice, strict=True):
        assert a.place == b.place
        assert b.points[0] == pytest.approx(2 * a.points[0], abs=6)
        assert b.offset_m == pytest.approx(a.offset_m, abs=0.1)
