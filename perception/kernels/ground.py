"""Geolocation: intersects the rays of pixels with the ground, and propagates the errors.

The camera is a pinhole with Brown's distortion. The ground has a constant height or is a terrain
grid. Rays are intersected in earth-centred coordinates of the WGS 84 ellipsoid, so curvature and
antimeridian need no special case. The covariance is first order, from analytic derivatives with
respect to each source of error.

Sources: geodetic from Cartesian coordinates, Bowring 1976 (doi 10.1179/sre.1976.23.181.323);
distortion, Brown 1966, undone by fixed-point iteration; error propagation through a ray and a
plane, Hartley and Zisserman 2004, section 5.2. Imports numpy and numba only.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array
from perception.kernels.assignment import inner

A, F = 6378137.0, 1.0 / 298.257223563
B = A * (1.0 - F)
E2 = F * (2.0 - F)
EP2 = E2 / (1.0 - E2)
"""WGS 84: semi-axes m, squares of the first and second eccentricity."""

FOUND, ABOVE_HORIZON, OUTSIDE, TOO_FAR, BELOW_GROUND, NOT_FINITE = 0, 1, 2, 3, 4, 5

LAT, LON, HEIGHT, EE, EN, NN, PIXEL_EE, PIXEL_EN, PIXEL_NN, RANGE, DEPRESSION, CODE = range(12)
WIDTH = 12
"""Columns of a result. EE, EN, NN: covariance of east and north, m^2. PIXEL_*: the part of it that
comes from the error of the pixel. RANGE: m along the ray. DEPRESSION: of the ray, rad. CODE: FOUND,
or why there is no point."""

_NEWTON_STEPS, _ILLINOIS_STEPS, _TOLERANCE_M = 8, 40, 1e-4
_MIN_DESCENT = 1e-9


@inner
def _geodetic(x, y, z):
    """Return latitude rad, longitude rad and height m of an earth-centred point, m."""
    p = np.hypot(x, y)
    theta = np.arctan2(z * A, p * B)
    s, c = np.sin(theta), np.cos(theta)
    lat = np.arctan2(z + EP2 * B * s * s * s, p - E2 * A * c * c * c)
    s, c = np.sin(lat), np.cos(lat)
    return lat, np.arctan2(y, x), p * c + z * s - A * np.sqrt(1.0 - E2 * s * s)


@inner
def _height_at(grid, at, lat, lon, slope):
    """Return the height of the terrain, m; NaN outside of the grid. Bilinear interpolation.

    Writes to slope (2,) the rise of the terrain to the east and to the north, m/m. at: longitude
    and latitude of node [0, 0], step of longitude and of latitude, rad.
    """
    rows, columns = grid.shape
    slope[0] = slope[1] = 0.0
    if rows == 1 and columns == 1:
        return np.float64(grid[0, 0])
    around = lon - at[0]
    around -= 2.0 * np.pi * np.round((around - at[2] * columns / 2.0) / (2.0 * np.pi))
    x, y = around / at[2], (lat - at[1]) / at[3]
    if not (0.0 <= x <= columns - 1.0 and 0.0 <= y <= rows - 1.0):
        return np.nan
    j, i = min(int(x), columns - 2), min(int(y), rows - 2)
    u, v = x - j, y - i
    a, b = np.float64(grid[i, j]), np.float64(grid[i, j + 1])
    c, d = np.float64(grid[i + 1, j]), np.float64(grid[i + 1, j + 1])
    east = at[2] * A * np.cos(lat)
    slope[0] = ((b - a) * (1.0 - v) + (d - c) * v) / east
    slope[1] = ((c - a) * (1.0 - u) + (d - b) * u) / (at[3] * A)
    return (a * (1.0 - u) + b * u) * (1.0 - v) + (c * (1.0 - u) + d * u) * v


@inner
def _distance_to_height(camera, direction, height, start):
    """Return the distance along a ray, m, at which it has a height; -1 where it does not descend.

    Newton's method, from `start` m.
    """
    s = start
    for _ in range(_NEWTON_STEPS):
        x, y, z = (
            camera[0] + s * direction[0],
            camera[1] + s * direction[1],
            camera[2] + s * direction[2],
        )
        lat, lon, h = _geodetic(x, y, z)
        c = np.cos(lat)
        descent = (
            c * np.cos(lon) * direction[0]
            + c * np.sin(lon) * direction[1]
            + np.sin(lat) * direction[2]
        )
        if descent > -_MIN_DESCENT:
            return -1.0
        step = (height - h) / descent
        s += step
        if abs(step) < _TOLERANCE_M:
            break
    return s


@inner
def _height_above(camera, direction, s, grid, at, slope):
    """Return the height above the terrain of the point s m along a ray; NaN outside of the grid."""
    lat, lon, h = _geodetic(
        camera[0] + s * direction[0], camera[1] + s * direction[1], camera[2] + s * direction[2]
    )
    return h - _height_at(grid, at, lat, lon, slope)


@inner
def _intersect(camera, direction, level, grid, at, slope):
    """Intersect a ray with the ground. Return the distance along the ray, m, and the code.

    level: the ray's upward component at the camera. at: the four numbers of _height_at, then the
    lowest and highest height of the grid, the longest range and the camera's height, m. A terrain
    is searched in steps, then by the Illinois method.
    """
    longest = at[6]
    if grid.shape[0] == 1 and grid.shape[1] == 1:
        if at[7] <= at[4]:
            return 0.0, BELOW_GROUND
        s = _distance_to_height(camera, direction, at[4], 0.0)
        if s < 0.0:
            return 0.0, ABOVE_HORIZON
        return s, FOUND if s <= longest else TOO_FAR
    near = 0.0
    if at[7] > at[5]:
        near = _distance_to_height(camera, direction, at[5], 0.0)
        if near < 0.0:
            return 0.0, ABOVE_HORIZON
    step = (
        0.7
        * A
        * min(abs(at[3]), abs(at[2]) * np.cos(at[1]))
        / max(np.sqrt(max(1.0 - level * level, 0.0)), 0.05)
    )
    high = _height_above(camera, direction, near, grid, at, slope)
    if np.isnan(high):
        return 0.0, OUTSIDE
    if high <= 0.0:
        return near, FOUND if near > 0.0 else BELOW_GROUND
    while near <= longest:
        far = near + step
        low = _height_above(camera, direction, far, grid, at, slope)
        if np.isnan(low):
            return 0.0, OUTSIDE
        if low <= 0.0:
            break
        near, high = far, low
    if near > longest:
        return 0.0, TOO_FAR
    side = 0
    for _ in range(_ILLINOIS_STEPS):
        s = far - low * (far - near) / (low - high)
        value = _height_above(camera, direction, s, grid, at, slope)
        if abs(value) < _TOLERANCE_M:
            return s, FOUND
        if value < 0.0:
            far, low = s, value
            high = high / 2.0 if side == -1 else high
            side = -1
        else:
            near, high = s, value
            low = low / 2.0 if side == 1 else low
            side = 1
    return far, FOUND


@inner
def _undistort(x, y, lens):
    """Return normalised image coordinates without distortion. lens[4:]: k1, k2, p1, p2, k3."""
    k1, k2, p1, p2, k3 = lens[4], lens[5], lens[6], lens[7], lens[8]
    if k1 == 0.0 and k2 == 0.0 and p1 == 0.0 and p2 == 0.0 and k3 == 0.0:
        return x, y
    u, v = x, y
    for _ in range(20):
        r2 = u * u + v * v
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        du = 2.0 * p1 * u * v + p2 * (r2 + 2.0 * u * u)
        dv = p1 * (r2 + 2.0 * v * v) + 2.0 * p2 * u * v
        u, v = (x - du) / radial, (y - dv) / radial
    return u, v


@inner
def _add_error(row, first, moved, direction, normal, descent, s, camera_moved):
    """Add the covariance of one source of error to row[first:first + 3].

    One sigma of it moves the camera by camera_moved, m, and the direction of the ray by moved.
    """
    along = 0.0
    for k in range(3):
        along += normal[k] * (camera_moved[k] + s * moved[k])
    east = camera_moved[0] + s * moved[0] - direction[0] * along / descent
    north = camera_moved[1] + s * moved[1] - direction[1] * along / descent
    row[first] += east * east
    row[first + 1] += east * north
    row[first + 2] += north * north


@njit(
    "void(f8[:, ::1], f8[::1], f8[::1], f8[:, ::1], f8[::1], f4[:, ::1], f8[::1], f8[:, ::1])",
    cache=True,
)
def _locate(points, lens, pose, errors, noise, grid, at, out):
    """Write a row of out for each point; see `locate`. at: has the camera's height as eighth."""
    lat0, lon0, height0 = pose[9], pose[10], pose[11]
    sp, cp, sl, cl = np.sin(lat0), np.cos(lat0), np.sin(lon0), np.cos(lon0)
    n0 = A / np.sqrt(1.0 - E2 * sp * sp)
    camera, direction, ray = np.empty(3), np.empty(3), np.empty(3)
    camera[0], camera[1] = (n0 + height0) * cp * cl, (n0 + height0) * cp * sl
    camera[2] = (n0 * (1.0 - E2) + height0) * sp
    slope, normal, moved, still = np.zeros(2), np.empty(3), np.empty(3), np.zeros(3)
    for i in range(points.shape[0]):
        row = out[i]
        row[:] = 0.0
        if not (np.isfinite(points[i, 0]) and np.isfinite(points[i, 1])):
            row[CODE] = NOT_FINITE
            continue
        u, v = _undistort(
            (points[i, 0] - lens[2]) / lens[0], (points[i, 1] - lens[3]) / lens[1], lens
        )
        norm = np.sqrt(u * u + v * v + 1.0)
        for k in range(3):
            ray[k] = (pose[3 * k] * u + pose[3 * k + 1] * v + pose[3 * k + 2]) / norm
        direction[0] = -sl * ray[0] - sp * cl * ray[1] + cp * cl * ray[2]
        direction[1] = cl * ray[0] - sp * sl * ray[1] + cp * sl * ray[2]
        direction[2] = cp * ray[1] + sp * ray[2]
        row[DEPRESSION] = np.arcsin(min(1.0, max(-1.0, -ray[2])))
        s, code = _intersect(camera, direction, ray[2], grid, at, slope)
        row[CODE] = code
        if code != FOUND:
            continue
        lat, lon, height = _geodetic(
            camera[0] + s * direction[0], camera[1] + s * direction[1], camera[2] + s * direction[2]
        )
        _height_at(grid, at, lat, lon, slope)
        row[LAT], row[LON], row[HEIGHT], row[RANGE] = lat, lon, height, s
        normal[0], normal[1], normal[2] = -slope[0], -slope[1], 1.0
        descent = normal[0] * ray[0] + normal[1] * ray[1] + ray[2]
        descent = min(descent, -1e-6)
        for axis in range(2):
            for k in range(3):
                moved[k] = noise[1] * pose[3 * k + axis] / (lens[axis] * norm)
            _add_error(row, PIXEL_EE, moved, ray, normal, descent, s, still)
        row[EE], row[EN], row[NN] = row[PIXEL_EE], row[PIXEL_EN], row[PIXEL_NN]
        for k in range(3):
            moved[k] = noise[0] * (pose[3 * k] * u + pose[3 * k + 1] * v) / norm
        _add_error(row, EE, moved, ray, normal, descent, s, still)
        for k in range(errors.shape[0]):
            turn = errors[k, 3:]
            moved[0] = turn[1] * ray[2] - turn[2] * ray[1]
            moved[1] = turn[2] * ray[0] - turn[0] * ray[2]
            moved[2] = turn[0] * ray[1] - turn[1] * ray[0]
            _add_error(row, EE, moved, ray, normal, descent, s, errors[k, :3])
        lift = noise[2] / descent
        row[EE] += (ray[0] * lift) ** 2
        row[EN] += ray[0] * ray[1] * lift * lift
        row[NN] += (ray[1] * lift) ** 2


