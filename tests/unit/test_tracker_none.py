"""No tracking: each detection once, with an id of its own."""

import numpy as np
import pytest
from pydantic import ValidationError

from perception.trackers import tracker_class
from perception.trackers.none import NoTracker
from perception.wire import CONFIRMED, Detections


def _found(scores):
    n = len(scores)
    boxes = np.tile([1.0, 2.0, 11.0, 22.0], (n, 1))
    return Detections.of(boxes, np.array(scores), np.arange(n))


def test_the_table_names_it():
    assert tracker_class("none") is NoTracker


def test_each_detection_of_enough_score_is_one_object():
    tracker = NoTracker(NoTracker.Options(score=0.5), epoch=3)
    tracks = tracker.update(_found([0.9, 0.4, 0.6]), 0)
    assert tracks.detection_rows.tolist() == [0, 2]
    assert tracks.class_ids.tolist() == [0, 2]
    assert tracks.track_ids.tolist() == [(3 << 32) + 1, (3 << 32) + 2]
    assert (tracks.states == CONFIRMED).all()


def test_no_id_comes_back():
    tracker = NoTracker()
    ids = [i for t in range(5) for i in tracker.update(_found([0.9, 0.8]), t).track_ids.tolist()]
    assert len(set(ids)) == 10
    assert ids == sorted(ids)


def test_what_is_not_finite_is_counted():
    tracker = NoTracker()
    found = _found([0.9, np.nan, 0.9])
    found.boxes[2, 1] = np.inf
    assert len(tracker.update(found, 0)) == 1
    assert tracker.counters == {"not_finite": 2}
    assert len(tracker.update(Detections.none(), 1)) == 0


def test_wrong_options_are_refused():
    with pytest.raises(ValidationError):
        NoTracker.Options(score=1.5)
