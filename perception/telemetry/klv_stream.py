"""The KLV of a transport stream, recorded or live, in the video's time: synchronous by its own PTS,
asynchronous by the picture it comes with.
"""

from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError

from perception.clock import NS_PER_S
from perception.errors import SourceError
from perception.geo.series import Series
from perception.telemetry import TelemetryOptions
from perception.telemetry.klv import Klv, state_of


class KlvFile:
    """MISB ST 0601 in an MPEG-TS: of the clip that is analysed, or of a live camera's own stream.

    inside: packets come by `take` while the line runs.
    """

    class Options(TelemetryOptions):
        pass

    live = False

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._video = video
        self.inside = False
        self.series, self.why = Series(), ""
        self.sigmas = {"position_m": 5.0, "altitude_m": 5.0, "yaw_deg": 1.0, "pitch_deg": 0.5}
        self._klv = Klv()
        self.counters = self._klv.counters

    def open(self) -> None:
        """Read all of it; of a live stream nothing yet.

        Raises SourceError: no transport stream, no KLV in it, or none with a position.
        """
        if self.inside:
            self.series = Series(live=True)
            return
        video = self._video
        if video is None:
            raise SourceError("klv comes inside an MPEG-TS: a recorded one, or udp, tcp or http")
        try:
            with av.open(f"file:{video.absolute()}", options={"protocol_whitelist": "file"}) as box:
                self._read(box, video)
        except FFmpegError as error:
            raise SourceError(f"{video}: cannot be read: {error.strerror}") from None
        if not self.series.has("position"):
            said = ", ".join(f"{k} {n}" for k, n in self.counters.items() if n)
            raise SourceError(f"{video}: no position in its KLV ({said or 'no packet'})")

    def _read(self, box: InputContainer, video: Path) -> None:
        data = [s for s in box.streams if s.type == "data"]
        if not data or not box.streams.video:
            raise SourceError(f"{video}: has no KLV beside its video")
        film = box.streams.video[0]
        start = film.start_time or 0
        newest = 0
        for packet in box.demux(film, *data):
            base = packet.time_base
            stamp = packet.pts if packet.pts is not None else packet.dts
            if packet.stream is film:
                if stamp is not None:
                    newest = round((stamp - start) * base * NS_PER_S)
                continue
            if not packet.size:
                continue
            t_ns = newest
            if packet.pts is not None and film.time_base is not None:
                t_ns = round((packet.pts * base - start * film.time_base) * NS_PER_S)
            for values in self._klv.packets(bytes(packet)):
                self.series.add(state_of(values, t_ns))

    def take(self, data: bytes, t_ns: int) -> None:
        """Take a packet's bytes at the media time of its picture."""
        for values in self._klv.packets(data):
            self.series.add(state_of(values, t_ns))

    def close(self) -> None:
        """Nothing to close."""
