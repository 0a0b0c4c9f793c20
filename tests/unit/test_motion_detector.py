"""The motion detector on made scenes: what moves is found, what only seems to move is not."""

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmarks import attention_air as air
from perception.detectors import for_camera, prepare
from perception.detectors.combined import ID_STEP, Combined
from perception.detectors.levels import tracker_options
from perception.detectors.motion import MotionDetector, MotionOptions
from perception.kernels import blobs
from perception.kernels.blobs import join_boxes
from perception.pixels import Pixels
from perception.trackers.options import TwoStageOptions
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED, Detections

W, H, HZ = 640, 480, 25


def ground(seed=0, size=(1200, 1200)):
    """Return a textured plane, uint8 (h, w)."""
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.uniform(40, 200, (60, 60)), size, interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.uniform(-25, 25, (400, 400)), size, interpolation=cv2.INTER_CUBIC)
    return np.clip(rough + fine, 0, 255).astype(np.uint8)


class Flight:
    """A camera that drifts and turns over the ground; movers are small bright rectangles."""

    def __init__(self, seed=0, movers=(), drift=(1.7, -1.1), turn_deg=0.15, noise=1.5):
        self.plane, self.movers = ground(seed), movers
        self.drift, self.turn, self.noise = drift, turn_deg, noise
        self.rng = np.random.default_rng(seed + 1)

    def view(self, n, *, gain=1.0, offset=0.0, shift=(0.0, 0.0)):
        """Return the picture of frame n, and the movers' boxes in it."""
        plane = self.plane.copy()
        for x, y, vx, vy in self.movers:
            a, b = round(x + vx * n), round(y + vy * n)
            plane[b : b + 8, a : a + 14] = 250
        centre = 600 + self.drift[0] * n + shift[0], 600 + self.drift[1] * n + shift[1]
        turn = cv2.getRotationMatrix2D(centre, self.turn * n, 1.0)
        turn[:, 2] += (W / 2 - centre[0], H / 2 - centre[1])
        grey = cv2.warpAffine(plane, turn, (W, H)).astype(np.float32)
        grey = grey * gain + offset + self.rng.normal(0, self.noise, grey.shape)
        boxes = []
        for x, y, vx, vy in self.movers:
            middle = turn @ (round(x + vx * n) + 7, round(y + vy * n) + 4, 1)
            half = np.array((7, 4))
            boxes.append(np.concatenate((middle - half, middle + half)))
        image = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)
        return image, np.array(boxes).reshape(-1, 4)


def see(detector, image, n):
    return detector.infer(prepare(detector, Pixels(image), round(n / HZ * 1e9)))


def hits(found, boxes):
    """Return how many true boxes have a detection whose centre is within 6 px."""
    middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    true = (boxes[:, :2] + boxes[:, 2:]) / 2
    if not len(middle):
        return 0
    far = np.hypot(*(true[:, None] - middle[None]).transpose(2, 0, 1))
    return int((far.min(axis=1) < 6).sum())


LEVELS = tracker_options("motion", None)
MOVERS = ((500, 520, 2.0, 0.5), (700, 650, -1.5, 1.0), (560, 700, 0.0, -2.2), (640, 540, 1.2, 1.2))


def test_small_movers_under_a_moving_camera_are_found_and_nothing_else():
    flight, detector = Flight(movers=MOVERS), MotionDetector()
    found, true, extra = 0, 0, 0
    for n in range(40):
        image, boxes = flight.view(n)
        here = see(detector, image, n)
        if n >= 15:
            found += hits(here, boxes)
            true += len(boxes)
            extra += max(0, len(here) - len(boxes))
    assert found / true >= 0.9
    assert extra <= 5
    assert detector.names == {0: "moving"}


def test_nothing_moves():
    flight, detector = Flight(), MotionDetector()
    total = sum(len(see(detector, flight.view(n)[0], n)) for n in range(40))
    assert total <= 2


