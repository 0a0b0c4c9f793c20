"""One frame of multi-object tracking: predict, associate in stages, update, all over arrays.

Imports numpy and numba only. trackers/two_stage.py owns the arrays and is the public door; what a
column means stands here, beside the code that uses it. Numba's cache looks at this file only:
after a change in kalman, assignment or association save this file too.

Source: two score stages as in ByteTrack (arXiv 2110.06864), overlap times height overlap times
score as in Hybrid-SORT (arXiv 2308.00783); times are media time, never a number of frames.
"""

import numpy as np
from numba import njit

from perception.kernels.assignment import _assign
from perception.kernels.association import _sort, _sweep
from perception.kernels.kalman import _begin, _correct, _predict, _warp

TENTATIVE, CONFIRMED, LOST, REMOVED = 0, 1, 2, 3

# Columns of `states`, float64 (capacity, STATE_WIDTH): the filter (kalman.D), then these.
SCORE, VOTES = 20, 21
SLOTS = 4
STATE_WIDTH = VOTES + SLOTS

# Columns of `marks`, int64 (capacity, MARK_WIDTH); times are ns of the tracker's own clock.
NUMBER, STATE, HITS, BORN, SEEN, ROW, CLASS, VOTED = range(8)
MARK_WIDTH = VOTED + SLOTS

# `book`, int64: what lives from frame to frame, then counters of what was rejected.
COUNT, NEXT, NOW = range(3)
COUNTERS = (
    "not_finite",
    "degenerate",
    "duplicate",
    "clipped",
    "pairs_over_limit",
    "tracks_over_limit",
)
NOT_FINITE, DEGENERATE, DUPLICATE, CLIPPED, PAIRS_FULL, TRACKS_FULL = range(3, 9)
BOOK_WIDTH = 3 + len(COUNTERS)

# `settings`, float64.
(
    DT,
    HIGH,
    LOW,
    NEW,
    GATE,
    GATE_LOW,
    GATE_NEW,
    CONFIRM,
    LOST_S,
    NOISE,
    WALK,
    ACCELERATION,
    SPEED,
    MIX,
    LIMIT,
    WARPED,
    WARP,
) = range(17)
SETTINGS_WIDTH = WARP + 6

FAR_PX = 1e6


@njit("i8(f8[:, ::1], f8[:, ::1], i8[::1], i8[::1])", cache=True)
def _clean(raw, boxes, rows, book):
    """Copy usable detections sorted by their left side into boxes (x1, y1, x2, y2, score, class).

    rows: where each came from. Returns how many; the rest is counted in book.
    """
    n = 0
    for i in range(raw.shape[0]):
        total = 0.0
        for c in range(6):
            total += raw[i, c]
        if not np.isfinite(total):
            book[NOT_FINITE] += 1
            continue
        for c in range(4):
            if abs(raw[i, c]) > FAR_PX:
                raw[i, c] = min(max(raw[i, c], -FAR_PX), FAR_PX)
                book[CLIPPED] += 1
        if raw[i, 2] - raw[i, 0] < 1e-3 or raw[i, 3] - raw[i, 1] < 1e-3:
            book[DEGENERATE] += 1
            continue
        raw[n] = raw[i]
        rows[n] = i
        n += 1
    order = np.empty(n, np.int64)
    _sort(raw, n, order)
    kept = 0
    source = np.empty(n, np.int64)
    for i in range(n):
        row = order[i]
        twin = -1
        k = kept - 1
        while k >= 0 and boxes[k, 0] == raw[row, 0]:
            if (
                boxes[k, 1] == raw[row, 1]
                and boxes[k, 2] == raw[row, 2]
                and boxes[k, 3] == raw[row, 3]
                and boxes[k, 5] == raw[row, 5]
            ):
                twin = k
                break
            k -= 1
        if twin >= 0:
            book[DUPLICATE] += 1
            if raw[row, 4] <= boxes[twin, 4]:
                continue
        else:
            twin = kept
            kept += 1
        boxes[twin] = raw[row]
        source[twin] = rows[row]
    for i in range(kept):
        rows[i] = source[i]
    return kept


