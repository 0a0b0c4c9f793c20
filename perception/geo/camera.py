"""From a vehicle's state and the `map:` options to what the kernel takes: lens, pose, errors.

Imports the rest of this room and wire.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from perception.geo.options import SIGMA_NAMES, MapOptions
from perception.geo.pose import Matrix, Sigmas, camera_turn, error_rows, to_enu, turn, turn_rate
from perception.geo.series import wrap
from perception.geo.state import AltitudeKind, State
from perception.wire import places

MIN_COURSE_M_S = 1.0
_STEP_NS = 200_000_000


class Feed(Protocol):
    """Telemetry in media time. why: why nothing can be had from it now, "" where it works.

    alone: its states say nothing of each other, so nothing is had from two of them.
    """

    sigmas: dict[str, float]

    @property
    def alone(self) -> bool: ...

    @property
    def why(self) -> str: ...

    def at(self, t_ns: int) -> tuple[State, dict[str, float]]:
        """Return the state at a media time, and how old each of its pieces is in s."""
        ...


@dataclass(frozen=True, slots=True)
class Eye:
    """A camera at one time, ready for kernels.ground. ground_m: flat ground, None: a terrain."""

    lens: Matrix
    pose: Matrix
    errors: Matrix
    noise: Matrix
    body: Matrix
    state: State
    height_m: float
    ground_m: float | None
    hfov_deg: float


def eye_at(
    feed: Feed, options: MapOptions, t_ns: int, width: int, height: int
) -> tuple[Eye | None, int]:
    """Return the camera at a media time, or None with the reason as a row of places.REASONS."""
    state, ages = feed.at(t_ns)
    if not ages:
        return None, places.INVALID if feed.why else places.NONE_YET
    if state.lat_deg is None or state.lon_deg is None:
        return None, places.OLD if "position" in ages else places.NO_POSITION
    body, rate = _attitude(feed, options, state, t_ns)
    if body is None:
        stale = {"airframe", "gimbal"} & ages.keys() and not options.assume
        return None, places.OLD if stale and not _has_attitude(state) else places.NO_ATTITUDE
    focal_px = focal(options, state, width, height)
    if focal_px is None:
        return None, places.NO_LENS
    heights = levels(options, state)
    if heights is None:
        return None, places.NO_ALTITUDE
    eye_m, ground_m = heights
    said = {k: v for k, v in {**feed.sigmas, **state.sigmas}.items() if k in SIGMA_NAMES}
    own = options.sigmas.model_dump(exclude_none=True)
    sigmas = replace(Sigmas(), **{**said, **own})
    held_s = max((ages.get(p, 0.0) for p in ("position", "airframe", "gimbal")), default=0.0)
    sigmas = replace(sigmas, time_s=math.hypot(sigmas.time_s, held_s))
    cx, cy = options.lens.centre
    lens = np.array([focal_px, focal_px, cx * width, cy * height, *options.lens.distortion])
    lat, lon = math.radians(state.lat_deg), math.radians(state.lon_deg)
    pose = np.array([*to_enu(body).ravel(), lat, lon, eye_m])
    errors = error_rows(body, sigmas, state.velocity_m_s, rate)
    noise = np.array([sigmas.focal, sigmas.pixel, sigmas.terrain_m])
    hfov_deg = math.degrees(2.0 * math.atan(width / 2.0 / focal_px))
    return Eye(lens, pose, errors, noise, body, state, eye_m, ground_m, hfov_deg), 1


def _has_attitude(state: State) -> bool:
    return state.airframe_deg is not None or state.gimbal_deg is not None


def _attitude(
    feed: Feed, options: MapOptions, state: State, t_ns: int
) -> tuple[Matrix | None, Matrix | None]:
    """Return the camera's rotation to NED and its turn in rad/s, each None where not known."""
    body = camera_turn(state, options.mount_deg)
    if body is None or (options.assume is not None and state.gimbal_deg is None):
        return _assumed(feed, options, state, t_ns), None
    if feed.alone:
        return body, None
    around = [feed.at(t_ns + shift)[0] for shift in (-_STEP_NS, _STEP_NS)]
    before, after = (camera_turn(s, options.mount_deg) for s in around)
    if before is None or after is None:
        return body, None
    return body, turn_rate(before, after, 2.0 * _STEP_NS / 1e9)


