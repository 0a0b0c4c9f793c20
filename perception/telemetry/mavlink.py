"""MAVLink from a vehicle that flies now: udp, tcp or a serial port. It is listened to, only.

Times are those of arrival, so the vehicle's clock may jump. Imports geo and this room.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from perception.geo.series import Series
from perception.telemetry import TelemetryOptions
from perception.telemetry.link import MAX_PEERS, Link, Speakers, checked_url
from perception.telemetry.mavlink_state import MavlinkStates, parser


class MavlinkLive:
    """A vehicle. Options: url: see Link. system: the vehicle's id, where several speak; not given:
    the first that flies.
    """

    class Options(TelemetryOptions):
        url: Annotated[str, AfterValidator(checked_url)] = "udp://127.0.0.1:14550"
        system: Annotated[int, Field(ge=1, le=255)] | None = None

    live = True

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options = options
        self.series, self._two = Series(live=True), ""
        self.sigmas = {"position_m": 2.0, "altitude_m": 3.0, "yaw_deg": 3.0, "time_s": 0.15}
        self.counters: dict[str, int] = {"bytes": 0, "reconnects": 0}
        self._states = MavlinkStates(self.series, self.counters, options.system)
        self._link = Link(options.url, self.take, "mavlink")
        self._decoders: dict[object, Any] = {}
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
        """Begin to listen. Raises SourceError: pymavlink is missing, the port is taken."""
        parser()
        self._link.open()

    def close(self) -> None:
        """Stop listening, within 1 s."""
        self._link.close()

    def take(self, data: bytes, peer: object, t_ns: int) -> None:
        """Take bytes of a peer; two that speak as the same vehicle make it unknown where it is."""
        if peer not in self._decoders:
            if len(self._decoders) >= MAX_PEERS:
                del self._decoders[next(iter(self._decoders))]
            self._decoders[peer] = parser()
        self.counters["bytes"] += len(data)
        self.counters["reconnects"] = self._link.reconnects
        own = self._states.feed(self._decoders[peer], data, t_ns)
        if any(m.get_type() == "GLOBAL_POSITION_INT" for m in own):
            count = self._speakers.heard(peer, t_ns)
            system = self._states.system
            self._two = f"{count} vehicles speak as system {system}" if count > 1 else ""
