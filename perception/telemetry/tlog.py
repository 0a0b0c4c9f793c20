"""A MAVLink telemetry log (.tlog): each message after its time, 8 bytes of microseconds UTC."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from perception.errors import SourceError
from perception.geo.series import Series
from perception.telemetry import MAX_LOG_BYTES, TelemetryOptions
from perception.telemetry.mavlink_state import MavlinkStates, parser

_V1, _V2 = 0xFE, 0xFD
_EARLIEST_US, _LATEST_US = 946_684_800_000_000, 7_258_118_400_000_000
"""2000 and 2200: a record's time outside of it is none."""


class Tlog:
    """A telemetry log. Options: path: not given: the .tlog beside the clip. system: the vehicle.

    video_utc: when the clip begins, as 2026-05-01T10:00:00Z; not given: with the log.
    """

    class Options(TelemetryOptions):
        path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        system: Annotated[int, Field(ge=1, le=255)] | None = None
        video_utc: datetime | None = None

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options, self._video = options, video
        self.series, self.why = Series(), ""
        self.sigmas = {"position_m": 2.0, "altitude_m": 3.0, "yaw_deg": 3.0}
        self.counters: dict[str, int] = {"records": 0, "bytes_skipped": 0}

    def open(self) -> None:
        """Read all of it. Raises SourceError: no log, or no position of the vehicle in it."""
        path = self._options.path
        if path is None and self._video is not None:
            path = self._video.with_suffix(".tlog")
        if path is None:
            raise SourceError("tlog needs the `path` of a log")
        try:
            if path.stat().st_size > MAX_LOG_BYTES:
                raise SourceError(f"{path}: larger than {MAX_LOG_BYTES >> 20} MiB")
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
        self.read(data)
        if not self.series.has("position"):
            whose = f" of system {self._options.system}" if self._options.system else ""
            text = f"no position{whose} in {self.counters['records']} records"
            raise SourceError(f"{path}: {text}")

    def read(self, data: bytes) -> None:
        """Take the records in `data`; what is between them is skipped and counted."""
        decoder = parser()
        states = MavlinkStates(self.series, self.counters, self._options.system)
        zero_us = None
        if self._options.video_utc is not None:
            when = self._options.video_utc
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            zero_us = round(when.timestamp() * 1e6)
        at = 0
        while at + 8 + 8 <= len(data):
            t_us = int.from_bytes(data[at : at + 8], "big")
            size = _size(data, at + 8)
            if size == 0 or not _EARLIEST_US < t_us < _LATEST_US:
                at += 1
                self.counters["bytes_skipped"] += 1
                continue
            zero_us = t_us if zero_us is None else zero_us
            self.counters["records"] += 1
            states.feed(decoder, data[at + 8 : at + 8 + size], (t_us - zero_us) * 1000)
            at += 8 + size

    def close(self) -> None:
        """Nothing to close."""


def _size(data: bytes, at: int) -> int:
    """Return the length of the MAVLink packet that starts here, 0 where none does."""
    start, length = data[at], data[at + 1]
    if start == _V1:
        size = length + 8
    elif start == _V2:
        size = length + 12 + (13 if data[at + 2] & 1 else 0)
    else:
        return 0
    return size if at + size <= len(data) else 0
