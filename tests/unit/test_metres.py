"""Metres and metres per second: rendered scenes with known truth, and what is refused."""

import json
import math

import numpy as np
import pytest
from pydantic import ValidationError

from perception.errors import ConfigError
from perception.geometry.ahead import Ahead, rays
from perception.geometry.calibration import Calibration, homography
from perception.geometry.looming import Looming
from perception.geometry.plane import Plane
from perception.launchfile.build import make_follower
from perception.launchfile.config import Launch
from perception.launchfile.document import parse
from perception.launchfile.resolve import resolve
from perception.recording.tracks import TracksWriter, read_tracks
from perception.rules.line import LineRule
from perception.rules.observed import km_h
from perception.rules.zones import Line
from perception.wire import CONFIRMED, DetectionMessage, Detections, OwnMotion, Stamp, Tracks
from tests.scenes import message, seen

W, H, HZ = 1280, 720, 20.0
CAR = {"wide": 1.8, "tall": 1.52}
AHEAD = Calibration(focal_px=1000, width_px=W, height_m=1.4, pitch_deg=2.0)


def box_of(lens, x_m, y_m, wide=1.8, tall=1.52):
    """Return the box of an upright face that stands on the ground, px."""
    corners = [lens.pixel(x_m + side * wide / 2, y_m, up) for side in (-1, 1) for up in (0.0, tall)]
    points = np.array(corners)
    return np.append(points.min(axis=0), points.max(axis=0))


def tracks_of(ids):
    tracks = Tracks.none()
    tracks.track_ids = np.array(ids, np.int64)
    tracks.detection_rows = np.arange(len(ids), dtype=np.int32)
    tracks.class_ids = np.full(len(ids), 2, np.int32)
    tracks.closings = np.zeros((len(ids), 2), np.float32)
    return tracks


def see(boxes):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    return Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int32))


def drive(paths, *, seconds=3.0, jitter_px=0.0, bob_rad=0.0, calibration=AHEAD, cls=Ahead, seed=0):
    """Follow cars whose (x, y) m are path(t); return times, truth (T, M, 4) and metres (T, M, 8).

    bob_rad: amplitude of a pitch that nobody knows, 1.3 a second.
    """
    rng, looming, ground = np.random.default_rng(seed), Looming(), cls(calibration)
    tracks, truth, told = tracks_of(range(len(paths))), [], []
    for n in range(round(seconds * HZ)):
        t = n / HZ
        bob = math.degrees(bob_rad * math.sin(2 * math.pi * 1.3 * t))
        pitch = (calibration.pitch_deg or 0.0) + bob
        lens = calibration.model_copy(update={"pitch_deg": pitch}).lens(W, H)
        now, soon = (np.array([path(s) for path in paths]) for s in (t, t + 1e-4))
        found = see([box_of(lens, x, y) + rng.normal(0, jitter_px, 4) for x, y in now])
        tracks.closings = looming.update(tracks, found, round(t * 1e9), W, H)
        told.append(ground.update(tracks, found, round(t * 1e9), (W, H), {2: "car"}))
        truth.append(np.hstack([now, (soon - now) / 1e-4]))
    return np.arange(len(told)) / HZ, np.array(truth), np.array(told)


def test_a_car_ahead_without_noise_is_where_it_is():
    _, truth, told = drive([lambda t: (0.0, 40 - 8 * t), lambda t: (-3.5, 30 + 2 * t)])
    assert np.abs(told[20:, :, 1] / truth[20:, :, 1] - 1).max() < 0.02
    assert np.abs(told[20:, :, 3] - truth[20:, :, 3]).max() < 0.5
    # A box's middle is taken for that of a car some metres long: its side offset errs by a share.
    assert np.abs(told[20:, 0, 0]).max() < 0.02
    assert np.abs(told[20:, 1, 0] / -3.5 - 1).max() < 0.1


def test_pitch_that_nobody_knows_and_jitter():
    """One degree of nodding alone would be 30 % at 25 m by the ground."""
    errors, inside = [], []
    for seed in range(6):
        paths = [lambda t: (0.5, 25 - 4 * t), lambda t: (3.5, 40 - 4 * t)]
        _, truth, told = drive(paths, jitter_px=1.0, bob_rad=math.radians(1.0), seed=seed)
        wrong = np.abs(told[20:, :, 1] - truth[20:, :, 1])
        errors.append(wrong / truth[20:, :, 1])
        inside.append(wrong <= told[20:, :, 5])
    assert np.median(errors) < 0.06
    assert np.quantile(errors, 0.95) < 0.15
    assert np.mean(inside) > 0.6


