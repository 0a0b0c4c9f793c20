"""Pixels to places on the earth, with the covariance of each: the hot loop of geolocation.

A pinhole camera with Brown's distortion looks at a surface of constant height or at a terrain
grid. The earth is the WGS 84 ellipsoid, so its curvature and the antimeridian need no care. The
covariance is first order: how the point moves with each source of error, analytically.

Sources: geodetic from Cartesian coordinates, Bowring 1976 (doi 10.1179/sre.1976.23.181.323);
distortion, Brown 1966, undone by fixed-point iteration; error propagation through a ray and a
plane, Hartley and Zisserman 2004, section 5.2. Imports numpy and numba only.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import door
from perception.kernels.assignment import inner

A, F = 6378137.0, 1.0 / 298.257223563
B = A * (1.0 - F)
E2 = F * (2.0 - F)
EP2 = E2 / (1.0 - E2)
"""WGS 84: semi-axes m, squares of the first and second eccentricity."""

FOUND, ABOVE_HORIZON, OUTSIDE, TOO_FAR, BELOW_GROUND, NOT_FINITE = 0, 1, 2, 3, 4, 5

LAT, LON, HEIGHT, EE, EN, NN, PIXEL_EE, PIXEL_EN, PIXEL_NN, RANGE, DEPRESSION, CODE = range(12)
WIDTH = 12
"""Columns of a result; PIXEL_*: the part of the covariance that comes from the pixel alone."""

_NEWTON, _ILLINOIS, _CLOSE_M = 8, 40, 1e-4
_LEVEL = 1e-9


@inner
def _geodetic(x, y, z):
    """Return latitude and longitude in rad and height in m of an earth-centred point, m."""
    p = np.hypot(x, y)
    theta = np.arctan2(z * A, p * B)
    s, c = np.sin(theta), np.cos(theta)
    lat = np.arctan2(z + EP2 * B * s * s * s, p - E2 * A * c * c * c)
    s, c = np.sin(lat), np.cos(lat)
    return lat, np.arctan2(y, x), p * c + z * s - A * np.sqrt(1.0 - E2 * s * s)


@inner
def _height_at(grid, at, lat, lon, slope):
    """Return the terrain's height, NaN outside; slope (2): its rise to the east and north, m/m.

    at: longitude and latitude of node [0, 0] and the steps of both in rad.
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
def _to_height(eye, way, height, start):
    """Return how far along a ray a height is met, from `start` m on; -1 where it never is."""
    s = start
    for _ in range(_NEWTON):
        x, y, z = eye[0] + s * way[0], eye[1] + s * way[1], eye[2] + s * way[2]
        lat, lon, h = _geodetic(x, y, z)
        c = np.cos(lat)
        fall = c * np.cos(lon) * way[0] + c * np.sin(lon) * way[1] + np.sin(lat) * way[2]
        if fall > -_LEVEL:
            return -1.0
        step = (height - h) / fall
        s += step
        if abs(step) < _CLOSE_M:
            break
    return s


@inner
def _above(eye, way, s, grid, at, slope):
    """Return how high a ray is above the terrain after s m, NaN outside of it."""
    lat, lon, h = _geodetic(eye[0] + s * way[0], eye[1] + s * way[1], eye[2] + s * way[2])
    return h - _height_at(grid, at, lat, lon, slope)


@inner
def _meet(eye, way, level, grid, at, slope):
    """Return (m along the ray, code). level: the ray's fall at the eye, sine of its depression.

    at: as _height_at has it, then lowest and highest height of the grid, longest range m, height
    of the eye m.
    """
    longest = at[6]
    if grid.shape[0] == 1 and grid.shape[1] == 1:
        if at[7] <= at[4]:
            return 0.0, BELOW_GROUND
        s = _to_height(eye, way, at[4], 0.0)
        if s < 0.0:
            return 0.0, ABOVE_HORIZON
        return s, FOUND if s <= longest else TOO_FAR
    near = 0.0
    if at[7] > at[5]:
        near = _to_height(eye, way, at[5], 0.0)
        if near < 0.0:
            return 0.0, ABOVE_HORIZON
    step = (
        0.7
        * A
        * min(abs(at[3]), abs(at[2]) * np.cos(at[1]))
        / max(np.sqrt(max(1.0 - level * level, 0.0)), 0.05)
    )
    high = _above(eye, way, near, grid, at, slope)
    if np.isnan(high):
        return 0.0, OUTSIDE
    if high <= 0.0:
        return near, FOUND if near > 0.0 else BELOW_GROUND
    while near <= longest:
        far = near + step
        low = _above(eye, way, far, grid, at, slope)
        if np.isnan(low):
            return 0.0, OUTSIDE
        if low <= 0.0:
            break
        near, high = far, low
    if near > longest:
        return 0.0, TOO_FAR
    side = 0
    for _ in range(_ILLINOIS):
        s = far - low * (far - near) / (low - high)
        value = _above(eye, way, s, grid, at, slope)
        if abs(value) < _CLOSE_M:
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
    """Return normalised coordinates without distortion; lens: k1, k2, p1, p2, k3 from [4]."""
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
def _spread(row, first, moved, way, normal, fall, s, eye_moved):
    """Add what one source of error does: the eye moves by eye_moved, the direction by moved."""
    along = 0.0
    for k in range(3):
        along += normal[k] * (eye_moved[k] + s * moved[k])
    east = eye_moved[0] + s * moved[0] - way[0] * along / fall
    north = eye_moved[1] + s * moved[1] - way[1] * along / fall
    row[first] += east * east
    row[first + 1] += east * north
    row[first + 2] += north * north


