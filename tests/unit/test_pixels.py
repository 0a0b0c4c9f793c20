"""Pictures as they stand: planes, their sizes, and BGR of them."""

import subprocess
import sys

import numpy as np
import pytest

from perception.pixels import MATRICES, Pixels, shape_of
from perception.wire import CODINGS
from tests.clips import solid

AT_THE_EDGE = """
import ctypes, mmap
import numpy as np
from perception.pixels import Pixels

room = mmap.mmap(-1, 16 * mmap.PAGESIZE)
edge = ctypes.addressof(ctypes.c_char.from_buffer(room)) + 15 * mmap.PAGESIZE
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(edge), mmap.PAGESIZE, 0) == 0
for width in (2, 16, 54, 854):
    size = 24 * 3 // 2 * width
    data = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(edge - size))
    Pixels(data.reshape(36, width), "bt709").bgr()
"""


def test_every_coding_has_a_matrix_but_bgr():
    assert set(CODINGS) == {"bgr", *MATRICES}


@pytest.mark.parametrize(("height", "width"), [(4, 2), (12, 10), (480, 854), (1080, 1920)])
def test_planes_are_views_one_after_another(height, width):
    pixels = Pixels(np.zeros(shape_of(height, width, "bt709"), np.uint8), "bt709")
    assert (pixels.height, pixels.width) == (height, width)
    y, u, v = pixels.planes()
    assert (y.shape, u.shape, v.shape) == (
        (height, width), (height // 2, width // 2), (height // 2, width // 2)
    )  # fmt: skip
    y[:], u[:], v[:] = 1, 2, 3
    flat = pixels.data.reshape(-1)
    assert flat.tolist() == sorted(flat.tolist())
    assert np.bincount(flat).tolist() == [0, y.size, u.size, v.size]


def test_bgr_is_given_as_it_is():
    pixels = Pixels(np.zeros((3, 5, 3), np.uint8))
    assert (pixels.height, pixels.width) == (3, 5)
    assert pixels.bgr() is pixels.data


@pytest.mark.parametrize("width", [2, 46, 64, 854])
def test_bgr_of_planes_is_an_image_of_its_own(width):
    pixels = solid(235, 128, 128, "bt601", 12, width)
    pixels.data.flags.writeable = False
    image = pixels.bgr()
    assert image.shape == (12, width, 3)
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert (image == 255).all()


@pytest.mark.parametrize("size", [(3, 4), (4, 3), (6, 4)])
def test_planes_of_odd_sizes_there_are_none(size):
    with pytest.raises(ValueError, match="in fours"):
        shape_of(*size, "bt601")
    assert shape_of(*size, "bgr") == (*size, 3)


def test_nothing_is_read_beyond_the_planes():
    subprocess.run([sys.executable, "-c", AT_THE_EDGE], check=True)
