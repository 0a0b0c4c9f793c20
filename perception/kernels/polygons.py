"""Where points lie: inside a polygon, and on which side of a line a movement ends.

Imports numpy and numba only. Even-odd rule with half-open edges, after W. R. Franklin's PNPOLY;
sides by the sign of the cross product, as in O'Rourke, Computational Geometry in C, 1.5.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from perception.kernels import door


@njit("void(f8[:, ::1], f8[:, ::1], u1[::1])", cache=True)
def _inside(points, polygon, out):
    """Fill out with 1 where a point lies in the polygon or on its border."""
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
    """Fill out with 1 (left to right), -1 (right to left) or 0 for movements start -> end."""
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
        if from_right:  # always looked at from left to right, so both ways meet the same ends
            px, py, qx, qy = qx, qy, px, py
        mx, my = qx - px, qy - py
        a_side = mx * (ay - py) - my * (ax - px) >= 0.0
        b_side = mx * (by - py) - my * (bx - px) >= 0.0
        if a_side != b_side:
            out[i] = -1 if from_right else 1


@njit("void(f8[:, ::1], f8[:, ::1], f8[:, ::1], f8[::1])", cache=True)
def _reach(points, velocities, polygon, out):
    """Lower out to the earliest time at which a point that keeps its velocity meets an edge."""
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
                continue  # along the edge: its ends belong to the neighbours
            t = (ax * ey - ay * ex) / turn
            u = (ax * vy - ay * vx) / turn
            if 0.0 <= t < out[i] and 0.0 <= u <= 1.0:
                out[i] = t


def inside(points: ArrayLike, polygon: ArrayLike) -> NDArray[np.bool_]:
    """Return which points lie in a polygon; its border and corners count as inside.

    points: float (M, 2), any unit. polygon: float (P, 2), same unit, closed by itself; where it
    crosses itself the even-odd rule holds. Result: bool (M,). False for a point that is not finite;
    all False for fewer than 3 corners or a corner that is not finite.
    Source: Franklin, PNPOLY. Raises ValueError for other shapes.
    """
    points = door(points, np.float64, -1, 2)
    polygon = door(polygon, np.float64, -1, 2)
    out = np.zeros(len(points), np.uint8)
    if np.isfinite(polygon).all():
        _inside(points, polygon, out)
    return out.view(np.bool_)


def crossings(starts: ArrayLike, ends: ArrayLike, line: ArrayLike) -> NDArray[np.int8]:
    """Return which straight movements cross a line segment, and which way.

    starts, ends: float (M, 2), any unit. line: float (2, 2), from a to b, same unit. Looking from
    a to b in a picture (y down), left and right are as for a walker on the screen; a point exactly
    on the line counts as right. Result: int8 (M,), 1 left to right, -1 right to left, 0 neither.
    So a path that stops on the line and goes on crosses it once, and of two lines that go on from
    each other one is crossed. 0 for values that are not finite and for a line of no length.
    Raises ValueError for other shapes or lengths that differ.
    """
    starts = door(starts, np.float64, -1, 2)
    ends = door(ends, np.float64, -1, 2)
    line = door(line, np.float64, 2, 2)
    if len(starts) != len(ends):
        raise ValueError(f"{len(starts)} starts, {len(ends)} ends")
    out = np.zeros(len(starts), np.int8)
    if np.isfinite(line).all():
        _crossings(starts, ends, line, out)
    return out


def reach(points: ArrayLike, velocities: ArrayLike, polygon: ArrayLike) -> NDArray[np.float64]:
    """Return when points that keep their velocity will be in a polygon.

    points: float (M, 2), any unit. velocities: float (M, 2), that unit per second. polygon: float
    (P, 2), same unit. Result: float64 (M,) s; 0 inside, inf for never, for values that are not
    finite and for fewer than 3 corners. Raises ValueError for other shapes or lengths that differ.
    """
    points = door(points, np.float64, -1, 2)
    velocities = door(velocities, np.float64, -1, 2)
    polygon = door(polygon, np.float64, -1, 2)
    if len(points) != len(velocities):
        raise ValueError(f"{len(points)} points, {len(velocities)} velocities")
    out = np.full(len(points), np.inf)
    if len(polygon) >= 3 and np.isfinite(polygon).all():
        _reach(points, velocities, polygon, out)
    out[inside(points, polygon)] = 0.0
    out[~(np.isfinite(points).all(axis=1) & np.isfinite(velocities).all(axis=1))] = np.inf
    return out
