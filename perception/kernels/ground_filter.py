"""Filters the measured ground positions of tracks: position, velocity and their covariance.

Each track has two Kalman filters: a standing target and a target at constant velocity. The estimate
is that of the standing filter until its innovations are too large or the velocity is significant.
Then it is that of the moving filter, until the velocity is no longer significant.

Errors of attitude, position and lens are common to all frames and do not average out. So only the
pixel part of a covariance is filtered. The common part is the weighted mean over the frames, which
is an upper bound (Jensen).

State of a track, float64 (STATE,): latitude and longitude of its origin, rad; standing filter: east
and north of the origin m, covariance ee, en, nn; moving filter: east, north m, their velocities
m/s, covariance (4, 4); common covariance ee, en, nn; mean squared innovation; number of sightings;
time s; 1 if it moves. Source: Bar-Shalom, Li, Kirubarajan 2001, sections 5.4 and 6.2. Imports numpy
and numba only.
"""

import numpy as np
from numba import njit

from perception.kernels.assignment import inner
from perception.kernels.ground import E2, A

STAND, MOVE, COVARIANCE, SHARED = 2, 7, 11, 27
INNOVATION, SIGHTINGS, TIME, MOVES = 30, 31, 32, 33
STATE = 34
ACCELERATION = 1.5
"""Process noise of the moving filter: white acceleration, m/s^1.5."""
DRIFT = 0.02
"""Process noise of the standing filter: random walk, m/s^0.5."""
FIRST_SPEED = 15.0
"""Standard deviation of the velocity of a new track, m/s."""
STANDING_LIMIT = 3.2
"""Above this mean squared innovation of the standing filter (expected: 2) a target moves."""
START_LIMIT, STOP_LIMIT = 20.0, 4.0
"""A standing target moves above START_LIMIT, a moving one stands below STOP_LIMIT. Both: squared
velocity in units of its covariance (Mahalanobis)."""
MEMORY = 0.85
"""Weight of the past in the mean squared innovation."""
SHARED_S = 10.0
"""Common errors change over this time, s. Their part in the velocity's deviation: size /
SHARED_S."""
MAX_GAP_S = 10.0
"""After a longer gap the filters of a track start again."""


@inner
def _per_rad(lat):
    """Return metres per radian to the east and to the north at a latitude."""
    s = np.sin(lat)
    w = 1.0 - E2 * s * s
    return A / np.sqrt(w) * np.cos(lat), A * (1.0 - E2) / (w * np.sqrt(w))


@inner
def _start(row, seen, t_s):
    row[:] = 0.0
    row[0], row[1] = seen[0], seen[1]
    p = row[COVARIANCE : COVARIANCE + 16]
    p[0], p[1], p[4], p[5] = seen[6], seen[7], seen[7], seen[8]
    p[10] = p[15] = FIRST_SPEED**2
    for i in range(3):
        row[STAND + 2 + i] = seen[6 + i]
        row[SHARED + i] = seen[3 + i] - seen[6 + i]
    row[INNOVATION], row[SIGHTINGS], row[TIME] = 2.0, 1.0, t_s


@inner
def _advance(row, dt):
    """Predict both filters dt seconds ahead. State order: east, north, their velocities."""
    row[STAND + 2] += DRIFT**2 * dt
    row[STAND + 4] += DRIFT**2 * dt
    x, p = row[MOVE : MOVE + 4], row[COVARIANCE : COVARIANCE + 16]
    x[0] += x[2] * dt
    x[1] += x[3] * dt
    for c in range(4):
        p[c] += dt * p[8 + c]
        p[4 + c] += dt * p[12 + c]
    for r in range(4):
        p[4 * r] += dt * p[4 * r + 2]
        p[4 * r + 1] += dt * p[4 * r + 3]
    q = ACCELERATION**2
    for k in range(2):
        p[5 * k] += q * dt * dt * dt / 3.0
        p[5 * k + 2] += q * dt * dt / 2.0
        p[4 * (k + 2) + k] += q * dt * dt / 2.0
        p[5 * (k + 2)] += q * dt


@inner
def _measure(row, seen, t_s, k, before):
    """Correct both filters with a measured position, and choose between them.

    seen: a row of _update_tracks. k (4, 2), before (16,): scratch memory.
    """
    per_east, per_north = _per_rad(row[0])
    turn = seen[1] - row[1]
    turn -= 2.0 * np.pi * np.round(turn / (2.0 * np.pi))
    east, north = turn * per_east, (seen[0] - row[0]) * per_north
    ree, ren, rnn = max(seen[6], 1e-4), seen[7], max(seen[8], 1e-4)
    gain = _correct_standing(row, east, north, ree, ren, rnn)
    _correct_moving(row, east, north, ree, ren, rnn, k, before)
    _choose(row)
    if row[MOVES] > 0.0:
        gain = min(1.0, max(0.0, (k[0, 0] + k[1, 1]) / 2.0))
    for i in range(3):
        shared = seen[3 + i] - seen[6 + i]
        row[SHARED + i] += gain * (shared - row[SHARED + i])
    row[SIGHTINGS] += 1.0
    row[TIME] = t_s


