"""Where on earth a track is, how sure that is, or why it is not known; and what the camera sees.

A message holds them as columns (tracks.py); here are their meaning and what people read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

REASONS = (
    "not asked",
    "",
    "too flat",
    "above the horizon",
    "outside the terrain",
    "too far",
    "camera below the ground",
    "no telemetry yet",
    "telemetry is too old",
    "position missing",
    "attitude missing",
    "altitude missing",
    "lens missing",
    "telemetry invalid",
    "not seen long enough",
)
"""By code: why there is no place. 1: it is good; 2: there is one, its ellipse is no measure."""

PLACE_GOOD, PLACE_FLAT = 1, 2
NOT_ASKED, ABOVE, OUTSIDE, FAR, UNDER, NONE_YET, OLD = 0, 3, 4, 5, 6, 7, 8
NO_POSITION, NO_ATTITUDE, NO_ALTITUDE, NO_LENS, INVALID, UNSEEN = 9, 10, 11, 12, 13, 14

VIEW_WIDTH = 18
CHI2_95 = 5.991464547107979
"""Squared radius of the 95 % ellipse of two normal variables, in sigmas."""


@dataclass(frozen=True, slots=True)
class Place:
    """A track on the ground. ellipse: 95 %, semi-axes m, bearing of the longer one in degrees.

    height_m: of the ground as `map` gives it. speed_m_s, course_deg: over ground, None where it
    stands or is not known; speed_sigma_m_s: 1 sigma of each component. reason: "" where it is good.
    """

    lat_deg: float
    lon_deg: float
    height_m: float
    major_m: float
    minor_m: float
    bearing_deg: float
    speed_m_s: float | None
    course_deg: float | None
    speed_sigma_m_s: float
    reason: str

    @classmethod
    def of(cls, row: Sequence[float], code: int) -> "Place | None":
        """Return the place of a row of Tracks.places; None where there is none."""
        if code not in (PLACE_GOOD, PLACE_FLAT):
            return None
        lat, lon, height, ee, en, nn, east, north, sigma = row
        major, minor, bearing = ellipse(ee, en, nn)
        speed = math.hypot(east, north)
        moves = speed > 2.5 * sigma > 0.0
        return cls(
            lat, lon, height, major, minor, bearing,
            speed if moves else (0.0 if sigma > 0.0 and speed == 0.0 else None),
            math.degrees(math.atan2(east, north)) % 360.0 if moves else None,
            sigma, REASONS[code],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """Where a camera is and looks. corners: (lat, lon) of the picture's corners on the ground,
    clockwise from the upper left, None where they are above the horizon or too far.

    above_m: above the ground that `map` gives. utc_ns: of the telemetry, None where not known.
    """

    lat_deg: float
    lon_deg: float
    height_m: float
    above_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    utc_ns: int | None
    hfov_deg: float
    corners: tuple[tuple[float, float], ...] | None

    @classmethod
    def of(cls, row: Sequence[float]) -> "View | None":
        """Return the view of a TrackMessage's column; None where its first value is not 1."""
        code, lat, lon, height, above, yaw, pitch, roll, utc_s, hfov = row[:10]
        if int(code) != PLACE_GOOD:
            return None
        found = [(row[10 + 2 * k], row[11 + 2 * k]) for k in range(4)]
        seen = all(corner != (0.0, 0.0) for corner in found)
        utc_ns = round(utc_s * 1e9) if utc_s else None
        return cls(
            lat, lon, height, above, yaw, pitch, roll, utc_ns, hfov,
            tuple(found) if seen else None,
        )  # fmt: skip


def ellipse(ee: float, en: float, nn: float) -> tuple[float, float, float]:
    """Return the 95 % ellipse of a covariance in m^2: semi-axes m, bearing of the longer one."""
    mean, half = (ee + nn) / 2.0, math.hypot((ee - nn) / 2.0, en)
    major = math.sqrt(max(mean + half, 0.0) * CHI2_95)
    minor = math.sqrt(max(mean - half, 0.0) * CHI2_95)
    bearing = math.degrees(math.atan2(2.0 * en, nn - ee)) / 2.0 % 180.0
    return major, minor, bearing
