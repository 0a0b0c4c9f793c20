"""One frame of multi-object tracking as one compiled function: predict, match, correct, start.

trackers/two_stage.py owns the arrays and has the public class. track_layout.py lists the columns.
All times are media time, not numbers of frames. Imports numpy and numba only.

Source: see track_*.py and kalman.py. Measurement noise adapted from the correlation of successive
innovations: Mehra 1970 (doi 10.1109/TAC.1970.1099422).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perception.kernels.assignment import inner
from perception.kernels.association import PAIR_WIDTH
from perception.kernels.kalman import _predict, _warp
from perception.kernels.track_birth import _start_tracks
from perception.kernels.track_intake import _clean
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

BUILT_FROM = "5eb14231a725"
"""Digest of the other files that `step` is compiled from. Numba's cache checks the text of this
file only. After a change of the others, tests/unit/test_tracker.py prints the value to write
here."""
MEMORY_S = 2.0
"""Time constant of the sum of agreements."""
PRIOR_WEIGHT = 50.0
"""The mean agreement is the sum by the number of coordinates plus this."""
NOISE_RATE = 1.5
"""Change of log(noise factor) per second at a mean agreement of 1."""
LEAST_FACTOR, MOST_FACTOR = 0.25, 4.0
"""Bounds of the noise factor."""


@inner
def _advance(states, marks, m, settings, is_warped):
    """Map all tracks by the camera's warp and predict them to this frame."""
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
            # Not seen: the rates of width and height are too uncertain to extrapolate.
            row[11] = row[16] = 0.0
        _predict(row, settings[DT], settings[WALK], settings[ACCELERATION])


@inner
def _adapt_noise(settings):
    """Adapt the factor on the measurement noise to the agreement of successive innovations."""
    agreement = settings[AGREEMENT] / (settings[WEIGHT] + PRIOR_WEIGHT)
    factor = settings[FACTOR] * np.exp(-NOISE_RATE * agreement * min(settings[DT], MEMORY_S / 10.0))
    settings[FACTOR] = min(max(factor, LEAST_FACTOR), MOST_FACTOR)
    fade = np.exp(-settings[DT] / MEMORY_S)
    settings[AGREEMENT] *= fade
    settings[WEIGHT] *= fade


def scratch_arrays(rows: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the scratch memory of `step`, work and scratch, for `rows` tracks and detections
    together.

    It is not initialised, so the pages that a frame does not use take no memory.
    """
    work = np.empty(((2 * MOST_PAIRS + 2) * rows, PAIR_WIDTH))
    return work, np.empty(2 * (MOST_PAIRS + 8) * rows + 2, np.int64)


@njit(
    "i8(f8[:, ::1], f8[:, ::1], i8[::1], f4[:, ::1], f4[::1], i4[::1], i4[::1], i8)",
    cache=True,
    _nrt=False,
)
def step(table, work, scratch, given, scores, class_ids, groups, elapsed_ns):
    """Update the tracks with the detections of one frame. Return how many tracks there are.

    table: see track_layout; it needs rows for N more tracks. work, scratch: from `scratch_arrays`.
    given: float32 (N, 4) xyxy px. scores (N,). class_ids (N,). groups (N,): boxes and tracks of one
    group may match. elapsed_ns: media time since the last step, at least 0. Removed tracks stay in
    the table until `report`. Raises ValueError where the shapes do not fit, and changes nothing.
    """
    ints = table.view(np.int64)
    settings, counts, states, marks = table[0], ints[0], table[HEAD:], ints[HEAD:]
    n, m = scores.shape[0], counts[COUNT]
    if given.shape != (n, 4) or class_ids.shape[0] != n or groups.shape[0] != n:
        raise ValueError("boxes (N, 4), scores (N) and class ids (N) do not agree")
    counts[NOW] += elapsed_ns
    settings[DT] = elapsed_ns * 1e-9
    is_warped = settings[WARPED] > 0.0
    settings[WARPED] = 0.0
    half = scratch.shape[0] // 2
    floats, scratch = scratch.view(np.float64)[half:], scratch[:half]
    source, box_of, scratch = scratch[:n], scratch[n : n + m], scratch[n + m :]
    n = _clean(given, scores, class_ids, groups, work, source, counts, scratch)
    boxes, work, track_of, scratch = work[:n], work[n:], scratch[:n], scratch[n:]
    _advance(states, marks, m, settings, is_warped)
    _match(states, marks, (settings, counts), boxes, work, box_of, track_of, (scratch, floats))
    _update(states, marks, m, boxes, source, (box_of, track_of), settings, counts)
    _adapt_noise(settings)
    _start_tracks(states, marks, counts, boxes, source, track_of, settings)
    counts[FRAMES] += 1
    return counts[COUNT]


@njit(
    "i8(f8[:, ::1], i8[::1], f4[:, ::1], f4[:, ::1], i4[::1], f4[::1], u1[::1], f4[::1], f4[::1],"
    " i4[::1])",
    cache=True,
    _nrt=False,
)
def report(table, ids, boxes, rates, class_ids, scores, kinds, ages_s, unseen_s, rows):
    """Write the columns of wire.Tracks, (M,) or (M, 4), then drop the removed tracks from table.

    Return the sum of the counters of rejected detections.
    """
    ints = table.view(np.int64)
    counts, states, marks = ints[0], table[HEAD:], ints[HEAD:]
    m, now = counts[COUNT], counts[NOW]
    kept = 0
    for i in range(m):
        w, h = max(states[i, 10], 1.0) / 2.0, max(states[i, 15], 1.0) / 2.0
        boxes[i, 0], boxes[i, 1] = states[i, 0] - w, states[i, 5] - h
        boxes[i, 2], boxes[i, 3] = states[i, 0] + w, states[i, 5] + h
        for c in range(4):
            rates[i, c] = states[i, 5 * c + 1]
        ids[i] = counts[EPOCH] << 32 | marks[i, NUMBER]
        class_ids[i], rows[i], kinds[i] = marks[i, CLASS], marks[i, ROW], marks[i, STATE]
        scores[i] = states[i, SCORE]
        ages_s[i] = (now - marks[i, BORN]) * 1e-9
        unseen_s[i] = (now - marks[i, SEEN]) * 1e-9
        if marks[i, STATE] != REMOVED:
            if kept < i:
                for c in range(WIDTH):
                    marks[kept, c] = marks[i, c]
            kept += 1
    counts[COUNT] = kept
    counted = 0
    for c in range(NOT_FINITE, COUNTERS_END):
        counted += counts[c]
    return counted
