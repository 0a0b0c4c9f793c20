"""Time to collision from growing boxes: synthetic scenes with known truth, and the slow twin."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.geometry.looming import Looming
from perception.wire import Detections, Tracks, time_to_collision
from tests.reference_looming import Twin

W, H, FOCAL = 1280, 720, 1000.0
HZ = 20.0


def box_of(x_m, z_m, wide=1.8, tall=1.5, camera=1.5):
    """Return the box of a car's nearest face that stands on the road, px."""
    left, right = (FOCAL * (x_m + s * wide / 2) / z_m + W / 2 for s in (-1, 1))
    foot = FOCAL * camera / z_m + H / 2
    return np.array((left, foot - FOCAL * tall / z_m, right, foot))


def tracks_of(ids, rows):
    tracks = Tracks.none()
    tracks.track_ids = np.array(ids, np.int64)
    tracks.detection_rows = np.array(rows, np.int32)
    return tracks


def see(boxes):
    count = len(boxes)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(boxes, np.ones(count, np.float32), np.zeros(count, np.int32))


def drive(path, *, seconds=3.0, jitter_px=0.0, drop=0.0, seed=0):
    """Follow one object whose (x, z) m is path(t); return rows of t, z, true and told ttc."""
    rng, looming, rows = np.random.default_rng(seed), Looming(), []
    for n in range(round(seconds * HZ)):
        t = n / HZ
        if n and rng.random() < drop:
            continue
        x, z = path(t)
        ahead = path(t + 1e-3)[1]
        box = box_of(x, z) + rng.normal(0, jitter_px, 4)
        (told,) = looming.update(tracks_of([7], [0]), see([box]), round(t * 1e9), W, H)
        speed = (z - ahead) / 1e-3
        rows.append((t, z, z / speed if speed > 0 else math.inf, *told.tolist()))
    return np.array(rows)


def errors(rows, after_s=0.5):
    """Return relative errors of the time to collision from after_s on."""
    late = rows[rows[:, 0] >= after_s]
    return np.abs(1 / late[:, 3] - late[:, 2]) / late[:, 2]


def test_constant_speed_is_exact_without_noise():
    rows = drive(lambda t: (0.0, 40 - 10 * t))
    assert errors(rows, 1.0).max() < 0.03


def test_constant_speed_with_jitter():
    found = [errors(drive(lambda t: (0.0, 40 - 10 * t), jitter_px=1.0, seed=s)) for s in range(10)]
    assert np.median(np.concatenate(found)) < 0.1


def test_a_fifth_of_the_frames_lost_changes_little():
    whole = [errors(drive(lambda t: (2.5, 40 - 10 * t), jitter_px=1.0, seed=s)) for s in range(10)]
    lost = [
        errors(drive(lambda t: (2.5, 40 - 10 * t), jitter_px=1.0, seed=s, drop=0.2))
        for s in range(10)
    ]
    assert np.median(np.concatenate(lost)) < np.median(np.concatenate(whole)) + 0.03


def test_braking_lengthens_the_time():
    """From 15 m/s with 4 m/s^2, 3 m/s after three seconds: the filter lags, to the short side."""
    rows = drive(lambda t: (0.0, 60 - 15 * t + 2 * t * t), seconds=3.0)
    assert errors(rows, 1.0).max() < 0.35
    late = rows[rows[:, 0] >= 1.0]
    assert (1 / late[:, 3] < 1.02 * late[:, 2]).all(), "never told longer than it is"


def test_a_cut_in_is_seen_at_once():
    """It comes over from the next lane while it closes."""
    rows = drive(lambda t: (3.5 - 1.5 * min(t, 2.0), 25 - 6 * t))
    assert np.median(errors(rows, 0.7)) < 0.08


def test_a_lateral_pass_does_not_close():
    """Across the view at a constant depth: no time to collision below ten seconds."""
    rows = drive(lambda t: (-6 + 4 * t, 20.0))
    late = rows[rows[:, 0] > 0.7]
    assert (late[:, 3] < 0.1).all()


