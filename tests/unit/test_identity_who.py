"""The stage over tracks: whose face it is, how often it looks, what it tells; no model needed."""

import numpy as np
import pytest

from perception import wire as m
from perception.identity.decide import Thresholds
from perception.identity.faces import Face
from perception.identity.gallery import Templates
from perception.identity.who import MAX_LOOKS, Recogniser, upper_part

HEIGHT, WIDTH = 480, 640
ANNA, BOB = np.eye(4, dtype=np.float32)[:2]
GALLERY = Templates(("Anna", "Bob"), np.stack([ANNA, BOB]))
LIMITS = Thresholds(accept=0.363, reject=0.275)
rng = np.random.default_rng(0)
IMAGE = rng.integers(60, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def face_at(x, y, width=60.0, yaw=0.0):
    """A frontal face with its centre at (x, y)."""
    at = np.array([[-0.25, -0.2], [0.25, -0.2], [yaw * 0.5, 0.05], [-0.2, 0.3], [0.2, 0.3]])
    landmarks = (at * width + (x, y)).astype(np.float32)
    return Face((x - width / 2, y - 0.6 * width, x + width / 2, y + 0.6 * width), 0.9, landmarks)


class Finder:
    """Finds given faces, as far as their centre is in the crop."""

    def __init__(self, *faces):
        self.faces = list(faces)
        self.crops = []

    def find(self, crop, long_side):
        self.crops.append(crop.shape)
        at = np.flatnonzero((IMAGE[..., 0] == crop[0, 0, 0]) & (IMAGE[..., 1] == crop[0, 0, 1]))
        for start in at.tolist():
            y, x = divmod(start, WIDTH)
            if np.array_equal(IMAGE[y : y + crop.shape[0], x : x + crop.shape[1]], crop):
                break
        inside = []
        for face in self.faces:
            cx, cy = face.centre
            if x <= cx < x + crop.shape[1] and y <= cy < y + crop.shape[0]:
                x1, y1, x2, y2 = face.box
                box = (x1 - x, y1 - y, x2 - x, y2 - y)
                shift = np.array([x, y], np.float32)
                inside.append(Face(box, face.score, face.landmarks - shift))
        return inside


class Embedder:
    """Gives the same vector for every face."""

    model, accept, reject = "fake", LIMITS.accept, LIMITS.reject

    def __init__(self, vector):
        self.vector = vector
        self.calls = 0

    def embed(self, face):
        assert face.shape == (112, 112, 3)
        self.calls += 1
        return self.vector


def frame(n, *tracks, state=m.CONFIRMED, class_id=0, unseen_s=0.0, hz=20):
    """Frame n; tracks: (id, (x1, y1, x2, y2))."""
    count, t_ns = len(tracks), n * 10**9 // hz
    floats = np.zeros(count, np.float32)
    return m.TrackMessage(
        stamp=m.Stamp(camera="c", frame_id=n, t_media_ns=t_ns, t_arrival_ns=0, t_wall_ns=0),
        width=WIDTH,
        height=HEIGHT,
        names={0: "person", 2: "car"},
        dropped={},
        t_detected_ns=0,
        t_tracked_ns=0,
        tracks=m.Tracks(
            np.array([i for i, _ in tracks], np.int64),
            np.array([box for _, box in tracks], np.float32).reshape(-1, 4),
            np.zeros((count, 4), np.float32),
            np.full(count, class_id, np.int32),
            floats + 0.9,
            np.full(count, state, np.uint8),
            floats + np.float32(n / hz),
            floats + np.float32(unseen_s),
            np.zeros(count, np.int32),
        ),
        warp=np.eye(2, 3, dtype=np.float32),
    )


BODY = (200.0, 50.0, 360.0, 470.0)
HEAD = face_at(280, 110)


def recogniser(*faces, vector=ANNA, rate_hz=10.0):
    return Recogniser(Finder(*faces), Embedder(vector), LIMITS, GALLERY, rate_hz)


def play(stage, *tracks, frames=range(60), image=IMAGE):
    return [(n, who) for n in frames for who in stage.update(frame(n, *tracks), image)]


def test_a_face_that_stays_is_named_once_and_told_again():
    stage = recogniser(HEAD)
    told = play(stage, (7, BODY))
    n, first = told[0]
    assert (first.track_id, first.decision.who, first.is_new) == (7, "Anna", True)
    assert n == 4
    assert [who.is_new for _, who in told[1:]] == [False]
    assert stage.counters["left_out.no_face"] == 0
    assert stage.faces(7) == 5
    assert stage.faces(8) == 0


def test_it_looks_at_its_rate_then_once_a_second():
    stage = recogniser(HEAD, rate_hz=5.0)
    play(stage, (7, BODY), frames=range(100))
    assert stage.counters["looks"] == 3 + 4


def test_without_a_face_or_a_picture_it_is_undecided_at_the_deadline():
    assert [(n, w.decision.state) for n, w in play(recogniser(), (7, BODY))] == [(40, "undecided")]
    stage = recogniser(HEAD)
    assert [w.decision.state for _, w in play(stage, (7, BODY), image=None)] == ["undecided"]
    assert stage.counters["looks"] == 0
    late = play(stage, (7, BODY), frames=range(60, 80))
    assert [w.decision.who for _, w in late] == ["Anna"]


@pytest.mark.parametrize("changes", [{"state": m.LOST}, {"state": m.TENTATIVE}, {"class_id": 2}])
def test_only_confirmed_persons_count(changes):
    stage = recogniser(HEAD)
    told = [w for n in range(60) for w in stage.update(frame(n, (7, BODY), **changes), IMAGE)]
    assert told == []
    assert stage.counters["looks"] == 0


def test_a_person_who_is_not_seen_just_now_or_too_far_away_is_not_looked_at():
    stage = recogniser(HEAD)
    stage.update(frame(0, (7, BODY), unseen_s=0.1), IMAGE)
    stage.update(frame(1, (8, (0, 0, 30, 80))), IMAGE)
    assert stage.counters["looks"] == 0


def test_each_face_belongs_to_the_head_it_is_nearest_to():
    left, right = (180.0, 50.0, 340.0, 470.0), (300.0, 50.0, 460.0, 470.0)
    stage = recogniser(face_at(380, 110))
    told = play(stage, (1, left), (2, right), frames=range(20))
    assert [who.track_id for _, who in told] == [2]
    assert stage.counters["left_out.of_another"] + stage.counters["left_out.no_face"] >= 5
    assert stage.faces(1) == 0


def test_nobody_is_in_two_places():
    left, right = (20.0, 50.0, 180.0, 470.0), (400.0, 50.0, 560.0, 470.0)
    stage = recogniser(face_at(100, 110, yaw=0.2), face_at(480, 110))
    weak = np.array([0.5, 0, 0, 0.75**0.5], np.float32)
    answers = {1: weak, 2: ANNA}
    look = stage._look

    def looked(image, track, *rest):
        stage._embedder.vector = answers[track.track_id]
        look(image, track, *rest)

    stage._look = looked
    told = play(stage, (1, left), (2, right), frames=range(30))
    assert [(w.track_id, w.decision.who, w.is_new) for _, w in told] == [
        (1, None, True),
        (2, "Anna", True),
    ]
    alone = play(stage, (1, left), frames=range(30, 40))
    assert [(w.track_id, w.decision.who) for _, w in alone] == [(1, "Anna")]


def test_two_boxes_round_one_body_may_bear_one_name():
    outer = (180.0, 40.0, 380.0, 475.0)
    stage = recogniser(HEAD)
    told = play(stage, (1, BODY), frames=range(10))
    assert [w.decision.who for _, w in told] == ["Anna"]
    both = play(stage, (1, BODY), (2, outer), frames=range(10, 40))
    assert {w.decision.who for _, w in both} == {"Anna"}


def test_two_faces_of_one_size_on_one_body_are_left_out_and_a_small_one_behind_is_not():
    stage = recogniser(face_at(250, 110), face_at(310, 110))
    play(stage, (7, BODY), frames=range(10))
    assert stage.counters["left_out.two_faces"] == 5
    stage = recogniser(HEAD, face_at(340, 100, width=20))
    assert [w.decision.who for _, w in play(stage, (7, BODY), frames=range(10))] == ["Anna"]


def test_a_turned_or_small_face_is_never_compared():
    for poor, flaw in ((face_at(280, 110, yaw=1.2), "turned"), (face_at(280, 110, 30), "small")):
        stage = recogniser(poor)
        play(stage, (7, BODY), frames=range(10))
        assert stage.counters[f"left_out.{flaw}"] == 5
        assert stage.counters["usable"] == 0


def test_at_most_so_many_are_looked_at_in_a_picture_and_all_in_turn():
    boxes = [(i, (10.0 + 60 * i, 50.0, 65.0 + 60 * i, 300.0)) for i in range(8)]
    stage = recogniser()
    stage.update(frame(0, *boxes), IMAGE)
    assert stage.counters["looks"] == MAX_LOOKS
    wanted = {t.track_id for t in stage.wanted(frame(1, *boxes))}
    assert wanted == {3, 4, 5}


def test_tracks_that_are_gone_are_forgotten_and_a_new_gallery_is_used():
    stage = recogniser(HEAD)
    play(stage, (7, BODY), frames=range(10))
    stage.update(frame(10), IMAGE)
    assert stage.faces(7) == 0
    stage.templates = Templates(("Carl",), ANNA[None])
    assert [w.decision.who for _, w in play(stage, (8, BODY), frames=range(11, 30))] == ["Carl"]


def test_media_time_that_jumps_back_does_not_stop_it():
    stage = recogniser(HEAD)
    play(stage, (7, BODY), frames=range(500, 540))
    assert play(stage, (7, BODY), frames=range(40))


@pytest.mark.parametrize(
    "box",
    [(-50, -50, 100, 400), (600, 400, 900, 900), (0, 0, 640, 480), (700, 500, 800, 600)],
)
def test_the_upper_part_lies_in_the_picture(box):
    x1, y1, x2, y2 = upper_part(box, HEIGHT, WIDTH)
    assert 0 <= x1 <= x2 <= WIDTH
    assert 0 <= y1 <= y2 <= HEIGHT


def test_the_upper_part_holds_the_head_of_a_whole_body_and_of_a_bust():
    assert upper_part((200, 50, 300, 450), HEIGHT, WIDTH) == (185, 35, 315, 265)
    assert upper_part((100, 100, 400, 400), HEIGHT, WIDTH) == (55, 55, 445, 445)
