"""Corrects matched tracks with their boxes, and changes the state of all tracks.

States: tentative, confirmed, lost, removed. Compiled into kernels/tracking.py. Imports numpy and
numba only.
"""

import numpy as np

from perception.kernels.assignment import inner
from perception.kernels.kalman import _correct
from perception.kernels.track_layout import (
    AGREEMENT,
    BORN,
    BOX_CLASS,
    BOX_SCORE,
    CLASS,
    COAST_NS,
    CONFIRM_NS,
    CONFIRMED,
    FACTOR,
    HIDDEN_NS,
    INNOVATION,
    LAST,
    LOST,
    LOST_NS,
    NOISE,
    NOW,
    REMOVED,
    ROW,
    SCORE,
    SEEN,
    SLOTS,
    STATE,
    TENTATIVE,
    TRIAL,
    TRIALS_FAILED,
    TRIALS_KEPT,
    VOTED,
    VOTES,
    WEIGHT,
)

HIDDEN_COVER = 0.7
"""An unmatched track is occluded where the matched box of another track covers this share of it."""
SINGLE_SIGHTING_NS = 200_000_000
"""A track that was seen once only is removed after this time unseen: it may be a false
detection."""


@inner
def _vote(states, marks, row, class_id, weight):
    """Add a vote of `weight` for a class. The class of the track is the one with most votes.

    At most SLOTS classes are counted; a new one takes over the votes of the smallest (Space-Saving,
    Metwally et al. 2005).
    """
    slot = -1
    least = 0
    for s in range(SLOTS):
        if marks[row, VOTED + s] == class_id and states[row, VOTES + s] > 0.0:
            slot = s
        if states[row, VOTES + s] < states[row, VOTES + least]:
            least = s
    if slot < 0:
        slot = least
        marks[row, VOTED + slot] = class_id
    states[row, VOTES + slot] += weight
    best = 0
    for s in range(1, SLOTS):
        if states[row, VOTES + s] > states[row, VOTES + best]:
            best = s
    marks[row, CLASS] = marks[row, VOTED + best]


@inner
def _record_sighting(states, marks, i, boxes, j, source, now):
    """Record that box j was matched to track i: box, score, time, row, and a vote for its class."""
    for c in range(4):
        states[i, LAST + c] = boxes[j, c]
    states[i, SCORE] = boxes[j, BOX_SCORE]
    marks[i, SEEN] = now
    marks[i, ROW] = source
    _vote(states, marks, i, np.int64(boxes[j, BOX_CLASS]), max(boxes[j, BOX_SCORE], 1e-3))


@inner
def _compare_innovations(row, cx, cy, w, h, noise, first, settings):
    """Add the agreement of this innovation with the last one to AGREEMENT, for cx, cy, w, h.

    Agreement is 2 a b / (a^2 + b^2) of two normalised innovations: 1 for equal ones, -1 for
    opposite ones. It is bounded, so an outlier counts no more than others, and it does not depend
    on the size of the noise. Positive: the filter lags and measurements should count more.
    Negative: less.
    """
    z = (cx, cy, w, h)
    side = (max(row[10], 1.0), max(row[15], 1.0))
    for c in range(4):
        spread = np.sqrt(row[5 * c + 2] + (noise * side[c & 1]) ** 2)
        now = (z[c] - row[5 * c]) / spread
        before = row[INNOVATION + c]
        if not first and before != 0.0:
            settings[AGREEMENT] += 2.0 * now * before / (now * now + before * before + 1e-9)
            settings[WEIGHT] += 1.0
        row[INNOVATION + c] = now


@inner
def _is_hidden(row, boxes, track_of):
    """Return whether one matched box covers at least HIDDEN_COVER of a track's predicted box."""
    w, h = max(row[10], 1.0), max(row[15], 1.0)
    x1, y1, x2, y2 = row[0] - w / 2.0, row[5] - h / 2.0, row[0] + w / 2.0, row[5] + h / 2.0
    for j in range(track_of.shape[0]):
        # Boxes are sorted by their left side.
        if boxes[j, 0] >= x2:
            return False
        if track_of[j] < 0:
            continue
        x = min(x2, boxes[j, 2]) - max(x1, boxes[j, 0])
        y = min(y2, boxes[j, 3]) - max(y1, boxes[j, 1])
        if x > 0.0 and y > 0.0 and x * y >= HIDDEN_COVER * w * h:
            return True
    return False


@inner
def _update(states, marks, m, boxes, source, matching, settings, counts):
    """Correct the matched tracks, and change the state of all tracks."""
    box_of, track_of = matching
    now = counts[NOW]
    noise = settings[NOISE] * settings[FACTOR]
    for i in range(m):
        j = box_of[i]
        unseen = now - marks[i, SEEN]
        if j >= 0:
            x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
            cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
            _compare_innovations(states[i], cx, cy, w, h, noise, marks[i, ROW] < 0, settings)
            _correct(states[i], cx, cy, w, h, noise)
            _record_sighting(states, marks, i, boxes, j, source[j], now)
            counts[TRIALS_KEPT] += marks[i, TRIAL]
            marks[i, TRIAL] = 0
            if marks[i, STATE] != TENTATIVE or now - marks[i, BORN] >= settings[CONFIRM_NS]:
                marks[i, STATE] = CONFIRMED
            continue
        marks[i, ROW] = -1
        is_single = marks[i, SEEN] == marks[i, BORN] and unseen > SINGLE_SIGHTING_NS
        if marks[i, STATE] == TENTATIVE or is_single or unseen > settings[LOST_NS]:
            marks[i, STATE] = REMOVED
            counts[TRIALS_FAILED] += marks[i, TRIAL]
            marks[i, TRIAL] = 0
        elif unseen > settings[COAST_NS] and not (
            marks[i, STATE] == CONFIRMED
            and unseen <= settings[HIDDEN_NS]
            and _is_hidden(states[i], boxes, track_of)
        ):
            marks[i, STATE] = LOST
