"""Who is who: the stages in which a frame's boxes are given to tracks. Numpy and numba only.

Source: two score stages, ByteTrack (arXiv 2110.06864); overlap x height overlap x score,
Hybrid-SORT (arXiv 2308.00783); a second look at the place where a track was last seen, OC-SORT
(arXiv 2203.14360). What each is worth here: benchmarks/README.md, Tracking.
"""

import numpy as np

from perception.kernels.assignment import _assign
from perception.kernels.association import _sweep, inner
from perception.kernels.track_layout import (
    BOX_GROUP,
    BOX_SCORE,
    DT,
    GATE,
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
)

MOST_PAIRS = 64
"""Pairs a track or box may have on average; beyond that they are counted and left out."""
SHAKE_TRACKS = 6
"""Fewest tracks whose common shift is believed to be the camera's."""
SHAKE_DEVIATIONS = 4.0
"""How many standard errors of the median that shift must reach."""
NEAR_S = 0.15
"""Frames further apart than this lower all gates in proportion: what was seen .4 s ago may be
anywhere. Worth 1.1 HOTA on kitti with every second frame lost, .9 on mot15 (benchmarks/README)."""


@inner
def _pair(where, m, boxes, n, book):
    """Return pairs and overlaps of a sweep, as many as there are; count what found no room."""
    room = 8 * (m + n) + 64
    pairs, overlaps = np.empty((room, 2), np.int64), np.empty((room, 2))
    found = _sweep(where, m, boxes, n, pairs, overlaps)
    if found > room:
        # A crowd: once more with more room, though never with all of n times n.
        room = min(found, MOST_PAIRS * (m + n))
        pairs, overlaps = np.empty((room, 2), np.int64), np.empty((room, 2))
        _sweep(where, m, boxes, n, pairs, overlaps)
        book[PAIRS_FULL] += found - room
        found = room
    return pairs[:found], overlaps[:found]


@inner
def _place(states, m, where):
    """Fill where, (M, 4), with the boxes xyxy of the states."""
    for i in range(m):
        w, h = max(states[i, 10], 1.0) / 2.0, max(states[i, 15], 1.0) / 2.0
        where[i, 0], where[i, 1] = states[i, 0] - w, states[i, 5] - h
        where[i, 2], where[i, 3] = states[i, 0] + w, states[i, 5] + h


@inner
def _solve(marks, boxes, pairs, gains, found, box_of, track_of):
    """Assign among pairs with a gain above zero whose two ends are free, and note it in *_of."""
    m, n = box_of.shape[0], track_of.shape[0]
    starts = np.zeros(m + 1, np.int64)
    for e in range(found):
        i, j = pairs[e, 0], pairs[e, 1]
        if marks[i, GROUP] != boxes[j, BOX_GROUP] or box_of[i] >= 0 or track_of[j] >= 0:
            gains[e] = 0.0
        if gains[e] > 0.0:
            starts[i + 1] += 1
    for i in range(m):
        starts[i + 1] += starts[i]
    if starts[m] == 0:
        return
    fill = starts.copy()
    columns = np.empty(starts[m], np.int64)
    values = np.empty(starts[m])
    for e in range(found):
        if gains[e] > 0.0:
            at = fill[pairs[e, 0]]
            columns[at] = pairs[e, 1]
            values[at] = gains[e]
            fill[pairs[e, 0]] += 1
    row_of, column_of = np.empty(n, np.int64), np.empty(m, np.int64)
    _assign(starts, columns, values, row_of, column_of)
    for i in range(m):
        j = column_of[i]
        if j >= 0:
            box_of[i] = j
            track_of[j] = i


@inner
def _gain(marks, boxes, pairs, overlaps, gains, settings, now, stage):
    """Fill gains with how far each pair lies above the gate of a stage; 0: it may not match.

    0: high scores, confirmed and lost tracks. 1: low scores, the same tracks. 2: high scores,
    where those were last seen. 3: high scores, tentative tracks.
    """
    gate = settings[GATE + stage] * (NEAR_S / max(settings[DT], NEAR_S))
    for e in range(gains.shape[0]):
        i, j = pairs[e, 0], pairs[e, 1]
        score = boxes[j, BOX_SCORE]
        high = score >= settings[HIGH]
        gains[e] = 0.0
        if (marks[i, STATE] == TENTATIVE) != (stage == 3) or score < settings[LOW]:
            continue
        if high == (stage == 1) or now - marks[i, SEEN] > settings[LOST_NS]:
            continue
        if stage == 1:
            gains[e] = overlaps[e, 0] - gate
        else:
            gains[e] = overlaps[e, 0] * overlaps[e, 1] * score - gate


