"""What a user says of a camera so that its pixels become metres: `calibration:` of a launch file.

Either a camera over a flat ground (focal length, height, pitch), as a vehicle bears it, or four
points of the ground with their places in metres, as a fixed camera sees them. Imports numpy and
pydantic only, as launch files are checked with it.

Axes on the ground: x to the right, y ahead, in m from the point below the camera (or the origin
that the four points imply).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Fraction = Annotated[float, Field(ge=-1.0, le=2.0, allow_inf_nan=False)]
Metres = Annotated[float, Field(ge=-10_000.0, le=10_000.0, allow_inf_nan=False)]
MAX_CONDITION = 1e8
"""Four points that lie nearly on one line give a plane worse conditioned than this."""


class GroundPoint(BaseModel):
    """One point of the ground: `at` in fractions of the picture, `m` its place x, y in metres."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: tuple[Fraction, Fraction]
    m: tuple[Metres, Metres]


class Calibration(BaseModel):
    """A camera's geometry. What is in px is of a picture `width_px` wide; fractions of any size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    focal_px: Annotated[float, Field(gt=0, le=1e5, allow_inf_nan=False)] | None = Field(
        default=None, description="focal length in px of a picture width_px wide"
    )
    width_px: Annotated[int, Field(ge=16, le=65535)] | None = Field(
        default=None, description="width of the picture that focal_px is of"
    )
    fov_deg: Annotated[float, Field(gt=1, lt=170, allow_inf_nan=False)] | None = Field(
        default=None, description="horizontal field of view, instead of focal_px"
    )
    principal: tuple[Fraction, Fraction] = Field(
        default=(0.5, 0.5), description="where the optical axis meets the picture, fractions"
    )
    height_m: Annotated[float, Field(gt=0.05, le=500, allow_inf_nan=False)] | None = Field(
        default=None, description="height of the camera above the ground"
    )
    pitch_deg: Annotated[float, Field(ge=-89, le=89, allow_inf_nan=False)] | None = Field(
        default=None, description="how far the camera looks down; 0: level"
    )
    horizon: Fraction | None = Field(
        default=None, description="row of the horizon as a fraction, instead of pitch_deg"
    )
    distortion: Annotated[list[float], Field(min_length=4, max_length=5)] | None = Field(
        default=None, description="k1, k2, p1, p2 and k3 of OpenCV's model"
    )
    points: Annotated[list[GroundPoint], Field(min_length=4, max_length=4)] | None = Field(
        default=None, description="fixed camera: four points of the ground instead of all above"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        given = self.model_fields_set
        if self.points is not None:
            if extra := sorted(given - {"points"}):
                raise ValueError(f"points stand alone: remove {', '.join(extra)}")
            homography(self.points, 1, 1)
            return self
        if (self.focal_px is None) == (self.fov_deg is None):
            raise ValueError("needs focal_px (with width_px) or fov_deg, one of them; or points")
        if self.focal_px is not None and self.width_px is None:
            raise ValueError("focal_px needs width_px, the width of the picture that it is of")
        if self.height_m is None:
            raise ValueError("needs height_m, the camera's height above the ground in m")
        if self.pitch_deg is not None and self.horizon is not None:
            raise ValueError("pitch_deg and horizon say the same: give one of them")
        return self

    def lens(self, width: int, height: int) -> "Lens":
        """Return the camera for pictures of this size in px. Not for `points`."""
        if self.focal_px is not None and self.width_px is not None:
            focal = self.focal_px * width / self.width_px
        else:
            focal = width / 2.0 / math.tan(math.radians(self.fov_deg or 90.0) / 2.0)
        u0, v0 = self.principal[0] * width, self.principal[1] * height
        pitch = math.radians(self.pitch_deg or 0.0)
        if self.horizon is not None:
            pitch = math.atan2(v0 - self.horizon * height, focal)
        return Lens(focal, u0, v0, pitch, self.height_m or 1.0, tuple(self.distortion or ()))


@dataclass(frozen=True, slots=True)
class Lens:
    """A camera over flat ground: px of the focal length and of the axis, rad down, m above it."""

    focal: float
    u0: float
    v0: float
    pitch: float
    height_m: float
    distortion: tuple[float, ...] = ()

    def pixel(self, x_m: float, y_m: float, up_m: float = 0.0) -> tuple[float, float] | None:
        """Return the px of a place above the ground; None where it is behind the camera.

        Distortion as in OpenCV's documentation of calib3d.
        """
        sin, cos = math.sin(self.pitch), math.cos(self.pitch)
        down = self.height_m - up_m
        depth = y_m * cos + down * sin
        if depth <= 0.05:
            return None
        x, y = x_m / depth, (down * cos - y_m * sin) / depth
        if self.distortion:
            k1, k2, p1, p2, k3 = (*self.distortion, 0.0)[:5]
            r = x * x + y * y
            swell = 1.0 + r * (k1 + r * (k2 + r * k3))
            x, y = (
                x * swell + 2.0 * p1 * x * y + p2 * (r + 2.0 * x * x),
                y * swell + p1 * (r + 2.0 * y * y) + 2.0 * p2 * x * y,
            )
        return self.u0 + self.focal * x, self.v0 + self.focal * y


def rings(
    calibration: Calibration, width: int, height: int, distances_m: Sequence[float]
) -> dict[str, NDArray[np.float64]]:
    """Return rings on the ground round the origin: by name, e.g. `10 m`, float64 (P, 2) px.

    Of `points`: lines across at these m ahead, as wide as the four points.
    """
    made: dict[str, NDArray[np.float64]] = {}
    for far in distances_m:
        if calibration.points is not None:
            back = np.linalg.inv(homography(calibration.points, width, height))
            sides = [one.m[0] for one in calibration.points]
            across = np.linspace(min(sides), max(sides), 31)
            raw = np.column_stack([across, np.full(31, far), np.ones(31)]) @ back.T
            made[f"{far:g} m"] = raw[raw[:, 2] > 1e-9, :2] / raw[raw[:, 2] > 1e-9, 2:]
            continue
        lens = calibration.lens(width, height)
        turns = np.radians(np.linspace(-70, 70, 141))
        pixels = [lens.pixel(far * math.sin(a), far * math.cos(a)) for a in turns]
        made[f"{far:g} m"] = np.array([p for p in pixels if p is not None]).reshape(-1, 2)
    return made


def homography(points: list[GroundPoint], width: int, height: int) -> NDArray[np.float64]:
    """Return the map of px to metres on the ground, float64 (3, 3), of four points.

    Raises ValueError where three of them lie on one line. Source: Hartley and Zisserman, Multiple
    View Geometry, 4.1 (direct linear transform, four exact points).
    """
    rows: list[list[float]] = []
    right: list[float] = []
    for one in points:
        u, v = one.at
        for k, goal in enumerate(one.m):
            own = [u, v, 1.0]
            rows.append([*(own if k == 0 else [0.0] * 3), *(own if k == 1 else [0.0] * 3)])
            rows[-1] += [-goal * u, -goal * v]
            right.append(goal)
    matrix = np.array(rows)
    if not np.isfinite(matrix).all() or np.linalg.cond(matrix) > MAX_CONDITION:
        raise ValueError("points: three of the four lie on one line: choose a wide quadrangle")
    flat = np.append(np.linalg.solve(matrix, np.array(right)), 1.0)
    made = flat.reshape(3, 3)
    if abs(np.linalg.det(made)) < 1e-9:
        raise ValueError("points: three of the four lie on one line: choose a wide quadrangle")
    sides = [float(made[2] @ (*one.at, 1.0)) for one in points]
    if min(sides) <= 0.0 < max(sides):
        raise ValueError("points: the horizon would pass between them: check their order")
    scale = np.diag((1.0 / width, 1.0 / height, 1.0))
    return made * (1.0 if sides[0] > 0 else -1.0) @ scale
