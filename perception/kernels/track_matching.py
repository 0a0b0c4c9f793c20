"""Data association: the stages that match the boxes of a frame to tracks.

Source: two score stages, ByteTrack (arXiv 2110.06864); IoU x height IoU x score, Hybrid-SORT
(arXiv 2308.00783); matching with the last seen box, OC-SORT (arXiv 2203.14360). The gain of each
idea: benchmarks/README.md, Tracking. Compiled into kernels/tracking.py. Imports numpy and numba
only.
"""

import numpy as np

from perception.kernels.assignment import _assign, inner
from perception.kernels.association import (
    PAIR_A,
    PAIR_B,
    PAIR_GAIN,
    PAIR_HEIGHT,
    PAIR_IOU,
    _sweep,
)
from perception.kernels.track_layout import (
    BORN,
    BOX_CROWD,
    BOX_GROUP,
    BOX_SCORE,
    DT,
    GATE,
    GATE_RISE,
    GROUP,
    HIGH,
    LAST,
    LOST_NS,
    LOW,
    NOW,
    PAIRS_FULL,
    ROW,
    SEEN,
    STATE,
    TENTATIVE,
    TRUST_NS,
)
from perception.kernels.track_shift import GAP_S, _continue_pan, _remove_common_shift, _store_pan

MOST_PAIRS = 64
"""Mean number of pairs for each track and box. Pairs beyond that are counted and left out."""
CROWD_IOU = 0.05
"""IoU above which a track counts in BOX_CROWD of a box."""
OTHER_CLASS_IOU = 0.7
"""IoU above which a box of another class is matched to a track that has no other match. A detector
may call one object a car in one frame and a truck in the next."""
TRUST = 4.0
"""Factor on the gain of a track of age TRUST_NS or more. It rises linearly from 1 at age 0."""


@inner
def _find_pairs(track_boxes, m, boxes, n, pairs, counts, scratch):
    """Write the overlapping pairs to pairs. Return how many; count those beyond MOST_PAIRS."""
    most = MOST_PAIRS * (m + n)
    found = _sweep(track_boxes, m, boxes, n, pairs[:most], scratch)
    if found > most:
        counts[PAIRS_FULL] += found - most
        found = most
    return found


@inner
def _fill_boxes(states, m, track_boxes):
    """Write the predicted boxes xyxy of the tracks to track_boxes (M, 4)."""
    for i in range(m):
        w, h = max(states[i, 10], 1.0) / 2.0, max(states[i, 15], 1.0) / 2.0
        track_boxes[i, 0], track_boxes[i, 1] = states[i, 0] - w, states[i, 5] - h
        track_boxes[i, 2], track_boxes[i, 3] = states[i, 0] + w, states[i, 5] + h


@inner
def _score_in_stage(marks, boxes, i, j, settings, now, stage):
    """Return the score of the box where the pair may match in a stage; -1: it may not.

    Stage 0: high scores, confirmed and lost tracks. 1: low scores, the same tracks. 2: high scores,
    the same tracks at their last seen box. 3: high scores, tentative tracks. 4: high scores of
    another class, all tracks.
    """
    score = boxes[j, BOX_SCORE]
    if stage == 4:
        is_other = marks[i, GROUP] != boxes[j, BOX_GROUP]
        is_near = now - marks[i, SEEN] <= settings[LOST_NS]
        return score if is_other and is_near and score >= settings[HIGH] else -1.0
    if (score >= settings[HIGH]) == (stage == 1) or score < settings[LOW]:
        return -1.0
    if (marks[i, STATE] == TENTATIVE) != (stage == 3) or marks[i, GROUP] != boxes[j, BOX_GROUP]:
        return -1.0
    if now - marks[i, SEEN] > settings[LOST_NS]:
        return -1.0
    return score


@inner
def _count_crowd(marks, boxes, n, pairs):
    """Write BOX_CROWD of each box."""
    for j in range(n):
        boxes[j, BOX_CROWD] = 0.0
    for e in range(pairs.shape[0]):
        if pairs[e, PAIR_IOU] > CROWD_IOU and marks[np.int64(pairs[e, PAIR_A]), STATE] != TENTATIVE:
            boxes[np.int64(pairs[e, PAIR_B]), BOX_CROWD] += 1.0


@inner
def _assign_contested(pairs, left, starts, box_of, track_of, scratch):
    """Assign the pairs that share a track or a box with another pair.

    left: how many such pairs there are. starts[i + 1]: how many of track i.
    """
    m, n = box_of.shape[0], track_of.shape[0]
    ints, floats = scratch
    fill, columns, ints = ints[:m], ints[m : m + left], ints[m + left :]
    row_of, column_of, ints = ints[:n], ints[n : n + m], ints[n + m :]
    values, floats = floats[:left], floats[left:]
    for i in range(m):
        fill[i] = starts[i]
        starts[i + 1] += starts[i]
    for e in range(pairs.shape[0]):
        if pairs[e, PAIR_GAIN] > 0.0:
            i = np.int64(pairs[e, PAIR_A])
            columns[fill[i]] = np.int64(pairs[e, PAIR_B])
            values[fill[i]] = pairs[e, PAIR_GAIN]
            fill[i] += 1
    _assign(starts, columns, values, row_of, column_of, floats, ints)
    for i in range(m):
        j = column_of[i]
        if j >= 0:
            box_of[i], track_of[j] = j, i


