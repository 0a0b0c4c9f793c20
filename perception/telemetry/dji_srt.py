"""DJI's subtitle log beside a clip (.SRT), or as a subtitle track inside of it: every dialect seen.

    GPS(lon,lat,satellites) BAROMETER:h     GPS (lon, lat, n), H 85.80m, G.PRY (pitch, roll, yaw)
    GPS(lat,lon,0.0M) BAROMETER:hM          [latitude: x] [longitude: y] [rel_alt: h abs_alt: a]

None of them says an order or an altitude's datum; docs/drone.md tells what is taken and why.
"""

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Literal

import av
from av.error import FFmpegError
from pydantic import AfterValidator, Field

from perception.clock import NS_PER_MS
from perception.errors import SourceError
from perception.geo.series import Series
from perception.geo.state import AltitudeKind, State
from perception.telemetry import TelemetryOptions

MAX_BYTES = 200_000_000
_MAX_CUE = 2_000
_METRES = 111_320.0

_TIMING = re.compile(
    r"(\d{1,2}):(\d\d):(\d\d)[,.](\d{3})\s*-->\s*\d{1,2}:\d\d:\d\d[,.]\d{3}[^\n]*\n"
)
_NUMBER = r"\s*(-?\d{1,5}(?:\.\d{1,12})?)"
_GPS = re.compile(rf"\bGPS\s*\({_NUMBER},{_NUMBER}(?:,{_NUMBER}\s*(M?))?\s*\)", re.IGNORECASE)
_PRY = re.compile(rf"\b([FG])\.PRY\s*\({_NUMBER}\s*°?,{_NUMBER}\s*°?,{_NUMBER}\s*°?\s*\)")
_HEIGHT = re.compile(rf"(?:\bBAROMETER:|\bHb:|\bH\s){_NUMBER}\s*m?", re.IGNORECASE)
_FIELD = re.compile(rf"\b([a-z][a-z_.]{{1,24}})\s*:{_NUMBER}(?=[\s\]])", re.IGNORECASE)
_DATE = re.compile(r"(\d{4})[-.](\d{1,2})[-.](\d{1,2})\s+(\d{1,2}):(\d\d):(\d\d)(?:[,.](\d{1,3}))?")


