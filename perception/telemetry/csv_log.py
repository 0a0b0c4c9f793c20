"""A flight log as CSV with a header of these names; a column that is not there is missing.

t_s or utc (ISO 8601); lat, lon (degrees); alt_msl_m, alt_ellipsoid_m, alt_takeoff_m,
alt_ground_m; yaw_deg, pitch_deg, roll_deg (airframe); gimbal_yaw_deg, gimbal_pitch_deg,
gimbal_roll_deg; north_m_s, east_m_s, down_m_s; hfov_deg, vfov_deg, focal_35_mm;
sigma_position_m, sigma_altitude_m, sigma_yaw_deg, sigma_pitch_deg, sigma_roll_deg
"""

import csv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from perception.errors import SourceError, unknown
from perception.geo.series import Series
from perception.geo.state import AltitudeKind, Angles, GimbalFrame, State
from perception.telemetry import MAX_LOG_BYTES, TelemetryOptions

_ALTITUDES: tuple[AltitudeKind, ...] = ("msl", "ellipsoid", "takeoff", "ground")
_SIGMAS = ("position_m", "altitude_m", "yaw_deg", "pitch_deg", "roll_deg")
_AIR = ("yaw_deg", "pitch_deg", "roll_deg")
_GIMBAL = tuple(f"gimbal_{name}" for name in _AIR)
_VELOCITY = ("north_m_s", "east_m_s", "down_m_s")
_LENS = ("hfov_deg", "vfov_deg", "focal_35_mm")
COLUMNS = (
    "t_s", "utc", "lat", "lon", *(f"alt_{k}_m" for k in _ALTITUDES), *_AIR, *_GIMBAL, *_VELOCITY,
    *_LENS, *(f"sigma_{k}" for k in _SIGMAS),
)  # fmt: skip


class CsvLog:
    """A log as CSV. Options: path: not given: the .csv beside the clip. gimbal: what its angles
    count from: earth (north and level) or airframe. video_utc: when the clip begins, for `utc`.
    """

    class Options(TelemetryOptions):
        path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        gimbal: GimbalFrame = "earth"
        video_utc: datetime | None = None

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options, self._video = options, video
        self.series, self.why = Series(), ""
        self.sigmas: dict[str, float] = {}
        self.counters = {"rows": 0, "rows_unreadable": 0}
        self._zero_ns: int | None = None

    def open(self) -> None:
        """Read all of it. Raises SourceError that names a column which is missing or not known."""
        path = self._options.path
        if path is None and self._video is not None:
            path = self._video.with_suffix(".csv")
        if path is None:
            raise SourceError("csv needs the `path` of a log")
        when = self._options.video_utc
        if when is not None:
            self._zero_ns = _utc_ns(when)
        try:
            if path.stat().st_size > MAX_LOG_BYTES:
                raise SourceError(f"{path}: larger than {MAX_LOG_BYTES >> 20} MiB")
            with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
                rows = csv.DictReader(file)
                self._header([name.strip() for name in rows.fieldnames or ()], path)
                for row in rows:
                    self._row(row)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
        except csv.Error as error:
            raise SourceError(f"{path}: not CSV: {error}") from None
        if not self.series.has("position"):
            raise SourceError(f"{path}: no row of {self.counters['rows']} has a position")

    def close(self) -> None:
        """Nothing to close."""

    def _header(self, names: list[str], path: Path) -> None:
        if not {"t_s", "utc"} & set(names) or not {"lat", "lon"} <= set(names):
            raise SourceError(f"{path}: its first line needs t_s or utc, and lat and lon")
        for name in names:
            if name not in COLUMNS:
                raise SourceError(f"{path}: {unknown(name, COLUMNS, 'columns')}")

    def _row(self, row: Mapping[str | None, str | None]) -> None:
        self.counters["rows"] += 1
        try:
            fields = {(k or "").strip(): (v or "").strip() for k, v in row.items() if k}
            utc_ns = _utc_ns(datetime.fromisoformat(fields["utc"])) if fields.get("utc") else None
            numbers = {k: float(v) for k, v in fields.items() if v and k != "utc"}
            t_ns = self._time(numbers, utc_ns)
        except (ValueError, KeyError, AttributeError, OverflowError):
            self.counters["rows_unreadable"] += 1
            return
        self.series.add(
            State(
                t_ns=t_ns,
                utc_ns=utc_ns,
                lat_deg=numbers.get("lat"),
                lon_deg=numbers.get("lon"),
                altitudes_m={
                    k: numbers[f"alt_{k}_m"] for k in _ALTITUDES if f"alt_{k}_m" in numbers
                },
                velocity_m_s=_three(numbers, _VELOCITY),
                airframe_deg=_three(numbers, _AIR),
                gimbal_deg=_three(numbers, _GIMBAL),
                gimbal_frame=self._options.gimbal,
                hfov_deg=numbers.get("hfov_deg"),
                vfov_deg=numbers.get("vfov_deg"),
                focal_35_mm=numbers.get("focal_35_mm"),
                sigmas={k: numbers[f"sigma_{k}"] for k in _SIGMAS if f"sigma_{k}" in numbers},
            )
        )

    def _time(self, numbers: Mapping[str, float], utc_ns: int | None) -> int:
        if "t_s" in numbers:
            return round(numbers["t_s"] * 1e9)
        if utc_ns is None:
            raise ValueError("no time")
        self._zero_ns = utc_ns if self._zero_ns is None else self._zero_ns
        return utc_ns - self._zero_ns


def _three(numbers: Mapping[str, float], names: tuple[str, ...]) -> Angles | None:
    if not all(name in numbers for name in names):
        return None
    a, b, c = (numbers[name] for name in names)
    return a, b, c


def _utc_ns(when: datetime) -> int:
    return round((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1e6) * 1000
