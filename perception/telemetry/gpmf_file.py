"""The telemetry inside a GoPro file: GPS, attitude and gyro, spread over each payload's time."""

import math
from collections.abc import Iterator
from pathlib import Path

import av
from av.error import FFmpegError

from perception.clock import NS_PER_S
from perception.errors import SourceError
from perception.geo.series import Series
from perception.geo.state import AltitudeKind, State
from perception.telemetry import TelemetryOptions
from perception.telemetry.gpmf import Stream, streams

_KARMA_TAKEOFF, _KARMA_ALTITUDE = 4, 3


class GpmfFile:
    """A GoPro clip. Position from GPS5 (camera) or GLPI (Karma drone), airframe from the Karma.

    The angles of its gimbal are not written: `map: {mount_deg}` or `assume` says where it looks.
    """

    class Options(TelemetryOptions):
        pass

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._video = video
        self.series, self.why = Series(), ""
        self.sigmas = {"position_m": 4.0, "altitude_m": 6.0, "yaw_deg": 5.0, "pitch_deg": 2.0}
        self.counters = {"payloads": 0}
        self.gyro: list[tuple[float, tuple[float, float, float]]] = []
        """Time s; rates about the picture's right, down and ahead axes, rad/s."""

    def open(self) -> None:
        """Read all of it. Raises SourceError: no such track, or no position in it."""
        video = self._video
        if video is None:
            raise SourceError("gpmf is read from a GoPro file")
        for t_ns, length_ns, data in payloads(video):
            self.counters["payloads"] += 1
            for stream in streams(data):
                self._take(stream, t_ns, length_ns)
        if not self.series.has("position"):
            raise SourceError(f"{video}: no position in {self.counters['payloads']} payloads")

    def close(self) -> None:
        """Nothing to close."""

    def _take(self, stream: Stream, t_ns: int, length_ns: int) -> None:
        count = len(stream.rows)
        for n, row in enumerate(stream.rows):
            at = t_ns + length_ns * n // count
            if stream.key == "GYRO" and len(row) == 3:
                z, x, y = row
                self.gyro.append((at / NS_PER_S, (-x, -z, y)))
            elif (state := _state(stream.key, row, at)) is not None:
                self.series.add(state)


def _state(key: str, row: tuple[float, ...], t_ns: int) -> State | None:
    altitudes: dict[AltitudeKind, float] = {}
    if key == "GPS5" and len(row) == 5:
        lat, lon, altitudes["msl"] = row[:3]
        return State(t_ns=t_ns, lat_deg=lat, lon_deg=lon, altitudes_m=altitudes)
    if key == "GLPI" and len(row) == 9:
        altitudes["msl"] = row[_KARMA_ALTITUDE]
        altitudes["takeoff"] = row[_KARMA_TAKEOFF]
        velocity = row[5], row[6], row[7]
        return State(
            t_ns=t_ns, lat_deg=row[1], lon_deg=row[2], altitudes_m=altitudes, velocity_m_s=velocity
        )
    if key == "ATTD" and len(row) == 8:
        roll, pitch, yaw = (math.degrees(a) for a in row[1:4])
        return State(t_ns=t_ns, airframe_deg=(yaw, pitch, roll))
    return None


def payloads(video: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield time ns, length ns and bytes of each GPMF payload of a file. Raises SourceError."""
    try:
        with av.open(
            f"file:{video.absolute()}",
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        ) as box:
            tracks = [
                s
                for s in box.streams
                if s.type == "data" and "GoPro MET" in str(s.metadata.get("handler_name", ""))
            ]
            if not tracks:
                raise SourceError(f"{video}: has no GoPro metadata track")
            for packet in box.demux(tracks[0]):
                base = packet.time_base
                if packet.pts is None or not packet.size:
                    continue
                length = packet.duration or 0
                yield (
                    round(packet.pts * base * NS_PER_S),
                    round(length * base * NS_PER_S),
                    bytes(packet),
                )
    except FFmpegError as error:
        raise SourceError(f"{video}: cannot be read: {error.strerror}") from None
