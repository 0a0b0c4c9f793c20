"""Constant-velocity Kalman filter of a box: four independent two-state filters instead of one 8x8.

F, H, Q, R and P0 are block-diagonal, so the 8x8 filter of cx, cy, w, h is equal to four filters of
position and velocity (tests/unit/test_kernels_kalman.py compares them). Imports numpy and numba
only.

A filter is five numbers: x, v, Pxx, Pxv, Pvv (px, px/s and their covariance). The state of a box is
those of cx, cy, w, h in this order, so D = 20. Process noise is white acceleration plus a random
walk of the position. Both are proportional to the side of the box and are integrated over the real
time between frames, so late and lost frames need no special case.

Source: Kalman 1960; noise proportional to size as in Wojke et al. 2017 (arXiv 1703.07402) and
Aharon et al. 2022 (arXiv 2206.14651), restated per second.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array

D = 20
"""Length of a box's state: (x, v, Pxx, Pxv, Pvv) of cx, cy, w, h."""


@njit("void(f8[::1], f8, f8, f8)", cache=True)
def _predict(row, dt, walk, acceleration):
    """Predict a state dt seconds ahead. walk: sides/sqrt(s); acceleration: sides/s^1.5."""
    for c in range(4):
        k = 5 * c
        side = max(row[10 + 5 * (c & 1)], 1.0)
        q = (acceleration * side) ** 2
        row[k] += dt * row[k + 1]
        row[k + 2] += dt * (2.0 * row[k + 3] + dt * row[k + 4])
        row[k + 2] += (walk * side) ** 2 * dt + q * dt * dt * dt / 3.0
        row[k + 3] += dt * row[k + 4] + q * dt * dt / 2.0
        row[k + 4] += q * dt


@njit("void(f8[::1], f8, f8, f8, f8, f8)", cache=True)
def _correct(row, cx, cy, w, h, noise):
    """Correct a state with a measured box, px. noise: standard deviation in sides of the box."""
    z = (cx, cy, w, h)
    side = (max(row[10], 1.0), max(row[15], 1.0))
    for c in range(4):
        k = 5 * c
        pxx, pxv = row[k + 2], row[k + 3]
        total = pxx + (noise * side[c & 1]) ** 2
        gain_x, gain_v = pxx / total, pxv / total
        innovation = z[c] - row[k]
        row[k] += gain_x * innovation
        row[k + 1] += gain_v * innovation
        row[k + 2] = (1.0 - gain_x) * pxx
        row[k + 3] = (1.0 - gain_x) * pxv
        row[k + 4] -= gain_v * pxv


@njit("void(f8[::1], f8, f8, f8, f8, f8, f8)", cache=True)
def _begin(row, cx, cy, w, h, noise, speed):
    """Start a state at a measured box, at rest. speed: standard deviation of it in sides/s."""
    z = (cx, cy, w, h)
    for c in range(4):
        k = 5 * c
        side = max(z[2 + (c & 1)], 1.0)
        row[k], row[k + 1] = z[c], 0.0
        row[k + 2], row[k + 3], row[k + 4] = (noise * side) ** 2, 0.0, (speed * side) ** 2


@njit("void(f8[::1], f8[::1])", cache=True)
def _warp(row, warp):
    """Map a state by an affine (a, b, tx, c, d, ty): position, velocity and covariance.

    The covariance that a rotation causes between x and y is left out: the filters stay independent.
    """
    a, b, c, d = warp[0], warp[1], warp[3], warp[4]
    x, y, vx, vy = row[0], row[5], row[1], row[6]
    row[0], row[5] = a * x + b * y + warp[2], c * x + d * y + warp[5]
    row[1], row[6] = a * vx + b * vy, c * vx + d * vy
    for k in range(2, 5):
        px, py = row[k], row[k + 5]
        row[k], row[k + 5] = a * a * px + b * b * py, c * c * px + d * d * py
    area = abs(a * d - b * c)
    scale = np.sqrt(area)
    for k in (10, 15):
        row[k] *= scale
        row[k + 1] *= scale
        for m in range(2, 5):
            row[k + m] *= area


def begin(box: ArrayLike, noise: float, speed: float) -> NDArray[np.float64]:
    """Return the state, float64 (20,), of a box that was measured once.

    box: cx, cy, w, h px. noise: standard deviation of the measurement in sides of the box (w for cx
    and w, h for cy and h). speed: standard deviation of the unknown velocity in sides/s. A side
    below 1 px counts as 1 px. Raises ValueError for other shapes. Source: see the module.
    """
    cx, cy, w, h = as_array(box, np.float64, 4)
    row = np.zeros(D)
    _begin(row, cx, cy, w, h, noise, speed)
    return row


def predict(state: ArrayLike, dt: float, walk: float, acceleration: float) -> Any:
    """Return the state, float64 (20,), predicted dt seconds ahead.

    state: float (20,), px and s, see D. walk: random walk of the position in sides/sqrt(s).
    acceleration: white acceleration in sides/s^1.5. dt = 0 changes nothing; dt below 0 is not
    checked, and NaN stays NaN. Raises ValueError for other shapes. Source: see the module.
    """
    row = as_array(state, np.float64, D).copy()
    _predict(row, dt, walk, acceleration)
    return row


def correct(state: ArrayLike, box: ArrayLike, noise: float) -> Any:
    """Return the state, float64 (20,), corrected with a measured box cx, cy, w, h px.

    noise: standard deviation of the measurement in sides of the state's box. Values that are not
    finite make the state not finite: the caller must reject them. Raises ValueError for other
    shapes. Source: see the module.
    """
    row = as_array(state, np.float64, D).copy()
    cx, cy, w, h = as_array(box, np.float64, 4)
    _correct(row, cx, cy, w, h, noise)
    return row


def warp(state: ArrayLike, affine: ArrayLike) -> Any:
    """Return the state, float64 (20,), mapped by camera motion: box, velocity and covariance.

    affine: float (2, 3), px of the last picture to px of this one. Width and height are scaled by
    the square root of the determinant. Raises ValueError for other shapes.
    """
    row = as_array(state, np.float64, D).copy()
    _warp(row, as_array(affine, np.float64, 2, 3).reshape(6))
    return row