def _assumed(feed: Feed, options: MapOptions, state: State, t_ns: int) -> Matrix | None:
    assume = options.assume
    if assume is None:
        return None
    yaw = assume.yaw_deg
    if yaw is None and state.airframe_deg is not None:
        yaw = state.airframe_deg[0]
    if yaw is None:
        yaw = state.heading_deg
    if yaw is None:
        yaw = course(feed, state, t_ns)
    return None if yaw is None else turn((yaw, assume.pitch_deg, assume.roll_deg))


def course(feed: Feed, state: State, t_ns: int) -> float | None:
    """Return the course over ground in degrees; None where it stands or that is not known."""
    if state.velocity_m_s is not None:
        north, east, _ = state.velocity_m_s
        seconds = 1.0
    elif feed.alone:
        return None
    else:
        a, b = (feed.at(t_ns + shift)[0] for shift in (-1_000_000_000, 1_000_000_000))
        if None in (a.lat_deg, a.lon_deg, b.lat_deg, b.lon_deg):
            return None
        north = math.radians((b.lat_deg or 0.0) - (a.lat_deg or 0.0)) * 6_371_000.0
        east = math.radians(wrap((b.lon_deg or 0.0) - (a.lon_deg or 0.0))) * 6_371_000.0
        east *= math.cos(math.radians(a.lat_deg or 0.0))
        seconds = 2.0
    if math.hypot(north, east) / seconds < MIN_COURSE_M_S:
        return None
    return math.degrees(math.atan2(east, north))


def focal(options: MapOptions, state: State, width: int, height: int) -> float | None:
    """Return the focal length in px of a picture of this size, None where nobody says it."""
    lens = options.lens
    if lens.focal_px is not None and lens.width_px is not None:
        return lens.focal_px * width / lens.width_px
    hfov_deg = lens.hfov_deg or (None if lens.focal_35_mm else state.hfov_deg)
    if hfov_deg is not None:
        return width / 2.0 / math.tan(math.radians(hfov_deg) / 2.0)
    focal_35_mm = lens.focal_35_mm or state.focal_35_mm
    if focal_35_mm is not None:
        return focal_35_mm / 36.0 * width
    if state.vfov_deg is not None:
        return height / 2.0 / math.tan(math.radians(state.vfov_deg) / 2.0)
    return None


def levels(options: MapOptions, state: State) -> tuple[float, float | None] | None:
    """Return the heights of the eye and of flat ground (None: a terrain) in one datum, m.

    None where the telemetry's altitudes and the options do not give both.
    """
    ground, known = options.ground, state.altitudes_m
    datum_m = _absolute(options, known)
    if ground.type == "dem":
        return None if datum_m is None else (datum_m, None)
    if ground.height_m is not None:
        return None if datum_m is None else (datum_m, ground.height_m)
    above = known.get("ground", known.get("takeoff"))
    if above is None:
        return None
    base = datum_m if datum_m is not None else above
    return base, base - above


def _absolute(options: MapOptions, known: Mapping[AltitudeKind, float]) -> float | None:
    """Return the altitude above the datum of the ground, None where it cannot be had."""
    datum, geoid = options.ground.datum, options.geoid_m
    if datum in known:
        return known[datum]
    if options.takeoff_msl_m is not None and "takeoff" in known:
        msl = options.takeoff_msl_m + known["takeoff"]
        if datum == "msl":
            return msl
        return None if geoid is None else msl + geoid
    if geoid is None:
        return None
    if datum == "msl" and "ellipsoid" in known:
        return known["ellipsoid"] - geoid
    if datum == "ellipsoid" and "msl" in known:
        return known["msl"] + geoid
    return None
