"""MAVLink from a vehicle that flies now: udp, tcp or a serial port. It is listened to, only.

A thread takes what comes; times are those of arrival, so the vehicle's clock may jump.
"""

import contextlib
import functools
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from perception.clock import NS_PER_S, monotonic_ns
from perception.errors import SourceError
from perception.geo.series import Series
from perception.telemetry import TelemetryOptions
from perception.telemetry.mavlink_state import MavlinkStates, parser

_TWO_NS = 3 * NS_PER_S
_RETRY_S = 1.0
_MAX_PEERS = 64


def _url(text: str) -> str:
    if text.startswith("serial:/dev/"):
        _, _, speed = text.rpartition(":")
        if not speed.isdigit():
            raise ValueError(
                f"{text}: expected serial:/dev/NAME:BAUD, as serial:/dev/ttyUSB0:57600"
            )
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("udp", "tcp") or not port or parts.path not in ("", "/"):
        form = "udp://127.0.0.1:14550 (listens), tcp://host:5760 or serial:/dev/ttyUSB0:57600"
        raise ValueError(f"{text}: expected {form}")
    if parts.scheme == "tcp" and not parts.hostname:
        raise ValueError(f"{text}: tcp needs a host")
    return text


class MavlinkLive:
    """A vehicle. Options: url: udp://address:port listens on that address of this host, 127.0.0.1
    where none is given; tcp://host:port connects; serial:/dev/NAME:BAUD. system: the vehicle's id,
    where several speak; not given: the first that flies.
    """

    class Options(TelemetryOptions):
        url: Annotated[str, AfterValidator(_url)] = "udp://127.0.0.1:14550"
        system: Annotated[int, Field(ge=1, le=255)] | None = None

    live = True

    def __init__(self, options: Options, *, video: Path | None) -> None:
        self._options = options
        self.series, self.why = Series(live=True), ""
        self.sigmas = {"position_m": 2.0, "altitude_m": 3.0, "yaw_deg": 3.0, "time_s": 0.15}
        self.counters: dict[str, int] = {"bytes": 0, "reconnects": 0}
        self._states = MavlinkStates(self.series, self.counters, options.system)
        self._stop = threading.Event()
        self._peers: dict[object, tuple[Any, int | None]] = {}
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; 0 where none is."""
        return self._socket.getsockname()[1] if self._socket is not None else 0

    def open(self) -> None:
        """Begin to listen. Raises SourceError: pymavlink is missing, the port is taken."""
        parser()
        url = self._options.url
        run: Callable[[], None] = self._tcp
        if url.startswith("serial:"):
            run = self._serial
        elif url.startswith("udp:"):
            self._bind()
            run = self._udp
        self._thread = threading.Thread(target=run, name="mavlink", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, within 1 s."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def take(self, data: bytes, peer: object, t_ns: int) -> None:
        """Take bytes of a peer; two that speak as the same vehicle make it unknown where it is."""
        if peer not in self._peers and len(self._peers) >= _MAX_PEERS:
            oldest = min(self._peers, key=lambda key: self._peers[key][1] or 0)
            del self._peers[oldest]
        decoder, heard_ns = self._peers.get(peer, (None, None))
        decoder = decoder or parser()
        self.counters["bytes"] += len(data)
        own = self._states.feed(decoder, data, t_ns)
        places = [m for m in own if m.get_type() == "GLOBAL_POSITION_INT"]
        self._peers[peer] = decoder, t_ns if places else heard_ns
        if places:
            heard = [at for _, at in self._peers.values() if at is not None]
            speak = [at for at in heard if t_ns - at < _TWO_NS]
            system = self._states.system
            self.why = f"{len(speak)} vehicles speak as system {system}" if len(speak) > 1 else ""

    def _bind(self) -> None:
        parts = urlsplit(self._options.url)
        host = parts.hostname or "127.0.0.1"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, parts.port or 0))
        except OSError as error:
            self._socket.close()
            self._socket = None
            raise SourceError(f"{self._options.url}: {error.strerror}") from None
        self._socket.settimeout(0.2)

    def _udp(self) -> None:
        held = self._socket
        while held is not None and not self._stop.is_set():
            try:
                data, peer = held.recvfrom(65_536)
            except TimeoutError:
                continue
            except OSError:
                return
            self.take(data, peer, monotonic_ns())

    def _tcp(self) -> None:
        parts = urlsplit(self._options.url)
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                address = (parts.hostname or "", parts.port or 0)
                with socket.create_connection(address, timeout=3.0) as held:
                    held.settimeout(0.2)
                    self._read(functools.partial(held.recv, 65_536))
            self.counters["reconnects"] += 1
            self._stop.wait(_RETRY_S)

    def _serial(self) -> None:
        try:
            import serial  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
        except ImportError:
            self.why = "a serial port needs `pip install pyserial`"
            return
        place, _, speed = self._options.url.removeprefix("serial:").rpartition(":")
        while not self._stop.is_set():
            with (
                contextlib.suppress(OSError),
                serial.Serial(place, int(speed), timeout=0.2) as held,
            ):
                self._read(functools.partial(held.read, 4096), quiet_is_end=False)
            self.counters["reconnects"] += 1
            self._stop.wait(_RETRY_S)

    def _read(self, receive: Callable[[], bytes], *, quiet_is_end: bool = True) -> None:
        """Take what comes until the stop or, where that is what no bytes mean, the end."""
        while not self._stop.is_set():
            try:
                data = receive()
            except TimeoutError:
                continue
            if data:
                self.take(data, "link", monotonic_ns())
            elif quiet_is_end:
                return
