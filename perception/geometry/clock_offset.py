"""The clock offset between a video and a gyro, from how the picture turns and what the gyro says.

The picture's motion between two frames, divided by the time, follows the camera's turn: its shift
across and down, and its roll, are linear in the three rates. At each offset that is tried the best
linear fit is made; the offset with the highest share of explained variance is taken. Its sigma
comes from the offsets that parts of the clip give by themselves. Imports numpy and OpenCV.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LIMIT_S, STEP_S = 1.0, 0.005
LONG_SIDE = 320
LEAST_MOTION = 1e-3
"""A motion of less, in px/s or rad/s and root mean square, is none: nothing explains it."""
_PARTS, _LEAST_FRAMES, _LEAST_POINTS = 4, 40, 12


@dataclass(frozen=True, slots=True)
class Offset:
    """seconds: to add to the gyro's time for the video's. explained: share of variance, 0 to 1."""

    seconds: float
    sigma_s: float
    explained: float


def picture_turns(
    frames: Iterable[tuple[float, NDArray[np.uint8]]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle times (N,) s and motions (N, 3): px/s across, down, rad/s of roll.

    frames: time in s and grey uint8 (H, W), in order. Pairs that cannot be matched are left out.
    """
    times: list[float] = []
    motions: list[tuple[float, float, float]] = []
    last: tuple[float, NDArray[np.uint8]] | None = None
    for t_s, grey in frames:
        scale = min(1.0, LONG_SIDE / max(grey.shape))
        small = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale), np.uint8)
        if last is not None and t_s > last[0] and small.shape == last[1].shape:
            motion = _motion(last[1], small)
            if motion is not None:
                span = t_s - last[0]
                times.append((t_s + last[0]) / 2.0)
                motions.append((motion[0] / span, motion[1] / span, motion[2] / span))
        last = t_s, small
    return np.array(times), np.array(motions).reshape(-1, 3)


def _motion(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> tuple[float, float, float] | None:
    points: Any = cv2.goodFeaturesToTrack(a, 200, 0.01, 7)  # None where there is none
    if points is None or len(points) < _LEAST_POINTS:
        return None
    there = np.empty_like(points)
    there, good, _ = cv2.calcOpticalFlowPyrLK(a, b, points, there)
    kept = good.ravel() == 1
    if kept.sum() < _LEAST_POINTS:
        return None
    middle = np.array([a.shape[1] / 2.0, a.shape[0] / 2.0], np.float32)
    matrix: Any = cv2.estimateAffinePartial2D(points[kept] - middle, there[kept] - middle)[0]
    if matrix is None:
        return None
    return float(matrix[0, 2]), float(matrix[1, 2]), math.atan2(matrix[1, 0], matrix[0, 0])


def clock_offset(
    times: NDArray[np.float64],
    motions: NDArray[np.float64],
    gyro_times: NDArray[np.float64],
    rates: NDArray[np.float64],
    limit_s: float = LIMIT_S,
) -> Offset | None:
    """Return the offset between pictures and gyro; None where too few frames could be matched.

    times (N,), motions (N, 3): as picture_turns gives them. gyro_times (M,) s, rates (M, 3) rad/s
    about any three axes that are fixed to the camera. limit_s: the largest offset that is tried.
    """
    if len(times) < _LEAST_FRAMES or len(gyro_times) < _LEAST_FRAMES:
        return None
    total = np.vstack([np.zeros(3), np.cumsum((rates[1:] + rates[:-1]) / 2.0
                       * np.diff(gyro_times)[:, None], axis=0)])  # fmt: skip
    half = float(np.median(np.diff(times))) / 2.0
    tried = np.arange(-limit_s, limit_s + STEP_S / 2, STEP_S)
    scores = np.array([_explained(times - s, motions, gyro_times, total, half) for s in tried])
    best, explained = _peak(tried, scores)
    found: list[float] = []
    for part in np.array_split(np.arange(len(times)), _PARTS):
        near = tried[np.abs(tried - best) <= 0.3]
        own = np.array(
            [_explained(times[part] - s, motions[part], gyro_times, total, half) for s in near]
        )
        found.append(_peak(near, own)[0])
    sigma = max(float(np.std(found, ddof=1)) / math.sqrt(_PARTS), STEP_S)
    return Offset(best, sigma, explained)


def _explained(
    at: NDArray[np.float64],
    motions: NDArray[np.float64],
    gyro_times: NDArray[np.float64],
    total: NDArray[np.float64],
    half: float,
) -> float:
    """Return the share of the motions' variance that the turns around these times explain."""
    inside = (at - half >= gyro_times[0]) & (at + half <= gyro_times[-1])
    if inside.sum() < _LEAST_FRAMES // 4:
        return 0.0
    ends = [
        np.column_stack([np.interp(at[inside] + d, gyro_times, total[:, k]) for k in range(3)])
        for d in (-half, half)
    ]
    turns = np.column_stack([(ends[1] - ends[0]) / (2.0 * half), np.ones(inside.sum())])
    seen = motions[inside]
    fit = np.linalg.lstsq(turns, seen, rcond=None)[0]
    left = ((seen - turns @ fit) ** 2).sum(axis=0)
    whole = ((seen - seen.mean(axis=0)) ** 2).sum(axis=0)
    moved = whole > LEAST_MOTION**2 * len(seen)
    return float(np.mean(np.where(moved, 1.0 - left / np.maximum(whole, 1e-12), 0.0)))


def _peak(tried: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the offset at the highest score, refined by a parabola, and the score."""
    i = int(np.argmax(scores))
    if 0 < i < len(tried) - 1:
        a, b, c = scores[i - 1 : i + 2]
        bend = a - 2.0 * b + c
        if bend < 0.0:
            return float(tried[i] + (a - c) / (2.0 * bend) * STEP_S), float(b)
    return float(tried[i]), float(scores[i])
