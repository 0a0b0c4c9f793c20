import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perception.kernels import boxes
from perception.kernels import boxes as boxes_kernels
from tests import forms, reference

px = st.one_of(
    st.floats(-50, 700, width=32),
    st.integers(0, 20).map(float),
    st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-38, -0.0]),
)


def box_rows(most=8):
    return st.integers(0, most).flatmap(lambda n: hnp.arrays(np.float32, (n, 4), elements=px))


@given(box_rows(), box_rows())
def test_iou_is_the_twin(a, b):
    twin = [[reference.iou(p, q) for q in b] for p in a]
    np.testing.assert_array_equal(boxes.iou_matrix(a, b), np.reshape(twin, (len(a), len(b))))


def test_iou_of_known_boxes():
    a = [[0, 0, 10, 10], [5, 5, 5, 20], [10, 10, 0, 0]]
    b = [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]]
    np.testing.assert_allclose(
        boxes.iou_matrix(a, b), [[1, 1 / 3, 0], [0, 0, 0], [0, 0, 0]], rtol=1e-6
    )


@given(
    box_rows(),
    st.integers(1, 700),
    st.integers(1, 700),
    st.sampled_from([0.25, 0.3333, 1, 7.5]),
    st.sampled_from([0, 12, 140]),
)
def test_to_image_is_the_twin(rows, width, height, scale, margin):
    place = {"scale": (scale, scale / 2), "offset": (margin, margin / 4)}
    got, kept, rejected = boxes.to_image(rows, width, height, **place)
    twin, twin_kept, twin_rejected = reference.to_image(rows, width, height, **place)
    np.testing.assert_array_equal(got, twin)
    assert kept.tolist() == twin_kept
    assert rejected == twin_rejected
    assert len(got) + sum(rejected) == len(rows)


def test_what_is_left_of_nothing_is_rejected():
    rows = [[3, 3, 3, 9], [3, 9, 9, 9], [9, 3, 3, 9], [8, 0, 9, 9], [-3, 2, 0, 3], [0, 0, 8, 8]]
    out, kept, rejected = boxes.to_image(rows, 8, 8)
    assert (out.tolist(), kept.tolist(), rejected) == ([[0, 0, 8, 8]], [5], (0, 5))


def test_every_form_is_welcome_and_compiles_nothing():
    before = forms.signatures(boxes)
    a = np.array([[0, 0, 10, 10], [5, 5, 9, 20]], np.float32)
    for form in forms.forms(a):
        np.testing.assert_array_equal(boxes.iou_matrix(form, form), boxes.iou_matrix(a, a))
        np.testing.assert_array_equal(boxes.to_image(form, 8, 8)[0], boxes.to_image(a, 8, 8)[0])
    assert boxes.iou_matrix([], a).shape == (0, 2)
    assert boxes.iou_matrix(a, np.zeros((0, 4))).shape == (2, 0)
    assert boxes.to_image([], 8, 8)[0].shape == (0, 4)
    assert forms.signatures(boxes) == before
    assert set(before.values()) == {1}


def test_input_is_not_written_to():
    a = np.array([[-5, -5, 10, 10]], np.float32)
    boxes.to_image(a, 8, 8)
    assert a.tolist() == [[-5, -5, 10, 10]]


@pytest.mark.parametrize("wrong", [np.zeros((2, 5)), np.zeros(4)])
def test_another_shape_is_refused(wrong):
    with pytest.raises(ValueError, match="shape"):
        boxes.iou_matrix(wrong, wrong)


def test_boxes_after_an_affine_are_upright():
    boxes = np.array([[10.0, 20, 30, 60], [0, 0, 1, 2]])
    half = boxes_kernels.carry_boxes(boxes, [[0.5, 0, 1], [0, 0.25, 2]])
    np.testing.assert_array_equal(half, [[6, 7, 16, 17], [1, 2, 1.5, 2.5]])
    turned = boxes_kernels.carry_boxes(boxes, [[0, -1, 100], [1, 0, 0]])
    np.testing.assert_array_equal(turned, [[40, 10, 80, 30], [98, 0, 100, 1]])
    assert boxes_kernels.carry_boxes(np.empty((0, 4)), [[1, 0, 0], [0, 1, 0]]).shape == (0, 4)
