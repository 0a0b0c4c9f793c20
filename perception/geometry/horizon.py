"""Where the horizon is: the point to which the lines of a road, or the paths of still points, run.

Two sources of lines: edges of lane markings and kerbs, and optical flow while the vehicle drives
straight on. RANSAC finds the point that most of them meet in. Imports cv2, numpy and flow.

Source: Fischler and Bolles 1981 (RANSAC); Hartley and Zisserman, 8.6 (vanishing points).
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.geometry.flow import follow_points

TRIALS = 400
NEAR_PX = 3.0
"""A line belongs to a point that it passes at this distance for a picture 720 px high."""
LEAST_LINES, LEAST_SHARE = 12, 0.25
"""Fewer lines, or a smaller share of them, than this in one point are no horizon."""
MIN_SLOPE_DEG, MAX_SLOPE_DEG = 15.0, 80.0
"""Edges flatter or steeper than this are no lane lines."""
MIN_FLOW_PX = 2.0
END_PX = 0.4
"""Deviation of the end of a line, px."""


@dataclass(frozen=True, slots=True)
class Vanishing:
    """The point that lines run to, px; how many of how many meet in it."""

    x: float
    y: float
    lines: int
    of: int


def road_lines(grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return edges of the lower half that lane lines may be: float64 (N, 4) px x1 y1 x2 y2."""
    height = grey.shape[0]
    top = round(0.45 * height)
    edges = cv2.Canny(cv2.GaussianBlur(grey[top:], (5, 5), 0), 60, 150)
    raw: Any = cv2.HoughLinesP(edges, 1, np.pi / 360, 40, None, 0.08 * height, 0.02 * height)
    if raw is None:
        return np.empty((0, 4))
    found = np.asarray(raw, np.float64).reshape(-1, 4)
    found[:, 1::2] += top
    slopes = np.degrees(np.arctan2(abs(found[:, 3] - found[:, 1]), abs(found[:, 2] - found[:, 0])))
    return found[(slopes > MIN_SLOPE_DEG) & (slopes < MAX_SLOPE_DEG)]


def flow_lines(last: NDArray[np.uint8], this: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how corners moved from one grey picture to the next: float64 (N, 4) px."""
    corners: Any = cv2.goodFeaturesToTrack(last, 400, 0.01, 8)
    if corners is None:
        return np.empty((0, 4))
    starts, ends = follow_points(last, this, np.asarray(corners, np.float32).reshape(-1, 1, 2), 21)
    both = np.hstack([starts, ends]).astype(np.float64)
    return both[np.hypot(*(both[:, 2:] - both[:, :2]).T) > MIN_FLOW_PX]


def vanishing_point(lines: NDArray[np.float64], height: int) -> Vanishing | None:
    """Return the point that most lines pass, None where too few agree.

    lines: float64 (N, 4) px. height: of the picture. The same lines give the same point.
    """
    count = len(lines)
    if count < LEAST_LINES:
        return None
    lines = lines[np.hypot(*(lines[:, 2:] - lines[:, :2]).T) > 1e-3]
    ends = np.concatenate([lines.reshape(-1, 2, 2), np.ones((len(lines), 2, 1))], axis=2)
    forms = np.cross(ends[:, 0], ends[:, 1])
    forms /= np.hypot(forms[:, 0], forms[:, 1])[:, None]
    near, rng = NEAR_PX * height / 720.0, np.random.default_rng(0)
    picks = rng.integers(0, len(forms), (TRIALS, 2))
    points = np.cross(forms[picks[:, 0]], forms[picks[:, 1]])
    points = points[abs(points[:, 2]) > 1e-3]
    if not len(points):
        return None
    points /= points[:, 2:]
    hits = _passes(points, forms, lines, near).sum(axis=1)
    best = points[int(hits.argmax())]
    for _ in range(3):
        own = _passes(best[None], forms, lines, near)[0]
        if own.sum() < 2:
            return None
        solved, *_ = np.linalg.lstsq(forms[own, :2], -forms[own, 2], rcond=None)
        best = np.append(solved, 1.0)
    hit = int(_passes(best[None], forms, lines, near).sum())
    if hit < LEAST_LINES or hit < LEAST_SHARE * len(forms):
        return None
    return Vanishing(float(best[0]), float(best[1]), hit, len(forms))


def _passes(
    points: NDArray[np.float64],
    forms: NDArray[np.float64],
    lines: NDArray[np.float64],
    near: float,
) -> NDArray[np.bool_]:
    """Return which lines pass which points: bool (P, N). Short lines far away may miss by more."""
    lengths = np.hypot(*(lines[:, 2:] - lines[:, :2]).T)
    away = np.hypot(*(points[:, None, :2] - lines[None, :, :2]).transpose(2, 0, 1))
    return abs(points @ forms.T) < np.maximum(near, END_PX * away / lengths)
