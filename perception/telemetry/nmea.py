"""NMEA 0183 of a receiver or a compass: GGA, RMC, VTG and HDT -> states; live and from a file.

Only sentences with a true checksum are believed. Meanings: NMEA 0183 4.11 as u-blox and Trimble
publish it. Imports geo and this room.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from perception.clock import NS_PER_S
from perception.errors import SourceError
from perception.geo.series import Series
from perception.geo.state import AltitudeKind, State
from perception.telemetry import MAX_LOG_BYTES, TelemetryOptions
from perception.telemetry.link import MAX_PEERS, Link, Speakers, checked_url

MAX_SENTENCE = 256
"""NMEA allows 82 bytes; receivers write more."""
KNOT_M_S = 1852.0 / 3600.0
DAY_NS = 86_400 * NS_PER_S
_GGA_NS = 2 * NS_PER_S
_SIGMA_M = {1: 2.0, 2: 0.8, 4: 0.02, 5: 0.3}
"""One sigma at HDOP 1 by GGA's quality: single, differential, RTK fixed and float."""

Clock = Callable[[int | None], int]
"""Given the sentence's time of day in ns, or None, return its time on the series' line."""


class NmeaStates:
    """Takes sentences into a series. counters: sentences, other (of kinds not read), bad."""

    def __init__(self, series: Series, counters: dict[str, int]) -> None:
        self._series, self._counters = series, counters
        for name in ("sentences", "other", "bad"):
            counters.setdefault(name, 0)
        self.date_ns: int | None = None
        """The day of the last RMC, ns since 1970."""
        self._gga_ns: int | None = None

    def take(self, line: bytes, clock: Clock) -> bool:
        """Take one line; return whether it told a position."""
        fields = _fields(line)
        if fields is None:
            self._counters["bad"] += bool(line.strip())
            return False
        kind = fields[0][2:] if not fields[0].startswith("P") else ""
        read = {"GGA": self._gga, "RMC": self._rmc, "VTG": self._vtg, "HDT": self._hdt}.get(kind)
        if read is None:
            self._counters["other"] += 1
            return False
        try:
            told = read(fields, clock)
        except (ValueError, IndexError, OverflowError):
            self._counters["bad"] += 1
            return False
        self._counters["sentences"] += 1
        return told

    def _gga(self, f: list[str], clock: Clock) -> bool:
        of_day, quality = _of_day(f[1]), int(f[6] or 0)
        t_ns = clock(of_day)
        if quality == 0 or not f[2] or not f[4]:
            return False
        altitudes: dict[AltitudeKind, float] = {}
        if f[9]:
            altitudes["msl"] = float(f[9])
            if f[11]:
                altitudes["ellipsoid"] = altitudes["msl"] + float(f[11])
        sigma = _SIGMA_M.get(quality, 5.0) * (float(f[8]) if f[8] else 1.5)
        self._gga_ns = t_ns
        self._series.add(
            State(
                t_ns=t_ns, utc_ns=self._utc(of_day), lat_deg=_degrees(f[2], f[3], "NS"),
                lon_deg=_degrees(f[4], f[5], "EW"), altitudes_m=altitudes,
                sigmas={"position_m": sigma, "altitude_m": 1.5 * sigma},
            )
        )  # fmt: skip
        return True

    def _rmc(self, f: list[str], clock: Clock) -> bool:
        of_day = _of_day(f[1])
        if len(f[9]) == 6:
            when = datetime.strptime(f[9], "%d%m%y").replace(tzinfo=UTC)
            self.date_ns = round(when.timestamp()) * NS_PER_S
        t_ns = clock(of_day)
        if f[2] != "A":
            return False
        if f[7] and f[8]:
            self._going(t_ns, float(f[7]) * KNOT_M_S, float(f[8]))
        gga = self._gga_ns
        if not f[3] or not f[5] or (gga is not None and abs(t_ns - gga) < _GGA_NS):
            return False  # GGA tells the same, with its height
        self._series.add(
            State(
                t_ns=t_ns, utc_ns=self._utc(of_day), lat_deg=_degrees(f[3], f[4], "NS"),
                lon_deg=_degrees(f[5], f[6], "EW"),
            )
        )  # fmt: skip
        return True

    def _vtg(self, f: list[str], clock: Clock) -> bool:
        if f[1] and f[5]:
            self._going(clock(None), float(f[5]) * KNOT_M_S, float(f[1]))
        return False

    def _hdt(self, f: list[str], clock: Clock) -> bool:
        if f[1]:
            self._series.add(State(t_ns=clock(None), heading_deg=float(f[1])))
        return False

    def _going(self, t_ns: int, speed: float, course_deg: float) -> None:
        course = math.radians(course_deg)
        velocity = speed * math.cos(course), speed * math.sin(course), 0.0
        self._series.add(State(t_ns=t_ns, velocity_m_s=velocity))

    def _utc(self, of_day: int | None) -> int | None:
        if of_day is None or self.date_ns is None:
            return None
        return self.date_ns + of_day


