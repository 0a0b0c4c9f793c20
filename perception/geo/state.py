"""What telemetry says of a vehicle and its camera at one time. What is missing is None, never 0.

Angles in degrees: yaw clockwise from true north, pitch upwards, roll to the right (aerospace,
applied in this order). A gimbal that looks straight down has pitch -90. Imports clock only.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

Angles = tuple[float, float, float]
"""Yaw, pitch, roll in degrees."""

AltitudeKind = Literal["ellipsoid", "msl", "takeoff", "ground"]
"""Above the WGS 84 ellipsoid, mean sea level (EGM96), the point of take-off, the ground below."""

GimbalFrame = Literal["earth", "airframe", "heading"]
"""What gimbal angles count from: north and level; the airframe; level and the airframe's yaw."""

MAX_ALTITUDE_M, MAX_SPEED_M_S = 50_000.0, 1000.0
PIECES = ("position", "velocity", "airframe", "heading", "gimbal", "lens")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """t_ns: time on the telemetry's own line. utc_ns: its UTC. velocity: north, east, down m/s.

    heading_deg: of a compass that says nothing of pitch and roll. hfov_deg, vfov_deg: of the whole
    picture. focal_35_mm: for a picture 36 mm wide. sigmas: one
    sigma by name where the telemetry says it: position_m, altitude_m, yaw_deg, pitch_deg, roll_deg.
    """

    t_ns: int
    utc_ns: int | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    altitudes_m: dict[AltitudeKind, float] = field(default_factory=dict[AltitudeKind, float])
    velocity_m_s: tuple[float, float, float] | None = None
    airframe_deg: Angles | None = None
    heading_deg: float | None = None
    gimbal_deg: Angles | None = None
    gimbal_frame: GimbalFrame = "earth"
    hfov_deg: float | None = None
    vfov_deg: float | None = None
    focal_35_mm: float | None = None
    sigmas: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def pieces(self) -> list[str]:
        """Names of PIECES that are there."""
        there = {
            "position": self.lat_deg is not None and self.lon_deg is not None,
            "velocity": self.velocity_m_s is not None,
            "airframe": self.airframe_deg is not None,
            "heading": self.heading_deg is not None,
            "gimbal": self.gimbal_deg is not None,
            "lens": (self.hfov_deg, self.vfov_deg, self.focal_35_mm) != (None, None, None),
        }
        return [name for name in PIECES if there[name]]


def checked(state: State) -> tuple[State, list[str]]:
    """Return a state without the parts that cannot be true, and a reason for each left out."""
    wrong = list(_wrong(state))
    bare: dict[str, object] = {}
    for part, _ in wrong:
        if part == "position":
            bare |= {"lat_deg": None, "lon_deg": None, "altitudes_m": {}}
        elif part == "altitude":
            bare["altitudes_m"] = {
                k: v for k, v in state.altitudes_m.items() if _within(v, MAX_ALTITUDE_M)
            }
        elif part == "sigma":
            bare["sigmas"] = {
                k: v for k, v in state.sigmas.items() if math.isfinite(v) and v >= 0.0
            }
        else:
            bare[part] = None
    return replace(state, **bare) if bare else state, [why for _, why in wrong]


def _wrong(state: State) -> Iterator[tuple[str, str]]:
    lat, lon = state.lat_deg, state.lon_deg
    if lat is not None and lon is not None:
        if not _within(lat, 90.0):
            yield "position", f"latitude {lat:g} is not within -90 and 90"
        elif not _within(lon, 180.0):
            yield "position", f"longitude {lon:g} is not within -180 and 180"
        elif lat == 0.0 and lon == 0.0:
            yield "position", "position 0, 0: no fix"
    elif (lat is None) != (lon is None):
        yield "position", "one of latitude and longitude is missing"
    if any(not _within(value, MAX_ALTITUDE_M) for value in state.altitudes_m.values()):
        yield "altitude", f"altitude {max(state.altitudes_m.values(), key=abs):g} m"
    if state.velocity_m_s and any(not _within(v, MAX_SPEED_M_S) for v in state.velocity_m_s):
        yield "velocity_m_s", f"velocity {state.velocity_m_s} m/s"
    for name in ("airframe_deg", "gimbal_deg"):
        angles: Angles | None = getattr(state, name)
        if angles is not None and any(not _within(v, 720.0) for v in angles):
            yield name, f"{name.removesuffix('_deg')} angles {angles}"
    if state.heading_deg is not None and not _within(state.heading_deg, 720.0):
        yield "heading_deg", f"heading {state.heading_deg:g}"
    for name, most in (("hfov_deg", 179.0), ("vfov_deg", 179.0), ("focal_35_mm", 5000.0)):
        value: float | None = getattr(state, name)
        if value is not None and not 0.01 <= value <= most:
            yield name, f"{name} {value:g}"
    if any(not (math.isfinite(v) and v >= 0.0) for v in state.sigmas.values()):
        yield "sigma", "a sigma that is no number"


def _within(value: float, most: float) -> bool:
    return math.isfinite(value) and abs(value) <= most
