"""Slow, obvious twin of kernels/looming.py: the same filter with whole matrices."""

import numpy as np

from perception.kernels import looming as k


class Twin:
    """One track's filter."""

    def __init__(self, box, t_s, width):
        height, wide = max(box[3] - box[1], 1.0), max(box[2] - box[0], 1.0)
        offset = (box[0] + box[2]) / 2 - width / 2
        far = max(abs(offset), 1.0)
        self.x = np.array([-np.log(height), 0.0, np.log(wide / height), np.log(far / height)])
        size = k.SIZE**2 + (k.PIXEL / height) ** 2
        self.p = np.diag([size, k.FIRST_RATE**2, 0.03**2, (k.OFFSET_PX / far) ** 2 + 0.02**2])
        self.side, self.count, self.t_s = (-1.0 if offset < 0 else 1.0), 1, t_s

    def advance(self, dt, offset_px):
        left = max(1 - self.x[1] * dt, 0.2)
        f = np.eye(4)
        f[0, 1], f[1, 1] = -dt / left, 1 / left**2
        self.x[0] += np.log(left)
        self.x[1] /= left
        q = (k.ACCELERATION * np.exp(-self.x[0])) ** 2
        noise = np.zeros((4, 4))
        noise[:2, :2] = q * np.array([[dt**3 / 3, -(dt**2) / 2], [-(dt**2) / 2, dt]])
        noise[2, 2] = k.ASPECT_WALK**2 * dt
        noise[3, 3] = (k.OFFSET_WALK_PX / max(offset_px, 1.0)) ** 2 * dt
        self.p = f @ self.p @ f.T + noise

    def correct(self, part, value, variance):
        h = np.array([-1.0, 0, 0, 0])
        if part:
            h[part] = 1.0
        innovation = value - h @ self.x
        total = h @ self.p @ h + variance
        total *= max(1.0, innovation**2 / (total * k.OUTLIER**2))
        gain = self.p @ h
        self.x = self.x + gain * innovation / total
        self.p = self.p - np.outer(gain, gain) / total

    def measure(self, box, t_s, width, height_px):
        offset = (box[0] + box[2]) / 2 - width / 2
        if t_s > self.t_s:
            self.advance(t_s - self.t_s, abs(offset))
        height, wide = max(box[3] - box[1], 1.0), max(box[2] - box[0], 1.0)
        side = -1.0 if offset < 0 else 1.0
        is_tall = box[1] > k.BORDER_PX and box[3] < height_px - 1 - k.BORDER_PX
        is_wide = box[0] > k.BORDER_PX and box[2] < width - 1 - k.BORDER_PX
        if is_tall:
            self.correct(0, np.log(height), k.SIZE**2 + (k.PIXEL / height) ** 2)
        if is_wide:
            self.correct(2, np.log(wide), k.ASPECT**2 + (k.PIXEL / wide) ** 2)
        if is_wide and abs(offset) > k.LEAST_OFFSET_PX and side == self.side:
            self.correct(3, np.log(abs(offset)), (k.OFFSET_PX / abs(offset)) ** 2)
        else:
            far = max(abs(offset), 1.0)
            self.x[3] = np.log(far) + self.x[0]
            self.p[3], self.p[:, 3] = 0.0, 0.0
            self.p[3, 3] = (k.OFFSET_PX / far) ** 2 + 0.05**2
            self.side = side
        self.count += 1
        self.t_s = t_s

    def closing(self, t_s):
        if self.count < k.LEAST_SIGHTINGS:
            return 0.0, 0.0
        ahead = t_s - self.t_s
        q = (k.ACCELERATION * np.exp(-self.x[0])) ** 2
        rate = self.x[1] / max(1 - self.x[1] * ahead, 0.2)
        return rate, np.sqrt(max(self.p[1, 1], 1e-12) + q * ahead)