@njit(
    "void(f8[:, ::1], f8[::1], f8[::1], f8[:, ::1], f8[::1], f4[:, ::1], f8[::1], f8[:, ::1])",
    cache=True,
)
def _locate(points, lens, pose, errors, noise, grid, at, out):
    """Write a row for each point; see `locate`. at: has the eye's height as well."""
    lat0, lon0, height0 = pose[9], pose[10], pose[11]
    sp, cp, sl, cl = np.sin(lat0), np.cos(lat0), np.sin(lon0), np.cos(lon0)
    n0 = A / np.sqrt(1.0 - E2 * sp * sp)
    eye, way, ray = np.empty(3), np.empty(3), np.empty(3)
    eye[0], eye[1] = (n0 + height0) * cp * cl, (n0 + height0) * cp * sl
    eye[2] = (n0 * (1.0 - E2) + height0) * sp
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
        way[0] = -sl * ray[0] - sp * cl * ray[1] + cp * cl * ray[2]
        way[1] = cl * ray[0] - sp * sl * ray[1] + cp * sl * ray[2]
        way[2] = cp * ray[1] + sp * ray[2]
        row[DEPRESSION] = np.arcsin(min(1.0, max(-1.0, -ray[2])))
        s, code = _meet(eye, way, ray[2], grid, at, slope)
        row[CODE] = code
        if code != FOUND:
            continue
        lat, lon, height = _geodetic(eye[0] + s * way[0], eye[1] + s * way[1], eye[2] + s * way[2])
        _height_at(grid, at, lat, lon, slope)
        row[LAT], row[LON], row[HEIGHT], row[RANGE] = lat, lon, height, s
        normal[0], normal[1], normal[2] = -slope[0], -slope[1], 1.0
        fall = normal[0] * ray[0] + normal[1] * ray[1] + ray[2]
        fall = min(fall, -1e-6)
        for axis in range(2):
            for k in range(3):
                moved[k] = noise[1] * pose[3 * k + axis] / (lens[axis] * norm)
            _spread(row, PIXEL_EE, moved, ray, normal, fall, s, still)
        row[EE], row[EN], row[NN] = row[PIXEL_EE], row[PIXEL_EN], row[PIXEL_NN]
        for k in range(3):
            moved[k] = noise[0] * (pose[3 * k] * u + pose[3 * k + 1] * v) / norm
        _spread(row, EE, moved, ray, normal, fall, s, still)
        for k in range(errors.shape[0]):
            turn = errors[k, 3:]
            moved[0] = turn[1] * ray[2] - turn[2] * ray[1]
            moved[1] = turn[2] * ray[0] - turn[0] * ray[2]
            moved[2] = turn[0] * ray[1] - turn[1] * ray[0]
            _spread(row, EE, moved, ray, normal, fall, s, errors[k, :3])
        lift = noise[2] / fall
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
    """Return where rays through pixels meet the ground: float64 (N, WIDTH), rad, m, m^2.

    points: float (N, 2) px. lens (9,): fx, fy, cx, cy px, k1, k2, p1, p2, k3. pose (12,): rotation
    from the camera (right, down, ahead) to east, north, up by rows, latitude and longitude rad,
    height m. errors (E, 6): one-sigma moves of the eye, east, north, up m, with turns about these
    axes rad, one row an independent source. noise (3,): focal length as a share, px, terrain m.
    grid (1, 1): one height m; or terrain by rows (R, C), NaN where it is not known. at (7,):
    longitude and latitude of grid[0, 0] rad, their steps rad, lowest and highest height, longest
    range m. CODE is FOUND, or why there is no point: then all else is 0. N = 0 gives (0, WIDTH).
    """
    points = door(points, np.float64, -1, 2)
    lens, pose = door(lens, np.float64, 9), door(pose, np.float64, 12)
    errors, noise = door(errors, np.float64, -1, 6), door(noise, np.float64, 3)
    grid, at = door(grid, np.float32, -1, -1), door(at, np.float64, 7)
    out = np.zeros((len(points), WIDTH))
    if all(np.isfinite(given).all() for given in (lens, pose, errors, noise, at)):
        _locate(points, lens, pose, errors, noise, grid, np.append(at, pose[11]), out)
    else:
        out[:, CODE] = NOT_FINITE
    return out
