"""Where each track stood in the last second. Imports wire."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from perception.draw.strokes import Point
from perception.wire import (
    TrackMessage,
)


class Trails:
    """Where each track stood in the last `seconds` of media time, moved with the camera."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._keep_ns = seconds * 1e9
        self._points: dict[int, deque[tuple[int, float, float]]] = {}

    def update(self, message: TrackMessage) -> dict[int, NDArray[np.float64]]:
        """Take the tracks of one frame; return float64 (n, 3) per track id: x, y px, freshness.

        A point is the bottom centre of the box; freshness falls from 1 (now) to 0. Tracks that are
        gone are forgotten.
        """
        now, tracks = message.stamp.t_media_ns, message.tracks
        warp = message.warp.astype(np.float64)
        moved = not np.array_equal(warp, np.eye(2, 3))
        kept: dict[int, deque[tuple[int, float, float]]] = {}
        for track_id, box in zip(tracks.track_ids.tolist(), tracks.boxes.tolist(), strict=True):
            points = self._points.get(track_id, deque())
            if moved:
                points = deque((t, *_warped(warp, x, y)) for t, x, y in points)
            points.append((now, (box[0] + box[2]) / 2, box[3]))
            while points and not 0 <= now - points[0][0] <= self._keep_ns:
                points.popleft()
            kept[track_id] = points
        self._points = kept
        return {
            track_id: np.array([(x, y, 1 - (now - t) / self._keep_ns) for t, x, y in points])
            for track_id, points in kept.items()
        }


def _warped(warp: NDArray[np.float64], x: float, y: float) -> Point:
    return (
        float(warp[0, 0] * x + warp[0, 1] * y + warp[0, 2]),
        float(warp[1, 0] * x + warp[1, 1] * y + warp[1, 2]),
    )
