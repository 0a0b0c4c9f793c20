"""The small grey picture, of BGR and of a decoder's planes."""

import numpy as np
import pytest

from perception.geometry.grey import small_grey
from perception.pixels import MATRICES, Pixels, shape_of
from perception.wire import GREY_LONG_SIDE
from tests.clips import solid


@pytest.mark.parametrize("coding", MATRICES)
@pytest.mark.parametrize("size", [(48, 64), (720, 1280)])
def test_black_and_white_are_the_same_of_planes_as_of_bgr(coding, size):
    black, white = (0, 255) if MATRICES[coding].full else (16, 235)
    for level, shown in ((black, 0), (white, 255)):
        pixels = solid(level, 128, 128, coding, *size)
        assert (small_grey(pixels) == shown).all()
        np.testing.assert_array_equal(small_grey(pixels), small_grey(pixels.bgr()))


def test_blacker_than_black_is_black():
    assert (small_grey(solid(3, 128, 128, "bt601")) == 0).all()
    assert (small_grey(solid(250, 128, 128, "bt601")) == 255).all()


@pytest.mark.parametrize("coding", ["bgr", "bt601", "bt601-full"])
@pytest.mark.parametrize("size", [(96, GREY_LONG_SIDE), (720, 1280)])
def test_the_grey_picture_shares_no_memory(coding, size):
    pixels = Pixels(np.full(shape_of(*size, coding), 100, np.uint8), coding)
    grey = small_grey(pixels)
    assert max(grey.shape) == GREY_LONG_SIDE
    before = grey.copy()
    pixels.data[:] = 0
    np.testing.assert_array_equal(grey, before)
