"""Points in polygons, movements across line segments, and when a moving point enters a polygon.

Imports numpy and numba only. Even-odd rule with half-open edges, after W. R. Franklin's PNPOLY.
Sides of a line by the sign of the cross product: O'Rourke, Computational Geometry in C, 1.5.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import as_array


@njit("void(f8[:, ::1], f8[:, ::1], u1[::1])", cache=True)
def _inside(points, polygon, out):
    """Write 1 to out where a point lies in the polygon or on its border, else 0."""
    count = polygon.shape[0]
    for i in range(points.shape[0]):
        x, y = points[i, 0], points[i, 1]
        out[i] = 0
        if count < 3 or not (np.isfinite(x) and np.isfinite(y)):
            continue
        odd, border = False, False
        k = count - 1
        for j in range(count):
            ax, ay, bx, by = polygon[k, 0], polygon[k, 1], polygon[j, 0], polygon[j, 1]
            k = j
            cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
            within = min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by)
            if cross == 0.0 and within:
                border = True
                break
            if (ay > y) != (by > y) and (cross > 0.0) == (by > ay):
                odd = not odd
        out[i] = border or odd


@njit("void(f8[:, ::1], f8[:, ::1], f8[:, ::1], i1[::1])", cache=True)
def _crossings(starts, ends, line, out):
    """Write to out 1 (left to right), -1 (right to left) or 0 for movements start -> end."""
    ax, ay, bx, by = line[0, 0], line[0, 1], line[1, 0], line[1, 1]
    dx, dy = bx - ax, by - ay
    for i in range(starts.shape[0]):
        px, py, qx, qy = starts[i, 0], starts[i, 1], ends[i, 0], ends[i, 1]
        out[i] = 0
        if not (np.isfinite(px) and np.isfinite(py) and np.isfinite(qx) and np.isfinite(qy)):
            continue
        from_right = dx * (py - ay) - dy * (px - ax) >= 0.0
        to_right = dx * (qy - ay) - dy * (qx - ax) >= 0.0
        if from_right == to_right:
            continue
        if from_right:  # always tested from left to right: both directions give the same answer
            px, py, qx, qy = qx, qy, px, py
        mx, my = qx - px, qy - py
        a_side = mx * (ay - py) - my * (ax - px) >= 0.0
        b_side = mx * (by - py) - my * (bx - px) >= 0.0
        if a_side != b_side:
            out[i] = -1 if from_right else 1


@njit("void(f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[::1])", cache=True)
def _entry_times(points, velocities, polygon, out):
    """Lower out to the earliest time at which a point at constant velocity meets an edge."""
    count = polygon.shape[0]
    for i in range(points.shape[0]):
        x, y, vx, vy = points[i, 0], points[i, 1], velocities[i, 0], velocities[i, 1]
        k = count - 1
        for j in range(count):
            ax, ay = polygon[k, 0] - x, polygon[k, 1] - y
            ex, ey = polygon[j, 0] - polygon[k, 0], polygon[j, 1] - polygon[k, 1]
            k = j
            turn = vx * ey - vy * ex
            if turn == 0.0:
                continue  # parallel to the edge: the neighbouring edges contain its ends
            t = (ax * ey - ay * ex) / turn
            u = (ax * vy - ay * vx) / turn
            if 0.0 <= t < out[i] and 0.0 <= u <= 1.0:
                out[i] = t


def inside(points: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Return which points lie in a polygon: bool (M,). Its border and corners count as inside.

    points: float (M, 2), any unit. polygon: float (P, 2), same unit; the last corner is joined to
    the first. Where it crosses itself, the even-odd rule holds. False for a point that is not
    finite; all False for fewer than 3 corners or a corner that is not finite. Raises ValueError for
    other shapes. Source: Franklin, PNPOLY.
    """
    points = as_array(points, np.float64, -1, 2)
    polygon = as_array(polygon, np.float64, -1, 2)
    out = np.zeros(len(points), np.uint8)
    if np.isfinite(polygon).all():
        _inside(points, polygon, out)
    return out.view(np.bool_)


def crossings(starts: ArrayLike, ends: ArrayLike, line: ArrayLike) -> NDArray[np.int8]:
    """Return which straight movements cross a line segment, and in which direction: int8 (M,).

    starts, ends: float (M, 2), any unit. line: float (2, 2), points a and b, same unit. 1: from
    left to right, -1: from right to left, 0: no crossing. Left and right are as seen in the picture
    (y down) when looking from a to b. A point exactly on the line counts as right: a path that
    stops on the line and goes on crosses it once. A movement through the common end of two segments
    in one line crosses one of them. 0 for values that are not finite and for a line of length 0.
    Raises ValueError for other shapes or lengths that differ.
    """
    starts = as_array(starts, np.float64, -1, 2)
    ends = as_array(ends, np.float64, -1, 2)
    line = as_array(line, np.float64, 2, 2)
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts, {len(ends)} ends")
    out = np.zeros(len(starts), np.int8)
    if np.isfinite(line).all():
        _crossings(starts, ends, line, out)
    return out


def entry_times(
    points: ArrayLike, velocities: ArrayLike, polygon: ArrayLike
) -> NDArray[np.float64]:
    """Return after which time points at constant velocity enter a polygon: float64 (M,) s.

    points: float (M, 2), any unit. velocities: float (M, 2), that unit per second. polygon: float
    (P, 2), same unit. 0 for a point inside; inf for one that never enters, for values that are not
    finite and for fewer than 3 corners. Raises ValueError for other shapes or lengths that differ.
    """
    points = as_array(points, np.float64, -1, 2)
    velocities = as_array(velocities, np.float64, -1, 2)
    polygon = as_array(polygon, np.float64, -1, 2)
    if len(points) != len(velocities):
        raise ValueError(f"{len(points)} points, {len(velocities)} velocities")
    out = np.full(len(points), np.inf)
    if len(polygon) >= 3 and np.isfinite(polygon).all():
        _entry_times(points, velocities, polygon, out)
    out[inside(points, polygon)] = 0.0
    out[~(np.isfinite(points).all(axis=1) & np.isfinite(velocities).all(axis=1))] = np.inf
    return out
