"""Where tracks are in metres, seen by a fixed camera that knows four points of the ground.

The foot of a box is carried to the ground by a homography; a filter of constant velocity gives its
speed. Foot and speed are those of what touches the plane: what stands on a wall is placed wrongly.

Source: Criminisi, Reid and Zisserman 1999, A plane measuring device (error of a place); Bar-Shalom
et al. 2001, ch. 6 (white acceleration). Imports wire and the rest of this room.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from perception.geometry.calibration import Calibration, homography
from perception.wire import Detections, Tracks

FOOT_PX, FOOT_SHARE = 0.7, 0.012
"""Deviation of a box's foot: px, and a share of its height."""
ACCELERATION = 0.8
"""White acceleration, m/s^1.5."""
FIRST_SPEED = 15.0
"""Deviation of a new track's speed, m/s."""
MAX_GAP_S = 1.0
"""A track that was not seen for longer starts again, s."""
BORDER_PX = 2.0


class Plane:
    """Keeps a filter for each track; `update` once a frame, in media time."""

    kept = ("_ids", "_states", "_spreads", "_times", "_t_s")

    def __init__(self, calibration: Calibration) -> None:
        """calibration: with `points`."""
        self._points = calibration.points or []
        self._size = (0, 0)
        self._map = np.eye(3)
        self._ids = np.empty(0, np.int64)
        self._states = np.empty((0, 4))
        self._spreads = np.empty((0, 4, 4))
        self._times, self._t_s = np.empty(0), 0.0

    def update(
        self,
        tracks: Tracks,
        found: Detections,
        t_ns: int,
        size: tuple[int, int],
        names: Mapping[int, str],
    ) -> NDArray[np.float32]:
        """Return metres float32 (M, 8), see wire.Tracks.metres; zeros where nothing is known.

        Arguments as for Ahead.update; names are not asked.
        """
        del names
        if size != self._size:
            self._size, self._map = size, homography(self._points, *size)
        count, t_s = len(tracks.track_ids), t_ns * 1e-9
        states, spreads, times = np.zeros((count, 4)), np.zeros((count, 4, 4)), np.full(count, -1e9)
        self._carry(tracks, t_s, states, spreads, times)
        seen = tracks.detection_rows >= 0
        boxes = np.zeros((count, 4))
        boxes[seen] = np.asarray(found.boxes, np.float64)[tracks.detection_rows[seen]]
        seen &= np.isfinite(boxes).all(axis=1)
        boxes[~seen] = 0.0
        metres, noise = self._ground(boxes)
        seen &= boxes[:, 3] < size[1] - 1.0 - BORDER_PX
        seen &= np.isfinite(metres).all(axis=1)
        new = seen & (spreads[:, 0, 0] == 0.0)
        states[new, :2], spreads[new, :2, :2] = metres[new], noise[new]
        spreads[new, 2, 2] = spreads[new, 3, 3] = FIRST_SPEED**2
        old = np.flatnonzero(seen & ~new)
        if len(old):
            p = spreads[old]
            gain = p[:, :, :2] @ np.linalg.inv(p[:, :2, :2] + noise[old])
            wrong = metres[old] - states[old, :2]
            states[old] += (gain @ wrong[:, :, None])[:, :, 0]
            spreads[old] = p - gain @ p[:, :2, :]
        times[seen] = t_s
        self._ids, self._states = tracks.track_ids.copy(), states
        self._spreads, self._times, self._t_s = spreads, times, t_s
        known = spreads[:, 0, 0] > 0.0
        out = np.zeros((count, 8), np.float32)
        out[known, :4] = states[known]
        out[known, 4:] = np.sqrt(np.diagonal(spreads, axis1=1, axis2=2))[known]
        return out

    def _carry(
        self,
        tracks: Tracks,
        t_s: float,
        states: NDArray[np.float64],
        spreads: NDArray[np.float64],
        times: NDArray[np.float64],
    ) -> None:
        """Move what is known of this frame's tracks ahead to now."""
        if not len(self._ids) or not len(states):
            return
        at = np.minimum(np.searchsorted(self._ids, tracks.track_ids), len(self._ids) - 1)
        gaps, dt = t_s - self._times[at], max(t_s - self._t_s, 0.0)
        known = (self._ids[at] == tracks.track_ids) & (gaps >= 0.0) & (gaps <= MAX_GAP_S)
        at = at[known]
        step = np.tile(np.eye(4), (len(at), 1, 1))
        step[:, 0, 2] = step[:, 1, 3] = dt
        q = np.zeros((len(at), 4, 4))
        for k in (0, 1):
            q[:, k, k], q[:, k + 2, k + 2] = dt**3 / 3, dt
            q[:, k, k + 2] = q[:, k + 2, k] = dt**2 / 2
        states[known] = (step @ self._states[at][:, :, None])[:, :, 0]
        spreads[known] = step @ self._spreads[at] @ step.transpose(0, 2, 1) + ACCELERATION**2 * q
        times[known] = self._times[at]

    def _ground(
        self, boxes: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the feet in m (M, 2) and their covariance (M, 2, 2); NaN above the horizon."""
        feet = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3], np.ones(len(boxes))], axis=1)
        raw = feet @ self._map.T
        depth = np.where(raw[:, 2] > 1e-6, raw[:, 2], np.nan)
        metres = raw[:, :2] / depth[:, None]
        slope = (self._map[:2, :2] - metres[:, :, None] * self._map[2, :2]) / depth[:, None, None]
        pixel = FOOT_PX**2 + (FOOT_SHARE * (boxes[:, 3] - boxes[:, 1])) ** 2
        return metres, slope @ slope.transpose(0, 2, 1) * pixel[:, None, None]
