"""YUV to BGR: three planes of one size are converted and written to a part of a canvas.

Formulas of ITU-T H.273 in fixed point: coefficients with 13 fractional bits, each product rounded
down. The result is equal, bit for bit, to the fast conversion of FFmpeg's swscale. So a network
gets the same pixels from planes as from a BGR picture. Imports numpy and numba only.
"""

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array

BITS = 13


def coefficients(kr: float, kb: float, full: bool) -> NDArray[np.int32]:
    """Return the coefficients of YUV to BGR, int32 (6,).

    In order: Y of black; then, in units of 1/8192, the weight of Y in all colours, of V in red, of
    U in green, of V in green, of U in blue. kr, kb: weights of red and blue in Y (.299 and .114 for
    BT.601). full: Y, U and V span 0..255; otherwise Y spans 16..235 and U, V 16..240.
    """
    luma, chroma = (1.0, 1.0) if full else (255 / 219, 255 / 224)
    kg = 1 - kr - kb
    weights = (
        luma,
        2 * (1 - kr) * chroma,
        -2 * (1 - kb) * kb / kg * chroma,
        -2 * (1 - kr) * kr / kg * chroma,
        2 * (1 - kb) * chroma,
    )
    return np.array([0 if full else 16, *(round(w * (1 << BITS)) for w in weights)], np.int32)


@nb.njit(
    "void(uint8[:, ::1], uint8[:, ::1], uint8[:, ::1], int32[::1], uint8[:, ::1], int64, int64)",
    cache=True,
    error_model="numpy",
)
def _to_bgr(y: Any, u: Any, v: Any, weights: Any, canvas: Any, top: int, left: int) -> None:
    height, width = y.shape
    black, in_all, v_in_r, u_in_g, v_in_g, u_in_b = weights
    # Each colour of a row goes to its own array first: LLVM vectorises contiguous stores only.
    blue, green = np.empty(width, np.uint8), np.empty(width, np.uint8)
    red = np.empty(width, np.uint8)
    bits, grey, least, most = np.int32(BITS), np.int32(128), np.int32(0), np.int32(255)
    for i in range(height):
        ys, us, vs = y[i], u[i], v[i]
        for j in range(width):
            a = ((np.int32(ys[j]) - black) * in_all) >> bits
            p, q = np.int32(us[j]) - grey, np.int32(vs[j]) - grey
            blue[j] = min(max(a + ((p * u_in_b) >> bits), least), most)
            green[j] = min(max(a + ((p * u_in_g) >> bits) + ((q * v_in_g) >> bits), least), most)
            red[j] = min(max(a + ((q * v_in_r) >> bits), least), most)
        row = canvas[top + i, 3 * left : 3 * (left + width)]
        for j in range(width):
            row[3 * j], row[3 * j + 1], row[3 * j + 2] = blue[j], green[j], red[j]


def to_bgr(
    y: ArrayLike,
    u: ArrayLike,
    v: ArrayLike,
    weights: ArrayLike,
    canvas: NDArray[np.uint8],
    top: int = 0,
    left: int = 0,
) -> None:
    """Convert three planes to BGR and write them into `canvas`, upper left corner at (top, left).

    y, u, v: uint8 (H, W), all of one size. weights: int32 (6,) from `coefficients`. canvas: uint8
    (H', W', 3), C-contiguous and writable; pixels outside of the picture are not changed.
    Raises ValueError where the shapes differ, the picture does not fit, or the canvas is not
    contiguous and writable.
    """
    y, u, v = (as_array(plane, np.uint8, -1, -1) for plane in (y, u, v))
    height, width = y.shape
    fits = 0 <= top <= canvas.shape[0] - height and 0 <= left <= canvas.shape[1] - width
    if not y.shape == u.shape == v.shape or not fits:
        raise ValueError(f"planes {y.shape} {u.shape} {v.shape} at {top}, {left} of {canvas.shape}")
    if not canvas.flags.c_contiguous or not canvas.flags.writeable:
        raise ValueError("the canvas must be C-contiguous and writable")
    rows = canvas.reshape(len(canvas), canvas.shape[1] * 3)
    _to_bgr(y, u, v, as_array(weights, np.int32, 6), rows, top, left)
