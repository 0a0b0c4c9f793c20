"""The motion detector of a fixed camera on made scenes: what walks is found, what swings is not."""

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from perception.detectors import prepare
from perception.detectors.motion import MotionDetector, MotionOptions
from perception.pixels import Pixels

W, H, HZ = 320, 180, 10
LEARNED = 60
"""Frames after which a background with leaves is known."""


def yard(seed=0):
    """Return a textured scene, float32 (H, W)."""
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.uniform(60, 180, (12, 20)), (W, H), interpolation=cv2.INTER_CUBIC)
    return rough.astype(np.float32)


class Yard:
    """A scene with sensor noise, leaves that swing by 3 px at the left, and walkers."""

    def __init__(self, noise=2.0, leaves=True, seed=0):
        self.ground, self.noise, self.rng = yard(seed), noise, np.random.default_rng(seed + 9)
        self.leaves = self.rng.uniform(40, 220, (70, 70)).astype(np.float32) if leaves else None

    def view(self, n, walkers=(), gain=1.0):
        """Return uint8 (H, W, 3) of frame n. walkers: x, y of the top left, w, h, grey value."""
        image = self.ground.copy()
        if self.leaves is not None:
            image[60:110, 10:60] = self.leaves[10:60, 10 + n % 4 : 60 + n % 4]
        for x, y, w, h, grey in walkers:
            image[y : y + h, x : x + w] = grey
        image = image * gain + self.rng.normal(0, self.noise, image.shape)
        return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def look(detector, image, n):
    return detector.infer(prepare(detector, Pixels(image), round((n + 1) / HZ * 1e9)))


def learned(scene, frames=LEARNED, **options):
    detector = MotionDetector(MotionOptions(camera="fixed", **options))
    for n in range(frames):
        look(detector, scene.view(n), n)
    return detector


@pytest.mark.parametrize("noise", [0.5, 2, 6, 12])
def test_leaves_and_noise_are_background(noise):
    scene = Yard(noise)
    detector = learned(scene)
    found = [len(look(detector, scene.view(n), n)) for n in range(LEARNED, LEARNED + 100)]
    assert sum(found) <= 1, found


@pytest.mark.parametrize("noise", [2, 6, 12])
@pytest.mark.parametrize("speed", [1, 4, 10])
def test_who_walks_is_found_in_place(noise, speed):
    scene = Yard(noise)
    frames = 200 if speed == 1 else LEARNED  # at first what is slow is absorbed sooner
    detector = learned(scene, frames)
    hits = 0
    for k in range(20):
        box = (80 + speed * k, 70, 24, 60)
        found = look(detector, scene.view(frames + k, [(*box, 235)]), frames + k)
        x, y, w, h = box
        near = np.abs(found.boxes - (x, y, x + w, y + h)).max(axis=1, initial=0) <= 6
        hits += len(found) == 1 and bool(near.all())
        assert k == 0 or not len(found) or found.scores[0] > 0.5
    assert hits >= 18


def test_the_first_look_at_something_has_half_a_score():
    scene = Yard(leaves=False)
    detector = learned(scene)
    walker = [(150, 50, 24, 70, 235)]
    assert look(detector, scene.view(0, walker), LEARNED).scores.tolist() == [0.5]
    assert look(detector, scene.view(0, walker), LEARNED + 1).scores[0] > 0.8


def test_what_stands_becomes_background_in_time():
    scene = Yard(leaves=False)
    detector = learned(scene, 500, absorb_s=10)
    seen = [
        len(look(detector, scene.view(n, [(150, 50, 24, 70, 235)]), n)) for n in range(500, 650)
    ]
    assert all(seen[:50]), "5 s"
    assert not any(seen[120:]), "12 s"


def test_a_change_of_light_is_counted_and_learned_anew():
    scene = Yard(leaves=False)
    detector = learned(scene)
    found = [len(look(detector, scene.view(n, gain=1.5), n)) for n in range(LEARNED, LEARNED + 40)]
    assert sum(found) == 0
    assert detector.counters["motion_flooded"] == 1
    n = LEARNED + 40
    assert len(look(detector, scene.view(n, [(150, 50, 24, 70, 20)], gain=1.5), n)) == 1


def test_a_large_picture_is_scaled_and_boxes_are_in_its_pixels():
    scene = Yard(leaves=False)
    detector = MotionDetector(MotionOptions(camera="fixed"))
    for n in range(LEARNED):
        look(detector, cv2.resize(scene.view(n), None, fx=3, fy=3), n)
    large = cv2.resize(scene.view(0, [(150, 50, 24, 70, 235)]), None, fx=3, fy=3)
    found = look(detector, large, LEARNED)
    assert np.abs(found.boxes[0] - (450, 150, 522, 360)).max() <= 8


def test_time_that_goes_back_and_another_size_start_again():
    scene = Yard(leaves=False)
    detector = learned(scene)
    walker = scene.view(0, [(150, 50, 24, 70, 235)])
    assert not len(look(detector, walker, 3)), "nothing is found while it learns"
    assert not len(look(detector, walker[:160], 4))


def test_options_of_the_other_kind_of_camera_are_refused():
    with pytest.raises(ValidationError, match="spans_s: not an option of camera: fixed"):
        MotionOptions(camera="fixed", spans_s=(0.3, 0.6))
    with pytest.raises(ValidationError, match="absorb_s: not an option of camera: moving"):
        MotionOptions(absorb_s=5)
