"""Slow, obvious twins of the kernels: what each should do, written to be read, not to be fast."""

from fractions import Fraction

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


# ---- Detection: boxes, heads, suppression. float32 step by step, so results are equal to the bit


def iou(a, b):
    a, b = (np.asarray(box, np.float32) for box in (a, b))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.float32(0)
    with np.errstate(all="ignore"):
        w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if w <= 0 or h <= 0:
            return np.float32(0)
        area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        value = w * h / (area - w * h)
    return np.float32(0) if np.isnan(value) else min(value, np.float32(1))


def to_image(boxes, width, height, scale=(1, 1), offset=(0, 0)):
    """Return boxes on the image, their rows, (not finite, empty)."""
    kept, rows, bad, empty = [], [], 0, 0
    with np.errstate(all="ignore"):
        moved = (np.asarray(boxes, np.float32) - np.float32((*offset, *offset))) / np.float32(
            (*scale, *scale)
        )
    for row, box in enumerate(moved):
        if not np.isfinite(box).all():
            bad += 1
            continue
        x1, y1 = max(box[0], 0), max(box[1], 0)
        x2, y2 = min(box[2], np.float32(width)), min(box[3], np.float32(height))
        if x2 <= x1 or y2 <= y1:
            empty += 1
            continue
        kept.append((x1, y1, x2, y2))
        rows.append(row)
    return np.array(kept, np.float32).reshape(-1, 4), rows, (bad, empty)


def candidates(rows, threshold, allowed=None):
    """Return (boxes, scores, class ids, (not finite, empty)) of (box, class scores) rows."""
    kept, bad, empty = [], 0, 0
    for box, scores in rows:
        if not np.isfinite(scores).all():
            bad += 1
            continue
        k = int(np.argmax(scores))
        if scores[k] <= np.float32(threshold) or (allowed is not None and not allowed[k]):
            continue
        if not np.isfinite(box).all():
            bad += 1
        elif box[2] <= box[0] or box[3] <= box[1]:
            empty += 1
        else:
            kept.append((box, scores[k], k))
    boxes, best, ids = zip(*kept, strict=True) if kept else ([], [], [])
    return np.array(boxes, np.float32).reshape(-1, 4), list(best), list(ids), (bad, empty)


def corners(x, y, w, h):
    half_w, half_h = w / np.float32(2), h / np.float32(2)
    return np.array([x - half_w, y - half_h, x + half_w, y + half_h], np.float32)


def decode_yolo(head, threshold, allowed=None):
    head = np.asarray(head, np.float32)
    with np.errstate(all="ignore"):
        return candidates([(corners(*a[:4]), a[4:]) for a in head.T], threshold, allowed)


