import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.kernels import colour
from perception.pixels import MATRICES, Pixels
from tests import forms, reference

CODINGS = tuple(MATRICES)
codings = pytest.mark.parametrize("coding", CODINGS)


def weights(coding):
    return colour.coefficients(*MATRICES[coding][1:])


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(1, 70), st.sampled_from(CODINGS))
def test_bgr_is_the_twin(seed, height, width, coding):
    planes = np.random.default_rng(seed).integers(0, 256, (3, height, width), np.uint8)
    canvas = np.full((height, width, 3), 9, np.uint8)
    colour.to_bgr(*planes, weights(coding), canvas)
    pixels = planes.reshape(3, -1).T.tolist()
    twin = [reference.yuv_to_bgr(*yuv, *MATRICES[coding][1:]) for yuv in pixels]
    np.testing.assert_array_equal(canvas, np.reshape(twin, canvas.shape))


@codings
def test_it_is_what_full_size_bgr_is_made_with(coding):
    """Every pair of U and V in steps of 5, each with four Y: equal to swscale's to the last bit."""
    u, v = np.meshgrid(np.arange(0, 256, 5, dtype=np.uint8), np.arange(0, 256, 5, dtype=np.uint8))
    y = np.random.default_rng(1).integers(0, 256, (104, 104), np.uint8)
    packed = np.concatenate((y.reshape(-1), u.reshape(-1), v.reshape(-1))).reshape(156, 104)
    canvas = np.empty((104, 104, 3), np.uint8)
    wide = [plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v)]
    colour.to_bgr(y, *wide, weights(coding), canvas)
    np.testing.assert_array_equal(canvas, Pixels(packed, coding).bgr())


@pytest.mark.parametrize(
    ("coding", "yuv", "bgr"),
    [
        ("bt601", (16, 128, 128), (0, 0, 0)), ("bt601", (235, 128, 128), (255, 255, 255)),
        ("bt709", (235, 128, 128), (255, 255, 255)), ("bt601-full", (7, 128, 128), (7, 7, 7)),
        ("bt601", (81, 90, 240), (0, 0, 255)), ("bt709", (63, 102, 240), (0, 0, 255)),
        ("bt2020-full", (173, 36, 11), (0, 255, 0)), ("bt601", (0, 128, 128), (0, 0, 0)),
    ],
)  # fmt: skip
def test_known_colours(coding, yuv, bgr):
    canvas = np.empty((2, 2, 3), np.uint8)
    colour.to_bgr(*(np.full((2, 2), level) for level in yuv), weights(coding), canvas)
    assert np.abs(canvas.astype(int) - bgr).max() <= (0 if yuv[1:] == (128, 128) else 3)


def test_only_its_part_of_the_canvas_is_written():
    canvas = np.full((6, 7, 3), 114, np.uint8)
    plane = np.full((2, 3), 128, np.uint8)
    colour.to_bgr(plane, plane, plane, weights("bt601-full"), canvas, 3, 2)
    assert (canvas[3:5, 2:5] == 128).all()
    canvas[3:5, 2:5] = 114
    assert (canvas == 114).all()


def test_every_form_is_welcome_and_compiles_nothing():
    before = forms.signatures(colour)
    plane = np.arange(30, dtype=np.uint8).reshape(5, 6) * 8
    expected, got = np.empty((2, 5, 6, 3), np.uint8)
    colour.to_bgr(plane, plane, plane, weights("bt709"), expected)
    for form in forms.forms(plane):
        colour.to_bgr(form, form, form, weights("bt709"), got)
        np.testing.assert_array_equal(got, expected)
    assert forms.signatures(colour) == before
    assert set(before.values()) == {1}


@pytest.mark.parametrize("place", [(-1, 0), (0, 2), (4, 0)])
def test_a_picture_beside_the_canvas_is_refused(place):
    plane = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="at"):
        colour.to_bgr(plane, plane, plane, weights("bt601"), np.empty((5, 4, 3), np.uint8), *place)


def test_planes_and_canvases_of_another_form_are_refused():
    plane, canvas = np.zeros((2, 3), np.uint8), np.empty((2, 3, 3), np.uint8)
    with pytest.raises(ValueError, match="planes"):
        colour.to_bgr(plane, plane, plane[:, :2], weights("bt601"), canvas)
    with pytest.raises(ValueError, match="writable"):
        colour.to_bgr(plane, plane, plane, weights("bt601"), np.empty((2, 6, 3), np.uint8)[:, ::2])
