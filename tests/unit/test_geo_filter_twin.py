"""The kernel of places over time against a slow twin: two Kalman filters written with matrices."""

import math

import numpy as np
import pymap3d
import pytest

from perception.kernels import ground_filter as kernel

H = np.eye(2, 4)


class Twin:
    """One track: a filter of who stands, one at constant velocity, and which of them is told."""

    def __init__(self, anchor, whole, pixel, t_s):
        self.anchor, self.t_s = anchor, t_s
        self.stand, self.stand_cov = np.zeros(2), pixel.copy()
        self.move, self.move_cov = np.zeros(4), np.zeros((4, 4))
        self.move_cov[:2, :2] = pixel
        self.move_cov[2:, 2:] = np.eye(2) * kernel.FIRST_SPEED**2
        self.shared, self.disagree, self.moves = whole - pixel, 2.0, False

    def see(self, place, whole, pixel, t_s):
        dt = t_s - self.t_s
        self.t_s = t_s
        self.stand_cov = self.stand_cov + np.eye(2) * kernel.DRIFT**2 * dt
        F = np.block([[np.eye(2), dt * np.eye(2)], [np.zeros((2, 2)), np.eye(2)]])
        q = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]) * kernel.ACCELERATION**2
        self.move = F @ self.move
        self.move_cov = F @ self.move_cov @ F.T + np.kron(q, np.eye(2))
        east, north, _ = pymap3d.geodetic2enu(*place, 0.0, *self.anchor, 0.0)
        z = np.array([east, north])
        off = z - self.stand
        S = self.stand_cov + pixel
        squared = min(off @ np.linalg.inv(S) @ off, 50.0)
        self.disagree = kernel.MEMORY * self.disagree + (1 - kernel.MEMORY) * squared
        K = self.stand_cov @ np.linalg.inv(S)
        self.stand, self.stand_cov = self.stand + K @ off, (np.eye(2) - K) @ self.stand_cov
        gain = np.trace(K) / 2
        S = self.move_cov[:2, :2] + pixel
        K = self.move_cov @ H.T @ np.linalg.inv(S)
        self.move = self.move + K @ (z - self.move[:2])
        self.move_cov = (np.eye(4) - K @ H) @ self.move_cov
        speed = self.move[2:] @ np.linalg.inv(self.move_cov[2:, 2:]) @ self.move[2:]
        if self.moves:
            self.moves = not speed < kernel.STOP_LIMIT
        else:
            self.moves = self.disagree > kernel.STANDING_LIMIT or speed > kernel.START_LIMIT
        if self.moves:
            self.disagree = 2.0
            self.stand, self.stand_cov = self.move[:2].copy(), self.move_cov[:2, :2].copy()
            gain = np.trace(K[:2]) / 2
        self.shared = self.shared + min(1.0, max(0.0, gain)) * (whole - pixel - self.shared)

    @property
    def told(self):
        """Return east, north m of the anchor, covariance and velocity as they are told."""
        at, cov = (self.move, self.move_cov) if self.moves else (self.stand, self.stand_cov)
        velocity = self.move[2:] if self.moves else np.zeros(2)
        return at[:2], cov[:2, :2] + self.shared, velocity


@pytest.mark.parametrize("speed", [0.0, 0.5, 12.0])
@pytest.mark.parametrize("lon", [8.0, 179.99999])
def test_places_over_time(speed, lon):
    rng = np.random.default_rng(4)
    anchor, twin, moved = (47.0, lon), None, set()
    ids, states = np.empty(0, np.int64), np.empty((0, kernel.STATE))
    for n in range(120):
        t_s = n * 0.1 + 0.03 * (n % 3)
        pixel = np.array([[4.0, 1.0], [1.0, 2.0]]) * (1 + 0.5 * math.sin(n / 5))
        whole = pixel + np.array([[30.0, 4.0], [4.0, 20.0]])
        stopped = speed * min(t_s, 8.0)
        east, north = rng.multivariate_normal((stopped, 0.3 * stopped), pixel)
        lat, at, _ = pymap3d.enu2geodetic(east, north, 0.0, 47.0, lon, 0.0)
        if twin is None:
            anchor = lat, at
            twin = Twin(anchor, whole, pixel, t_s)
        else:
            twin.see((lat, at), whole, pixel, t_s)
        parts = [m[i] for m in (whole, pixel) for i in ((0, 0), (0, 1), (1, 1))]
        seen = np.array([[math.radians(lat), math.radians(at), 0.0, *parts]])
        new, out = np.zeros((1, kernel.STATE)), np.zeros((1, 9))
        now = np.array([7], np.int64)
        kernel._update_tracks(ids, states, now, seen, np.array([True]), t_s, new, out)
        ids, states = now, new
        place, spread, velocity = twin.told
        east, north, _ = pymap3d.geodetic2enu(*np.degrees(out[0, :2]), 0.0, *anchor, 0.0)
        assert np.allclose((east, north), place, atol=0.02)
        assert np.allclose(out[0, [3, 4, 4, 5]].reshape(2, 2), spread, rtol=1e-3)
        assert np.allclose(out[0, 6:8], velocity, atol=0.02)
        moved.add(twin.moves)
    if speed != 0.5:  # so slow that either may be told
        assert (True in moved) == (speed > 1.0)
