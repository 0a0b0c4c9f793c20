"""Where each still of a folder was taken from, by its own XMP (DJI) and Exif.

DJI's names: DJI, "Phantom 4 RTK photo XMP description", and what its cameras write. Each still has
its own state: nothing is had from two of them. Imports geo and this room.
"""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from perception.errors import SourceError
from perception.geo.moments import Moments
from perception.geo.state import AltitudeKind, Angles, State
from perception.telemetry import TelemetryOptions
from perception.telemetry.exif import (
    HEAD_BYTES,
    Value,
    blocks,
    exif_values,
    gps,
    xmp_values,
)

_ORIENTATION, _TAKEN, _FOCAL_35 = 0x0112, 0x9003, 0xA405
_ZONES = (0x9011, 0x9010)
_WIDTH, _HEIGHT = 0xA002, 0xA003
_RTK = (16, 34, 50)
"""RtkFlag: single, float and fixed solution; heights are then above the ellipsoid."""
_DIAGONAL_MM = math.hypot(36.0, 24.0)
_CALIBRATED_SIGMA, _EXIF_SIGMA = 0.003, 0.03

Xmp = dict[str, str]
Exif = dict[int, Value]


class StillsXmp:
    """Stills with XMP or Exif. Options: altitude: what AbsoluteAltitude and Exif's altitude count
    from, where RtkFlag does not say it. utc_offset_h: of the camera's clock, where it has no zone.

    pictures: files and their media times in ns; without them the recording's own file.
    """

    class Options(TelemetryOptions):
        altitude: Literal["msl", "ellipsoid"] = "msl"
        utc_offset_h: Annotated[float, Field(ge=-14, le=14)] | None = None

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options, self._video = options, video
        self.pictures: list[tuple[Path, int]] = []
        self.series, self.why = Moments(), ""
        self.sigmas = {
            "position_m": 3.0, "altitude_m": 2.0, "yaw_deg": 3.0, "pitch_deg": 0.5,
            "time_s": 0.0, "focal": _EXIF_SIGMA,
        }  # fmt: skip
        self.counters = {"pictures": 0, "without_position": 0, "turned": 0}

    def open(self) -> None:
        """Read all heads. Raises SourceError: no picture, or none with a position."""
        if not self.pictures and self._video is not None and self._video.is_file():
            self.pictures = [(self._video, 0)]
        for path, t_ns in self.pictures:
            self.counters["pictures"] += 1
            state, turned = still_state(_head(path), t_ns, self._options)
            self.counters["without_position"] += "position" not in state.pieces
            self.counters["turned"] += turned
            self.series.add(state)
        if not self.series.has("position"):
            place = self._video or "stills"
            raise SourceError(f"{place}: no position in {self.counters['pictures']} pictures")

    def close(self) -> None:
        """Nothing to close."""


def speaks_of_position(path: Path) -> bool:
    """Whether a picture says where it was taken."""
    state, _ = still_state(_head(path), 0, StillsXmp.Options())
    return "position" in state.pieces


def still_state(data: bytes, t_ns: int, options: StillsXmp.Options) -> tuple[State, bool]:
    """Return what the head of a JPEG says of its camera, and whether Exif turns the picture.

    The angles of a turned one are left out: they are those of the camera, not of the picture.
    """
    raw_exif, raw_xmp = blocks(data)
    exif, xmp = exif_values(raw_exif), xmp_values(raw_xmp)
    lat, lon = _position(exif, xmp)
    hfov, focal_sigma = _field_of_view(exif, xmp)
    sigmas = _sigmas(xmp) | ({"focal": focal_sigma} if focal_sigma is not None else {})
    turned = _number(exif, _ORIENTATION) not in (None, 0.0, 1.0)
    state = State(
        t_ns=t_ns,
        utc_ns=_utc_ns(exif, xmp, options.utc_offset_h),
        lat_deg=lat,
        lon_deg=lon,
        altitudes_m=_altitudes(exif, xmp, options.altitude),
        airframe_deg=None if turned else _angles(xmp, "Flight"),
        gimbal_deg=None if turned else _angles(xmp, "Gimbal"),
        hfov_deg=hfov,
        sigmas=sigmas,
    )
    return state, turned


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _position(exif: Exif, xmp: Xmp) -> tuple[float | None, float | None]:
    lat = _float(xmp, "GpsLatitude")
    lon = _float(xmp, "GpsLongitude")
    if lon is None:
        lon = _float(xmp, "GpsLongtitude")  # as DJI wrote it until 2018
    if lat is not None and lon is not None and (lat, lon) != (0.0, 0.0):
        return lat, lon
    return _degrees(exif, 2, 1, "S"), _degrees(exif, 4, 3, "W")