@njit("void(i8[:, ::1], f8[::1], i8, i8[::1], i8[::1], i8[::1], i8[::1])", cache=True)
def _match(pairs, gains, count, free_track, free_box, box_of, track_of):
    """Assign among pairs with a gain above zero whose two ends are free; note it in *_of."""
    m, n = free_track.shape[0], free_box.shape[0]
    starts = np.zeros(m + 1, np.int64)
    for e in range(count):
        if gains[e] > 0.0 and free_track[pairs[e, 0]] and free_box[pairs[e, 1]]:
            starts[pairs[e, 0] + 1] += 1
    for i in range(m):
        starts[i + 1] += starts[i]
    if starts[m] == 0:
        return
    fill = starts.copy()
    columns = np.empty(starts[m], np.int64)
    values = np.empty(starts[m])
    for e in range(count):
        i, j = pairs[e, 0], pairs[e, 1]
        if gains[e] > 0.0 and free_track[i] and free_box[j]:
            columns[fill[i]] = j
            values[fill[i]] = gains[e]
            fill[i] += 1
    row_of, column_of = np.empty(n, np.int64), np.empty(m, np.int64)
    _assign(starts, columns, values, row_of, column_of)
    for i in range(m):
        j = column_of[i]
        if j >= 0:
            box_of[i] = j
            track_of[j] = i
            free_track[i] = 0
            free_box[j] = 0


@njit("void(f8[:, ::1], i8[:, ::1], i8, i8, f8)", cache=True)
def _vote(states, marks, row, class_id, weight):
    """Give a class a vote; the track's class is the one with most (Misra-Gries, four slots)."""
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


