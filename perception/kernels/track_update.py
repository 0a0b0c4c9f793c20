"""A frame's matched boxes taken into their tracks, and all tracks moved through their states.

Compiled into kernels/tracking.py. Numpy and numba only.
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
    SURPRISE,
    TENTATIVE,
    TRIAL,
    TRIALS_FAILED,
    TRIALS_KEPT,
    VOTED,
    VOTES,
    WEIGHT,
)

HIDDEN_COVER = 0.7
"""Share of a track that another one's box covers, above which it is hidden rather than gone."""
GLIMPSE_NS = 200_000_000
"""Unseen longer, what was seen just once is given up: nobody waits for a detector's flash."""


@inner
def _vote(states, marks, row, class_id, weight):
    """Give a class a vote; the track's class is the one with most of SLOTS (Misra-Gries)."""
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
def _see(states, marks, i, boxes, j, source, now):
    """Write down that track i was seen as box j."""
    for c in range(4):
        states[i, LAST + c] = boxes[j, c]
    states[i, SCORE] = boxes[j, BOX_SCORE]
    marks[i, SEEN] = now
    marks[i, ROW] = source
    _vote(states, marks, i, np.int64(boxes[j, BOX_CLASS]), max(boxes[j, BOX_SCORE], 1e-3))


@inner
def _surprise(row, cx, cy, w, h, noise, first, settings):
    """Compare how far a box lies from its prediction with how far the last one lay.

    Same side again and again: the filter lags, trust measurements more. To and fro: trust them
    less. A pair counts between -1 and 1, so no outlier rules, and size of noise does not matter.
    """
    z = (cx, cy, w, h)
    side = (max(row[10], 1.0), max(row[15], 1.0))
    for c in range(4):
        spread = np.sqrt(row[5 * c + 2] + (noise * side[c & 1]) ** 2)
        now = (z[c] - row[5 * c]) / spread
        before = row[SURPRISE + c]
        if not first and before != 0.0:
            settings[AGREEMENT] += 2.0 * now * before / (now * now + before * before + 1e-9)
            settings[WEIGHT] += 1.0
        row[SURPRISE + c] = now


@inner
def _is_hidden(row, boxes, track_of):
    """Whether one box that belongs to a track covers most of a state."""
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
def _update(states, marks, m, boxes, source, matching, settings, book):
    """Take matched boxes in and move all tracks through their states."""
    box_of, track_of = matching
    now = book[NOW]
    noise = settings[NOISE] * settings[FACTOR]
    for i in range(m):
        j = box_of[i]
        unseen = now - marks[i, SEEN]
        if j >= 0:
            x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
            cx, cy, w, h = (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
            _surprise(states[i], cx, cy, w, h, noise, marks[i, ROW] < 0, settings)
            _correct(states[i], cx, cy, w, h, noise)
            _see(states, marks, i, boxes, j, source[j], now)
            book[TRIALS_KEPT] += marks[i, TRIAL]
            marks[i, TRIAL] = 0
            if marks[i, STATE] != TENTATIVE or now - marks[i, BORN] >= settings[CONFIRM_NS]:
                marks[i, STATE] = CONFIRMED
            continue
        marks[i, ROW] = -1
        is_glimpse = marks[i, SEEN] == marks[i, BORN] and unseen > GLIMPSE_NS
        if marks[i, STATE] == TENTATIVE or is_glimpse or unseen > settings[LOST_NS]:
            marks[i, STATE] = REMOVED
            book[TRIALS_FAILED] += marks[i, TRIAL]
            marks[i, TRIAL] = 0
        elif unseen > settings[COAST_NS] and not (
            marks[i, STATE] == CONFIRMED
            and unseen <= settings[HIDDEN_NS]
            and _is_hidden(states[i], boxes, track_of)
        ):
            marks[i, STATE] = LOST