@inner
def _median(line):
    """Return the median of at least one number; their order is spent. Quickselect, Hoare 1961."""
    low, high, k = 0, line.shape[0] - 1, line.shape[0] // 2
    while low < high:
        pivot = line[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while line[i] < pivot:
                i += 1
            while line[j] > pivot:
                j -= 1
            if i <= j:
                line[i], line[j] = line[j], line[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    above = below = line[k]
    if line.shape[0] % 2 == 0:
        below = line[0]
        for i in range(1, k):
            below = max(below, line[i])
    return (above + below) / 2.0


@inner
def _shake(states, marks, m, boxes, box_of):
    """Move all tracks by what their first matches have in common, if it is surely more than chance.

    A shift shared by many tracks is the camera's: it says nothing of their own speeds. Returns
    whether anything moved, so that the first stage has to be done again.
    """
    shifts = np.empty((2, m))
    k = 0
    for i in range(m):
        j = box_of[i]
        if j >= 0 and marks[i, ROW] >= 0:
            shifts[0, k] = (boxes[j, 0] + boxes[j, 2]) / 2.0 - states[i, 0]
            shifts[1, k] = (boxes[j, 1] + boxes[j, 3]) / 2.0 - states[i, 5]
            k += 1
    if k < SHAKE_TRACKS:
        return False
    moved = False
    for axis in range(2):
        line = shifts[axis, :k]
        shift = _median(line)
        for i in range(k):
            line[i] = abs(line[i] - shift)
        spread = _median(line)
        # 1.4826 makes a deviation of a median deviation, 1.25 the error of a median of a mean's.
        if abs(shift) > SHAKE_DEVIATIONS * 1.4826 * 1.25 * spread / np.sqrt(k):
            moved = True
            for i in range(m):
                states[i, 5 * axis] += shift
                states[i, LAST + axis] += shift
                states[i, LAST + 2 + axis] += shift
    return moved


@inner
def _return(states, marks, book, boxes, settings, box_of, track_of):
    """Look for unmatched tracks where they were last seen: who is hidden often stands still."""
    m, n = box_of.shape[0], track_of.shape[0]
    tracks, free = np.empty(m, np.int64), np.empty(n, np.int64)
    k = p = 0
    for i in range(m):
        if box_of[i] < 0 and marks[i, STATE] != TENTATIVE:
            tracks[k] = i
            k += 1
    for j in range(n):
        if track_of[j] < 0 and boxes[j, BOX_SCORE] >= settings[HIGH]:
            free[p] = j
            p += 1
    if k == 0 or p == 0:
        return
    where, some = np.empty((k, 4)), np.empty((p, 4))
    for i in range(k):
        for c in range(4):
            where[i, c] = states[tracks[i], LAST + c]
    for j in range(p):
        for c in range(4):
            some[j, c] = boxes[free[j], c]
    pairs, overlaps = _pair(where, k, some, p, book)
    found = pairs.shape[0]
    for e in range(found):
        pairs[e, 0], pairs[e, 1] = tracks[pairs[e, 0]], free[pairs[e, 1]]
    gains = np.empty(found)
    _gain(marks, boxes, pairs, overlaps, gains, settings, book[NOW], 2)
    _solve(marks, boxes, pairs, gains, found, box_of, track_of)


@inner
def _match(states, marks, book, boxes, settings, box_of, track_of):
    """Give boxes to predicted tracks in four stages. box_of (M), track_of (N): -1 where none."""
    m, n, now = box_of.shape[0], track_of.shape[0], book[NOW]
    box_of[:] = -1
    track_of[:] = -1
    if m == 0 or n == 0:
        return
    where = np.empty((m, 4))
    _place(states, m, where)
    pairs, overlaps = _pair(where, m, boxes, n, book)
    found = pairs.shape[0]
    gains = np.empty(found)
    _gain(marks, boxes, pairs, overlaps, gains, settings, now, 0)
    _solve(marks, boxes, pairs, gains, found, box_of, track_of)
    if _shake(states, marks, m, boxes, box_of):
        box_of[:] = -1
        track_of[:] = -1
        _place(states, m, where)
        pairs, overlaps = _pair(where, m, boxes, n, book)
        found = pairs.shape[0]
        gains = np.empty(found)
        _gain(marks, boxes, pairs, overlaps, gains, settings, now, 0)
        _solve(marks, boxes, pairs, gains, found, box_of, track_of)
    _gain(marks, boxes, pairs, overlaps, gains, settings, now, 1)
    _solve(marks, boxes, pairs, gains, found, box_of, track_of)
    _return(states, marks, book, boxes, settings, box_of, track_of)
    _gain(marks, boxes, pairs, overlaps, gains, settings, now, 3)
    _solve(marks, boxes, pairs, gains, found, box_of, track_of)