def test_what_moves_away_has_no_time():
    rows = drive(lambda t: (0.0, 10 + 5 * t))
    told = [time_to_collision(*row[3:5]) for row in rows[10:]]
    assert set(told) == {(None, None)}


def test_the_interval_holds_the_truth_two_times_of_three():
    inside = []
    for seed in range(60):
        rows = drive(lambda t: (3.0, 35 - 9 * t), jitter_px=1.2, seed=seed)
        rate, sigma, true = rows[20::10, 3], rows[20::10, 4], 1 / rows[20::10, 2]
        inside += (np.abs(rate - true) <= sigma).tolist()
    assert 0.55 <= np.mean(inside) <= 0.95


def test_a_box_cut_by_the_border_tells_nothing_false():
    """The lower edge leaves the picture; the height that is left stands still."""
    looming, told = Looming(), []
    for n in range(60):
        box = np.clip(box_of(0.0, 8 - 2 * n / HZ), 0, [W - 1, H - 1] * 2)
        (one,) = looming.update(tracks_of([1], [0]), see([box]), round(n / HZ * 1e9), W, H)
        told.append(one.tolist())
    last = (8 - 2 * 59 / HZ) / 2
    ttc_s, _ = time_to_collision(*told[-1])
    assert ttc_s is not None
    assert abs(ttc_s - last) / last < 0.25


def test_unseen_tracks_are_carried_on_and_gone_ones_forgotten():
    looming = Looming()
    for n in range(20):
        found = see([box_of(0, 30 - 10 * n / HZ)])
        looming.update(tracks_of([3], [0]), found, round(n / HZ * 1e9), W, H)
    (told,) = looming.update(tracks_of([3], [-1]), see([]), round(1.2e9), W, H)
    ttc_s, interval = time_to_collision(*told.tolist())
    assert ttc_s == pytest.approx((30 - 12) / 10, rel=0.05)
    assert interval is not None
    assert interval[0] < ttc_s < interval[1]
    assert looming.update(tracks_of([4], [-1]), see([]), round(1.3e9), W, H).tolist() == [[0, 0]]
    assert looming.update(tracks_of([3], [-1]), see([]), round(1.4e9), W, H).tolist() == [[0, 0]]


def test_no_tracks():
    assert Looming().update(Tracks.none(), see([]), 0, W, H).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_boxes_that_are_not_finite_are_passed_over(bad):
    looming = Looming()
    for n in range(10):
        box = box_of(0, 30 - n) if n != 5 else np.array((bad, 0, 10, 10))
        told = looming.update(tracks_of([1], [0]), see([box]), n * 50_000_000, W, H)
        assert np.isfinite(told).all()


def test_times_beyond_a_minute_are_not_told():
    assert time_to_collision(1 / 61, 0.001) == (None, None)
    assert time_to_collision(0.5, 0.0) == (None, None)
    assert time_to_collision(0.5, 0.6) == (2.0, (pytest.approx(1 / 1.1), math.inf))


steps = st.lists(
    st.tuples(
        st.floats(0, 1.5),
        st.floats(0, 1270),
        st.floats(0, 700),
        st.floats(0.5, 600),
        st.floats(0.5, 600),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(steps)
def test_the_kernel_is_its_slow_twin(given_steps):
    looming, twin, t_ns = Looming(), None, 0
    for dt, x, y, wide, tall, seen in given_steps:
        t_ns += round(dt * 1e9)
        t_s = t_ns * 1e-9
        box = np.array((x, y, x + wide, y + tall), np.float32)
        rows = [0] if seen else [-1]
        (told,) = looming.update(tracks_of([1], rows), see([box] if seen else []), t_ns, W, H)
        if twin is not None and t_s - twin.t_s > 1.0:
            twin = None
        if twin is None:
            twin = Twin(box.astype(float), t_s, W) if seen else None
            assert told.tolist() == [0.0, 0.0]
            continue
        if seen:
            twin.measure(box.astype(float), t_s, W, H)
        np.testing.assert_allclose(told, twin.closing(t_s), rtol=2e-4, atol=2e-5)