def decode_yolox(head, canvas, threshold, allowed=None):
    head = np.asarray(head, np.float32)
    cells = [(x, y, s) for s in (8, 16, 32) for y in range(canvas[0] // s)
             for x in range(canvas[1] // s)]  # fmt: skip
    rows = []
    for a, (x, y, s) in zip(head, cells, strict=True):
        if a[4] <= np.float32(threshold):
            continue
        with np.errstate(all="ignore"):
            s = np.float32(s)
            w, h = np.exp(a[2]) * s, np.exp(a[3]) * s
            rows.append((corners((a[0] + x) * s, (a[1] + y) * s, w, h), a[5:] * a[4]))
    return candidates(rows, threshold, allowed)


def decode_end_to_end(head, classes, threshold, allowed=None):
    rows, bad = [], 0
    for *box, score, label in np.asarray(head, np.float32):
        if score <= np.float32(threshold):
            continue
        if not (np.isfinite(score) and 0 <= label < classes):
            bad += 1
            continue
        scores = np.zeros(classes, np.float32)
        scores[int(label)] = score
        rows.append((np.array(box), scores))
    *out, rejected = candidates(rows, threshold, allowed)
    return (*out, (bad + rejected[0], rejected[1]))


def nms(boxes, scores, class_ids, limit_iou, limit):
    """Return rows kept, best first: strike out what overlaps the best, and again."""
    boxes, scores = np.asarray(boxes, np.float32), np.asarray(scores, np.float32)
    rows = [i for i in range(len(scores)) if np.isfinite(boxes[i]).all() and np.isfinite(scores[i])]
    rows.sort(key=lambda i: -scores[i])
    kept = []
    while rows and len(kept) < limit:
        best, *rest = rows
        kept.append(best)
        rows = [
            i
            for i in rest
            if (class_ids is not None and class_ids[i] != class_ids[best])
            or not _overlap(boxes[best], boxes[i]) > np.float32(limit_iou)
        ]
    return kept


def _overlap(a, b):
    """IoU as torchvision has it: areas may be negative, 0 / 0 suppresses nothing."""
    with np.errstate(all="ignore"):
        w = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
        h = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
        areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return w * h / (areas - w * h)


# ---- Places: point in polygon, crossings of a line; exact, in fractions


def _cross(a, b, p):
    """Return the exact cross product (b - a) x (p - a)."""
    (ax, ay), (bx, by), (px, py) = [[Fraction(float(v)) for v in q] for q in (a, b, p)]
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax)


def inside(points, polygon):
    """Return for each point if it is on the border, or a ray to the right meets an odd number of
    edges, each without its upper end."""
    edges = [(polygon[i - 1], polygon[i]) for i in range(len(polygon))]
    result = []
    for p in points:
        if len(polygon) < 3 or not (np.isfinite(p).all() and np.isfinite(polygon).all()):
            result.append(False)
            continue
        border, met = False, 0
        for a, b in edges:
            low, high = (a, b) if a[1] < b[1] else (b, a)
            in_box = all(min(a[k], b[k]) <= p[k] <= max(a[k], b[k]) for k in (0, 1))
            border = border or (in_box and _cross(a, b, p) == 0)
            met += low[1] <= p[1] < high[1] and _cross(low, high, p) > 0
        result.append(border or met % 2 == 1)
    return result


def crossings(starts, ends, line):
    """Return 1, -1, 0 for each movement: it changes sides (on the line is right), and, looked at
    from left to right, has the line's two ends on different sides of itself (on it is right)."""
    a, b = line
    result = []
    for p, q in zip(starts, ends, strict=True):
        if not np.isfinite([p, q, a, b]).all():
            result.append(0)
            continue
        from_right, to_right = _cross(a, b, p) >= 0, _cross(a, b, q) >= 0
        left, right = (q, p) if from_right else (p, q)
        ends_differ = (_cross(left, right, a) >= 0) != (_cross(left, right, b) >= 0)
        result.append((int(to_right) - int(from_right)) * ends_differ)
    return result


def reach(points, velocities, polygon):
    """Return for each moving point the first time at which it meets an edge, 0 inside, else inf."""
    result = []
    for p, v in zip(points, velocities, strict=True):
        first = np.inf
        if len(polygon) >= 3 and np.isfinite([p, v]).all():
            for i in range(len(polygon)):
                a, b = np.array(polygon[i - 1], float), np.array(polygon[i], float)
                # p + t v = a + u (b - a)
                m = np.array([np.asarray(v, float), a - b]).T
                if m[0, 0] * m[1, 1] != m[0, 1] * m[1, 0]:
                    t, u = np.linalg.solve(m, a - np.asarray(p, float))
                    if t >= -1e-9 and -1e-9 <= u <= 1 + 1e-9:
                        first = min(first, max(t, 0.0))
            if inside([p], polygon)[0]:
                first = 0.0
        result.append(first)
    return result


# ---- Colour


def yuv_to_bgr(y, u, v, kr, kb, full):
    """Return (b, g, r) of one pixel, each product of 13 bits rounded down by itself."""
    kg = 1 - kr - kb
    luma, chroma = (1, 1) if full else (255 / 219, 255 / 224)

    def times(level, weight):
        return level * round(weight * 8192) // 8192

    grey, u, v = times(y if full else y - 16, luma), u - 128, v - 128
    b = grey + times(u, 2 * (1 - kb) * chroma)
    g = grey + times(u, -2 * (1 - kb) * kb / kg * chroma)
    g += times(v, -2 * (1 - kr) * kr / kg * chroma)
    r = grey + times(v, 2 * (1 - kr) * chroma)
    return [min(max(level, 0), 255) for level in (b, g, r)]