@inner
def _match_stage(marks, boxes, pairs, settings, now, stage, matching, scratch):
    """Match the free tracks and boxes whose pairs are above the gate of a stage.

    A pair without a rival is matched directly. The others are assigned with the largest sum of
    gains.
    """
    box_of, track_of = matching
    m, n = box_of.shape[0], track_of.shape[0]
    ints, floats = scratch
    starts, rivals, ints = ints[: m + 1], ints[m + 1 : m + 1 + n], ints[m + 1 + n :]
    starts[:] = 0
    rivals[:] = 0
    gate = OTHER_CLASS_IOU
    if stage < 4:
        gate = settings[GATE + stage] * (GAP_S / max(settings[DT], GAP_S))
    left = 0
    for e in range(pairs.shape[0]):
        i, j = np.int64(pairs[e, PAIR_A]), np.int64(pairs[e, PAIR_B])
        pairs[e, PAIR_GAIN] = 0.0
        if box_of[i] >= 0 or track_of[j] >= 0:
            continue
        score = _score_in_stage(marks, boxes, i, j, settings, now, stage)
        if score < 0.0:
            continue
        overlap = pairs[e, PAIR_IOU]
        if stage != 1 and stage != 4:
            overlap = overlap * pairs[e, PAIR_HEIGHT] * score
        least = gate
        if marks[i, ROW] < 0 and boxes[j, BOX_CROWD] > 1.0:
            # An unseen track and a box on other tracks: the gate rises with the time unseen.
            lost_s = (now - marks[i, SEEN]) * 1e-9 - settings[DT]
            least = gate * (1.0 + settings[GATE_RISE] * min(lost_s, 1.0))
        if overlap > least:
            age = min((now - marks[i, BORN]) / settings[TRUST_NS], 1.0)
            pairs[e, PAIR_GAIN] = (overlap - least) * (1.0 + (TRUST - 1.0) * age)
            starts[i + 1] += 1
            rivals[j] += 1
            left += 1
    if left == 0:
        return
    for e in range(pairs.shape[0]):
        i, j = np.int64(pairs[e, PAIR_A]), np.int64(pairs[e, PAIR_B])
        if pairs[e, PAIR_GAIN] > 0.0 and starts[i + 1] == 1 and rivals[j] == 1:
            box_of[i], track_of[j] = j, i
            pairs[e, PAIR_GAIN] = 0.0
            starts[i + 1] = 0
            left -= 1
    if left > 0:
        _assign_contested(pairs, left, starts, box_of, track_of, (ints, floats))


@inner
def _match_last_seen(states, marks, work, boxes, settings, counts, box_of, track_of, scratch):
    """Stage 2: match the unmatched tracks at their last seen box. A hidden object often stands."""
    m, n = box_of.shape[0], track_of.shape[0]
    ints, floats = scratch
    tracks, free, ints = ints[:m], ints[m : m + n], ints[m + n :]
    k = p = 0
    for j in range(n):
        if track_of[j] < 0 and boxes[j, BOX_SCORE] >= settings[HIGH]:
            free[p] = j
            p += 1
    if p == 0:
        return
    for i in range(m):
        if box_of[i] < 0 and marks[i, STATE] != TENTATIVE:
            tracks[k] = i
            k += 1
    if k == 0:
        return
    track_boxes, free_boxes, pairs = work[:k], work[k : k + p], work[k + p :]
    for i in range(k):
        for c in range(4):
            track_boxes[i, c] = states[tracks[i], LAST + c]
    for j in range(p):
        for c in range(4):
            free_boxes[j, c] = boxes[free[j], c]
    found = _find_pairs(track_boxes, k, free_boxes, p, pairs, counts, ints)
    for e in range(found):
        pairs[e, PAIR_A] = tracks[np.int64(pairs[e, PAIR_A])]
        pairs[e, PAIR_B] = free[np.int64(pairs[e, PAIR_B])]
    _count_crowd(marks, boxes, n, pairs[:found])
    matching, scratch = (box_of, track_of), (ints, floats)
    _match_stage(marks, boxes, pairs[:found], settings, counts[NOW], np.int64(2), matching, scratch)


@inner
def _match(states, marks, head, boxes, work, box_of, track_of, scratch):
    """Match boxes to predicted tracks in five stages.

    Writes box_of (M,) and track_of (N,); -1: no match. Where the matches of stage 0 show a common
    shift, the tracks are moved by it and stage 0 is repeated once.
    """
    settings, counts = head
    m, n, now = box_of.shape[0], track_of.shape[0], counts[NOW]
    box_of[:] = -1
    track_of[:] = -1
    dx, dy = _continue_pan(states, marks, m, boxes, settings)
    _store_pan(settings, dx, dy)
    if m == 0 or n == 0:
        return
    track_boxes, work = work[:m], work[m:]
    is_shifted = False
    while True:
        _fill_boxes(states, m, track_boxes)
        found = _find_pairs(track_boxes, m, boxes, n, work, counts, scratch[0])
        pairs = work[:found]
        _count_crowd(marks, boxes, n, pairs)
        _match_stage(marks, boxes, pairs, settings, now, np.int64(0), (box_of, track_of), scratch)
        if is_shifted:
            break
        x, y = _remove_common_shift(states, marks, m, boxes, box_of, scratch)
        if x == 0.0 and y == 0.0:
            break
        _store_pan(settings, dx + x, dy + y)
        is_shifted = True
        box_of[:] = -1
        track_of[:] = -1
    for stage in range(1, 5):
        if stage == 2:
            rest = work[found:]
            _match_last_seen(
                states, marks, rest, boxes, settings, counts, box_of, track_of, scratch
            )
        else:
            _match_stage(marks, boxes, pairs, settings, now, stage, (box_of, track_of), scratch)
