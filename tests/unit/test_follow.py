"""What a camera's follower counts: cuts between scenes, none between pictures that stand alone."""

import cv2
import numpy as np
import pytest

from perception.trackers.follow import Follower, _after, missed_frames
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import DetectionMessage, Detections, Stamp, make_id

SECOND = 1_000_000_000


def scene(seed: int) -> np.ndarray:
    """Return a small grey picture with large shapes of its own, uint8 (135, 240)."""
    rough = np.random.default_rng(seed).uniform(0, 255, (4, 7)).astype(np.float32)
    large = np.asarray(cv2.resize(rough, (240, 135), interpolation=cv2.INTER_CUBIC))
    return large.clip(0, 255).astype(np.uint8)


def message(n: int, grey: np.ndarray) -> DetectionMessage:
    return DetectionMessage(
        stamp=Stamp(
            camera="a",
            frame_id=make_id(1, n),
            t_media_ns=n * SECOND // 10,
            t_arrival_ns=n,
            t_wall_ns=n,
        ),
        width=960,
        height=540,
        names={},
        dropped={},
        t_taken_ns=n,
        t_detected_ns=n,
        inference_ns=0,
        detections=Detections.none(),
        grey=grey,
    )


@pytest.mark.parametrize(("alone", "cuts"), [(False, 1), (True, 0)])
def test_another_scene_is_a_cut_unless_pictures_stand_alone(alone, cuts):
    follower = Follower(TwoStageTracker(), alone=alone)
    said = [follower.follow(message(n, scene(0 if n < 3 else 1))).cut for n in range(6)]
    assert follower.cuts == cuts
    assert said == ([True] * 6 if alone else [n == 3 for n in range(6)])


def test_frames_between_two_of_one_start_are_missed():
    assert missed_frames(make_id(1, 4), make_id(1, 3)) == 0
    assert missed_frames(make_id(1, 7), make_id(1, 3)) == 3
    assert missed_frames(make_id(2, 7), make_id(1, 3)) == 0


def test_a_change_of_size_comes_before_the_motion():
    half = np.array([[0.5, 0, 3], [0, 0.5, 1]], np.float32)
    moved = np.array([[1, 0, 10], [0, 1, -20]], np.float32)
    np.testing.assert_allclose(_after(moved, half), [[0.5, 0, 13], [0, 0.5, -19]])
