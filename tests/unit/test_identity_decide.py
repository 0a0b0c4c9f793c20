"""Open set: the enrolled are named, strangers are not, doubt stays doubt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.identity.decide import WINDOW, Decision, Evidence, Thresholds
from perception.identity.gallery import Templates

LIMITS = Thresholds(accept=0.363, reject=0.275, min_faces=3, deadline_s=2.0)
ANNA, BOB, NOBODY = np.eye(8, dtype=np.float32)[:3]
GALLERY = Templates(("Anna", "Bob"), np.stack([ANNA, BOB]))
EMPTY = Templates((), np.zeros((0, 0), np.float32))


def face(like, cosine):
    """A vector of length 1 with this cosine to `like` and none to anybody else."""
    vector = like * np.float32(cosine)
    vector[7] = np.sqrt(1 - cosine**2)
    return vector


def after(*faces, gallery=GALLERY, age_s=0.5, limits=LIMITS):
    evidence = Evidence(limits)
    decision = None
    for vector in faces:
        evidence.add(vector, 1.0)
        decision = evidence.decide(gallery, age_s)
    return decision


def test_named_with_the_third_face_and_not_before():
    good = face(ANNA, 0.6)
    assert after(good, good) is None
    assert after(good, good, good) == Decision("known", "Anna", 0.6, 3)


def test_a_stranger_needs_twice_the_faces_or_the_deadline():
    other = face(NOBODY, 0.9)
    assert after(*[other] * 5) is None
    assert after(*[other] * 6) == Decision("unknown", None, 1.0, 6)
    assert after(*[other] * 3, age_s=2.0).state == "unknown"
    assert after(*[other] * 2, age_s=2.0) == Decision("undecided", None, 0.0, 1)


@pytest.mark.parametrize("cosine", [0.28, 0.32, 0.36])
def test_between_the_operating_points_it_stays_open_until_the_deadline(cosine):
    faces = [face(ANNA, cosine)] * 8
    assert after(*faces) is None
    assert after(*faces, age_s=2.0).state == "undecided"


def test_where_two_fit_nobody_is_named():
    both = (ANNA + BOB) / np.float32(np.sqrt(2))
    assert after(*[both] * 8) is None
    assert after(*[both] * 8, age_s=3.0).state == "undecided"


def test_one_lucky_face_does_not_name_and_one_poor_one_does_not_hide():
    assert after(face(ANNA, 0.5), *[face(NOBODY, 0.9)] * 5).state == "unknown"
    assert after(face(NOBODY, 0.9), *[face(ANNA, 0.6)] * 3).who == "Anna"


def test_weights_count():
    evidence = Evidence(LIMITS)
    for vector, weight in ((face(NOBODY, 0.9), 0.01), (ANNA, 1.0), (ANNA, 1.0)):
        evidence.add(vector, weight)
    assert evidence.decide(GALLERY, 0.1).who == "Anna"
    assert evidence.scores(GALLERY)[0] > 0.98


def test_undecided_becomes_known_and_a_mixed_up_track_changes_its_mind():
    evidence = Evidence(LIMITS)
    assert evidence.decide(GALLERY, 2.5).state == "undecided"
    for _ in range(3):
        evidence.add(ANNA, 1.0)
    assert evidence.decide(GALLERY, 3.0).who == "Anna"
    for _ in range(WINDOW):
        evidence.add(BOB, 1.0)
    assert evidence.decide(GALLERY, 9.0).who == "Bob"
    assert evidence.count == 3 + WINDOW


def test_the_empty_gallery_makes_strangers_and_a_changed_one_is_used_at_once():
    evidence = Evidence(LIMITS)
    for _ in range(6):
        evidence.add(ANNA, 1.0)
    assert evidence.decide(EMPTY, 0.6).state == "unknown"
    assert evidence.decide(GALLERY, 0.6).who == "Anna"


vectors = st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8).filter(
    lambda v: np.linalg.norm(v) > 1e-3
)


@settings(max_examples=200)
@given(st.lists(st.tuples(vectors, st.floats(0, 1)), max_size=20), st.floats(0, 10))
def test_nobody_is_named_whose_mean_cosine_is_below_accept(faces, age_s):
    evidence = Evidence(LIMITS)
    kept = []
    for vector, weight in faces:
        unit = np.asarray(vector, np.float32) / np.float32(np.linalg.norm(vector))
        evidence.add(unit, weight)
        kept.append((unit.astype(np.float64), max(weight, 1e-3)))
    decision = evidence.decide(GALLERY, age_s)
    kept = kept[-WINDOW:]
    if decision is not None and decision.state == "known":
        total = sum(weight for _, weight in kept)
        slow = sum(weight * float(unit @ ANNA) for unit, weight in kept) / total
        other = sum(weight * float(unit @ BOB) for unit, weight in kept) / total
        best, second = max(slow, other), min(slow, other)
        assert best >= LIMITS.accept - 1e-5
        assert second < LIMITS.accept + 1e-5
        assert len(faces) >= LIMITS.min_faces
    if age_s >= LIMITS.deadline_s:
        assert decision is not None
