"""One frame of multi-object tracking: predict, match, update, all over arrays, compiled.

Imports numpy and numba only. trackers/two_stage.py owns the arrays and is the public door; what
their columns mean stands in track_layout.py. All times are media time, never a number of frames.

Source: see track_*.py and kalman.py; noise that follows from what successive innovations
have in common: Mehra 1970 (doi 10.1109/TAC.1970.1099422).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perception.kernels.assignment import inner
from perception.kernels.association import PAIR_WIDTH
from perception.kernels.kalman import _predict, _warp
from perception.kernels.track_birth import _give_birth
from perception.kernels.track_intake import _take_in
from perception.kernels.track_layout import (
    ACCELERATION,
    AGREEMENT,
    BORN,
    CLASS,
    COUNT,
    COUNTERS_END,
    DT,
    EPOCH,
    FACTOR,
    FRAMES,
    HEAD,
    LAST,
    NOT_FINITE,
    NOW,
    NUMBER,
    REMOVED,
    ROW,
    SCORE,
    SEEN,
    STATE,
    WALK,
    WARP,
    WARPED,
    WEIGHT,
    WIDTH,
)
from perception.kernels.track_matching import MOST_PAIRS, _match
from perception.kernels.track_update import _update

BUILT_FROM = "88e1da6e7272"
"""Digest of the files that `step` is compiled from beside this one. Numba's cache looks at the text
of this file alone: after a change there, write what the test of the tracker says here."""
MEMORY_S = 2.0
"""How long agreement between surprises is remembered."""
PRIOR = 50.0
"""How many agreeing coordinates it takes to be half believed."""
PACE = 1.5
"""How fast the noise follows: its logarithm per second at full agreement."""
LEAST_FACTOR, MOST_FACTOR = 0.25, 4.0


@inner
def _advance(states, marks, m, settings, is_warped):
    """Carry all tracks along with the camera and ahead in time."""
    for i in range(m):
        row = states[i]
        if is_warped:
            _warp(row, settings[WARP:])
            a, b, c, d = settings[WARP], settings[WARP + 1], settings[WARP + 3], settings[WARP + 4]
            for k in (LAST, LAST + 2):
                x, y = row[k], row[k + 1]
                row[k] = a * x + b * y + settings[WARP + 2]
                row[k + 1] = c * x + d * y + settings[WARP + 5]
        if marks[i, ROW] < 0:
            # Growth is the least known of the rates: out of sight it would run away.
            row[11] = row[16] = 0.0
        _predict(row, settings[DT], settings[WALK], settings[ACCELERATION])


@inner
def _adapt(settings):
    """Let the measurement noise of this camera follow the agreement of surprises."""
    lean = settings[AGREEMENT] / (settings[WEIGHT] + PRIOR)
    factor = settings[FACTOR] * np.exp(-PACE * lean * min(settings[DT], MEMORY_S / 10.0))
    settings[FACTOR] = min(max(factor, LEAST_FACTOR), MOST_FACTOR)
    fade = np.exp(-settings[DT] / MEMORY_S)
    settings[AGREEMENT] *= fade
    settings[WEIGHT] *= fade


def rooms(rows: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return work and room for `step`: enough while tracks and detections are at most `rows`.

    Reserved, not filled: memory is touched only as far as a frame's pairs reach.
    """
    work = np.empty(((2 * MOST_PAIRS + 2) * rows, PAIR_WIDTH))
    return work, np.empty(2 * (MOST_PAIRS + 8) * rows + 2, np.int64)


@njit(
    "i8(f8[:, ::1], f8[:, ::1], i8[::1], f4[:, ::1], f4[::1], i4[::1], i4[::1], i8)",
    cache=True,
    _nrt=False,
)
def step(table, work, room, seen, scores, class_ids, groups, gone_ns):
    """Take one frame's detections in: seen (N, 4) xyxy px, the others (N). Return how many tracks.

    table has rows for N more tracks; work and room come from `rooms`. Classes of one group may be
    one object. gone_ns: media time since the last step. Removed tracks stay until `report`. Raises
    ValueError where the shapes disagree.
    """
    ints = table.view(np.int64)
    settings, book, states, marks = table[0], ints[0], table[HEAD:], ints[HEAD:]
    n, m = scores.shape[0], book[COUNT]
    if seen.shape != (n, 4) or class_ids.shape[0] != n or groups.shape[0] != n:
        raise ValueError("boxes (N, 4), scores (N) and class ids (N) do not agree")
    book[NOW] += gone_ns
    settings[DT] = gone_ns * 1e-9
    is_warped = settings[WARPED] > 0.0
    settings[WARPED] = 0.0
    half = room.shape[0] // 2
    floats, room = room.view(np.float64)[half:], room[:half]
    source, box_of, room = room[:n], room[n : n + m], room[n + m :]
    n = _take_in(seen, scores, class_ids, groups, work, source, book, room)
    boxes, work, track_of, room = work[:n], work[n:], room[:n], room[n:]
    _advance(states, marks, m, settings, is_warped)
    _match(states, marks, (settings, book), boxes, work, box_of, track_of, (room, floats))
    _update(states, marks, m, boxes, source, (box_of, track_of), settings, book)
    _adapt(settings)
    _give_birth(states, marks, book, boxes, source, track_of, settings)
    book[FRAMES] += 1
    return book[COUNT]


@njit(
    "i8(f8[:, ::1], i8[::1], f4[:, ::1], f4[:, ::1], i4[::1], f4[::1], u1[::1], f4[::1], f4[::1],"
    " i4[::1])",
    cache=True,
    _nrt=False,
)
def report(table, ids, boxes, rates, class_ids, scores, kinds, ages_s, unseen_s, rows):
    """Write the columns of messages.Tracks, each with a row a track, then drop the removed ones.

    Return the sum of all counters.
    """
    ints = table.view(np.int64)
    book, states, marks = ints[0], table[HEAD:], ints[HEAD:]
    m, now = book[COUNT], book[NOW]
    kept = 0
    for i in range(m):
        w, h = max(states[i, 10], 1.0) / 2.0, max(states[i, 15], 1.0) / 2.0
        boxes[i, 0], boxes[i, 1] = states[i, 0] - w, states[i, 5] - h
        boxes[i, 2], boxes[i, 3] = states[i, 0] + w, states[i, 5] + h
        for c in range(4):
            rates[i, c] = states[i, 5 * c + 1]
        ids[i] = book[EPOCH] << 32 | marks[i, NUMBER]
        class_ids[i], rows[i], kinds[i] = marks[i, CLASS], marks[i, ROW], marks[i, STATE]
        scores[i] = states[i, SCORE]
        ages_s[i] = (now - marks[i, BORN]) * 1e-9
        unseen_s[i] = (now - marks[i, SEEN]) * 1e-9
        if marks[i, STATE] != REMOVED:
            if kept < i:
                for c in range(WIDTH):
                    marks[kept, c] = marks[i, c]
            kept += 1
    book[COUNT] = kept
    counted = 0
    for c in range(NOT_FINITE, COUNTERS_END):
        counted += book[c]
    return counted
