"""Columns of the arrays that the tracking kernels share. Numbers only; imports nothing.

Kernels freeze these when they compile; tracking.BUILT_FROM renews Numba's cache after a change.
"""

TENTATIVE, CONFIRMED, LOST, REMOVED = 0, 1, 2, 3

# Detections, float64 (N, BOX_WIDTH): x1, y1, x2, y2 px, then these. Classes of one group may mix.
# BOX_CROWD: how many tracks overlap the box, but for tentative ones.
BOX_SCORE, BOX_CLASS, BOX_GROUP, BOX_CROWD = 4, 5, 6, 7
BOX_WIDTH = 8

# `table`, float64 (HEAD + capacity, WIDTH): one block of memory, so that an update after other work
# finds all of it on few pages. `ints` is the same memory read as int64. Row 0 is the head below,
# then one row a track, which kernels know as `states` (float64) and `marks` (int64).

# States: the filter (kalman.D = 20), then the last score, votes for SLOTS classes, the last box
# seen (xyxy, carried along by camera motion) and how far the last measurement lay from its
# prediction, in standard deviations of cx, cy, w, h.
SLOTS = 4
SCORE, VOTES, LAST, SURPRISE = 20, 21, 25, 29

# Marks; times are ns of the tracker's own clock. ROW: of this frame's detections, -1: not seen.
# VOTED: the classes that VOTES counts. TRIAL: 1 for a track that began with a sure score and was
# not seen again yet.
NUMBER, STATE, BORN, SEEN, ROW, CLASS, GROUP, VOTED = range(33, 41)
TRIAL = VOTED + SLOTS
WIDTH = TRIAL + 1

# Head, float64 (`settings`): the options, this frame's dt and warp, and the noise that adapts: how
# much successive surprises agree, the weight behind that, and the factor on NOISE it has led to.
HEAD = 1
(
    DT,
    HIGH,
    LOW,
    NEW,
    SURE,
    GATE,
    GATE_LOW,
    GATE_RETURN,
    GATE_NEW,
    GATE_RISE,
    TRUST_NS,
    CONFIRM_NS,
    COAST_NS,
    HIDDEN_NS,
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
) = range(25)

# Head, int64 (`book`): what lives from frame to frame, then counters of what was rejected.
COUNT, NEXT, NOW, FRAMES, EPOCH = range(30, 35)
COUNTERS = (
    "not_finite",
    "degenerate",
    "duplicate",
    "clipped",
    "pairs_over_limit",
    "tracks_over_limit",
)
NOT_FINITE, DEGENERATE, DUPLICATE, CLIPPED, PAIRS_FULL, TRACKS_FULL = range(35, 41)
COUNTERS_END = 41

# Head, float64 again: the pace, px/s in x and y, at which all tracks last moved together beyond
# the warp and their own speeds.
PAN = 41

# Head, int64 again: how many trials were seen again, and how many were not.
TRIALS_KEPT, TRIALS_FAILED = 43, 44
