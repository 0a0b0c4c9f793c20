"""One frame of multi-object tracking: predict, match, update, all over arrays, compiled.

Imports numpy and numba only. trackers/two_stage.py owns the arrays and is the public door; what
their columns mean stands in track_layout.py. All times are media time, never a number of frames.

Source: see track_matching.py and kalman.py; noise that follows from what successive innovations
have in common: Mehra 1970 (doi 10.1109/TAC.1970.1099422).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perception.kernels.assignment import inner
from perception.kernels.association import PAIR_WIDTH
from perception.kernels.kalman import _begin, _correct, _predict, _warp
from perception.kernels.track_intake import _take_in
from perception.kernels.track_layout import (
    ACCELERATION,
    AGREEMENT,
    BORN,
    BOX_CLASS,
    BOX_GROUP,
    BOX_SCORE,
    CLASS,
    COAST_NS,
    CONFIRM_NS,
    CONFIRMED,
    COUNT,
    COUNTERS_END,
    DT,
    EPOCH,
    FACTOR,
    FRAMES,
    GROUP,
    HEAD,
    HIDDEN_NS,
    LAST,
    LIMIT,
    LOST,
    LOST_NS,
    NEW,
    NEXT,
    NOISE,
    NOT_FINITE,
    NOW,
    NUMBER,
    REMOVED,
    ROW,
    SCORE,
    SEEN,
    SLOTS,
    SPEED,
    STATE,
    SURPRISE,
    TENTATIVE,
    TRACKS_FULL,
    VOTED,
    VOTES,
    WALK,
    WARP,
    WARPED,
    WEIGHT,
    WIDTH,
)
from perception.kernels.track_matching import MOST_PAIRS, _match

BUILT_FROM = "461a0d8bccdc"
"""Digest of the files that `step` is compiled from beside this one. Numba's cache looks at the text
of this file alone: after a change there, write what the test of the tracker says here."""
MEMORY_S = 2.0
"""How long agreement between surprises is remembered."""
PRIOR = 50.0
"""How many agreeing coordinates it takes to be half believed."""
PACE = 1.5
"""How fast the noise follows: its logarithm per second at full agreement."""
LEAST_FACTOR, MOST_FACTOR = 0.25, 4.0
TWIN_IOU = 0.55
"""Overlap above which a box is another one's double (benchmarks/README, each idea alone)."""
HIDDEN_COVER = 0.7
"""Share of a track that another one's box covers, above which it is hidden rather than gone."""


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
def _adapt(settings):
    """Let the measurement noise of this camera follow the agreement of surprises."""
    lean = settings[AGREEMENT] / (settings[WEIGHT] + PRIOR)
    factor = settings[FACTOR] * np.exp(-PACE * lean * min(settings[DT], MEMORY_S / 10.0))
    settings[FACTOR] = min(max(factor, LEAST_FACTOR), MOST_FACTOR)
    fade = np.exp(-settings[DT] / MEMORY_S)
    settings[AGREEMENT] *= fade
    settings[WEIGHT] *= fade


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
def _update(states, marks, m, boxes, source, matching, settings, now):
    """Take matched boxes in and move all tracks through their states."""
    box_of, track_of = matching
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
            if marks[i, STATE] != TENTATIVE or now - marks[i, BORN] >= settings[CONFIRM_NS]:
                marks[i, STATE] = CONFIRMED
            continue
        marks[i, ROW] = -1
        if marks[i, STATE] == TENTATIVE or unseen > settings[LOST_NS]:
            marks[i, STATE] = REMOVED
        elif unseen > settings[COAST_NS] and not (
            marks[i, STATE] == CONFIRMED
            and unseen <= settings[HIDDEN_NS]
            and _is_hidden(states[i], boxes, track_of)
        ):
            marks[i, STATE] = LOST


@inner
def _is_double(boxes, j, track_of):
    """Whether box j lies on one of its group that scored no less and belongs to a track.

    Source: Shim et al. 2025, TrackTrack (CVPR), there by suppression among all tracks.
    """
    area = (boxes[j, 2] - boxes[j, 0]) * (boxes[j, 3] - boxes[j, 1])
    for k in range(track_of.shape[0]):
        # Boxes are sorted by their left side.
        if boxes[k, 0] >= boxes[j, 2]:
            return False
        if track_of[k] < 0 or boxes[k, BOX_SCORE] < boxes[j, BOX_SCORE]:
            continue
        x = min(boxes[j, 2], boxes[k, 2]) - max(boxes[j, 0], boxes[k, 0])
        y = min(boxes[j, 3], boxes[k, 3]) - max(boxes[j, 1], boxes[k, 1])
        if x <= 0.0 or y <= 0.0 or boxes[k, BOX_GROUP] != boxes[j, BOX_GROUP]:
            continue
        other = (boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1])
        if x * y > TWIN_IOU * (area + other - x * y):
            return True
    return False


@inner
def _give_birth(states, marks, book, boxes, source, track_of, settings):
    """Start tracks at boxes that belong to none; in the very first frame they are confirmed."""
    m, now = book[COUNT], book[NOW]
    sure = book[FRAMES] == 0 and settings[CONFIRM_NS] == 0.0
    for j in range(track_of.shape[0]):
        if track_of[j] >= 0 or boxes[j, BOX_SCORE] < settings[NEW]:
            continue
        if _is_double(boxes, j, track_of):
            continue
        if m >= settings[LIMIT]:
            book[TRACKS_FULL] += 1
            continue
        marks[m, :] = 0
        x1, y1, x2, y2 = boxes[j, 0], boxes[j, 1], boxes[j, 2], boxes[j, 3]
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        # Twice the noise: nothing yet says that the first box was a good one.
        _begin(states[m], cx, cy, x2 - x1, y2 - y1, 2 * settings[NOISE], settings[SPEED])
        marks[m, NUMBER] = book[NEXT]
        marks[m, STATE] = CONFIRMED if sure else TENTATIVE
        marks[m, BORN] = now
        marks[m, GROUP] = np.int64(boxes[j, BOX_GROUP])
        _see(states, marks, m, boxes, j, source[j], now)
        book[NEXT] += 1
        m += 1
    book[COUNT] = m


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
    book[NOW] += gone_ns
    settings[DT] = gone_ns * 1e-9
    is_warped = settings[WARPED] > 0.0
    settings[WARPED] = 0.0
    if seen.shape != (n, 4) or class_ids.shape[0] != n or groups.shape[0] != n:
        raise ValueError("boxes (N, 4), scores (N) and class ids (N) do not agree")
    half = room.shape[0] // 2
    floats, room = room.view(np.float64)[half:], room[:half]
    source, box_of, room = room[:n], room[n : n + m], room[n + m :]
    n = _take_in(seen, scores, class_ids, groups, work, source, book, room)
    boxes, work, track_of, room = work[:n], work[n:], room[:n], room[n:]
    _advance(states, marks, m, settings, is_warped)
    _match(states, marks, (settings, book), boxes, work, box_of, track_of, (room, floats))
    _update(states, marks, m, boxes, source, (box_of, track_of), settings, book[NOW])
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
