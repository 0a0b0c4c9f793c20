"""The pose of a camera from a vehicle's state, and how each sigma moves it.

Rotations are matrices from the camera (right, down, ahead) to east, north, up.
Imports the rest of this room.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.geo.state import Angles, State

Matrix = NDArray[np.float64]

_FROM_CAMERA = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
"""Camera right, down, ahead -> body ahead, right, down."""
_TO_ENU = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
"""North, east, down -> east, north, up."""


@dataclass(frozen=True, slots=True)
class Sigmas:
    """One sigma of each source of error. position_m: north and east each. focal: share.

    time_s: of the offset between picture and telemetry. pixel: of a box's foot, px.
    """

    position_m: float = 3.0
    altitude_m: float = 5.0
    yaw_deg: float = 4.0
    pitch_deg: float = 1.0
    roll_deg: float = 1.0
    focal: float = 0.02
    time_s: float = 0.1
    pixel: float = 3.0
    terrain_m: float = 3.0


def turn(angles: Angles) -> Matrix:
    """Return the rotation body (ahead, right, down) -> north, east, down of yaw, pitch, roll."""
    y, p, r = (math.radians(a) for a in angles)
    sy, cy, sp, cp, sr, cr = (
        math.sin(y), math.cos(y), math.sin(p), math.cos(p), math.sin(r), math.cos(r),
    )  # fmt: skip
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def angles_of(rotation: Matrix) -> Angles:
    """Return yaw, pitch, roll in degrees of a rotation as `turn` gives it."""
    pitch = math.asin(max(-1.0, min(1.0, -float(rotation[2, 0]))))
    if abs(rotation[2, 0]) > 1.0 - 1e-12:
        yaw, roll = math.atan2(-float(rotation[0, 1]), float(rotation[1, 1])), 0.0
    else:
        yaw = math.atan2(float(rotation[1, 0]), float(rotation[0, 0]))
        roll = math.atan2(float(rotation[2, 1]), float(rotation[2, 2]))
    return math.degrees(yaw), math.degrees(pitch), math.degrees(roll)


def camera_turn(state: State, mount_deg: Angles) -> Matrix | None:
    """Return the rotation body of the camera -> north, east, down; None where attitude is missing.

    mount_deg: the camera on its gimbal; without a gimbal in the telemetry, on the airframe.
    """
    mount = turn(mount_deg)
    air, gimbal = state.airframe_deg, state.gimbal_deg
    if gimbal is None:
        return None if air is None else turn(air) @ mount
    if state.gimbal_frame == "earth":
        return turn(gimbal) @ mount
    if air is None:
        return None
    base = air if state.gimbal_frame == "airframe" else (air[0], 0.0, 0.0)
    return turn(base) @ turn(gimbal) @ mount


def to_enu(body: Matrix) -> Matrix:
    """Return the rotation camera -> east, north, up of one that gives body -> north, east, down."""
    return _TO_ENU @ body @ _FROM_CAMERA


def error_rows(
    body: Matrix, sigmas: Sigmas, velocity: tuple[float, float, float] | None, rate: Matrix | None
) -> Matrix:
    """Return float64 (7, 6): one-sigma moves of the eye (east, north, up m) and turns (rad).

    body: as camera_turn gives it. velocity: north, east, down m/s. rate: (3,) turn about east,
    north, up in rad/s; both only count with sigmas.time_s.
    """
    yaw = math.atan2(float(body[1, 0]), float(body[0, 0]))
    if abs(body[2, 0]) > 0.999:
        yaw = math.atan2(-float(body[0, 1]), float(body[1, 1]))
    rows = np.zeros((7, 6))
    rows[0, 0] = rows[1, 1] = sigmas.position_m
    rows[2, 2] = sigmas.altitude_m
    rows[3, 5] = -math.radians(sigmas.yaw_deg)
    right = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
    rows[4, 3:] = math.radians(sigmas.pitch_deg) * right
    rows[5, 3:] = math.radians(sigmas.roll_deg) * (_TO_ENU @ body[:, 0])
    if velocity is not None:
        north, east, down = velocity
        rows[6, :3] = np.array([east, north, -down]) * sigmas.time_s
    if rate is not None:
        rows[6, 3:] = rate * sigmas.time_s
    return rows


def turn_rate(before: Matrix, after: Matrix, seconds: float) -> Matrix:
    """Return the turn (3,) about east, north, up in rad/s between two rotations to NED."""
    difference = _TO_ENU @ after @ before.T @ _TO_ENU.T
    skew = (difference - difference.T) / 2.0
    vector = np.array([skew[2, 1], skew[0, 2], skew[1, 0]])
    sine = float(np.linalg.norm(vector))
    if sine < 1e-12:
        return np.zeros(3)
    angle = math.atan2(sine, (float(np.trace(difference)) - 1.0) / 2.0)
    return vector / sine * angle / seconds