@pytest.mark.parametrize("kind", ["cut", "exposure", "shake", "rain"])
def test_no_burst(kind):
    """A cut, an exposure jump, jolts of the camera, a rain of noise: no false target."""
    flight, other, detector = Flight(), Flight(seed=9), MotionDetector()
    tracker, confirmed = TwoStageTracker(TwoStageOptions(**LEVELS, confirm_s=0.12)), set()
    for n in range(45):
        what, change = flight, {}
        if kind == "cut" and n >= 20:
            what = other
        elif kind == "exposure" and n >= 20:
            change = {"gain": 1.1, "offset": 25.0}
        elif kind == "shake":
            change = {"shift": tuple(flight.rng.normal(0, 6, 2))}
        image, _ = what.view(n, **change)
        if kind == "rain":
            drops = flight.rng.integers(0, (H, W), (400, 2))
            image[drops[:, 0], drops[:, 1]] = 255
        tracks = tracker.update(see(detector, image, n), round(n / HZ * 1e9))
        confirmed |= set(tracks.track_ids[tracks.states == CONFIRMED].tolist())
    assert len(confirmed) <= 1
    if kind == "cut":
        assert detector.counters["motion_unregistered"] >= 1


def test_a_frame_that_is_missing_and_time_that_goes_back():
    flight, detector = Flight(movers=MOVERS), MotionDetector()
    for n in [*range(20), *range(26, 40)]:
        image, boxes = flight.view(n)
        found = see(detector, image, n)
    assert hits(found, boxes) >= 3
    assert len(see(detector, image, 0)) == 0, "time went back: it begins again"
    assert len(see(detector, image[:200], 1)) == 0, "another size: it begins again"


def test_planes_give_what_bgr_gives():
    flight, a, b = Flight(movers=MOVERS), MotionDetector(), MotionDetector()
    for n in range(25):
        image, boxes = flight.view(n)
        planes = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420)
        one = see(a, image, n)
        two = b.infer(b.prepare_at(Pixels(planes, "bt601-full"), round(n / HZ * 1e9)))
    assert hits(one, boxes) == hits(two, boxes) == len(boxes)


def test_large_pictures_are_scaled_down_and_boxes_scaled_up():
    flight, detector = Flight(movers=MOVERS), MotionDetector(MotionOptions(size=640))
    for n in range(25):
        image, boxes = flight.view(n)
        large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        found = see(detector, large, n)
    half = Detections(found.boxes / 2, found.scores, found.class_ids)
    assert hits(half, boxes) >= 3


