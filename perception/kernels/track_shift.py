"""What all tracks do together is the camera's doing: found and taken out without looking at pixels.

Compiled into kernels/tracking.py. Numpy and numba only. What it is worth: benchmarks/README.md.
"""

import numpy as np

from perception.kernels.assignment import inner
from perception.kernels.track_layout import BOX_SCORE, DT, HIGH, LAST, PAN, ROW

SHAKE_TRACKS = 6
"""Fewest tracks whose common shift is believed to be the camera's."""
SHAKE_DEVIATIONS = 4.0
"""How many standard errors of the median that shift must reach."""
NEAR_S = 0.15
"""Frames further apart than this are a gap: the camera may have moved on, and all gates fall in
proportion, as what was seen .4 s ago may be anywhere. Worth 1.1 HOTA on kitti with every second
frame lost, .9 on mot15 (benchmarks/README)."""
FIT_TRACKS = 64
"""How many tracks say whether a shift fits: the oldest in sight."""
FIT_BETTER = 1.1
"""How much better all must fit where the camera has moved on, to believe that it has."""
FIT_LEAST = 0.15
"""And how well, on average: one box in the way of one track is no witness."""


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
def _shake(states, marks, m, boxes, box_of, room):
    """Move all tracks by what their first matches have in common, if it is surely more than chance.

    A shift shared by many tracks is the camera's: it says nothing of their own speeds. Returns it,
    px in x and y; 0, 0 where nothing moved.
    """
    line_x, line_y = room[1][:m], room[1][m : 2 * m]
    k = 0
    for i in range(m):
        j = box_of[i]
        if j >= 0 and marks[i, ROW] >= 0:
            line_x[k] = (boxes[j, 0] + boxes[j, 2]) / 2.0 - states[i, 0]
            line_y[k] = (boxes[j, 1] + boxes[j, 3]) / 2.0 - states[i, 5]
            k += 1
    if k < SHAKE_TRACKS:
        return 0.0, 0.0
    dx = dy = 0.0
    for axis in range(2):
        line = line_x[:k] if axis == 0 else line_y[:k]
        shift = _median(line)
        for i in range(k):
            line[i] = abs(line[i] - shift)
        spread = _median(line)
        # 1.4826 makes a deviation of a median deviation, 1.25 the error of a median of a mean's.
        if abs(shift) > SHAKE_DEVIATIONS * 1.4826 * 1.25 * spread / np.sqrt(k):
            _move(states, m, axis, shift)
            if axis == 0:
                dx = shift
            else:
                dy = shift
    return dx, dy


@inner
def _move(states, m, axis, shift):
    """Move all tracks, and where they were last seen, along an axis."""
    for i in range(m):
        states[i, 5 * axis] += shift
        states[i, LAST + axis] += shift
        states[i, LAST + 2 + axis] += shift


@inner
def _fit(states, marks, m, boxes, dx, dy, score):
    """Return the best IoU with a box of that score or more, mean of tracks in sight moved so."""
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
def _carry_on(states, marks, m, boxes, settings):
    """Over a gap, let the camera move on as it last did, where the boxes bear that out.

    The tracks' own speeds do not tell it: what all do together is not counted among them. Returns
    what the tracks were moved by, px in x and y.
    """
    dx, dy = settings[PAN] * settings[DT], settings[PAN + 1] * settings[DT]
    if settings[DT] <= NEAR_S or (dx == 0.0 and dy == 0.0):
        return 0.0, 0.0
    still = _fit(states, marks, m, boxes, 0.0, 0.0, settings[HIGH])
    moved = _fit(states, marks, m, boxes, dx, dy, settings[HIGH])
    if not moved > max(FIT_BETTER * still, FIT_LEAST):
        return 0.0, 0.0
    _move(states, m, 0, dx)
    _move(states, m, 1, dy)
    return dx, dy


@inner
def _keep_pace(settings, dx, dy):
    """Remember the pace of what the tracks were moved by in this step."""
    dt = settings[DT]
    settings[PAN], settings[PAN + 1] = (dx / dt, dy / dt) if dt > 0.0 else (0.0, 0.0)
