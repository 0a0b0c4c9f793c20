"""MAVLink messages -> states. Nothing here sends: no command ever goes to a vehicle.

Field meanings: mavlink.io, common message set. Imports geo; messages come decoded from pymavlink.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any

from perception.errors import SourceError
from perception.geo.series import Series
from perception.geo.state import AltitudeKind, GimbalFrame, State

_VEHICLE_YAW, _EARTH_YAW, _YAW_LOCK = 32, 64, 16
"""Flags of GIMBAL_DEVICE_ATTITUDE_STATUS: what its yaw counts from."""
_NOT_DECODED = (struct.error, ValueError, TypeError, IndexError, KeyError, AttributeError)
"""What pymavlink raises for bytes that are no message; it tells its own kind as BAD_DATA."""
_HELD_NS = 2_000_000_000
_NOT_VEHICLES = (6, 18, 27)
"""MAV_TYPE of ground stations, companions and ADS-B."""


def parser() -> Any:
    """Return a decoder that takes bytes and resumes after garbage. Raises SourceError."""
    try:
        from pymavlink.dialects.v20 import (  # pyright: ignore[reportMissingImports]
            ardupilotmega,
        )
    except ImportError:
        text = 'MAVLink needs `pip install "perception-line[drone]"`'
        raise SourceError(text) from None
    made = ardupilotmega.MAVLink(None)
    made.robust_parsing = True
    return made


class MavlinkStates:
    """Takes messages of one vehicle into a series. system: its id; None: the first that flies."""

    def __init__(self, series: Series, counters: dict[str, int], system: int | None) -> None:
        self._series, self._counters, self.system = series, counters, system
        for name in ("messages", "garbage", "other_system"):
            counters.setdefault(name, 0)
        self._utc_less_boot_ns: int | None = None
        self._ground: tuple[int, float] | None = None
        self._geoid_m: float | None = None
        self._sigmas: dict[str, float] = {}

    def feed(self, decoder: Any, data: bytes, t_ns: int) -> list[Any]:
        """Decode bytes and take what they say; return the messages of this vehicle."""
        try:
            found: Iterable[Any] = decoder.parse_buffer(data) or ()
        except _NOT_DECODED:
            self._counters["garbage"] += 1
            return []
        return [message for message in found if self.take(message, t_ns)]

    def take(self, message: Any, t_ns: int) -> bool:
        """Take one message; return whether it is of this vehicle."""
        kind = message.get_type()
        if kind.startswith(("BAD_DATA", "UNKNOWN")):
            self._counters["garbage"] += 1
            return False
        self._counters["messages"] += 1
        system = message.get_srcSystem()
        if self.system is None and kind == "GLOBAL_POSITION_INT":
            self.system = system
        if self.system is None and kind == "HEARTBEAT" and message.type not in _NOT_VEHICLES:
            self.system = system
        if self.system is None:
            return False
        if system != self.system:
            self._counters["other_system"] += 1
            return False
        handler = getattr(self, f"_{kind.lower()}", None)
        if handler is not None:
            handler(message, t_ns)
        return True

    def _global_position_int(self, m: Any, t_ns: int) -> None:
        altitudes: dict[AltitudeKind, float] = {
            "msl": m.alt / 1000.0,
            "takeoff": m.relative_alt / 1000.0,
        }
        if self._geoid_m is not None:
            altitudes["ellipsoid"] = altitudes["msl"] + self._geoid_m
        if self._ground is not None and t_ns - self._ground[0] <= _HELD_NS:
            altitudes["ground"] = self._ground[1]
        utc = self._utc_less_boot_ns
        self._series.add(
            State(
                t_ns=t_ns,
                utc_ns=None if utc is None else utc + m.time_boot_ms * 1_000_000,
                lat_deg=m.lat / 1e7,
                lon_deg=m.lon / 1e7,
                altitudes_m=altitudes,
                velocity_m_s=(m.vx / 100.0, m.vy / 100.0, m.vz / 100.0),
                sigmas=self._sigmas,
            )
        )

    def _attitude(self, m: Any, t_ns: int) -> None:
        yaw, pitch, roll = (math.degrees(a) for a in (m.yaw, m.pitch, m.roll))
        self._series.add(State(t_ns=t_ns, airframe_deg=(yaw, pitch, roll)))

    def _gimbal_device_attitude_status(self, m: Any, t_ns: int) -> None:
        w, x, y, z = m.q
        norm = math.sqrt(w * w + x * x + y * y + z * z)
        if not 0.5 < norm < 2.0:
            self._counters["garbage"] += 1
            return
        w, x, y, z = w / norm, x / norm, y / norm, z / norm
        yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        pitch = math.asin(max(-1.0, min(1.0, 2 * (w * y - z * x))))
        roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        is_earth = m.flags & _EARTH_YAW or (m.flags & _YAW_LOCK and not m.flags & _VEHICLE_YAW)
        frame: GimbalFrame = "earth" if is_earth else "heading"
        angles = math.degrees(yaw), math.degrees(pitch), math.degrees(roll)
        self._series.add(State(t_ns=t_ns, gimbal_deg=angles, gimbal_frame=frame))

    def _mount_status(self, m: Any, t_ns: int) -> None:
        angles = m.pointing_c / 100.0, m.pointing_a / 100.0, m.pointing_b / 100.0
        self._series.add(State(t_ns=t_ns, gimbal_deg=angles, gimbal_frame="heading"))

    def _camera_fov_status(self, m: Any, t_ns: int) -> None:
        hfov = m.hfov if math.isfinite(m.hfov) and m.hfov > 0 else None
        vfov = m.vfov if math.isfinite(m.vfov) and m.vfov > 0 else None
        self._series.add(State(t_ns=t_ns, hfov_deg=hfov, vfov_deg=vfov))

    def _system_time(self, m: Any, t_ns: int) -> None:
        if m.time_unix_usec > 1_000_000_000_000_000:
            self._utc_less_boot_ns = m.time_unix_usec * 1000 - m.time_boot_ms * 1_000_000

    def _terrain_report(self, m: Any, t_ns: int) -> None:
        if m.loaded > 0 or m.spacing > 0:
            self._ground = t_ns, m.current_height

    def _gps_raw_int(self, m: Any, t_ns: int) -> None:
        if getattr(m, "h_acc", 0):
            self._sigmas = {"position_m": m.h_acc / 1000.0, "altitude_m": m.v_acc / 1000.0}
        if getattr(m, "alt_ellipsoid", 0):
            self._geoid_m = (m.alt_ellipsoid - m.alt) / 1000.0
