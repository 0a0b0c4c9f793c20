"""Columns of the arrays that the tracking kernels share. Numbers only; imports nothing.

They are constants of the compiled code; a change of tracking.BUILT_FROM renews Numba's cache.
"""

TENTATIVE, CONFIRMED, LOST, REMOVED = 0, 1, 2, 3

# Detections, float64 (N, BOX_WIDTH): x1, y1, x2, y2 px, then these. Boxes of one group may match
# one track though their classes differ. BOX_CROWD: how many tracks, without tentative ones, overlap
# the box.
BOX_SCORE, BOX_CLASS, BOX_GROUP, BOX_CROWD = 4, 5, 6, 7
BOX_WIDTH = 8

# `table`, float64 (HEAD + capacity, WIDTH), is one block of memory on few pages. `ints` is the same
# memory as int64. Row 0 is the head (below). Then there is one row for each track: kernels call the
# rows `states` where they are read as float64, and `marks` where they are read as int64.

# states: the Kalman filter (kalman.D = 20), the last score, votes for SLOTS classes, the last
# matched box (xyxy, moved by the camera motion since), and the last innovation of cx, cy, w, h in
# standard deviations.
SLOTS = 4
SCORE, VOTES, LAST, INNOVATION = 20, 21, 25, 29

# marks: times are ns of the tracker's clock, which starts at 0. ROW: row of the detection in this
# frame, -1: none. VOTED: the classes that VOTES counts. TRIAL: 1 for a track that started with a
# sure, clear box and has not been seen again yet.
NUMBER, STATE, BORN, SEEN, ROW, CLASS, GROUP, VOTED = range(33, 41)
TRIAL = VOTED + SLOTS
WIDTH = TRIAL + 1

# Head as float64 (`settings`): the options; dt and warp of this frame; and for the adaptive noise:
# the agreement of successive innovations (a sum), its weight, and the factor on NOISE.
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

# Head as int64 (`counts`): number of tracks, next track number, clock ns, number of frames, epoch;
# then the counters of rejected detections.
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

# Head as float64: velocity of the last common shift of all tracks, px/s in x and y, on top of the
# warp and of the velocities of the tracks.
PAN = 41

# Head as int64: how many trials were seen again, and how many were not.
TRIALS_KEPT, TRIALS_FAILED = 43, 44
