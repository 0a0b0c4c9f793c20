"""Where tracks are in metres, seen by a camera over flat ground, e.g. that of a vehicle.

Two measures of a track's distance are fused by their variances: where its box meets the ground, and
how tall it looks against the height of its class. The first suffers from pitch (springs, slopes),
which is estimated from all tracks together; the second from one object being taller than another,
a factor that each track keeps for itself. Between frames the distance follows the closing rate of
geometry/looming.py. No measuring instrument: a slope or a wrong class is not noticed.

Source: Stein, Mano and Shashua 2003, Vision-based ACC with a single camera (ground plane); noise
and heights: benchmarks/vehicle.py. Imports wire, cv2 and the rest of this room.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.geometry.calibration import Calibration, Lens
from perception.wire import Detections, Tracks

CLASSES: dict[str, tuple[float, float, float]] = {
    "person": (1.70, 0.09, 0.2),
    "bicycle": (1.35, 0.25, 0.6),
    "car": (1.52, 0.075, 1.5),
    "motorcycle": (1.45, 0.2, 0.7),
    "bus": (3.1, 0.12, 4.0),
    "truck": (3.0, 0.25, 3.0),
}
"""Of a class: height in m as a box shows it at its nearest point, its spread as a share, and how
far behind that point its middle is, m."""
OTHER = (1.5, 1.0, 0.0)
"""Of any other class: its height weighs as good as nothing."""
EDGE_PX, EDGE_SHARE = 1.0, 0.03
"""Deviation of a box's height: px, and a share of it."""
PITCH, PITCH_S = 0.022, 3.0
"""Deviation of the pitch in rad, and how long it keeps its value."""
SLOPE = 0.012
"""Deviation of the ground under one object against the rest, rad."""
REPEATS = 10.0
"""Frames in a row say the same of an object's height: each counts for so many times less."""
DRIFT = 0.02
"""Random walk of a track's distance beside its closing rate, share/sqrt(s)."""
LEAST_ANGLE = 0.004
"""Feet nearer to the horizon than this (rad) say nothing of the distance."""
SHARE, LEAST_SHARE = 1.5, 0.02
"""A track's frames err alike: its deviation is so many times the filter's, at least this share."""
UNKNOWN = 0.4
"""A distance with a larger deviation, as a share, is not told."""
OUTLIER = 2.5
"""Errors beyond so many deviations count as if they were measured that badly."""
LATERAL_M, LATERAL_SHARE, SWERVE = 0.06, 0.008, 1.5
"""Deviation of a lateral offset: m, and a share of the distance; white acceleration m/s^1.5."""
MAX_GAP_S = 1.0
BORDER_PX = 2.0
NAMES = ("range", "tall", "p_range", "p_both", "p_tall", "x", "vx", "p_x", "p_both_x", "p_vx", "t")
WIDTH = len(NAMES)
"""A track's row: log of its distance, log of its height by its class's, their covariance; lateral
offset m and speed m/s, their covariance; time of its last measure s. All 0: not yet measured."""


@dataclass(slots=True)
class _Seen:
    """This frame's boxes, one row a track: tangents from the axis, angles, and what is usable."""

    right: NDArray[np.float64]
    foot: NDArray[np.float64]
    head: NDArray[np.float64]
    share: NDArray[np.float64]
    is_tall: NDArray[np.bool_]
    is_grounded: NDArray[np.bool_]


