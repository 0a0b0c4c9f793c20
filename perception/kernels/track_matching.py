"""Who is who: the stages in which a frame's boxes are given to tracks. Numpy and numba only.

Source: two score stages, ByteTrack (arXiv 2110.06864); overlap x height overlap x score,
Hybrid-SORT (arXiv 2308.00783); a second look at the place where a track was last seen, OC-SORT
(arXiv 2203.14360). What each is worth here: benchmarks/README.md, Tracking.
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
from perception.kernels.track_shift import NEAR_S, _carry_on, _keep_pace, _shake

MOST_PAIRS = 64
"""Pairs a track or box may have on average; beyond that they are counted and left out."""
CROWD_IOU = 0.05
"""Overlap from which a track counts among those that crowd a box."""
OTHER_CLASS_IOU = 0.7
"""Overlap from which a box of another class continues a track that nothing else continues: a
detector that wavers between car and truck sees one object."""
TRUST = 4.0
"""How much more the claim of a track of TRUST_NS counts than that of one just born."""


@inner
def _pair(where, m, boxes, n, pairs, book, room):
    """Fill pairs by a sweep; return how many there are and count what found no room."""
    most = MOST_PAIRS * (m + n)
    found = _sweep(where, m, boxes, n, pairs[:most], room)
    if found > most:
        book[PAIRS_FULL] += found - most
        found = most
    return found


@inner
def _place(states, m, where):
    """Fill where, (M, 4), with the boxes xyxy of the states."""
    for i in range(m):
        w, h = max(states[i, 10], 1.0) / 2.0, max(states[i, 15], 1.0) / 2.0
        where[i, 0], where[i, 1] = states[i, 0] - w, states[i, 5] - h
        where[i, 2], where[i, 3] = states[i, 0] + w, states[i, 5] + h


@inner
def _gain(marks, boxes, i, j, settings, now, stage):
    """Return the score that counts for a pair in a stage, or -1 where it may not match.

    0: high scores, confirmed and lost tracks. 1: low scores, the same tracks. 2: high scores,
    where those were last seen. 3: high scores, tentative tracks. 4: high scores of another class,
    all tracks.
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
def _crowd(marks, boxes, n, pairs):
    """Count for each box the tracks that overlap it."""
    for j in range(n):
        boxes[j, BOX_CROWD] = 0.0
    for e in range(pairs.shape[0]):
        if pairs[e, PAIR_IOU] > CROWD_IOU and marks[np.int64(pairs[e, PAIR_A]), STATE] != TENTATIVE:
            boxes[np.int64(pairs[e, PAIR_B]), BOX_CROWD] += 1.0


@inner
def _contest(pairs, left, starts, box_of, track_of, room):
    """Assign among the pairs that share a track or a box with another one; starts: how many."""
    m, n = box_of.shape[0], track_of.shape[0]
    ints, floats = room
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
def _stage(marks, boxes, pairs, settings, now, stage, matching, room):
    """Assign among pairs above the gate of a stage whose two ends are free."""
    box_of, track_of = matching
    m, n = box_of.shape[0], track_of.shape[0]
    ints, floats = room
    starts, rivals, ints = ints[: m + 1], ints[m + 1 : m + 1 + n], ints[m + 1 + n :]
    starts[:] = 0
    rivals[:] = 0
    gate = OTHER_CLASS_IOU
    if stage < 4:
        gate = settings[GATE + stage] * (NEAR_S / max(settings[DT], NEAR_S))
    left = 0
    for e in range(pairs.shape[0]):
        i, j = np.int64(pairs[e, PAIR_A]), np.int64(pairs[e, PAIR_B])
        pairs[e, PAIR_GAIN] = 0.0
        if box_of[i] >= 0 or track_of[j] >= 0:
            continue
        score = _gain(marks, boxes, i, j, settings, now, stage)
        if score < 0.0:
            continue
        overlap = pairs[e, PAIR_IOU]
        if stage != 1 and stage != 4:
            overlap = overlap * pairs[e, PAIR_HEIGHT] * score
        least = gate
        if marks[i, ROW] < 0 and boxes[j, BOX_CROWD] > 1.0:
            # Out of sight it may be anywhere, and somebody else is here.
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
        _contest(pairs, left, starts, box_of, track_of, (ints, floats))


@inner
def _return(states, marks, work, boxes, settings, book, box_of, track_of, room):
    """Look for unmatched tracks where they were last seen: who is hidden often stands still."""
    m, n = box_of.shape[0], track_of.shape[0]
    ints, floats = room
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
    where, some, pairs = work[:k], work[k : k + p], work[k + p :]
    for i in range(k):
        for c in range(4):
            where[i, c] = states[tracks[i], LAST + c]
    for j in range(p):
        for c in range(4):
            some[j, c] = boxes[free[j], c]
    found = _pair(where, k, some, p, pairs, book, ints)
    for e in range(found):
        pairs[e, PAIR_A] = tracks[np.int64(pairs[e, PAIR_A])]
        pairs[e, PAIR_B] = free[np.int64(pairs[e, PAIR_B])]
    _crowd(marks, boxes, n, pairs[:found])
    matching, room = (box_of, track_of), (ints, floats)
    _stage(marks, boxes, pairs[:found], settings, book[NOW], np.int64(2), matching, room)


@inner
def _match(states, marks, head, boxes, work, box_of, track_of, room):
    """Give boxes to predicted tracks in five stages. box_of (M), track_of (N): -1 where none."""
    settings, book = head
    m, n, now = box_of.shape[0], track_of.shape[0], book[NOW]
    box_of[:] = -1
    track_of[:] = -1
    dx, dy = _carry_on(states, marks, m, boxes, settings)
    _keep_pace(settings, dx, dy)
    if m == 0 or n == 0:
        return
    where, work = work[:m], work[m:]
    is_shaken = False
    while True:
        _place(states, m, where)
        found = _pair(where, m, boxes, n, work, book, room[0])
        pairs = work[:found]
        _crowd(marks, boxes, n, pairs)
        _stage(marks, boxes, pairs, settings, now, np.int64(0), (box_of, track_of), room)
        if is_shaken:
            break
        x, y = _shake(states, marks, m, boxes, box_of, room)
        if x == 0.0 and y == 0.0:
            break
        _keep_pace(settings, dx + x, dy + y)
        is_shaken = True
        box_of[:] = -1
        track_of[:] = -1
    for stage in range(1, 5):
        if stage == 2:
            rest = work[found:]
            _return(states, marks, rest, boxes, settings, book, box_of, track_of, room)
        else:
            _stage(marks, boxes, pairs, settings, now, stage, (box_of, track_of), room)
