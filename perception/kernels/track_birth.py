"""Tracks that begin: which of the boxes that belong to none may, and which are believed at once.

Compiled into kernels/tracking.py. Numpy and numba only.
"""

import numpy as np

from perception.kernels.assignment import inner
from perception.kernels.kalman import _begin
from perception.kernels.track_layout import (
    BORN,
    BOX_GROUP,
    BOX_SCORE,
    CONFIRM_NS,
    CONFIRMED,
    COUNT,
    FRAMES,
    GROUP,
    LIMIT,
    LOST_NS,
    NEW,
    NEXT,
    NOISE,
    NOW,
    NUMBER,
    ROW,
    SEEN,
    SPEED,
    STATE,
    SURE,
    TENTATIVE,
    TRACKS_FULL,
    TRIAL,
    TRIALS_FAILED,
    TRIALS_KEPT,
)
from perception.kernels.track_update import _see

TWIN_IOU = 0.55
"""Overlap above which a box is another one's double (benchmarks/README, each idea alone)."""
FREE_FAILURES = 1
"""So many clear boxes with a high score may vanish more than were seen again; then the next one
has to be seen twice like any other box."""
CLEAR_IOU = 0.3
"""Overlap with a track in sight above which a new box may be that one's, seen in two parts."""


@inner
def _is_double(boxes, j, track_of):
    """Whether box j lies on one of its group that scored no less and belongs to a track.

    Source: Shim et al. 2025, TrackTrack (CVPR), there by suppression among all tracks.
    """
    area = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
    for k in range(track_of.shape[0]):
        # Boxes are sorted by their left side.
        if boxes[k, 0] >= boxes[j, 2]:
            return False
        if track_of[k] < 0 or boxes[k, BOX_SCORE] < boxes[j, BOX_SCORE]:
            continue
        x = min(boxes[j, 2], boxes[k, 2]) - max(boxes[j, 0], boxes[k, 0])
        y = min(boxes[j, 3], boxes[k, 3]) - max(boxes[j, 1], boxes[k, 1])
        if x <= 0.0 or y <= 0.0 or boxes[k, BOX_GROUP] != boxes[j, BOX_GROUP]:
            continue
        other = (boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1])
        if x * y > TWIN_IOU * (area + other - x * y):
            return True
    return False


@inner
def _is_clear(states, marks, m, boxes, j, oldest):
    """Whether box j is nobody else's: where no missing track may be, and hardly over one seen.

    Those seen before the time `oldest` are not missing but gone.
    """
    x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
    for i in range(m):
        w, h = max(states[i, 10], 1.0), max(states[i, 15], 1.0)
        x = min(x2, states[i, 0] + w / 2.0) - max(x1, states[i, 0] - w / 2.0)
        y = min(y2, states[i, 5] + h / 2.0) - max(y1, states[i, 5] - h / 2.0)
        if x <= 0.0 or y <= 0.0 or marks[i, SEEN] < oldest:
            continue
        if marks[i, ROW] < 0 or x * y > CLEAR_IOU * ((x2 - x1) * (y2 - y1) + w * h - x * y):
            return False
    return True


@inner
def _give_birth(states, marks, book, boxes, source, track_of, settings):
    """Start tracks at boxes that belong to none; in the very first frame they are confirmed.

    Later a clear box with a high score is confirmed at once, as long as such boxes of this camera
    mostly were seen again: at 10 Hz a second look costs a tenth of a second.
    """
    m, now, is_first = book[COUNT], book[NOW], book[FRAMES] == 0
    is_trusted = book[TRIALS_FAILED] <= book[TRIALS_KEPT] + FREE_FAILURES
    sure = np.inf if settings[CONFIRM_NS] > 0.0 or settings[SURE] >= 1.0 else settings[SURE]
    oldest = now - np.int64(settings[LOST_NS])
    for j in range(track_of.shape[0]):
        if track_of[j] >= 0 or boxes[j, BOX_SCORE] < settings[NEW]:
            continue
        if _is_double(boxes, j, track_of):
            continue
        if m >= settings[LIMIT]:
            book[TRACKS_FULL] += 1
            continue
        marks[m, :] = 0
        x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        # Twice the noise: nothing yet says that the first box was a good one.
        _begin(states[m], cx, cy, x2 - x1, y2 - y1, 2 * settings[NOISE], settings[SPEED])
        marks[m, NUMBER] = book[NEXT]
        marks[m, STATE] = TENTATIVE
        if is_first:
            if settings[CONFIRM_NS] <= 0.0:
                marks[m, STATE] = CONFIRMED
        elif boxes[j, BOX_SCORE] > sure and _is_clear(states, marks, m, boxes, j, oldest):
            marks[m, TRIAL] = 1
            if is_trusted:
                marks[m, STATE] = CONFIRMED
        marks[m, BORN] = now
        marks[m, GROUP] = np.int64(boxes[j, BOX_GROUP])
        _see(states, marks, m, boxes, j, source[j], now)
        book[NEXT] += 1
        m += 1
    book[COUNT] = m
