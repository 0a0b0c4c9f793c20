"""The `map:` part of a camera in a launch file: lens, mount, ground and errors.

Imports pydantic and the rest of this room.
"""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from perception.geo.pose import Sigmas

Degrees = Annotated[float, Field(ge=-360.0, le=360.0, allow_inf_nan=False)]
Metres = Annotated[float, Field(ge=-12_000.0, le=50_000.0, allow_inf_nan=False)]
Sigma = Annotated[float, Field(ge=0.0, le=10_000.0, allow_inf_nan=False)]


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LensOptions(_Base):
    """How wide the camera sees, in place of what telemetry says: one of the first three.

    hfov_deg: whole picture, side to side. focal_35_mm: 35 mm equivalent. focal_px: with width_px,
    the width of the picture it was measured on. centre: fractions of the picture. distortion: k1,
    k2, p1, p2, k3 as OpenCV has them.
    """

    hfov_deg: Annotated[float, Field(gt=0.1, lt=179.0)] | None = None
    focal_35_mm: Annotated[float, Field(gt=1.0, le=5000.0)] | None = None
    focal_px: Annotated[float, Field(gt=1.0, le=1e6)] | None = None
    width_px: Annotated[int, Field(ge=1, le=65535)] | None = None
    centre: tuple[float, float] = (0.5, 0.5)
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)

    @model_validator(mode="after")
    def _one(self) -> "LensOptions":
        given = [self.hfov_deg, self.focal_35_mm, self.focal_px]
        if sum(value is not None for value in given) > 1:
            raise ValueError("give one of hfov_deg, focal_35_mm and focal_px")
        if (self.focal_px is None) != (self.width_px is None):
            raise ValueError("focal_px and width_px belong together")
        return self


class GroundOptions(_Base):
    """What the camera looks at. type: flat, or dem with the path of a terrain file (GeoTIFF, .hgt).

    height_m: of flat ground, above datum; not given: the ground below the vehicle where telemetry
    knows it, else the point of take-off. datum: msl (mean sea level) or ellipsoid (WGS 84).
    """

    type: Literal["flat", "dem"] = "flat"
    path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
    height_m: Metres | None = None
    datum: Literal["msl", "ellipsoid"] = "msl"

    @model_validator(mode="after")
    def _fits(self) -> "GroundOptions":
        if (self.type == "dem") != (self.path is not None):
            raise ValueError("a dem needs a path, flat ground has none")
        if self.type == "dem" and self.height_m is not None:
            raise ValueError("a dem has its own heights: leave height_m out")
        return self


class AssumeOptions(_Base):
    """Where the camera looks, for telemetry without attitude. yaw_deg: not given: the course."""

    pitch_deg: Degrees = -90.0
    yaw_deg: Degrees | None = None
    roll_deg: Degrees = 0.0


class SigmaOptions(_Base):
    """One sigma of each error, in place of what telemetry says or the defaults (docs/drone.md)."""

    position_m: Sigma | None = None
    altitude_m: Sigma | None = None
    yaw_deg: Sigma | None = None
    pitch_deg: Sigma | None = None
    roll_deg: Sigma | None = None
    focal: Annotated[float, Field(ge=0.0, le=1.0)] | None = None
    time_s: Annotated[float, Field(ge=0.0, le=10.0)] | None = None
    pixel: Sigma | None = None
    terrain_m: Sigma | None = None


class MapOptions(_Base):
    """How pixels become places. mount_deg: yaw, pitch, roll of the camera on its gimbal; on the
    airframe where there is no gimbal (looking down: 0, -90, 0).

    takeoff_msl_m: where it took off, for heights above take-off. geoid_m: height of mean sea level
    above the ellipsoid there. max_range_m: what is farther is not placed.
    """

    lens: LensOptions = LensOptions()
    ground: GroundOptions = GroundOptions()
    mount_deg: tuple[Degrees, Degrees, Degrees] = (0.0, 0.0, 0.0)
    assume: AssumeOptions | None = None
    takeoff_msl_m: Metres | None = None
    geoid_m: Annotated[float, Field(ge=-120.0, le=120.0)] | None = None
    max_range_m: Annotated[float, Field(ge=10.0, le=100_000.0)] = 20_000.0
    min_depression_deg: Annotated[float, Field(ge=0.0, le=90.0)] = 15.0
    sigmas: SigmaOptions = SigmaOptions()


SIGMA_NAMES = tuple(f.name for f in fields(Sigmas))