def _degrees(exif: Exif, tag: int, side: int, negative: str) -> float | None:
    """Return degrees of a triple of degrees, minutes and seconds of the GPS block."""
    parts, where = exif.get(gps(tag)), exif.get(gps(side))
    if not isinstance(parts, tuple) or len(parts) != 3 or not isinstance(where, str):
        return None
    value = parts[0] + parts[1] / 60.0 + parts[2] / 3600.0
    return -value if where.upper() == negative else value


def _altitudes(
    exif: Exif, xmp: Xmp, kind: Literal["msl", "ellipsoid"]
) -> dict[AltitudeKind, float]:
    found: dict[AltitudeKind, float] = {}
    flag = _float(xmp, "RtkFlag")
    if (flag is not None and int(flag) in _RTK) or xmp.get("AltitudeType", "") == "RtkAlt":
        kind = "ellipsoid"
    absolute = _float(xmp, "AbsoluteAltitude")
    if absolute is None and (height := _number(exif, gps(6))) is not None:
        below = _number(exif, gps(5)) in (1.0, 3.0)
        kind = "ellipsoid" if _number(exif, gps(5)) in (2.0, 3.0) else kind
        absolute = -height if below else height
    if absolute is not None:
        found[kind] = absolute
    if (relative := _float(xmp, "RelativeAltitude")) is not None:
        found["takeoff"] = relative
    return found


def _angles(xmp: Xmp, what: str) -> Angles | None:
    yaw, pitch, roll = (_float(xmp, f"{what}{axis}Degree") for axis in ("Yaw", "Pitch", "Roll"))
    if yaw is None or pitch is None or roll is None:
        return None
    return yaw, pitch, roll


def _sigmas(xmp: Xmp) -> dict[str, float]:
    lat, lon, height = (_float(xmp, f"RtkStd{axis}") for axis in ("Lat", "Lon", "Hgt"))
    if lat is None or lon is None or height is None or min(lat, lon, height) <= 0.0:
        return {}
    return {"position_m": max(lat, lon), "altitude_m": height}


def _field_of_view(exif: Exif, xmp: Xmp) -> tuple[float | None, float | None]:
    """Return the horizontal field of view in degrees and one sigma of the focal length, a share.

    Exif's 35 mm equivalent compares diagonals (CIPA DCG-001); a picture of 16:9 is taken as the
    whole width of a sensor of 4:3.
    """
    width, height = _number(exif, _WIDTH), _number(exif, _HEIGHT)
    focal_px, centre = (
        _float(xmp, f"Calibrated{name}") for name in ("FocalLength", "OpticalCenterX")
    )
    half = centre if centre is not None and centre > 1.0 else (width or 0.0) / 2.0
    if focal_px is not None and focal_px > 1.0 and half:
        return math.degrees(2.0 * math.atan(half / focal_px)), _CALIBRATED_SIGMA
    focal_mm = _number(exif, _FOCAL_35)
    if not focal_mm or not width or not height:
        return None, None
    long, short = max(width, height), min(width, height)
    shape = 4.0 / 3.0 if abs(long / short - 16.0 / 9.0) < 0.03 else long / short
    long_mm = _DIAGONAL_MM * shape / math.hypot(shape, 1.0)
    wide_mm = long_mm * width / long
    return math.degrees(2.0 * math.atan(wide_mm / 2.0 / focal_mm)), _EXIF_SIGMA


def _utc_ns(exif: Exif, xmp: Xmp, offset_h: float | None) -> int | None:
    try:
        if "UTCAtExposure" in xmp:
            moment = datetime.fromisoformat(xmp["UTCAtExposure"].strip())
            return _ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        day, clock = exif.get(gps(29)), exif.get(gps(7))
        if isinstance(day, str) and isinstance(clock, tuple) and len(clock) == 3:
            begin = datetime.strptime(day, "%Y:%m:%d").replace(tzinfo=UTC)
            hour, minute, second = clock
            return _ns(begin + timedelta(hours=hour, minutes=minute, seconds=second))
        taken = exif.get(_TAKEN)
        zone = next((z for z in map(exif.get, _ZONES) if isinstance(z, str) and z), None)
        if not isinstance(taken, str):
            return None
        if zone is not None:
            return _ns(datetime.strptime(f"{taken} {zone}", "%Y:%m:%d %H:%M:%S %z"))
        if offset_h is not None:
            own = datetime.strptime(taken, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
            return _ns(own - timedelta(hours=offset_h))
    except (ValueError, OverflowError):
        return None
    return None


def _ns(moment: datetime) -> int | None:
    us = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return us * 1000 if us > 0 else None


def _float(xmp: Xmp, name: str) -> float | None:
    try:
        value = float(xmp[name])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _number(exif: Exif, tag: int) -> float | None:
    value = exif.get(tag)
    if not isinstance(value, tuple) or len(value) != 1 or not math.isfinite(value[0]):
        return None
    return value[0]