@njit("i8(f8[:, ::1], i8[:, ::1], i8[::1], f8[:, ::1], f8[::1])", cache=True)
def step(states, marks, book, raw, settings):
    """Take one frame's detections in. raw: float64 (N, 6) x1, y1, x2, y2, score, class.

    Returns how many rows of states and marks are to be reported, removed tracks among them;
    `report` drops those afterwards.
    """
    m, now = book[COUNT], book[NOW]
    boxes = np.empty((raw.shape[0], 6))
    source = np.empty(raw.shape[0], np.int64)
    n = _clean(raw, boxes, source, book)
    dt = settings[DT]
    warped = settings[WARPED] > 0.0
    where = np.empty((m, 4))
    for i in range(m):
        row = states[i]
        if marks[i, STATE] == LOST:
            row[11] = row[16] = 0.0
        if warped:
            _warp(row, settings[WARP:])
        _predict(row, dt, settings[WALK], settings[ACCELERATION])
        w, h = max(row[10], 1.0) / 2.0, max(row[15], 1.0) / 2.0
        where[i, 0], where[i, 1] = row[0] - w, row[5] - h
        where[i, 2], where[i, 3] = row[0] + w, row[5] + h
    room = 64 * (m + n) + 256
    pairs, overlaps = np.empty((room, 2), np.int64), np.empty((room, 2))
    found = _sweep(where, m, boxes, n, pairs, overlaps)
    if found > room:
        book[PAIRS_FULL] += found - room
        found = room

    free_track, free_box = np.zeros(m, np.int64), np.zeros(n, np.int64)
    box_of, track_of = np.full(m, -1), np.full(n, -1)
    gains = np.empty(found)
    for stage in range(3):
        # 0: high scores with all but tentative. 1: low scores with those seen last time.
        # 2: what is left of the high scores with tentative tracks.
        for i in range(m):
            state = marks[i, STATE]
            wanted = state == TENTATIVE if stage == 2 else state == CONFIRMED
            wanted |= stage == 0 and state == LOST
            wanted &= now - marks[i, SEEN] <= settings[LOST_S]
            free_track[i] = 1 if wanted and box_of[i] < 0 else 0
        for j in range(n):
            high = boxes[j, 4] >= settings[HIGH]
            wanted = (not high and boxes[j, 4] >= settings[LOW]) if stage == 1 else high
            free_box[j] = 1 if wanted and track_of[j] < 0 else 0
        for e in range(found):
            i, j = pairs[e, 0], pairs[e, 1]
            same = settings[MIX] > 0.0 or marks[i, CLASS] == np.int64(boxes[j, 5])
            if not same:
                gains[e] = 0.0
            elif stage == 1:
                gains[e] = overlaps[e, 0] - settings[GATE_LOW]
            elif stage == 0:
                gains[e] = overlaps[e, 0] * overlaps[e, 1] * boxes[j, 4] - settings[GATE]
            else:
                gains[e] = overlaps[e, 0] * overlaps[e, 1] * boxes[j, 4] - settings[GATE_NEW]
        _match(pairs, gains, found, free_track, free_box, box_of, track_of)

    for i in range(m):
        j = box_of[i]
        marks[i, ROW] = -1
        if j >= 0:
            x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
            _correct(states[i], (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, settings[NOISE])
            states[i, SCORE] = boxes[j, 4]
            marks[i, HITS] += 1
            marks[i, SEEN] = now
            marks[i, ROW] = source[j]
            _vote(states, marks, i, np.int64(boxes[j, 5]), boxes[j, 4])
            if marks[i, STATE] != TENTATIVE or now - marks[i, BORN] >= settings[CONFIRM]:
                marks[i, STATE] = CONFIRMED
        elif marks[i, STATE] == TENTATIVE or now - marks[i, SEEN] > settings[LOST_S]:
            marks[i, STATE] = REMOVED
        else:
            marks[i, STATE] = LOST

    first = book[NEXT] == 1
    for j in range(n):
        if track_of[j] < 0 and boxes[j, 4] >= settings[NEW]:
            if m >= settings[LIMIT]:
                book[TRACKS_FULL] += 1
                continue
            x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
            states[m, :] = 0.0
            marks[m, :] = 0
            cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
            _begin(states[m], cx, cy, x2 - x1, y2 - y1, 2 * settings[NOISE], settings[SPEED])
            states[m, SCORE] = boxes[j, 4]
            marks[m, NUMBER] = book[NEXT]
            marks[m, STATE] = CONFIRMED if first else TENTATIVE
            marks[m, HITS] = 1
            marks[m, BORN] = marks[m, SEEN] = now
            marks[m, ROW] = source[j]
            _vote(states, marks, m, np.int64(boxes[j, 5]), boxes[j, 4])
            book[NEXT] += 1
            m += 1
    book[COUNT] = m
    return m


@njit("void(f8[:, ::1], i8[:, ::1], i8[::1], i8, i8[::1], f4[::1], i4[::1])", cache=True)
def report(states, marks, book, epoch, ids, floats, ints):
    """Write the tracks' columns one after the other, then drop the removed ones.

    ids (M). floats: boxes (M, 4), rates (M, 4), scores, ages_s, unseen_s (M). ints: class_ids,
    detection_rows, states (M).
    """
    m, now = book[COUNT], book[NOW]
    kept = 0
    for i in range(m):
        row = states[i]
        w, h = max(row[10], 1.0) / 2.0, max(row[15], 1.0) / 2.0
        floats[4 * i], floats[4 * i + 1] = row[0] - w, row[5] - h
        floats[4 * i + 2], floats[4 * i + 3] = row[0] + w, row[5] + h
        for c in range(4):
            floats[4 * (m + i) + c] = row[5 * c + 1]
        floats[8 * m + i] = row[SCORE]
        floats[9 * m + i] = (now - marks[i, BORN]) * 1e-9
        floats[10 * m + i] = (now - marks[i, SEEN]) * 1e-9
        ids[i] = epoch << 32 | marks[i, NUMBER]
        ints[i], ints[m + i], ints[2 * m + i] = marks[i, CLASS], marks[i, ROW], marks[i, STATE]
        if marks[i, STATE] != REMOVED:
            if kept < i:
                states[kept] = states[i]
                marks[kept] = marks[i]
            kept += 1
    book[COUNT] = kept
