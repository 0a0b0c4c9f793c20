"""The picture changes its size in mid stream: who is in sight keeps the id, in the right place."""

import cv2
import numpy as np
import pytest

from perception.geometry.grey import small_grey
from perception.rules.line import LineRule
from perception.rules.visit import VisitRule
from perception.rules.zones import Line
from perception.trackers.follow import Follower
from perception.trackers.size_change import find_affine
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED, DetectionMessage, Detections, Stamp, make_id

FPS = 25


def _scene(seed=0):
    """Return uint8 (960, 1280, 3): a scene with structure of every size."""
    rng = np.random.default_rng(seed)
    image = np.zeros((960, 1280, 3), np.float32)
    for cells in (6, 16, 60):
        blocks = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(blocks, (1280, 960), interpolation=cv2.INTER_CUBIC) / 3
    return image.clip(0, 255).astype(np.uint8)


def _stretch(size):
    return np.array([[size[0] / 640, 0, 0], [0, size[1] / 480, 0]], float)


CHANGES = {
    "half": ((320, 240), _stretch((320, 240))),
    "larger": ((1920, 1440), _stretch((1920, 1440))),
    "stretched": ((640, 360), _stretch((640, 360))),
    "bars": ((854, 480), np.array([[1.0, 0, 107], [0, 1, 0]])),
    "cut": ((640, 360), np.array([[1.0, 0, 0], [0, 1, -60]])),
    "clockwise": ((480, 640), np.array([[0.0, -1, 480], [1, 0, 0]])),
    "counter-clockwise": ((480, 640), np.array([[0.0, 1, 0], [-1, 0, 640]])),
    "turned and half": ((240, 320), np.array([[0.0, -0.5, 240], [0.5, 0, 0]])),
}


def _message(n, image, boxes):
    height, width = image.shape[:2]
    return DetectionMessage(
        stamp=Stamp(
            camera="door",
            frame_id=make_id(1, n),
            t_media_ns=n * 1_000_000_000 // FPS,
            t_arrival_ns=0,
            t_wall_ns=0,
        ),
        width=width,
        height=height,
        names={0: "person"},
        dropped={},
        t_taken_ns=0,
        t_detected_ns=0,
        inference_ns=0,
        detections=Detections.of(boxes, np.full(len(boxes), 0.8), np.zeros(len(boxes))),
        grey=small_grey(image),
    )


def _boxes(n):
    """Return people that walk in a picture of 640x480: far from each other, one standing still."""
    x, y = 150 + 2.0 * n, 180 + 0.5 * n
    return np.array([[x, y, x + 40, y + 100], [420, 200, 450, 280], [300 - n, 240, 330 - n, 320]])


def _carry(boxes, affine):
    corners = boxes.reshape(-1, 2, 2) @ affine[:, :2].T + affine[:, 2]
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def _paint(image, affine, size):
    """Return the picture after an affine of box coordinates: OpenCV counts from pixel centres."""
    matrix = affine.copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5
    return cv2.warpAffine(image, matrix, size)


def _run(size, affine, frames=40, at=20, rules=()):
    """Follow a still camera whose picture changes at frame `at`; yield messages of tracks."""
    first = cv2.resize(_scene(), (640, 480), interpolation=cv2.INTER_AREA)
    second = _paint(first, affine, size)
    follower = Follower(TwoStageTracker())
    for n in range(frames):
        boxes = _boxes(n) if n < at else _carry(_boxes(n), affine)
        yield follower.follow(_message(n, first if n < at else second, boxes))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.fault("F16")
def test_people_keep_their_ids_and_places(change):
    size, affine = CHANGES[change]
    told = list(_run(size, affine))
    ids = [set(m.tracks.track_ids[m.tracks.states == CONFIRMED].tolist()) for m in told]
    assert len(ids[19]) == 3
    assert all(later == ids[19] for later in ids[20:])
    assert not any(m.cut for m in told)
    np.testing.assert_allclose(told[20].warp, affine, atol=max(0.4, 0.002 * max(size)))
    tracks = told[20].tracks
    expected = _carry(_boxes(20), affine)[tracks.detection_rows]
    np.testing.assert_allclose(tracks.boxes, expected, atol=0.06 * size[1])
    rates = told[19].tracks.rates.astype(float)
    np.testing.assert_allclose(
        tracks.rates[:, :2], rates[:, :2] @ affine[:, :2].T, atol=0.03 * max(size)
    )


def test_a_lost_track_is_carried_too():
    size, affine = CHANGES["half"]
    first = cv2.resize(_scene(), (640, 480), interpolation=cv2.INTER_AREA)
    second = _paint(first, affine, size)
    follower = Follower(TwoStageTracker())
    for n in range(24):
        boxes = _boxes(n) if n < 18 else _boxes(n)[:1]
        if n >= 20:
            boxes = _carry(boxes, affine)
        told = follower.follow(_message(n, first if n < 20 else second, boxes))
    assert len(told.tracks) == 3
    x, y = told.tracks.boxes[:, 2], told.tracks.boxes[:, 3]
    assert x.max() <= 320
    assert y.max() <= 240


def test_another_scene_of_another_size_is_a_cut():
    first = cv2.resize(_scene(), (640, 480), interpolation=cv2.INTER_AREA)
    other = cv2.resize(_scene(5), (320, 240), interpolation=cv2.INTER_AREA)
    follower = Follower(TwoStageTracker())
    for n in range(10):
        follower.follow(_message(n, first, _boxes(n)))
    told = follower.follow(_message(10, other, _boxes(10) / 2))
    assert told.cut
    assert find_affine(small_grey(first), small_grey(other), (640, 480), (320, 240)) is None


def test_time_to_collision_goes_on():
    size, affine = CHANGES["half"]
    first = cv2.resize(_scene(), (640, 480), interpolation=cv2.INTER_AREA)
    second = _paint(first, affine, size)
    follower = Follower(TwoStageTracker())
    times = []
    for n in range(50):
        half = 2400.0 / (100 - n) / 2
        box = np.array([[320 - half, 240 - half, 320 + half, 240 + half]])
        box = box if n < 30 else _carry(box, affine)
        told = follower.follow(_message(n, first if n < 30 else second, box))
        times.append(next(told.tracks.rows()).ttc_s)
    for n in (29, 30, 31, 40):
        assert times[n] == pytest.approx((100 - n) / FPS, rel=0.15)


@pytest.mark.fault("F16")
def test_a_visit_goes_on():
    size, affine = CHANGES["half"]
    rule = VisitRule("door", VisitRule.Options(), {}, {})
    events = [event for message in _run(size, affine) for event in rule.update(message)]
    assert [event.phase for event in events] == ["begin"] * 3


def test_nobody_crosses_a_line_by_a_change_of_size():
    size, affine = CHANGES["half"]
    line = Line.model_validate([[0.4, 0.0], [0.4, 1.0]])
    rule = LineRule("gate", LineRule.Options(line="gate"), {}, {"gate": line})
    events = [event for m in _run(size, affine, frames=60) for event in rule.update(m)]
    assert len(events) == 1, "only the one who walks from x 170 to 288 crosses x 256"