class Ahead:
    """Keeps a filter for each track and one for the pitch; `update` once a frame, in media time."""

    kept = ("_ids", "_rows", "_t_s", "pitch", "_pitch_variance")

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._size = (0, 0)
        self._lens = calibration.lens(1, 1)
        self._ids = np.empty(0, np.int64)
        self._rows = np.empty((0, WIDTH))
        self._t_s: float | None = None
        self.pitch, self._pitch_variance = 0.0, PITCH**2

    def update(
        self,
        tracks: Tracks,
        found: Detections,
        t_ns: int,
        size: tuple[int, int],
        names: Mapping[int, str],
    ) -> NDArray[np.float32]:
        """Return metres float32 (M, 8), see wire.Tracks.metres; zeros where nothing is known.

        tracks: of this frame, by rising track_id, their closings filled in; found: the detections
        they were matched to. t_ns: media time. size: width and height px. names: class names.
        """
        if size != self._size:
            self._size, self._lens = size, self._calibration.lens(*size)
        t_s, count = t_ns * 1e-9, len(tracks.track_ids)
        rows = self._carry(tracks, t_s)
        seen = tracks.detection_rows >= 0
        boxes = np.zeros((count, 4))
        boxes[seen] = np.asarray(found.boxes, np.float64)[tracks.detection_rows[seen]]
        seen &= np.isfinite(boxes).all(axis=1)
        boxes[~seen] = 0.0
        wanted = [CLASSES.get(names.get(i, ""), OTHER) for i in tracks.class_ids.tolist()]
        heights, spreads, depths = np.array(wanted).reshape(-1, 3).T
        look = self._look(boxes, seen)
        self._follow_pitch(look, heights, spreads, t_s)
        self._measure(rows, look, heights, spreads)
        self._measure_across(rows, look, depths)
        rows[seen & (look.is_tall | look.is_grounded), -1] = t_s
        self._ids, self._rows = tracks.track_ids.copy(), rows
        return _places(rows, tracks)

    def _carry(self, tracks: Tracks, t_s: float) -> NDArray[np.float64]:
        """Return the rows of this frame's tracks moved ahead to now; zeros for new ones."""
        rows = np.zeros((len(tracks.track_ids), WIDTH))
        if not len(self._ids) or not len(rows):
            return rows
        at = np.minimum(np.searchsorted(self._ids, tracks.track_ids), len(self._ids) - 1)
        known = (self._ids[at] == tracks.track_ids) & (self._rows[at, 2] > 0.0)
        gaps = t_s - self._rows[at, -1]
        known &= (gaps >= 0.0) & (gaps <= MAX_GAP_S)
        rows[known] = self._rows[at[known]]
        dt = np.where(known, np.clip(t_s - (self._t_s or t_s), 0.0, MAX_GAP_S), 0.0)
        rate, sigma = np.minimum(tracks.closings.astype(np.float64), 9.0).T
        rows[:, 0] += np.where(sigma > 0.0, np.log(np.clip(1.0 - rate * dt, 0.2, 5.0)), 0.0)
        rows[:, 2] += np.where(sigma > 0.0, sigma * dt, 0.5 * dt) ** 2 + DRIFT**2 * dt
        rows[:, 5] += rows[:, 6] * dt
        q = np.where(known, SWERVE**2, 0.0)
        rows[:, 7] += 2 * dt * rows[:, 8] + dt * dt * rows[:, 9] + q * dt**3 / 3
        rows[:, 8] += dt * rows[:, 9] + q * dt**2 / 2
        rows[:, 9] += q * dt
        return rows

    def _look(self, boxes: NDArray[np.float64], seen: NDArray[np.bool_]) -> _Seen:
        """Return the boxes as angles of this camera."""
        lens, (width, height) = self._lens, self._size
        middle = (boxes[:, 0] + boxes[:, 2]) / 2
        points = np.stack(
            [np.stack([middle, boxes[:, 3]], axis=1), np.stack([middle, boxes[:, 1]], axis=1)]
        )
        flat = rays(points.reshape(-1, 2), lens).reshape(2, -1, 2)
        tall = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
        uncut = seen & (boxes[:, 3] < height - 1.0 - BORDER_PX)
        top = boxes[:, 1] > BORDER_PX
        return _Seen(
            right=flat[0, :, 0],
            foot=np.arctan(flat[0, :, 1]) + lens.pitch,
            head=np.arctan(flat[1, :, 1]) + lens.pitch,
            share=np.sqrt(EDGE_SHARE**2 + (EDGE_PX / tall) ** 2),
            is_tall=uncut & top & (tall > 4.0),
            is_grounded=uncut & (boxes[:, 2] > 0.0) & (boxes[:, 0] < width),
        )

    def _follow_pitch(
        self,
        look: _Seen,
        heights: NDArray[np.float64],
        spreads: NDArray[np.float64],
        t_s: float,
    ) -> None:
        """Correct the pitch by all objects whose class says how far away they are."""
        gap = min(max(t_s - (self._t_s or t_s), 0.0), 10.0 * PITCH_S)
        self._t_s = t_s
        keep = float(np.exp(-gap / PITCH_S))
        self.pitch *= keep
        self._pitch_variance = keep**2 * self._pitch_variance + (1.0 - keep**2) * PITCH**2
        use = look.is_tall & look.is_grounded & (spreads < 0.5)
        if not use.any():
            return
        far = heights[use] / np.maximum(_spread(look, self.pitch)[use], 1e-4)
        goal = np.arctan(self._lens.height_m / far)
        wrong = goal - look.foot[use] - self.pitch
        share = np.hypot(spreads[use], look.share[use])
        noise = (np.sin(goal) * np.cos(goal) * share) ** 2 + SLOPE**2
        total = noise * REPEATS + self._pitch_variance
        total *= np.maximum(1.0, wrong**2 / (OUTLIER**2 * (noise + self._pitch_variance)))
        weights = 1.0 / np.maximum(total - self._pitch_variance, 1e-12)
        variance = 1.0 / (1.0 / self._pitch_variance + weights.sum())
        self.pitch += variance * float((weights * wrong).sum())
        self._pitch_variance = variance

    def _measure(
        self,
        rows: NDArray[np.float64],
        look: _Seen,
        heights: NDArray[np.float64],
        spreads: NDArray[np.float64],
    ) -> None:
        """Take the boxes into the rows, and begin those of new tracks."""
        tall_range = np.log(heights / np.maximum(_spread(look, self.pitch), 1e-4))
        angle = np.maximum(look.foot + self.pitch, LEAST_ANGLE)
        ground_range = np.log(self._lens.height_m / np.tan(angle))
        slant = np.sin(angle) * np.cos(angle)
        pixel = EDGE_PX * 2.0 / self._lens.focal
        blur = (self._pitch_variance + SLOPE**2 + pixel**2) / slant**2
        on_ground = look.is_grounded & (look.foot + self.pitch > LEAST_ANGLE)
        new = (rows[:, 2] == 0.0) & (look.is_tall | on_ground)
        rows[new, 0] = np.where(look.is_tall & (spreads < 0.5), tall_range, ground_range)[new]
        rows[new, 2], rows[new, 4] = 25.0, spreads[new] ** 2
        _correct(rows, look.is_tall, tall_range, look.share**2, -1.0)
        _correct(rows, on_ground, ground_range, blur, 0.0)

    def _measure_across(
        self, rows: NDArray[np.float64], look: _Seen, depths: NDArray[np.float64]
    ) -> None:
        """Take in how far to the right the boxes are; a track's middle is behind its near end."""
        far = np.exp(np.clip(rows[:, 0], -2.0, 8.0)) + depths
        across = look.right * far * slant_factor(look.foot, self._lens.pitch)
        noise = LATERAL_M**2 + (LATERAL_SHARE * far) ** 2
        new = (rows[:, 7] == 0.0) & (rows[:, 2] > 0.0)
        rows[new, 5], rows[new, 7], rows[new, 9] = across[new], noise[new], 25.0
        _correct_lateral(rows, look.is_grounded & ~new & (rows[:, 7] > 0.0), across, noise)


