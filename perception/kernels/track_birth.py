"""Starts new tracks: which unmatched boxes start one, and which new tracks are confirmed at once.

Compiled into kernels/tracking.py. Imports numpy and numba only.
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
from perception.kernels.track_update import _record_sighting

DUPLICATE_IOU = 0.55
"""IoU above which a box is a duplicate of another one (benchmarks/README, each idea alone)."""
ALLOWED_FAILURES = 1
"""Trials are tracks that were confirmed at once because their first box was sure and clear. They
are allowed while failed trials (not seen again) exceed the kept ones by at most this number."""
CLEAR_IOU = 0.3
"""IoU with a visible track above which a new box may be a second part of that track's object."""


@inner
def _is_duplicate(boxes, j, track_of):
    """Return whether box j is a duplicate: a matched box of its group, scored no less, overlaps it.

    Source: Shim et al. 2025, TrackTrack (CVPR), which suppresses among all tracks instead.
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
        if x * y > DUPLICATE_IOU * (area + other - x * y):
            return True
    return False


@inner
def _is_clear(states, marks, m, boxes, j, oldest):
    """Return whether box j overlaps no missing track, and no visible track by more than CLEAR_IOU.

    A track last seen before the time `oldest` does not count.
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
def _start_tracks(states, marks, counts, boxes, source, track_of, settings):
    """Start tracks at unmatched boxes. With CONFIRM_NS 0 those of the first frame are confirmed.

    In later frames a new track is confirmed at once where its box is clear and its score is above
    SURE, as long as most such tracks of this camera were seen again. That saves one frame of delay.
    """
    m, now, is_first = counts[COUNT], counts[NOW], counts[FRAMES] == 0
    is_trusted = counts[TRIALS_FAILED] <= counts[TRIALS_KEPT] + ALLOWED_FAILURES
    sure = np.inf if settings[CONFIRM_NS] > 0.0 or settings[SURE] >= 1.0 else settings[SURE]
    oldest = now - np.int64(settings[LOST_NS])
    for j in range(track_of.shape[0]):
        if track_of[j] >= 0 or boxes[j, BOX_SCORE] < settings[NEW]:
            continue
        if _is_duplicate(boxes, j, track_of):
            continue
        if m >= settings[LIMIT]:
            counts[TRACKS_FULL] += 1
            continue
        marks[m, :] = 0
        x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        # Twice the measurement noise: the first box of a track is less certain.
        _begin(states[m], cx, cy, x2 - x1, y2 - y1, 2 * settings[NOISE], settings[SPEED])
        marks[m, NUMBER] = counts[NEXT]
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
        _record_sighting(states, marks, m, boxes, j, source[j], now)
        counts[NEXT] += 1
        m += 1
    counts[COUNT] = m