def locate(
    points: ArrayLike,
    lens: ArrayLike,
    pose: ArrayLike,
    errors: ArrayLike,
    noise: ArrayLike,
    grid: ArrayLike,
    at: ArrayLike,
) -> NDArray[np.float64]:
    """Return where the rays of pixels meet the ground: float64 (N, WIDTH), rad, m, m^2.

    points: float (N, 2) px. lens (9,): fx, fy, cx, cy px, k1, k2, p1, p2, k3. pose (12,): the
    rotation matrix, row by row, from camera axes (right, down, ahead) to east, north, up; then
    latitude rad, longitude rad, height m. errors (E, 6): one row for each independent source of
    error, one sigma: shift of the camera to the east, north, up m, and rotation about these axes
    rad. noise (3,), one sigma: focal length as a share of it, pixel px, terrain height m.
    grid: (1, 1) one height m, or (R, C) terrain heights, rows along latitude, NaN where unknown.
    at (7,): longitude and latitude of grid[0, 0] and their steps, rad; lowest and highest height
    and longest range, m. Columns: see WIDTH. Where CODE is not FOUND, the columns before DEPRESSION
    are 0. A point that is not finite has code NOT_FINITE; another argument that is not gives it to
    all. N = 0 gives (0, WIDTH). Raises ValueError for other shapes.
    """
    points = as_array(points, np.float64, -1, 2)
    lens, pose = as_array(lens, np.float64, 9), as_array(pose, np.float64, 12)
    errors, noise = as_array(errors, np.float64, -1, 6), as_array(noise, np.float64, 3)
    grid, at = as_array(grid, np.float32, -1, -1), as_array(at, np.float64, 7)
    out = np.zeros((len(points), WIDTH))
    if all(np.isfinite(given).all() for given in (lens, pose, errors, noise, at)):
        _locate(points, lens, pose, errors, noise, grid, np.append(at, pose[11]), out)
    else:
        out[:, CODE] = NOT_FINITE
    return out
