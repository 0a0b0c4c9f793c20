"""What a vehicle says of itself: MAVLink, DJI, KLV, GPMF, NMEA, CSV, stills -> states over time.

A reader of a log gives all its states at once; a live one takes them in a thread. To add one: a
file with a class that fits Telemetry, one row in TELEMETRY. Imports geo and below.
"""

from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from perception.extensions import load
from perception.geo.moments import Moments
from perception.geo.series import Series

MAX_LOG_BYTES = 1 << 30
"""The largest log that is read."""


class TelemetryOptions(BaseModel):
    """Options of every reader. offset_s: added to the telemetry's time to get the video's.

    max_age_s: a value is held for so long, then the camera's place is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    offset_s: Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)] = 0.0
    max_age_s: Annotated[float, Field(gt=0.0, le=60.0)] = 1.5


class Telemetry(Protocol):
    """A reader. series: what it has taken, in its own time. sigmas: defaults of its kind.

    live: states come while it is open. counters: what was read and refused, by name. why: why
    there is nothing now, "" where it works.
    """

    live: bool
    series: Series | Moments
    sigmas: dict[str, float]
    counters: dict[str, int]
    why: str

    def open(self) -> None:
        """Read the log, or begin to listen. Raises SourceError with the reason."""
        ...

    def close(self) -> None:
        """Stop listening; safe to call twice."""
        ...


@runtime_checkable
class Inside(Protocol):
    """A reader of what comes inside the video. inside: whether that is live."""

    inside: bool

    def take(self, data: bytes, t_ns: int) -> None:
        """Take a packet's bytes at the media time of its picture."""
        ...


class TelemetryType(Protocol):
    """The class of a reader. video: path of the recording, None for a live camera."""

    Options: type[TelemetryOptions]

    def __call__(self, options: Any, *, video: Path | None) -> Telemetry: ...


TELEMETRY = {
    "dji_srt": "perception.telemetry.dji_srt:DjiSrt",
    "mavlink": "perception.telemetry.mavlink:MavlinkLive",
    "tlog": "perception.telemetry.tlog:Tlog",
    "klv": "perception.telemetry.klv_stream:KlvFile",
    "gpmf": "perception.telemetry.gpmf_file:GpmfFile",
    "csv": "perception.telemetry.csv_log:CsvLog",
    "nmea": "perception.telemetry.nmea:NmeaLive",
    "nmea_log": "perception.telemetry.nmea:NmeaLog",
    "stills": "perception.telemetry.stills:StillsXmp",
}


def telemetry_class(name: str) -> TelemetryType:
    """Return the class of a reader; ConfigError with the nearest name where there is none."""
    return load(TELEMETRY, "perception.telemetry", name)
