import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perception.kernels import nms as module
from perception.kernels.nms import nms
from tests import forms, reference

px = st.one_of(
    st.integers(0, 12).map(float),
    st.floats(-50, 700, width=32),
    st.sampled_from([np.nan, np.inf, 3e38, -0.0]),
)
score = st.one_of(
    st.sampled_from([0.0, -0.0, 0.25, 0.5, 0.5, np.nan, np.inf, -np.inf, -0.3]),
    st.floats(0, 1, width=32),
)


@st.composite
def crowds(draw):
    n = draw(st.integers(0, 25))
    boxes = draw(hnp.arrays(np.float32, (n, 4), elements=px))
    if draw(st.booleans()):
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]),
                                np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)  # fmt: skip
    scores = draw(hnp.arrays(np.float32, n, elements=score))
    return boxes, scores, draw(hnp.arrays(np.int32, n, elements=st.integers(0, 2)))


@given(crowds(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), st.integers(0, 30), st.booleans())
def test_nms_is_the_twin(crowd, iou, limit, agnostic):
    boxes, scores, class_ids = crowd
    ids = None if agnostic else class_ids
    assert nms(boxes, scores, ids, iou, limit).tolist() == reference.nms(
        boxes, scores, ids, iou, limit
    )


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33, 400])
def test_many_boxes_are_the_twin(n):
    rng = np.random.default_rng(n)
    corner = rng.uniform(0, 200, (n, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 90, (n, 2))], axis=1)
    scores, ids = rng.integers(1, 50, n) / 50, rng.integers(0, 4, n)
    for class_ids in (ids, None):
        got = nms(boxes, scores, class_ids, 0.45, 300).tolist()
        assert got == reference.nms(boxes, scores, class_ids, 0.45, 300)


def test_overlap_at_the_limit_is_kept_and_equal_scores_keep_their_order():
    boxes = [[0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 10]]
    assert nms(boxes, [0.5, 0.5, 0.5], None, 0.5).tolist() == [0, 1]
    assert nms(boxes, [0.5, 0.5, 0.6], None, 0.5).tolist() == [2, 1]
    assert nms(boxes, [0.5, 0.5, 0.6], [0, 0, 1], 0.49).tolist() == [2, 0]
    assert nms(boxes, [-0.0, 0.0, -0.0], [0, 1, 2], 0.5).tolist() == [0, 1, 2]


def test_a_hundred_thousand_boxes_are_bounded():
    rng = np.random.default_rng(5)
    corner = rng.uniform(0, 4000, (100_000, 2))
    boxes = np.concatenate([corner, corner + 20], axis=1).astype(np.float32)
    start = time.process_time()
    assert len(nms(boxes, rng.random(100_000), None, 0.5, 300)) == 300
    assert len(nms(np.ones((100_000, 4)) * [0, 0, 1, 1], np.ones(100_000), None, 0.5)) == 1
    assert time.process_time() - start < 2


def test_every_form_is_welcome_and_compiles_nothing():
    before = forms.signatures(module)
    boxes = [[0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 30, 10]]
    for b, s in zip(forms.forms(boxes), forms.forms([0.5, 0.75, 0.25]), strict=True):
        assert nms(b, s, [0, 0, 0], 0.5).tolist() == [1, 2]
        assert nms(b, s, np.zeros(3, np.int64), 0.5).tolist() == [1, 2]
    assert nms([], [], [], 0.5).tolist() == []
    assert nms(np.zeros((0, 4)), np.zeros(0), None, 0.5).tolist() == []
    assert forms.signatures(module) == before == {"_greedy": 1, "_keys": 1}


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 boxes, 1 scores"):
        nms(np.zeros((2, 4)), [1.0], None, 0.5)
