"""Inverse time to collision of tracks from the growth of their boxes: an extended Kalman filter.

An object at depth Z that comes nearer at constant speed v has the inverse time to collision
r = v / Z. Its size in the picture is proportional to 1 / Z, so the logarithm of the height of its
box rises by r per second, and r by r^2 per second. Three measurements are proportional to 1 / Z:
height, width, and the distance from the picture's centre column, each with an unknown factor. The
factors of width and distance follow a random walk, because the object and the camera turn.

State of a track, float64 (WIDTH,): log(Z / k) with k = Z x height at the start, r 1/s, log of
width / height, log of distance / height, their covariance (4, 4), side of the centre column (-1,
1), number of sightings, time s.

Source: time to contact from scale change, Lee 1976 (doi 10.1068/p050437); Camus et al. 1999;
noise of each measurement: benchmarks/vehicle.py. Imports numpy and numba only.
"""

import numpy as np
from numba import njit

from perception.kernels.assignment import inner

D = 4
COVARIANCE, SIDE, SIGHTINGS, TIME = 4, 20, 21, 22
WIDTH = 23
PIXEL, SIZE, ASPECT, OFFSET_PX = 0.8, 0.022, 0.04, 3.0
"""Standard deviations of the measurements. PIXEL: distance of two edges, px. SIZE, ASPECT: height
and width, as shares of them. OFFSET_PX: centre of the box, px."""
ACCELERATION = 1.8 / 1080.0
"""White acceleration in units of k: 1.8 m/s^1.5 over f H of 1080 px m (a car, KITTI's camera)."""
ASPECT_WALK, OFFSET_WALK_PX = 0.1, 20.0
"""Random walk of log(width / height), 1/sqrt(s), and of the centre, px/sqrt(s)."""
FIRST_RATE = 0.4
"""Standard deviation of r of a new track, 1/s."""
OUTLIER = 2.5
"""An innovation beyond this many standard deviations has its variance raised to that limit."""
LEAST_OFFSET_PX = 60.0
"""Nearer to the centre column, the distance from it is not used as a measurement."""
LEAST_SIGHTINGS = 3
"""With fewer sightings no rate is returned."""
BORDER_PX = 2.0
"""A side of a box so near to the picture's edge may be cut off: its measurements are not used."""
MAX_GAP_S = 1.0
"""After a longer gap without a detection a track's filter starts again."""


@inner
def _start(row, box, t_s, centre):
    """Start the state of a track at its first box."""
    height, width = max(box[3] - box[1], 1.0), max(box[2] - box[0], 1.0)
    offset = (box[0] + box[2]) / 2.0 - centre
    row[:] = 0.0
    row[0] = -np.log(height)
    row[2] = np.log(width / height)
    row[3] = np.log(max(abs(offset), 1.0) / height)
    row[COVARIANCE] = SIZE**2 + (PIXEL / height) ** 2
    row[COVARIANCE + 5] = FIRST_RATE**2
    row[COVARIANCE + 10] = 0.03**2
    row[COVARIANCE + 15] = (OFFSET_PX / max(abs(offset), 1.0)) ** 2 + 0.02**2
    row[SIDE] = -1.0 if offset < 0.0 else 1.0
    row[SIGHTINGS], row[TIME] = 1.0, t_s


@inner
def _advance(row, dt, offset_px):
    """Predict a state dt seconds ahead at constant speed. offset_px: distance from the centre."""
    p = row[COVARIANCE : COVARIANCE + D * D]
    left = max(1.0 - row[1] * dt, 0.2)
    row[0] += np.log(left)
    row[1] /= left
    a, b = -dt / left, 1.0 / (left * left)
    # F = [[1, a], [0, b]] on the first two, identity on the others; P = F P F'.
    for c in range(D):
        p[c] += a * p[D + c]
        p[D + c] *= b
    for c in range(D):
        p[D * c] += a * p[D * c + 1]
        p[D * c + 1] *= b
    q = (ACCELERATION * np.exp(-row[0])) ** 2
    p[0] += q * dt * dt * dt / 3.0
    p[1] -= q * dt * dt / 2.0
    p[D] -= q * dt * dt / 2.0
    p[D + 1] += q * dt
    p[2 * D + 2] += ASPECT_WALK**2 * dt
    p[3 * D + 3] += (OFFSET_WALK_PX / max(offset_px, 1.0)) ** 2 * dt


