"""Time to collision of every track of one camera, from how its boxes grow.

No calibration is needed: the ratio of depth and closing speed shows in the picture alone. The
boxes are those of the detector, as the tracker's own filter lags. Imports wire and kernels.
"""

import numpy as np
from numpy.typing import NDArray

from perception.kernels.looming import WIDTH, _update_tracks  # pyright: ignore[reportPrivateUsage]
from perception.wire import Detections, Tracks


class Looming:
    """Keeps a filter for each track; `update` once a frame, in media time."""

    kept = ("_ids", "_states")

    def __init__(self) -> None:
        self._ids = np.empty(0, np.int64)
        self._states = np.empty((0, WIDTH))

    def carry(self, affine: NDArray[np.float64]) -> None:
        """Go on in a picture of another size; affine: float64 (2, 3) px, old to new.

        After a turn by a quarter all tracks start again: their upright side is another one.
        """
        across, down = float(affine[0, 0]), float(affine[1, 1])
        if across <= 0.0 or down <= 0.0:
            self._ids, self._states = np.empty(0, np.int64), np.empty((0, WIDTH))
            return
        self._states[:, 0] -= np.log(down)
        self._states[:, 2:4] += np.log(across / down)

    def update(
        self, tracks: Tracks, found: Detections, t_ns: int, width: int, height: int
    ) -> NDArray[np.float32]:
        """Return closing rates float32 (M, 2): inverse time to collision 1/s and its 1 sigma.

        tracks: of this frame, by rising track_id; found: the detections they were matched to.
        t_ns: media time. width, height: px of the picture. 0, 0 for a track with fewer than three
        sightings; negative where it moves away. M = 0 gives (0, 2). See kernels/looming.py.
        """
        count = len(tracks.track_ids)
        rows = tracks.detection_rows
        seen = rows >= 0
        boxes = np.zeros((count, 4), np.float32)
        if seen.any():
            boxes[seen] = np.asarray(found.boxes, np.float32)[rows[seen]]
            seen &= np.isfinite(boxes).all(axis=1)
        states, closing = np.zeros((count, WIDTH)), np.zeros((count, 2), np.float32)
        frame = np.array((t_ns * 1e-9, float(width), float(height)))
        ids = np.ascontiguousarray(tracks.track_ids, np.int64)
        _update_tracks(self._ids, self._states, ids, boxes, seen, frame, states, closing)
        self._ids, self._states = ids, states
        return closing