def test_an_unusual_height_is_found_out_by_the_ground():
    """A van of 2.3 m taken for a car: its height says 34 % too near, the ground corrects it."""
    lens, ground, tracks = AHEAD.lens(W, H), Ahead(AHEAD), tracks_of([0, 1, 2])
    for n in range(60):
        boxes = [box_of(lens, x, 15.0) for x in (-3.5, 3.5)] + [box_of(lens, 0.0, 15.0, tall=2.3)]
        told = ground.update(tracks, see(boxes), n * 50_000_000, (W, H), {2: "car"})
    assert abs(told[0, 1] / 15 - 1) < 0.12
    assert abs(told[2, 1] / 15 - 1) < 0.2


def test_nothing_is_known_of_what_nobody_saw_well():
    ground, tracks = Ahead(AHEAD), tracks_of([0, 1])
    cut = see([(-9.0, 0.0, 900.0, 719.0), (10.0, 10.0, 30.0, 20.0)])
    told = ground.update(tracks, cut, 0, (W, H), {2: "something"})
    assert (told == 0).all(), "cut by the border; above the horizon and of no known height"
    empty = ground.update(Tracks.none(), see([]), 10**9, (W, H), {})
    assert empty.shape == (0, 8)
    nan = ground.update(
        tracks, see([[math.nan] * 4, [math.inf] * 4]), 2 * 10**9, (W, H), {2: "car"}
    )
    assert np.isfinite(nan).all()


def test_a_lens_and_its_rays_agree_with_distortion():
    bent = AHEAD.model_copy(update={"distortion": [-0.25, 0.08, 0.001, -0.002, 0.0]})
    lens = bent.lens(W, H)
    pixel = lens.pixel(4.0, 12.0)
    assert pixel != AHEAD.lens(W, H).pixel(4.0, 12.0)
    ((right, down),) = rays(np.array([pixel]), lens)
    sin, cos = math.sin(lens.pitch), math.cos(lens.pitch)
    ahead, under = cos - down * sin, down * cos + sin
    assert 1.4 * ahead / under == pytest.approx(12.0, abs=0.01)
    assert 1.4 * right / under == pytest.approx(4.0, abs=0.01)
    assert lens.pixel(0.0, -5.0) is None


def test_horizon_and_pitch_say_the_same():
    pitched = AHEAD.lens(W, H)
    row = (pitched.v0 - pitched.focal * math.tan(pitched.pitch)) / H
    same = Calibration(focal_px=1000, width_px=W, height_m=1.4, horizon=row).lens(W, H)
    assert same.pitch == pytest.approx(pitched.pitch)
    wide = Calibration(fov_deg=90, height_m=1.0).lens(640, 480)
    assert wide.focal == pytest.approx(320.0)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({}, "focal_px"),
        ({"focal_px": 700, "height_m": 1.5}, "width_px"),
        ({"fov_deg": 60, "focal_px": 700, "width_px": 9 * 16, "height_m": 1}, "one of them"),
        ({"fov_deg": 60}, "height_m"),
        ({"fov_deg": 60, "height_m": 1, "pitch_deg": 1, "horizon": 0.5}, "give one"),
        ({"fov_deg": 300, "height_m": 1}, "fov_deg"),
        ({"points": [{"at": (0.1 * k, 0.5), "m": (k, 0)} for k in range(4)]}, "on one line"),
        (
            {"fov_deg": 60, "points": [{"at": (0, k / 4), "m": (k, 0)} for k in range(4)]},
            "stand alone",
        ),
    ],
)
def test_what_is_no_calibration_is_refused(given, word):
    with pytest.raises(ValidationError, match=word):
        Calibration.model_validate(given)


def fixed(lens):
    """Return the calibration of a fixed camera by four points of a road, as `lens` sees them."""
    points = []
    for place in ((-4.0, 12.0), (4.0, 12.0), (4.0, 45.0), (-4.0, 45.0)):
        u, v = lens.pixel(*place)
        points.append({"at": (u / W, v / H), "m": place})
    return Calibration.model_validate({"points": points})


@pytest.mark.parametrize("kmh", [20, 50, 90])
def test_speeds_of_a_fixed_camera_are_within_5_percent(kmh):
    lens = Calibration(focal_px=1100, width_px=W, height_m=6.0, pitch_deg=15).lens(W, H)
    speed, errors, inside = kmh / 3.6, [], []
    for seed in range(5):
        rng, plane, tracks = np.random.default_rng(seed), Plane(fixed(lens)), tracks_of([0])
        found = []
        for n in range(round(25 / speed * HZ)):
            t = n / HZ
            box = box_of(lens, 1.0 + 0.1 * speed * t, 15 + speed * t) + rng.normal(0, 0.7, 4)
            (told,) = plane.update(tracks, see([box]), round(t * 1e9), (W, H), {2: "car"})
            if t >= 0.5:
                found.append(math.hypot(told[2], told[3]) / (speed * math.hypot(1, 0.1)) - 1)
                inside.append(abs(found[-1]) * speed <= told[7])
        errors.append(np.median(found))
        assert np.abs(found).max() < 0.2
    assert np.mean(inside) > 0.5
    assert np.abs(errors).max() < 0.05, errors