@inner
def _correct_standing(row, east, north, ree, ren, rnn):
    """Correct the standing filter and the mean squared innovation. Return the mean gain, 0..1.

    east, north: m from the origin. ree, ren, rnn: covariance of the measurement, m^2.
    """
    see, sen, snn = row[STAND + 2] + ree, row[STAND + 3] + ren, row[STAND + 4] + rnn
    det = see * snn - sen * sen
    de, dn = east - row[STAND], north - row[STAND + 1]
    squared = (snn * de * de - 2.0 * sen * de * dn + see * dn * dn) / det
    row[INNOVATION] = MEMORY * row[INNOVATION] + (1.0 - MEMORY) * min(squared, 50.0)
    a, b, c = row[STAND + 2], row[STAND + 3], row[STAND + 4]
    kee, ken = (a * snn - b * sen) / det, (b * see - a * sen) / det
    kne, knn = (b * snn - c * sen) / det, (c * see - b * sen) / det
    row[STAND] += kee * de + ken * dn
    row[STAND + 1] += kne * de + knn * dn
    row[STAND + 2] = (1.0 - kee) * a - ken * b
    row[STAND + 3] = (1.0 - kee) * b - ken * c
    row[STAND + 4] = (1.0 - knn) * c - kne * b
    return min(1.0, max(0.0, (kee + knn) / 2.0))


@inner
def _correct_moving(row, east, north, ree, ren, rnn, k, before):
    """Correct the moving filter. Arguments as above; k (4, 2): written, the Kalman gain."""
    x, p = row[MOVE : MOVE + 4], row[COVARIANCE : COVARIANCE + 16]
    mee, men, mnn = p[0] + ree, p[1] + ren, p[5] + rnn
    det = mee * mnn - men * men
    de, dn = east - x[0], north - x[1]
    for r in range(4):
        k[r, 0] = (p[4 * r] * mnn - p[4 * r + 1] * men) / det
        k[r, 1] = (p[4 * r + 1] * mee - p[4 * r] * men) / det
    for i in range(16):
        before[i] = p[i]
    for r in range(4):
        x[r] += k[r, 0] * de + k[r, 1] * dn
        for col in range(4):
            p[4 * r + col] = before[4 * r + col] - (
                k[r, 0] * before[col] + k[r, 1] * before[4 + col]
            )


@inner
def _choose(row):
    """Decide whether the target moves. Of a moving one, restart the standing filter there."""
    x, p = row[MOVE : MOVE + 4], row[COVARIANCE : COVARIANCE + 16]
    det = p[10] * p[15] - p[11] * p[11]
    speed = (p[15] * x[2] * x[2] - 2.0 * p[11] * x[2] * x[3] + p[10] * x[3] * x[3]) / det
    if row[MOVES] > 0.0:
        row[MOVES] = 0.0 if speed < STOP_LIMIT else 1.0
    elif row[INNOVATION] > STANDING_LIMIT or speed > START_LIMIT:
        row[MOVES] = 1.0
    if row[MOVES] > 0.0:
        row[INNOVATION] = 2.0
        row[STAND], row[STAND + 1] = x[0], x[1]
        row[STAND + 2], row[STAND + 3], row[STAND + 4] = p[0], p[1], p[5]


@inner
def _write_estimate(row, height, ahead, out):
    """Write the estimate to out (9,), predicted `ahead` s.

    Latitude and longitude rad, height m, covariance ee, en, nn m^2, velocity to the east and north
    m/s, and its standard deviation m/s.
    """
    per_east, per_north = _per_rad(row[0])
    if row[MOVES] > 0.0:
        x, p = row[MOVE : MOVE + 4], row[COVARIANCE : COVARIANCE + 16]
        east, north = x[0] + x[2] * ahead, x[1] + x[3] * ahead
        out[3], out[4], out[5] = p[0], p[1], p[5]
        out[6], out[7] = x[2], x[3]
    else:
        east, north = row[STAND], row[STAND + 1]
        out[3], out[4], out[5] = row[STAND + 2], row[STAND + 3], row[STAND + 4]
    shared = max(row[SHARED] + row[SHARED + 2], 0.0) / 2.0
    speed = min(row[COVARIANCE + 10], row[COVARIANCE + 15])
    out[8] = np.sqrt(max(speed, 0.0) + shared / SHARED_S**2)
    for i in range(3):
        out[3 + i] += row[SHARED + i]
    out[0] = row[0] + north / per_north
    lon = row[1] + east / per_east
    out[1] = lon - 2.0 * np.pi * np.round(lon / (2.0 * np.pi))
    out[2] = height


@njit(
    "void(i8[::1], f8[:, ::1], i8[::1], f8[:, ::1], b1[::1], f8, f8[:, ::1], f8[:, ::1])",
    cache=True,
)
def _update_tracks(old_ids, old, ids, seen, placed, t_s, states, out):
    """Update the filters of all tracks for a frame and write the estimates.

    old_ids (K,), ids (M,): ascending track ids of the last frame and of this one. old (K, STATE):
    states of the last frame. states (M, STATE): written. seen (M, 9): latitude and longitude rad,
    height m, covariance ee, en, nn and its pixel part, m^2. placed (M,): whether seen has a
    measurement of the track. out (M, 9): see _write_estimate; all 0 for a track that has never been
    measured.
    """
    k = 0
    gain, before = np.empty((4, 2)), np.empty(16)
    for i in range(ids.shape[0]):
        while k < old_ids.shape[0] and old_ids[k] < ids[i]:
            k += 1
        row = states[i]
        known = k < old_ids.shape[0] and old_ids[k] == ids[i] and old[k, SIGHTINGS] > 0.0
        row[:] = 0.0
        out[i] = 0.0
        dt = 0.0
        if known:
            dt = t_s - old[k, TIME]
            known = 0.0 <= dt <= MAX_GAP_S
        if known:
            row[:] = old[k]
        if not placed[i]:
            if known:
                _write_estimate(row, seen[i, 2], dt, out[i])
            continue
        if not known:
            _start(row, seen[i], t_s)
        else:
            if dt > 0.0:
                _advance(row, dt)
            _measure(row, seen[i], t_s, gain, before)
        _write_estimate(row, seen[i, 2], 0.0, out[i])
