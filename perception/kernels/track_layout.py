"""Columns of the arrays that the tracking kernels share. Numbers only; imports nothing.

Kernels freeze these when they compile; tracking.BUILT_FROM renews Numba's cache after a change.
"""

TENTATIVE, CONFIRMED, LOST, REMOVED = 0, 1, 2, 3

# Detections, float64 (N, BOX_WIDTH): x1, y1, x2, y2 px, then these. Classes of one group may mix.
BOX_SCORE, BOX_CLASS, BOX_GROUP = 4, 5, 6
BOX_WIDTH = 7

# `states`, float64 (capacity, STATE_WIDTH): the filter (kalman.D = 20), then the last score, votes
# for SLOTS classes, the last box seen (xyxy, carried along by camera motion) and how far the last
# measurement lay from its prediction, in standard deviations of cx, cy, w, h.
SLOTS = 4
SCORE, VOTES, LAST, SURPRISE = 20, 21, 25, 29
STATE_WIDTH = 33

# `marks`, int64 (capacity, MARK_WIDTH); times are ns of the tracker's own clock. ROW: of this
# frame's detections, -1: not seen. VOTED: the classes that VOTES counts.
NUMBER, STATE, BORN, SEEN, ROW, CLASS, GROUP, VOTED = range(8)
MARK_WIDTH = VOTED + SLOTS

# `book`, int64: what lives from frame to frame, then counters of what was rejected.
COUNT, NEXT, NOW, FRAMES, EPOCH = range(5)
COUNTERS = (
    "not_finite",
    "degenerate",
    "duplicate",
    "clipped",
    "pairs_over_limit",
    "tracks_over_limit",
)
NOT_FINITE, DEGENERATE, DUPLICATE, CLIPPED, PAIRS_FULL, TRACKS_FULL = range(5, 11)
BOOK_WIDTH = 5 + len(COUNTERS)

# `settings`, float64: the options, this frame's dt and warp, and the noise that adapts: how much
# successive surprises agree, the weight behind that, and the factor on NOISE it has led to.
(
    DT,
    HIGH,
    LOW,
    NEW,
    GATE,
    GATE_LOW,
    GATE_RETURN,
    GATE_NEW,
    CONFIRM_NS,
    COAST_NS,
    LOST_NS,
    NOISE,
    WALK,
    ACCELERATION,
    SPEED,
    LIMIT,
    AGREEMENT,
    WEIGHT,
    FACTOR,
    WARPED,
    WARP,
) = range(21)
SETTINGS_WIDTH = WARP + 6
