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


@pytest.mark.parametrize("radius", [400, -500, 800])
def test_a_curve(radius):
    pictures = [roads.road(LANE, curvature=1 / radius, travelled=n, seed=n) for n in range(12)]
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


def stones(seed, moved=0):
    """Return a street of paving stones with two rails."""
    rng = np.random.default_rng(seed)
    picture = roads.road({-0.75: "solid", 0.75: "solid"}, paint=150, seed=seed, travelled=moved)
    rows = np.geomspace(6, roads.H - roads.HORIZON, 40).astype(int)
    for near, far in zip(rows[1:], rows[:-1], strict=True):
        width = max(2, round(0.12 * near))
        for x in range(int(rng.integers(0, width)), roads.W, 2 * width):
            top, foot = int(roads.HORIZON + far), int(roads.HORIZON + near)
            picture[top:foot, x : x + width] = np.clip(
                picture[top:foot, x : x + width] + rng.normal(12, 12), 0, 255
            )
    return picture


def test_paving_stones_and_rails_are_no_lanes():
    finder = follow()
    assert not any(len(finder(n, stones(n, moved=n)).lines) for n in range(12))


def follow(calibration=CALIBRATION, rate_hz=25):
    """Return what gives the message of picture n of one camera."""
    cls = analyser_class("markings")
    finder = cls(cls.Options(), calibration)

    def see(n, picture):
        bgr = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
        stamp = Stamp(
            camera="ahead",
            frame_id=n,
            t_media_ns=round(n * 1e9 / rate_hz),
            t_arrival_ns=1,
            t_wall_ns=1,
        )
        return finder.analyse(finder.prepare(Pixels(bgr)), stamp)

    return see


def test_lines_outlast_a_short_gap_and_go_after_a_long_one():
    see, plain = follow(), roads.road({})
    for n in range(5):
        first = see(n, roads.road(LANE, travelled=n, seed=n))
    before = {line.place: line.confidence for line in first}
    short = [see(5 + n, plain) for n in range(8)]
    assert {line.place for line in short[-1]} == {-1, 1}
    assert all(line.confidence < before[line.place] for line in short[-1])
    assert len(see(60, plain).lines) == 0
    long = [see(61 + n, plain) for n in range(25)]
    assert len(long[-1].lines) == 0


def test_a_change_of_lanes_hands_the_line_over():
    lines = {-1.75: "solid", 1.75: "dashed", 5.25: "solid"}
    see = follow()
    places = []
    for n in range(70):
        moved = 3.5 * min(1.0, n / 60)
        picture = roads.road({k - moved: v for k, v in lines.items()}, travelled=n, seed=n)
        said = {line.place: line.offset_m for line in see(n, picture)}
        places.append(said)
    assert places[0][-1] == pytest.approx(-1.75, abs=0.12)
    assert places[-1][-1] == pytest.approx(-1.75, abs=0.15)
    assert places[-1][1] == pytest.approx(1.75, abs=0.15)
    told = [said for said in places if {-1, 1} <= set(said)]
    assert len(told) > 60
    assert all(said[-1] <= 0.2 <= said[1] + 0.4 for said in told)


def test_yellow_counts_as_bright_on_concrete():
    import cv2

    grey = roads.road({1.8: "solid"}, asphalt=150, paint=215)
    mark = roads.road({-1.7: "solid"}, asphalt=0, paint=255, noise=0)
    bgr = np.repeat(grey[:, :, None], 3, axis=2).astype(np.float32)
    share = (mark / 255.0)[:, :, None] * (np.arange(roads.H) > roads.HORIZON)[:, None, None]
    bgr = (bgr * (1 - share) + np.array([92.0, 140.0, 152.0]) * share).astype(np.uint8)
    luma = int(cv2.cvtColor(np.uint8([[[92, 140, 152]]]), cv2.COLOR_BGR2GRAY)[0, 0])
    assert abs(luma - 150) < 15
    check(follow()(0, bgr), {-1: -1.7, 1: 1.8})


def test_planes_and_bgr_show_the_same_lanes():
    import cv2

    picture = np.repeat(roads.road(LANE)[:, :, None], 3, axis=2)
    planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
    cls = analyser_class("markings")
    stamp = Stamp(camera="a", frame_id=0, t_media_ns=0, t_arrival_ns=0, t_wall_ns=0)
    said = []
    for pixels in (Pixels(picture), Pixels(planes, "bt601")):
        one = cls(cls.Options(), CALIBRATION)
        said.append(one.analyse(one.prepare(pixels), stamp))
    assert [line.place for line in said[0]] == [-1, 1]
    for a, b in zip(*said, strict=True):
        assert a.offset_m == pytest.approx(b.offset_m, abs=0.05)
