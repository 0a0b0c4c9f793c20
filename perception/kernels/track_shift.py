"""Camera motion from tracks: a shift that all tracks have in common is attributed to the camera.

No pixels are read. The gain of it: benchmarks/README.md. Compiled into kernels/tracking.py. Imports
numpy and numba only.
"""

import numpy as np

from perception.kernels.assignment import inner
from perception.kernels.track_layout import BOX_SCORE, DT, HIGH, LAST, PAN, ROW

SHIFT_TRACKS = 6
"""With fewer matched tracks no common shift is computed."""
SHIFT_ERRORS = 4.0
"""A common shift is applied where it is above this many standard errors of the median."""
GAP_S = 0.15
"""Frames further apart than this are a gap. After a gap the last pan of the camera may be
continued, and the gates are lowered in proportion to GAP_S / dt, because predictions are worse.
Gain: 1.1 HOTA on kitti with every second frame lost, .9 on mot15 (benchmarks/README)."""
FIT_TRACKS = 64
"""Most tracks from which the fit of a shift is computed: visible ones, the oldest first."""
FIT_BETTER = 1.1
"""A pan is continued where the mean IoU with it is this many times that without it."""
FIT_LEAST = 0.15
"""A pan is continued where the mean IoU with it is above this."""


@inner
def _median(shifts):
    """Return the median of one or more numbers and reorder them. Quickselect, Hoare 1961."""
    low, high, k = 0, shifts.shape[0] - 1, shifts.shape[0] // 2
    while low < high:
        pivot = shifts[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while shifts[i] < pivot:
                i += 1
            while shifts[j] > pivot:
                j -= 1
            if i <= j:
                shifts[i], shifts[j] = shifts[j], shifts[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    above = below = shifts[k]
    if shifts.shape[0] % 2 == 0:
        below = shifts[0]
        for i in range(1, k):
            below = max(below, shifts[i])
    return (above + below) / 2.0


@inner
def _remove_common_shift(states, marks, m, boxes, box_of, scratch):
    """Move all tracks by the median shift of their stage 0 matches, where it is significant.

    Such a shift is the camera's, so the velocities of the tracks are not changed. Returns the
    shift, px in x and y; 0 where there was none.
    """
    shifts_x, shifts_y = scratch[1][:m], scratch[1][m : 2 * m]
    k = 0
    for i in range(m):
        j = box_of[i]
        if j >= 0 and marks[i, ROW] >= 0:
            shifts_x[k] = (boxes[j, 0] + boxes[j, 2]) / 2.0 - states[i, 0]
            shifts_y[k] = (boxes[j, 1] + boxes[j, 3]) / 2.0 - states[i, 5]
            k += 1
    if k < SHIFT_TRACKS:
        return 0.0, 0.0
    dx = dy = 0.0
    for axis in range(2):
        shifts = shifts_x[:k] if axis == 0 else shifts_y[:k]
        shift = _median(shifts)
        for i in range(k):
            shifts[i] = abs(shifts[i] - shift)
        spread = _median(shifts)
        # 1.4826: standard deviation by median absolute deviation. 1.25: error of a median by that
        # of a mean. Both for a normal distribution.
        if abs(shift) > SHIFT_ERRORS * 1.4826 * 1.25 * spread / np.sqrt(k):
            _move(states, m, axis, shift)
            if axis == 0:
                dx = shift
            else:
                dy = shift
    return dx, dy


@inner
def _move(states, m, axis, shift):
    """Move all tracks and their last seen boxes along an axis, px."""
    for i in range(m):
        states[i, 5 * axis] += shift
        states[i, LAST + axis] += shift
        states[i, LAST + 2 + axis] += shift


@inner
def _mean_best_iou(states, marks, m, boxes, dx, dy, score):
    """Return the mean, over visible tracks moved by (dx, dy), of the best IoU with a box.

    Boxes with a score below `score` do not count.
    """
    total, tracks = 0.0, 0
    for i in range(m):
        if marks[i, ROW] < 0:
            continue
        w, h = max(states[i, 10], 1.0), max(states[i, 15], 1.0)
        x1, y1 = states[i, 0] + dx - w / 2.0, states[i, 5] + dy - h / 2.0
        best = 0.0
        for j in range(boxes.shape[0]):
            # Boxes are sorted by their left side.
            if boxes[j, 0] >= x1 + w:
                break
            x = min(x1 + w, boxes[j, 2]) - max(x1, boxes[j, 0])
            y = min(y1 + h, boxes[j, 3]) - max(y1, boxes[j, 1])
            if x > 0.0 and y > 0.0 and boxes[j, BOX_SCORE] >= score:
                area = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
                best = max(best, x * y / (w * h + area - x * y))
        total += best
        tracks += 1
        if tracks == FIT_TRACKS:
            break
    return total / max(tracks, 1)


@inner
def _continue_pan(states, marks, m, boxes, settings):
    """After a gap, move all tracks by the last pan of the camera, where the boxes fit that better.

    The predictions do not contain the pan, because a common shift does not change the velocities.
    Returns the shift, px in x and y; 0, 0 where the tracks were not moved.
    """
    dx, dy = settings[PAN] * settings[DT], settings[PAN + 1] * settings[DT]
    if settings[DT] <= GAP_S or (dx == 0.0 and dy == 0.0):
        return 0.0, 0.0
    still = _mean_best_iou(states, marks, m, boxes, 0.0, 0.0, settings[HIGH])
    moved = _mean_best_iou(states, marks, m, boxes, dx, dy, settings[HIGH])
    if not moved > max(FIT_BETTER * still, FIT_LEAST):
        return 0.0, 0.0
    _move(states, m, 0, dx)
    _move(states, m, 1, dy)
    return dx, dy


@inner
def _store_pan(settings, dx, dy):
    """Store the velocity, px/s, of the common shift of this step."""
    dt = settings[DT]
    settings[PAN], settings[PAN + 1] = (dx / dt, dy / dt) if dt > 0.0 else (0.0, 0.0)