def rays(points: NDArray[np.float64], lens: Lens) -> NDArray[np.float64]:
    """Return the directions of px as tangents right and down of the axis: float64 (N, 2)."""
    straight = (points - (lens.u0, lens.v0)) / lens.focal
    if not lens.distortion or not len(points):
        return straight
    undone = cv2.undistortPoints(
        straight[:, None, :], np.eye(3), np.array(lens.distortion, np.float64)
    )
    return np.asarray(undone, np.float64).reshape(-1, 2)


def slant_factor(foot: NDArray[np.float64], pitch: float) -> NDArray[np.float64]:
    """Return the depth along the axis for 1 m ahead on the ground; foot: angle below level, rad."""
    return 1.0 / np.maximum(np.cos(pitch) - np.tan(foot - pitch) * np.sin(pitch), 0.05)


def _spread(look: _Seen, pitch: float) -> NDArray[np.float64]:
    """Return the difference of the tangents of foot and head: height by distance."""
    limit = np.pi / 2 - 0.01
    low, high = np.minimum(look.foot + pitch, limit), np.maximum(look.head + pitch, -limit)
    return np.tan(low) - np.tan(high)


def _correct(
    rows: NDArray[np.float64],
    use: NDArray[np.bool_],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
    tall: float,
) -> None:
    """Take one measurement in: the log distance, plus `tall` times the log height."""
    p_range, p_both, p_tall = rows[:, 2].copy(), rows[:, 3].copy(), rows[:, 4].copy()
    gain_range, gain_tall = p_range + tall * p_both, p_both + tall * p_tall
    wrong = value - rows[:, 0] - tall * rows[:, 1]
    total = gain_range + tall * gain_tall + variance
    total *= np.maximum(1.0, wrong**2 / (OUTLIER**2 * np.maximum(total, 1e-12)))
    inverse = np.where(use, 1.0 / np.maximum(total, 1e-12), 0.0)
    step = np.where(use, wrong, 0.0) * inverse
    rows[:, 0] += gain_range * step
    rows[:, 1] += gain_tall * step
    rows[:, 2] -= gain_range * gain_range * inverse
    rows[:, 3] -= gain_range * gain_tall * inverse
    rows[:, 4] -= gain_tall * gain_tall * inverse


