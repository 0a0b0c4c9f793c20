import numpy as np
import pytest
from pydantic import ValidationError

from perception.alerts.watch import DARK_MEAN, FLAT_SPREAD, MARGIN, CameraWatch, WatchOptions
from tests.scenes import WALL_NS

RNG = np.random.default_rng(2)
SCENE = RNG.integers(40, 200, (96, 128, 1), np.uint8).repeat(3, axis=2)


def noisy(base=SCENE):
    return np.clip(base.astype(int) + RNG.integers(-3, 4, base.shape), 0, 255).astype(np.uint8)


class Clock:
    """Looks once a second; `say` collects (second, kind, state)."""

    def __init__(self, watch):
        self.watch, self.t_s, self.frame_id, self.said, self.keys = watch, 0, 0, [], []

    def see(self, seconds, picture):
        for _ in range(seconds):
            image = picture() if picture else None
            frame_id = None if image is None else self.frame_id
            self.frame_id += 1
            for alert in self.watch.look(
                frame_id, image, self.t_s * 10**9, WALL_NS + self.t_s * 10**9
            ):
                self.said.append((self.t_s, alert.kind, alert.state))
                self.keys.append(alert.key)
            self.t_s += 1
        return self


def clock(**options):
    return Clock(CameraWatch("door", WatchOptions(**options)))


def test_a_good_camera_says_nothing():
    assert clock().see(60, noisy).said == []


def test_offline_after_its_seconds_and_back():
    c = clock().see(5, noisy).see(20, None).see(10, noisy)
    assert c.said == [(13, "offline", "raised"), (27, "offline", "cleared")]
    assert c.keys[0] == c.keys[1]


def test_never_online_is_offline():
    assert clock(offline_s=3).see(10, None).said == [(3, "offline", "raised")]


def test_a_frame_that_is_the_last_one_again_is_no_frame():
    watch = CameraWatch("door", WatchOptions(offline_s=3))
    said = [
        (t, alert.state)
        for t in range(10)
        for alert in watch.look(7, noisy(), t * 10**9, WALL_NS + t * 10**9)
    ]
    assert said == [(4, "raised")]


def test_a_picture_that_stands_still_is_frozen():
    c = clock().see(5, noisy).see(20, lambda: SCENE).see(10, noisy)
    # The first of the same is second 5; the second of them, at 6, is the first that repeats.
    assert c.said == [(16, "frozen", "raised"), (27, "frozen", "cleared")]


def test_a_still_scene_with_a_sensors_noise_is_not_frozen():
    one_step = SCENE.copy()

    def picture():
        one_step[RNG.integers(0, 96), RNG.integers(0, 128)] ^= 1
        return one_step

    assert clock().see(60, picture).said == []


@pytest.mark.parametrize(
    "picture",
    [
        lambda: noisy(np.full_like(SCENE, 6)),
        lambda: noisy(np.full_like(SCENE, 120)),
        lambda: noisy(np.full_like(SCENE, 250)),
    ],
    ids=["black", "a bag over it", "white"],
)
def test_dark_and_covered(picture):
    c = clock().see(5, noisy).see(20, picture).see(10, noisy)
    assert c.said == [(15, "dark", "raised"), (27, "dark", "cleared")]


def test_a_flicker_of_light_raises_nothing():
    c = clock(dark_s=5)
    for _ in range(5):
        c.see(3, lambda: noisy(np.zeros_like(SCENE))).see(1, noisy)
    assert c.said == []


def test_dusk_does_not_raise_and_clear_again_and_again():
    dusk = iter(np.tile([15.0, 17.0], 100))

    def picture():
        return np.clip(RNG.normal(next(dusk), 8, SCENE.shape), 0, 255).astype(np.uint8)

    states = [state for _, _, state in clock(dark_s=1, clear_s=1).see(100, picture).said]
    assert states == ["raised"]


def test_offline_does_not_clear_what_was_seen_before():
    c = clock().see(20, lambda: np.zeros_like(SCENE))
    assert [k for _, k, _ in c.said] == ["dark", "frozen"]
    c.see(20, None)
    assert c.said[-1][1:] == ("offline", "raised")
    assert len(c.said) == 3


def test_a_restart_goes_on_with_the_open_alert():
    c = clock().see(5, noisy).see(20, None)
    before = c.watch._troubles["offline"].alert
    again = Clock(CameraWatch("door", WatchOptions(), [before])).see(30, None)
    assert again.said == []
    again.see(5, noisy)
    assert again.keys == [before.key]


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 3, 3), (2000, 16, 3)])
def test_any_size(shape):
    clock().see(30, lambda: np.zeros(shape, np.uint8))


def test_options_are_checked():
    for options in ({"offline_s": 0}, {"frozen_s": float("inf")}, {"blur_s": 1}):
        with pytest.raises(ValidationError):
            WatchOptions(**options)


@pytest.mark.parametrize("kind", ["recording", "late"])
def test_what_others_say_is_raised_once_and_cleared(kind):
    watch = CameraWatch("door", WatchOptions(recording_s=2, late_s=2, clear_s=3))
    said = [
        (t, alert.state, alert.details.get("reason"))
        for t in range(12)
        for alert in watch.report(kind, "full" if 1 <= t < 6 else "", t * 10**9, WALL_NS)
    ]
    assert said == [(3, "raised", "full"), (9, "cleared", "full")]


def test_dusk_at_the_start_is_not_dark():
    """Between the limit and its hysteresis: the first picture is judged by the limit."""
    dim = RNG.integers(8, 32, (96, 128, 1), np.uint8).repeat(3, axis=2)
    assert DARK_MEAN < dim.mean() < DARK_MEAN * MARGIN
    assert dim.std() > FLAT_SPREAD * MARGIN
    assert clock(dark_s=3).see(20, lambda: noisy(dim)).said == []


def test_an_alert_tells_how_long_the_host_was_up():
    watch = CameraWatch("door", WatchOptions(offline_s=3))
    said = [a for t in range(5) for a in watch.look(None, None, t * 10**9, WALL_NS + t * 10**9)]
    assert [alert.details["uptime_s"] for alert in said] == [3.0]