def test_each_camera_has_its_own_past():
    detector = MotionDetector(MotionOptions(contrast=20))
    one, two = for_camera(detector), for_camera(detector)
    assert one is not two
    flight, other = Flight(movers=MOVERS), Flight(seed=5)
    for n in range(25):
        image, boxes = flight.view(n)
        found = see(one, image, n)
        assert len(see(two, other.view(n)[0], n)) <= 2
    assert hits(found, boxes) >= 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spans_s": [0.5, 0.2]}, "the second must be larger"),
        ({"spans_s": [0.1, float("nan")]}, "spans_s"),
        ({"contrast": 0}, "contrast"),
        ({"sizes": 3}, "sizes"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises(ValidationError, match=words):
        MotionOptions(**options)


class Fixed:
    """A detector that finds what it is told."""

    def __init__(self, names, *rows):
        self.names, self.counters = names, {"seen": 1}
        self.found = Detections.of([r[:4] for r in rows], [r[4] for r in rows], [0] * len(rows))

    def prepare(self, image):
        return None

    def infer(self, prepared):
        return self.found


def test_of_two_boxes_of_one_object_the_first_detectors_is_kept():
    network = Fixed({0: "car"}, (100, 100, 140, 120, 0.6))
    moving = Fixed(
        {0: "moving"},
        (102, 101, 139, 119, 0.9),
        (110, 105, 118, 112, 0.9),
        (300, 300, 310, 310, 0.8),
    )
    both = Combined([network, moving])
    found = both.detect(np.zeros((480, 640, 3), np.uint8))
    assert both.names == {0: "car", ID_STEP: "moving"}
    assert [both.names[i] for i in found.class_ids.tolist()] == ["car", "moving"]
    assert found.boxes[1].tolist() == [300, 300, 310, 310]
    assert both.counters == {"seen": 1}


def in_line(a, b, axis):
    """Whether two boxes lie in one line along an axis, as blobs.py says it."""
    gap, share, sides, widths, most = (
        blobs.LONG_GAP_PX, blobs.LINE_SHARE, blobs.LINE_SIDES, blobs.LINE_WIDTH,
        blobs.LINE_LENGTH_PX,
    )  # fmt: skip
    across = 1 - axis
    own = [box[across + 2] - box[across] for box in (a, b)]
    shared = min(a[across + 2], b[across + 2]) - max(a[across], b[across])
    length = max(a[axis + 2], b[axis + 2]) - min(a[axis], b[axis])
    width = max(a[across + 2], b[across + 2]) - min(a[across], b[across])
    apart = max(a[axis], b[axis]) - min(a[axis + 2], b[axis + 2])
    return (
        apart <= gap
        and length <= most
        and shared >= np.float64(share) * min(own)
        and width <= np.float64(widths) * max(*own, 4.0)
        and length >= np.float64(sides) * width
    )


def slow_join(boxes, gap, most):
    """Join the first pair that may be joined, again and again."""
    boxes = [np.array(b, np.float32) for b in boxes]
    while True:
        for i in range(len(boxes)):
            for j in range(i + 1, len(boxes)):
                a, b = boxes[i], boxes[j]
                low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
                whole = np.concatenate((np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])))
                shorter = max(min(a[2:] - a[:2]), min(b[2:] - b[:2]))
                near = (low - high <= np.float32(gap)).all()
                near = near and min(whole[2:] - whole[:2]) <= np.float32(most) * shorter
                if near or in_line(a, b, 0) or in_line(a, b, 1):
                    boxes[i] = whole
                    del boxes[j]
                    break
            else:
                continue
            break
        else:
            return boxes


spots = st.lists(
    st.tuples(*(st.integers(0, 60),) * 2, *(st.integers(1, 20),) * 2), min_size=0, max_size=12
)


@given(spots)
def test_joined_boxes_cover_all_and_none_can_be_joined_further(given_spots):
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in given_spots], np.float32)
    joined = join_boxes(boxes.reshape(-1, 4))
    assert len(slow_join(joined, 3.0, 1.8)) == len(joined)
    for box in boxes.reshape(-1, 4):
        assert ((joined[:, :2] <= box[:2]).all(1) & (joined[:, 2:] >= box[2:]).all(1)).any()


@given(spots)
def test_a_pair_is_joined_as_by_the_slow_twin(given_spots):
    pair = np.array([(x, y, x + w, y + h) for x, y, w, h in given_spots[:2]], np.float32)
    fast = sorted(join_boxes(pair.reshape(-1, 4)).tolist())
    assert fast == sorted(b.tolist() for b in slow_join(pair.reshape(-1, 4), 3.0, 1.8))


@pytest.mark.footage
def test_moving_vehicles_from_above_are_found_as_labelled(footage):
    path = footage / "video" / air.CLIP
    if not path.exists():
        pytest.skip(f"no video/{air.CLIP}")
    detector, truth, total = MotionDetector(), air.labels(), np.zeros(3)
    with av.open(str(path)) as container:
        for n, frame in enumerate(container.decode(video=0)):
            if n > 80:
                break
            image = frame.to_ndarray(format="bgr24")
            found = detector.infer(detector.prepare_at(Pixels(image), round(frame.time * 1e9)))
            if n in truth:
                total += air.score(found.boxes, truth[n])
    hits, labelled, false = total
    assert hits / labelled >= 0.85
    assert hits / (hits + false) >= 0.85