class NmeaLive:
    """A receiver that speaks now. Options: url: see Link. Times are those of arrival."""

    class Options(TelemetryOptions):
        url: Annotated[str, AfterValidator(checked_url)] = "udp://127.0.0.1:10110"

    live = True

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self.series, self._two = Series(live=True), ""
        self.sigmas = {"time_s": 0.2}
        self.counters: dict[str, int] = {"bytes": 0, "reconnects": 0}
        self._states = NmeaStates(self.series, self.counters)
        self._link = Link(options.url, self.take, "nmea")
        self._rests: dict[object, bytes] = {}
        self._speakers = Speakers()

    @property
    def why(self) -> str:
        """Why there is nothing now."""
        return self._link.why or self._two

    @why.setter
    def why(self, text: str) -> None:
        self._two = text

    @property
    def port(self) -> int:
        """The port that is listened on; 0 where none is."""
        return self._link.port

    def open(self) -> None:
        """Begin to listen. Raises SourceError: the port is taken."""
        self._link.open()

    def close(self) -> None:
        """Stop listening, within 1 s."""
        self._link.close()

    def take(self, data: bytes, peer: object, t_ns: int) -> None:
        """Take bytes of a peer, whole lines or parts; two that tell positions make it unknown."""
        self.counters["bytes"] += len(data)
        self.counters["reconnects"] = self._link.reconnects
        if peer not in self._rests and len(self._rests) >= MAX_PEERS:
            del self._rests[next(iter(self._rests))]
        *lines, rest = (self._rests.get(peer, b"") + data).split(b"\n")
        self._rests[peer] = rest[-MAX_SENTENCE:]
        for line in lines:
            if self._states.take(line, lambda _: t_ns):
                count = self._speakers.heard(peer, t_ns)
                self._two = f"{count} senders tell a position" if count > 1 else ""


class NmeaLog:
    """A file of sentences. Options: path: not given: the .nmea beside the clip. video_utc: when
    the clip begins; not given: with the log's first time.
    """

    class Options(TelemetryOptions):
        path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        video_utc: datetime | None = None

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options, self._video = options, video
        self.series, self.why = Series(), ""
        self.sigmas: dict[str, float] = {}
        self.counters: dict[str, int] = {}
        self._states = NmeaStates(self.series, self.counters)
        self._zero_ns: int | None = None
        self._day_ns, self._last_ns, self._moment_ns = 0, 0, 0
        self._dated = False

    def open(self) -> None:
        """Read all of it. Raises SourceError: no log, or no position in it."""
        path = self._options.path
        if path is None and self._video is not None:
            path = self._video.with_suffix(".nmea")
        if path is None:
            raise SourceError("nmea_log needs the `path` of a log")
        when = self._options.video_utc
        if when is not None:
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            self._zero_ns = round(when.timestamp() * 1e6) * 1000
            self._day_ns = self._zero_ns // DAY_NS * DAY_NS
        try:
            if path.stat().st_size > MAX_LOG_BYTES:
                raise SourceError(f"{path}: larger than {MAX_LOG_BYTES >> 20} MiB")
            with path.open("rb") as file:
                for line in _lines(file.read()):
                    self._states.take(line, self._at)
        except OSError as error:
            raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
        if not self.series.has("position"):
            said = ", ".join(f"{k} {n}" for k, n in self.counters.items())
            raise SourceError(f"{path}: no position in it ({said})")

    def close(self) -> None:
        """Nothing to close."""

    def _at(self, of_day: int | None) -> int:
        """Return the time since the clip began; sentences without a time have the last one."""
        if of_day is None:
            return self._last_ns
        day = self._states.date_ns
        if day is None:
            day = self._day_ns
        elif not self._dated:
            self._dated = True  # the sentences before had no date: they were of this day
            if self._options.video_utc is None:
                self._zero_ns = None if self._zero_ns is None else self._zero_ns + day
            self._moment_ns += day - self._day_ns
        moment = day + of_day
        if moment < self._moment_ns - DAY_NS // 2:  # past midnight, its date comes later
            moment += round((self._moment_ns - moment) / DAY_NS) * DAY_NS
        self._moment_ns = moment
        self._zero_ns = moment if self._zero_ns is None else self._zero_ns
        self._last_ns = moment - self._zero_ns
        return self._last_ns


def _lines(data: bytes) -> Iterator[bytes]:
    for line in data.split(b"\n"):
        if len(line) <= MAX_SENTENCE:
            yield line


def _fields(line: bytes) -> list[str] | None:
    """Return the fields of a sentence, None where its form or checksum is wrong."""
    begin = line.rfind(b"$")
    body, star, check = line[begin + 1 :].strip().partition(b"*")
    if begin < 0 or not star or len(check) != 2 or len(body) < 6:
        return None
    total = 0
    for byte in body:
        total ^= byte
    with contextlib.suppress(ValueError):
        if int(check, 16) == total:
            return body.decode("ascii", "replace").split(",")
    return None


def _of_day(text: str) -> int | None:
    """Return hhmmss.ss as ns of the day; None where it is empty. Raises ValueError."""
    if not text:
        return None
    if len(text) < 6 or not text[:6].isdigit():
        raise ValueError(text)
    hour, minute, second = int(text[:2]), int(text[2:4]), float(text[4:])
    if hour > 23 or minute > 59 or not 0.0 <= second < 61.0:
        raise ValueError(text)
    return (hour * 3600 + minute * 60) * NS_PER_S + round(second * 1e9)


def _degrees(text: str, side: str, sides: str) -> float:
    """Return ddmm.mmm or dddmm.mmm and its side as degrees. Raises ValueError."""
    point = text.find(".")
    digits = len(text) if point < 0 else point
    if side not in sides or len(side) != 1 or digits < 3 or not text[:digits].isdigit():
        raise ValueError(text)
    minutes = float(text[digits - 2 :])
    if not 0.0 <= minutes < 60.0:
        raise ValueError(text)
    value = int(text[: digits - 2]) + minutes / 60.0
    return -value if side == sides[1] else value
