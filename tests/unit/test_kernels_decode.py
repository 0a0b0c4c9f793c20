import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perception.kernels import decode
from tests import forms, reference

CANVAS = (32, 64)
CELLS = 4 * 8 + 2 * 4 + 1 * 2

odd = st.sampled_from([np.nan, np.inf, -np.inf, -0.0, -1.0, 3e38, 1e-40])
score = st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1, width=32), odd)
px = st.one_of(st.floats(-20, 90, width=32), st.integers(0, 9).map(float), odd)
threshold = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.999])


def same(got, twin):
    # A corner is the difference of two float32: its error scales with the larger of a box's px.
    boxes = np.asarray(twin[0], np.float64).reshape(-1, 4)
    error = np.abs(got.boxes - boxes).max(axis=1, initial=0.0)
    assert (error <= 4e-7 * np.abs(boxes).max(axis=1, initial=0.0)).all()
    assert got.scores.tolist() == twin[1]
    assert got.class_ids.tolist() == twin[2]
    assert got.rejected == twin[3]
    assert (got.boxes.dtype, got.scores.dtype, got.class_ids.dtype) == ("f4", "f4", "i4")


def heads(rows, columns, split):
    """Arrays (rows, columns) whose rows from `split` on are scores, the others px."""
    return st.tuples(
        hnp.arrays(np.float32, (split, columns), elements=px),
        hnp.arrays(np.float32, (rows - split, columns), elements=score, fill=st.just(0.125)),
    ).map(np.concatenate)


@given(st.integers(1, 30).flatmap(lambda a: heads(4 + 3, a, 4)), threshold)
def test_yolo_is_the_twin(head, limit):
    same(decode.decode_yolo(head, limit), reference.decode_yolo(head, limit))


@given(heads(4 + 3, 20, 4), threshold, st.lists(st.booleans(), min_size=3, max_size=3))
def test_yolo_keeps_allowed_classes(head, limit, allowed):
    same(decode.decode_yolo(head, limit, allowed), reference.decode_yolo(head, limit, allowed))


@given(heads(5 + 2, CELLS, 4), threshold)
def test_yolox_is_the_twin(head, limit):
    twin = reference.decode_yolox(head.T, CANVAS, limit)
    same(decode.decode_yolox(head.T, CANVAS, limit), twin)


@given(heads(5 + 2, CELLS, 4), st.sampled_from([(True, False), (False, False)]))
def test_yolox_keeps_allowed_classes(head, allowed):
    twin = reference.decode_yolox(head.T, CANVAS, 0.25, allowed)
    same(decode.decode_yolox(head.T, CANVAS, 0.25, allowed), twin)


@given(
    st.integers(1, 12).flatmap(lambda n: heads(6, n, 4)),
    st.lists(st.sampled_from([0, 1, 2, 3, 2.9, -1, np.nan, 1e9]), min_size=12, max_size=12),
    threshold,
)
def test_end_to_end_is_the_twin(head, labels, limit):
    head[5] = labels[: head.shape[1]]
    same(decode.decode_end_to_end(head.T, 3, limit), reference.decode_end_to_end(head.T, 3, limit))


@pytest.mark.parametrize("anchors", [511, 512, 513, 2000])
def test_yolo_of_many_anchors_is_the_twin(anchors):
    rng = np.random.default_rng(anchors)
    head = rng.uniform(0, 0.3, (84, anchors)).astype(np.float32)
    head[:4] *= 300
    head[4 + rng.integers(0, 80, 40), rng.integers(0, anchors, 40)] = rng.uniform(0.3, 1, 40)
    head[:, -1] = 5
    same(decode.decode_yolo(head, 0.29), reference.decode_yolo(head, 0.29))


def test_yolox_puts_cells_in_their_place():
    head = np.zeros((CELLS, 6), np.float32)
    head[4 * 8 + 5] = 0.5, 0.5, 0, np.log(2), 0.5, 0.5  # stride 16, row 1, column 1
    got = decode.decode_yolox(head, CANVAS, 0.1)
    np.testing.assert_allclose(got.boxes, [[16, 8, 32, 40]], rtol=1e-6)
    assert got.scores.tolist() == [0.25]


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_a_head_that_is_not_finite_gives_nothing_and_is_counted(value):
    for got, anchors in (
        (decode.decode_yolo(np.full((84, 700), value), 0.1), 700),
        (decode.decode_yolox(np.full((CELLS, 85), np.abs(value)), CANVAS, 0.1), CELLS),
        (decode.decode_end_to_end(np.full((300, 6), np.abs(value)), 80, 0.1), 300),
    ):
        assert len(got.scores) == 0
        assert got.rejected == (anchors, 0)


def test_every_form_is_welcome_and_compiles_nothing():
    before = forms.signatures(decode)
    head = np.random.default_rng(1).uniform(0, 1, (7, CELLS)).astype(np.float32)
    calls = (
        lambda h: decode.decode_yolo(h, 0.5),
        lambda h: decode.decode_yolox(np.asarray(h).T, CANVAS, 0.5),
        lambda h: decode.decode_end_to_end(np.asarray(h).T[:, :6], 3, 0.5),
    )
    for call in calls:
        right = call(head)
        for form in forms.forms(head):
            for got, expected in zip(call(form), right, strict=True):
                np.testing.assert_array_equal(got, expected)
        assert len(call(np.zeros((7, 0))).scores) == 0
    assert len(decode.decode_yolo([], 0.5).scores) == 0
    assert len(decode.decode_end_to_end([], 3, 0.5).scores) == 0
    assert forms.signatures(decode) == before
    assert set(before.values()) == {1}


def test_anchors_that_do_not_fit_the_canvas_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        decode.decode_yolox(np.zeros((CELLS + 1, 6)), CANVAS, 0.5)
    with pytest.raises(ValueError, match="shape"):
        decode.decode_yolo(np.zeros((7, 9)), 0.5, [True])
