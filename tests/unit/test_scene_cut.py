"""A cut ends every track and visit; nothing else does."""

import cv2
import numpy as np
import pytest

from perception.geometry.grey import small_grey
from perception.trackers.scene_cut import SceneCut
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED, Detections


def picture(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (9, 16)).astype(np.uint8)
    return cv2.resize(noise, (240, 135), interpolation=cv2.INTER_CUBIC)


def test_another_scene_is_a_cut_and_the_same_one_moved_is_not():
    cuts = SceneCut()
    assert not cuts.is_cut(picture(0))
    assert not cuts.is_cut(np.roll(picture(0), 5, axis=1))
    assert cuts.is_cut(picture(1))
    assert not cuts.is_cut(picture(1))


def test_something_that_fills_half_of_the_picture_is_no_cut():
    cuts, scene = SceneCut(), picture(0)
    passing = scene.copy()
    passing[:, :150] = 255 - scene[:, :150]
    assert np.corrcoef(scene.ravel(), passing.ravel())[0, 1] < SceneCut.likeness
    assert [cuts.is_cut(p) for p in (scene, passing, scene)] == [False] * 3
    passing[:, :200] = 255 - scene[:, :200]
    assert cuts.is_cut(passing), "hardly anything is left"


@pytest.mark.footage
@pytest.mark.parametrize("step", [2, 4, 8, 12])
def test_a_car_that_passes_while_frames_are_lost_is_no_cut(footage, step):
    video = cv2.VideoCapture(str(footage / "video/surveillance/intel_person_bicycle_car.mp4"))
    greys = []
    while (frame := video.read())[0]:
        greys.append(small_grey(frame[1]))
    for start in range(step):
        cuts = SceneCut()
        assert not any(cuts.is_cut(grey) for grey in greys[start::step])


@pytest.mark.parametrize("shape", [(1, 1), (2, 240), (135, 240), (18, 32)])
def test_even_pictures_are_no_cut(shape):
    cuts = SceneCut()
    assert not any(cuts.is_cut(np.full(shape, level, np.uint8)) for level in (0, 255, 3, 128))


def test_light_and_a_covered_lens_are_no_cut():
    cuts, scene = SceneCut(), picture(0)
    dark = (scene // 4).astype(np.uint8)
    cover = np.random.default_rng(0).integers(0, 4, scene.shape).astype(np.uint8)
    assert [cuts.is_cut(p) for p in (scene, dark, scene, cover, scene)] == [False] * 5


def test_no_track_goes_on_across_a_cut_and_no_id_comes_back():
    tracker = TwoStageTracker(epoch=3)
    here = Detections.of([[10, 10, 50, 90]], [0.9], [0])
    for n in range(10):
        before = tracker.update(here, n * 10**8)
    assert before.states.tolist() == [CONFIRMED]
    tracker.end_all()
    for n in range(10, 20):
        after = tracker.update(here, n * 10**8)
    assert after.states.tolist() == [CONFIRMED]
    assert after.track_ids[0] > before.track_ids[0]
    assert len(after) == 1


@pytest.mark.footage
def test_the_cuts_of_a_film_are_found(footage):
    video = cv2.VideoCapture(str(footage / "video/doorway/whitehouse_faces_cuts.mp4"))
    cuts, found, n = SceneCut(), [], 0
    while (frame := video.read())[0]:
        if cuts.is_cut(small_grey(frame[1])):
            found.append(n)
        n += 1
    assert len(found) == 3
    assert np.abs(np.array(found) - (21, 83, 212)).max() <= 1