class DjiSrt:
    """A DJI log. Options: path: not given: the .SRT beside the clip, else the track inside it.

    order: of the two numbers in GPS(...), where `auto` guesses wrong. altitude: what a bare
    `altitude` means. utc_offset_h: of the drone's clock, which DJI does not write; without it
    nothing has a date.
    """

    class Options(TelemetryOptions):
        path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        order: Literal["auto", "lonlat", "latlon"] = "auto"
        altitude: Literal["takeoff", "msl", "ellipsoid"] = "takeoff"
        utc_offset_h: Annotated[float, Field(ge=-14, le=14)] | None = None

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options, self._video = options, video
        self.series, self.why = Series(), ""
        self.sigmas = {"position_m": 3.0, "altitude_m": 2.0, "yaw_deg": 4.0, "pitch_deg": 0.5}
        self.counters = {"cues": 0, "cues_unreadable": 0}

    def open(self) -> None:
        """Read all of it. Raises SourceError: no log, or none of its cues has a position."""
        place, text = self._text()
        for state in self.states(text):
            self.series.add(state)
        if not self.series.has("position"):
            seen = self.counters["cues"]
            refused = "; ".join(self.series.refused) or "none has a position"
            raise SourceError(f"{place}: no position in {seen} cues: {refused}")

    def close(self) -> None:
        """Nothing to close."""

    def _text(self) -> tuple[Path, str]:
        path = self._options.path
        if path is None and self._video is not None:
            beside = [self._video.with_suffix(s) for s in (".srt", ".SRT", ".Srt")]
            path = next((p for p in beside if p.is_file()), None)
        if path is not None:
            try:
                if path.stat().st_size > MAX_BYTES:
                    raise SourceError(f"{path}: larger than {MAX_BYTES // 1_000_000} MB")
                return path, path.read_bytes().decode("utf-8-sig", "replace")
            except OSError as error:
                raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
        if self._video is None:
            raise SourceError("dji_srt needs the `path` of a log: a live camera has none beside it")
        return self._video, _track_inside(self._video)

    def states(self, text: str) -> Iterator[State]:
        """Yield the state of each cue that has a position; others are counted."""
        text = text.replace("\r\n", "\n").replace("\r", "\n") + "\n"
        marks = list(_TIMING.finditer(text))
        for i, mark in enumerate(marks):
            end = marks[i + 1].start() if i + 1 < len(marks) else len(text)
            hours, minutes, seconds, ms = (int(n) for n in mark.groups())
            t_ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
            self.counters["cues"] += 1
            state = self._cue(text[mark.end() : min(end, mark.end() + _MAX_CUE)], t_ms * NS_PER_MS)
            if state is None:
                self.counters["cues_unreadable"] += 1
            else:
                yield state

    def _cue(self, cue: str, t_ns: int) -> State | None:
        values = {name.lower(): float(value) for name, value in _FIELD.findall(cue)}
        where = self._position(cue, values)
        if where is None:
            return None
        lat, lon, sigma_m = where
        altitudes: dict[AltitudeKind, float] = {}
        height = _HEIGHT.search(cue)
        if "rel_alt" in values:
            altitudes["takeoff"] = values["rel_alt"]
        elif height is not None:
            altitudes["takeoff"] = float(height[1])
        elif "altitude" in values:
            altitudes[self._options.altitude] = values["altitude"]
        if "abs_alt" in values:
            altitudes["msl"] = values["abs_alt"]
        angles = {who: (float(y), float(p), float(r)) for who, p, r, y in _PRY.findall(cue)}
        gimbal = angles.get("G")
        if {"gb_yaw", "gb_pitch", "gb_roll"} <= values.keys():
            gimbal = values["gb_yaw"], values["gb_pitch"], values["gb_roll"]
        return State(
            t_ns=t_ns,
            utc_ns=self._utc(cue),
            lat_deg=lat,
            lon_deg=lon,
            altitudes_m=altitudes,
            airframe_deg=angles.get("F"),
            gimbal_deg=gimbal,
            focal_35_mm=_focal(values),
            sigmas={"position_m": math.hypot(self.sigmas["position_m"], sigma_m)},
        )

    def _position(self, cue: str, values: dict[str, float]) -> tuple[float, float, float] | None:
        """Return latitude, longitude and the sigma of how they were rounded, m."""
        lon = values.get("longitude", values.get("longtitude"))
        if "latitude" in values and lon is not None:
            return values["latitude"], lon, 0.0
        found = _GPS.search(cue)
        if found is None:
            return None
        first, second = float(found[1]), float(found[2])
        digits = max(len(n.partition(".")[2]) for n in (found[1], found[2]))
        rounded_m = 10.0**-digits * _METRES / math.sqrt(12.0)
        order = self._options.order
        if order == "auto":
            # The Matrice 300 writes metres with an M, and latitude first; all others the reverse.
            order = "latlon" if found[4] else "lonlat"
            if abs(second) > 90.0 >= abs(first):
                order = "latlon"
        lat, lon = (first, second) if order == "latlon" else (second, first)
        return lat, lon, rounded_m

    def _utc(self, cue: str) -> int | None:
        found, hours = _DATE.search(cue), self._options.utc_offset_h
        if found is None or hours is None:
            return None
        *whole, ms = found.groups(default="0")
        try:
            zone = timezone(timedelta(hours=hours))
            when = datetime(*(int(n) for n in whole), tzinfo=zone)  # type: ignore[misc]
        except ValueError:
            return None
        return round(when.timestamp()) * 1_000_000_000 + int(ms.ljust(3, "0")) * NS_PER_MS


def _focal(values: dict[str, float]) -> float | None:
    """Return the 35 mm equivalent; older firmware writes tenths of mm. Digital zoom narrows it."""
    length = values.get("focal_len")
    if length is None or length <= 0.0:
        return None
    zoom = values.get("dzoom_ratio", values.get("dzoom", 1.0))
    zoom = zoom / 10_000.0 if zoom >= 1000.0 else zoom
    return (length / 10.0 if length >= 100.0 else length) * max(zoom, 1.0)


def _track_inside(video: Path) -> str:
    """Return the subtitle track of a clip as the text of an .srt file. Raises SourceError."""
    try:
        with av.open(f"file:{video.absolute()}", options={"protocol_whitelist": "file"}) as box:
            if not box.streams.subtitles:
                raise SourceError(
                    f"{video}: no .SRT beside it and no subtitle track inside; name it with `path`"
                )
            stream = box.streams.subtitles[0]
            cues: list[str] = []
            for packet in box.demux(stream):
                if packet.pts is None or not packet.size:
                    continue
                data = bytes(packet)
                if len(data) > 2 and stream.codec_context.name == "mov_text":
                    data = data[2 : 2 + int.from_bytes(data[:2], "big")]
                ms = max(0, int(packet.pts * packet.time_base * 1000))
                clock = f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}"
                stamp = f"{clock},{ms % 1000:03}"
                cues.append(f"{stamp} --> {stamp}\n{data.decode('utf-8', 'replace')}\n")
            return "\n".join(cues)
    except FFmpegError as error:
        raise SourceError(f"{video}: cannot be read: {error.strerror}") from None