def test_four_points_are_where_they_were_said_to_be():
    lens = Calibration(fov_deg=60, height_m=5, pitch_deg=20).lens(W, H)
    calibration = fixed(lens)
    for size in ((W, H), (640, 360)):
        found = homography(calibration.points, *size)
        u, v = lens.pixel(2.0, 20.0)
        x, y, w = found @ (u * size[0] / W, v * size[1] / H, 1.0)
        assert (x / w, y / w) == pytest.approx((2.0, 20.0), abs=1e-6)


LAUNCH = """
cameras:
  road:
    source: push
    calibration: {fov_deg: 65, height_m: 1.4, pitch_deg: 2}
    lines: {far: [[0, 0.9], [1, 0.9]]}
    rules: {fast: {type: line, line: far, min_km_h: 30}}
"""


def plan_of(text):
    document = parse(text)
    return resolve(document.validate(Launch, document.data), document)


def test_a_camera_with_calibration_says_metres_in_messages_and_files(tmp_path):
    follower = make_follower(plan_of(LAUNCH), "road", 0)
    lens = Calibration(fov_deg=65, height_m=1.4, pitch_deg=2).lens(W, H)
    path, own = tmp_path / "tracks-road.jsonl", OwnMotion(t_monotonic_ns=0, speed_m_s=9.5)
    with_metres = TracksWriter(path)
    for n in range(20):
        found = see([box_of(lens, 1.0, 20 - 0.2 * n)])
        found.class_ids[:] = 2
        stamp = Stamp(
            camera="road", frame_id=n, t_media_ns=n * 50_000_000, t_arrival_ns=0, t_wall_ns=0
        )
        made = DetectionMessage(
            stamp=stamp, width=W, height=H, names={2: "car"}, dropped={}, t_taken_ns=0,
            t_detected_ns=0, inference_ns=0, detections=found, grey=np.zeros((135, 240), np.uint8),
        )  # fmt: skip
        answer = follower.follow(made, own=own)
        with_metres.add(answer)
    with_metres.close()
    (track,) = answer
    assert track.state == "confirmed"
    assert track.metres is not None
    assert track.metres.ahead_m == pytest.approx(16.2, rel=0.05)
    assert track.metres.closing_m_s == pytest.approx(4.0, rel=0.25)
    assert answer.own_speed_m_s == 9.5
    *_, last = read_tracks(path)
    np.testing.assert_allclose(last.tracks.metres, answer.tracks.metres, atol=1e-3)
    assert (last.own_speed_m_s, last.own_yaw_rate) == (9.5, None)
    assert "metres" in json.loads(path.read_text().splitlines()[-1])["tracks"][0]


def test_km_h_without_calibration_is_refused_with_the_key():
    plain = LAUNCH.replace("    calibration: {fov_deg: 65, height_m: 1.4, pitch_deg: 2}\n", "")
    with pytest.raises(ConfigError, match=r"min_km_h.*calibration"):
        plan_of(plain)
    with pytest.raises(ConfigError, match="height_m"):
        plan_of(LAUNCH.replace("height_m: 1.4, ", ""))


def placed(t_s, x, speeds, own=(None, None)):
    """Return a message with one track that stands 20 m ahead and moves so, m/s."""
    made = message(t_s, seen(1, x, 250, class_id=2))
    made.tracks.states[:] = CONFIRMED
    made.tracks.metres[0] = (2.0, 20.0, *speeds, 0.1, 0.5, 0.1, 0.3)
    made.own_speed_m_s, made.own_yaw_rate = own
    return made


def test_speed_over_the_ground_takes_the_own_motion_off():
    assert km_h(placed(0, 100, (3.0, 4.0)))[0] == pytest.approx(18.0)
    # A still post, seen while driving 10 m/s and turning left with 0.2 rad/s.
    still = placed(0, 100, (0.2 * 20, -10 - 0.2 * 2), own=(10.0, 0.2))
    assert km_h(still)[0] == pytest.approx(0.0, abs=1e-4)
    unknown = placed(0, 100, (3.0, 4.0))
    unknown.tracks.metres[:] = 0
    assert np.isnan(km_h(unknown)[0])


@pytest.mark.parametrize(("speed", "count"), [(12.0, 1), (5.0, 0)])
def test_a_line_counts_only_who_is_fast_and_says_how_fast(speed, count):
    options = LineRule.Options(line="far", min_km_h=30.0)
    rule = LineRule("fast", options, {}, {"far": Line(points=((0.5, 0.0), (0.5, 1.0)))})
    events = [e for n in range(12) for e in rule.update(placed(n / 10, 200 + 50 * n, (0, speed)))]
    assert len(events) == count
    assert [e.details["km_h"] for e in events] == [43.2] * count
