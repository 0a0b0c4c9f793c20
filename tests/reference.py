"""Slow, obvious twins of the kernels: what each should do, written to be read, not to be fast."""

import numpy as np

# ---- Tracking: Kalman filter, assignment, overlapping pairs


def kalman_matrices(side_w, side_h, dt, walk, acceleration):
    """Return F and Q, (8, 8), of the whole constant-velocity filter: cx, cy, w, h, then rates."""
    F = np.eye(8)
    F[:4, 4:] = dt * np.eye(4)
    Q = np.zeros((8, 8))
    for c, side in enumerate((side_w, side_h, side_w, side_h)):
        q = (acceleration * side) ** 2
        Q[c, c] = (walk * side) ** 2 * dt + q * dt**3 / 3
        Q[c, c + 4] = Q[c + 4, c] = q * dt**2 / 2
        Q[c + 4, c + 4] = q * dt
    return F, Q


def kalman_begin(box, noise, speed):
    """Return mean (8,) and covariance (8, 8) of a box seen once."""
    sides = np.maximum([box[2], box[3], box[2], box[3]], 1.0)
    P = np.diag(np.concatenate(((noise * sides) ** 2, (speed * sides) ** 2)))
    return np.concatenate((np.asarray(box, float), np.zeros(4))), P


def kalman_predict(x, P, dt, walk, acceleration):
    F, Q = kalman_matrices(max(x[2], 1.0), max(x[3], 1.0), dt, walk, acceleration)
    return F @ x, F @ P @ F.T + Q


def kalman_correct(x, P, box, noise):
    H = np.eye(4, 8)
    sides = np.maximum([x[2], x[3], x[2], x[3]], 1.0)
    R = np.diag((noise * sides) ** 2)
    K = P @ H.T @ np.linalg.inv(H @ P @ H.T + R)
    return x + K @ (np.asarray(box, float) - H @ x), (np.eye(8) - K @ H) @ P


def best_total(gains, gate):
    """Return the largest sum of gain - gate of any matching, by SciPy on the dense table."""
    from scipy.optimize import linear_sum_assignment

    table = np.nan_to_num(np.maximum(np.asarray(gains, float) - gate, 0.0), nan=0.0)
    rows, columns = linear_sum_assignment(-table)
    return table[rows, columns].sum()


def overlapping_pairs(a, b):
    """Return {(row of a, row of b): (IoU, height IoU)} of all boxes that overlap."""
    found = {}
    for i, p in enumerate(np.asarray(a, float)):
        for j, q in enumerate(np.asarray(b, float)):
            x = min(p[2], q[2]) - max(p[0], q[0])
            y = min(p[3], q[3]) - max(p[1], q[1])
            if x > 0 and y > 0:
                union = (p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - x * y
                found[i, j] = (x * y / union, y / (max(p[3], q[3]) - min(p[1], q[1])))
    return found
