"""The motion gate: what moves passes, what rests comes at the floor rate, light alone is rest."""

import numpy as np
import pytest

from perception.detectors.gate import MotionGate

PERIOD_NS = 100_000_000


def scene(rng, n=0, *, light=0, box=None, shape=(135, 240)):
    """Return a noisy grey picture; box: left edge of a bright object of 12 x 8 px."""
    base = np.tile(np.linspace(60, 180, shape[1]), (shape[0], 1)) + light
    if box is not None:
        base[60:72, box : box + 8] += 50
    return np.clip(base + rng.normal(0, 2, shape), 0, 255).astype(np.uint8)


def passed(pictures, floor_hz=2.0):
    gate = MotionGate(floor_hz)
    return [gate.passes(picture, n * PERIOD_NS) for n, picture in enumerate(pictures)]


def test_a_still_view_comes_at_the_floor_rate():
    rng = np.random.default_rng(0)
    seen = passed([scene(rng) for _ in range(120)])
    assert all(seen[:11])  # a second is held after the start
    assert 17 <= sum(seen[30:120]) <= 19  # 9 s at 2 a second


@pytest.mark.parametrize("speed", [1, 3, 10])
def test_a_small_object_that_moves_passes_every_time(speed):
    rng = np.random.default_rng(1)
    rest = [scene(rng) for _ in range(30)]
    seen = passed(rest + [scene(rng, box=10 + speed * n) for n in range(20)])
    assert all(seen[30:])


def test_what_stands_still_comes_at_the_floor_rate_after_a_while():
    rng = np.random.default_rng(2)
    seen = passed([scene(rng, box=50) for _ in range(80)])
    assert sum(seen[40:]) <= 9


@pytest.mark.parametrize("step", [1, 20])
def test_light_that_changes_everywhere_is_no_motion(step):
    rng = np.random.default_rng(3)
    light = [0] * 30 + [min(20, step * n) for n in range(60)]
    seen = passed([scene(rng, light=x) for x in light])
    assert sum(seen[30:]) <= 14


def test_a_new_size_and_time_that_goes_back_pass():
    rng = np.random.default_rng(4)
    gate = MotionGate(2.0)
    for n in range(30):
        gate.passes(scene(rng), n * PERIOD_NS)
    assert gate.passes(scene(rng, shape=(180, 240)), 30 * PERIOD_NS)
    for n in range(31, 60):
        gate.passes(scene(rng, shape=(180, 240)), n * PERIOD_NS)
    assert gate.passes(scene(rng, shape=(180, 240)), 0)
