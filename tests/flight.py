"""A flight simulator for geolocation: true states, true pixels of ground points, noisy telemetry.

It shares no code with what it tests: frames come from pymap3d, the camera is written out here.
"""

import math
from dataclasses import replace

import numpy as np
import pymap3d

from perception.geo.state import State


def rotation(yaw, pitch, roll):
    """Return body -> north, east, down as three turns one after the other, degrees."""
    y, p, r = np.radians([yaw, pitch, roll])
    about_z = np.array([[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(p), 0, np.sin(p)], [0, 1, 0], [-np.sin(p), 0, np.cos(p)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(r), -np.sin(r)], [0, np.sin(r), np.cos(r)]])
    return about_z @ about_y @ about_x


def pixel_of(place, eye, angles, focal, size, distortion=(0, 0, 0, 0, 0)):
    """Return the px of a place (lat, lon, height) seen from eye (lat, lon, height); None behind."""
    east, north, up = pymap3d.geodetic2enu(*place, *eye)
    ahead, right, down = rotation(*angles).T @ np.array([north, east, -up])
    if ahead <= 0:
        return None
    x, y = right / ahead, down / ahead
    k1, k2, p1, p2, k3 = distortion
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.array([size[0] / 2 + focal * u, size[1] / 2 + focal * v])


def ground_point(eye, bearing, depression, height=0.0):
    """Return the place that a ray from eye meets at a height, by bisection on the ellipsoid."""
    low, high = 0.0, None
    d, b = math.radians(depression), math.radians(bearing)
    way = np.array([math.cos(d) * math.sin(b), math.cos(d) * math.cos(b), -math.sin(d)])

    def above(s):
        return pymap3d.enu2geodetic(*(s * way), *eye)[2] - height

    high = (eye[2] - height) / max(math.sin(d), 1e-6) * 1.2
    while above(high) > 0:
        high *= 1.5
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > 0 else (low, middle)
    lat, lon, _ = pymap3d.enu2geodetic(*(low * way), *eye)
    return float(lat), float(lon), height


def apart(a, b):
    """Return how far b is from a: east, north m."""
    east, north, _ = pymap3d.geodetic2enu(b[0], b[1], a[2], *a)
    return np.array([east, north])


class Steady:
    """A Feed of one state that holds, or of a function of time."""

    alone = False

    def __init__(self, state, sigmas=None):
        self.state, self.why, self.sigmas = state, "", sigmas or {}

    def at(self, t_ns):
        state = self.state(t_ns) if callable(self.state) else self.state
        return replace(state, t_ns=t_ns), {piece: 0.0 for piece in state.pieces}


def state_of(eye, angles, hfov, velocity=None):
    """Return the telemetry of a camera; eye's height is above the ellipsoid."""
    return State(
        t_ns=0,
        lat_deg=eye[0],
        lon_deg=eye[1],
        altitudes_m={"ellipsoid": eye[2]},
        gimbal_deg=tuple(angles),
        velocity_m_s=velocity,
        hfov_deg=hfov,
    )