@inner
def _correct(row, k, value, variance):
    """Correct a state with one measurement of -log(Z) plus component k (k = 0: -log(Z) alone)."""
    p = row[COVARIANCE : COVARIANCE + D * D]
    innovation = value + row[0] - (row[k] if k else 0.0)
    g0, g1, g2, g3 = -p[0], -p[D], -p[2 * D], -p[3 * D]
    if k:
        g0, g1, g2, g3 = g0 + p[k], g1 + p[D + k], g2 + p[2 * D + k], g3 + p[3 * D + k]
    gain = (g0, g1, g2, g3)
    total = -gain[0] + (gain[k] if k else 0.0) + variance
    share = innovation * innovation / (total * OUTLIER * OUTLIER)
    if share > 1.0:
        total *= share
    for c in range(D):
        row[c] += gain[c] * innovation / total
    for c in range(D):
        for d in range(D):
            p[D * c + d] -= gain[c] * gain[d] / total


@inner
def _measure(row, box, width_px, height_px):
    """Correct a state with a box. Sides that the picture's edge may cut off are not used."""
    centre = width_px / 2.0
    height, width = max(box[3] - box[1], 1.0), max(box[2] - box[0], 1.0)
    offset = (box[0] + box[2]) / 2.0 - centre
    side = -1.0 if offset < 0.0 else 1.0
    tall = box[1] > BORDER_PX and box[3] < height_px - 1.0 - BORDER_PX
    wide = box[0] > BORDER_PX and box[2] < width_px - 1.0 - BORDER_PX
    if tall:
        _correct(row, 0, np.log(height), SIZE**2 + (PIXEL / height) ** 2)
    if wide:
        _correct(row, 2, np.log(width), ASPECT**2 + (PIXEL / width) ** 2)
    if wide and abs(offset) > LEAST_OFFSET_PX and side == row[SIDE]:
        _correct(row, 3, np.log(abs(offset)), (OFFSET_PX / abs(offset)) ** 2)
    else:
        p = row[COVARIANCE : COVARIANCE + D * D]
        row[3] = np.log(max(abs(offset), 1.0)) + row[0]
        for c in range(D):
            p[3 * D + c] = p[D * c + 3] = 0.0
        p[3 * D + 3] = (OFFSET_PX / max(abs(offset), 1.0)) ** 2 + 0.05**2
        row[SIDE] = side
    row[SIGHTINGS] += 1.0


@njit(
    "void(i8[::1], f8[:, ::1], i8[::1], f4[:, ::1], b1[::1], f8[::1], f8[:, ::1], f4[:, ::1])",
    cache=True,
)
def _update_tracks(old_ids, old, ids, boxes, seen, frame, states, closing):
    """Update the filters of all tracks for a frame and write r with its standard deviation.

    old_ids (K,), ids (M,): ascending track ids of the last frame and of this one. old (K, WIDTH):
    states of the last frame. states (M, WIDTH): written. boxes (M, 4): detections, xyxy px. seen
    (M,): whether the track has one. frame (3,): t s, width px, height px. closing (M, 2): written,
    r 1/s and its standard deviation; 0, 0 for a track with fewer than LEAST_SIGHTINGS.
    """
    t_s, width_px, height_px = frame[0], frame[1], frame[2]
    k = 0
    for i in range(ids.shape[0]):
        while k < old_ids.shape[0] and old_ids[k] < ids[i]:
            k += 1
        row = states[i]
        known = k < old_ids.shape[0] and old_ids[k] == ids[i] and old[k, SIGHTINGS] > 0.0
        if known:
            row[:] = old[k]
            dt = t_s - row[TIME]
            known = 0.0 <= dt <= MAX_GAP_S
        if not known:
            row[:] = 0.0
            if seen[i]:
                _start(row, boxes[i], t_s, width_px / 2.0)
            closing[i, 0] = closing[i, 1] = 0.0
            continue
        if seen[i]:
            if dt > 0.0:
                x = (np.float64(boxes[i, 0]) + np.float64(boxes[i, 2])) / 2.0
                _advance(row, dt, abs(x - width_px / 2.0))
            _measure(row, boxes[i], width_px, height_px)
            row[TIME] = t_s
        if row[SIGHTINGS] < LEAST_SIGHTINGS:
            closing[i, 0] = closing[i, 1] = 0.0
            continue
        ahead = t_s - row[TIME]
        closing[i, 0] = row[1] / max(1.0 - row[1] * ahead, 0.2)
        q = (ACCELERATION * np.exp(-row[0])) ** 2
        closing[i, 1] = np.sqrt(max(row[COVARIANCE + 5], 1e-12) + q * ahead)
