"""When a track is looked at for its colours: at its first good shot, and at better ones.

A shot is good by score and size of the box; one that the edge of the picture cuts off counts less.
Imports wire and the rest of this room.
"""

import numpy as np
from numpy.typing import NDArray

from perception.clock import NS_PER_S
from perception.footage.colours import votes, words
from perception.wire import CONFIRMED, TrackMessage

_MOST, _BETTER = 3, 1.3
"""Looks at a track; how much better than the best before a shot has to be."""
_LEAST_PX = 16.0
_REST_NS, _SHARE = NS_PER_S // 5, 100
"""Between two looks at least, and so many times what the last one took: 1 % of a core at most."""
_MAX_KNOWN = 10_000


class Looks:
    """The looks at the tracks of one camera."""

    def __init__(self) -> None:
        self._best: dict[int, tuple[float, int]] = {}
        self._sums: dict[int, NDArray[np.float32]] = {}
        self._next_ns = 0

    def due(self, message: TrackMessage, now_ns: int) -> list[int]:
        """Return the rows of the tracks to look at in this frame. now_ns: monotonic."""
        if now_ns < self._next_ns:
            return []
        found: list[int] = []
        tracks = message.tracks
        for at in np.flatnonzero((tracks.states == CONFIRMED) & (tracks.unseen_s == 0)):
            best, looks = self._best.get(int(tracks.track_ids[at]), (0.0, 0))
            shot = _worth(tracks.boxes[at], float(tracks.scores[at]), message)
            if shot > 0 and looks < _MOST and shot > _BETTER * best:
                found.append(int(at))
        return found

    def add(
        self, message: TrackMessage, at: int, picture: NDArray[np.uint8]
    ) -> tuple[int, str, str]:
        """Look at a track in its picture, uint8 (H, W, 3) BGR; return its id, upper and lower."""
        tracks, track_id = message.tracks, int(message.tracks.track_ids[at])
        shot = _worth(tracks.boxes[at], float(tracks.scores[at]), message)
        self._best[track_id] = shot, self._best.get(track_id, (0.0, 0))[1] + 1
        height, width = picture.shape[:2]
        x1, y1, x2, y2 = np.clip(tracks.boxes[at], 0, [width, height, width, height]).astype(int)
        name = message.names.get(int(tracks.class_ids[at]), "")
        shares = votes(picture[y1:y2, x1:x2], name)
        shares *= shot
        if track_id in self._sums:
            shares += self._sums[track_id]
        self._sums[track_id] = shares
        upper, lower = words(self._sums[track_id])
        for known in (self._best, self._sums):
            while len(known) > _MAX_KNOWN:
                del known[next(iter(known))]
        return track_id, upper, lower

    def spent(self, now_ns: int, cost_ns: int) -> None:
        """Wait before the next look, longer after a costly one. cost_ns: CPU time, ns."""
        self._next_ns = now_ns + max(_REST_NS, _SHARE * cost_ns)


def _worth(box: NDArray[np.float32], score: float, message: TrackMessage) -> float:
    """Return how good a shot is; 0 where it is too small."""
    x1, y1, x2, y2 = box.tolist()
    if min(x2 - x1, y2 - y1) < _LEAST_PX:
        return 0.0
    cut = x1 < 2 or y1 < 2 or x2 > message.width - 2 or y2 > message.height - 2
    return score * (x2 - x1) * (y2 - y1) * (0.25 if cut else 1.0)