def _correct_lateral(
    rows: NDArray[np.float64],
    use: NDArray[np.bool_],
    value: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    gain_x, gain_v = rows[:, 7].copy(), rows[:, 8].copy()
    inverse = np.where(use, 1.0 / (gain_x + variance), 0.0)
    step = np.where(use, value - rows[:, 5], 0.0) * inverse
    rows[:, 5] += gain_x * step
    rows[:, 6] += gain_v * step
    rows[:, 7] -= gain_x * gain_x * inverse
    rows[:, 8] -= gain_x * gain_v * inverse
    rows[:, 9] -= gain_v * gain_v * inverse


def _places(rows: NDArray[np.float64], tracks: Tracks) -> NDArray[np.float32]:
    """Return what is known of each track in metres."""
    out = np.zeros((len(rows), 8), np.float32)
    known = (rows[:, 2] > 0.0) & (rows[:, 2] < UNKNOWN**2)
    if not known.any():
        return out
    row = rows[known]
    rate, sigma = tracks.closings[known].astype(np.float64).T
    far = np.exp(np.clip(row[:, 0], -2.0, 8.0))
    share = np.hypot(SHARE * np.sqrt(row[:, 2]), LEAST_SHARE)
    out[known, 0], out[known, 1], out[known, 2] = row[:, 5], far, row[:, 6]
    out[known, 3] = -far * rate
    out[known, 4] = np.sqrt(row[:, 7] + (row[:, 5] * share) ** 2)
    out[known, 5] = far * share
    out[known, 6] = np.sqrt(row[:, 9] + (row[:, 6] * share) ** 2)
    out[known, 7] = np.where(sigma > 0.0, far * np.hypot(sigma, rate * share), 0.0)
    return out
