"""Bytes of a vehicle that moves now: udp (listens), tcp or a serial port. Nothing is ever sent.

A thread hands on what comes. Imports clock and errors.
"""

import contextlib
import functools
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from perception.clock import NS_PER_S, monotonic_ns
from perception.errors import SourceError

RETRY_S = 1.0
MAX_PEERS = 64
_TWO_NS = 3 * NS_PER_S

Take = Callable[[bytes, object, int], None]
"""Takes bytes, who sent them, and their arrival in ns."""


def checked_url(text: str) -> str:
    """Return a url that a Link can have. Raises ValueError."""
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


class Link:
    """udp://address:port listens on that address of this host, 127.0.0.1 where none is given;
    tcp://host:port connects, again and again; serial:/dev/NAME:BAUD.

    reconnects: how often a connection ended. why: why nothing can come, "" where it can.
    """

    def __init__(self, url: str, take: Take, name: str) -> None:
        self._url, self._take, self._name = url, take, name
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self.reconnects, self.why = 0, ""

    @property
    def port(self) -> int:
        """The port that is listened on; 0 where none is."""
        return self._socket.getsockname()[1] if self._socket is not None else 0

    def open(self) -> None:
        """Begin to listen. Raises SourceError: the port is taken."""
        run: Callable[[], None] = self._tcp
        if self._url.startswith("serial:"):
            run = self._serial
        elif self._url.startswith("udp:"):
            self._bind()
            run = self._udp
        self._thread = threading.Thread(target=run, name=self._name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening, within 1 s."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bind(self) -> None:
        parts = urlsplit(self._url)
        host = parts.hostname or "127.0.0.1"
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, parts.port or 0))
        except OSError as error:
            self._socket.close()
            self._socket = None
            raise SourceError(f"{self._url}: {error.strerror}") from None
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
            self._take(data, peer, monotonic_ns())

    def _tcp(self) -> None:
        parts = urlsplit(self._url)
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                address = (parts.hostname or "", parts.port or 0)
                with socket.create_connection(address, timeout=3.0) as held:
                    held.settimeout(0.2)
                    self._read(functools.partial(held.recv, 65_536))
            self.reconnects += 1
            self._stop.wait(RETRY_S)

    def _serial(self) -> None:
        try:
            import serial  # pyright: ignore[reportMissingImports, reportMissingModuleSource]
        except ImportError:
            self.why = "a serial port needs `pip install pyserial`"
            return
        place, _, speed = self._url.removeprefix("serial:").rpartition(":")
        while not self._stop.is_set():
            with (
                contextlib.suppress(OSError),
                serial.Serial(place, int(speed), timeout=0.2) as held,
            ):
                self._read(functools.partial(held.read, 4096), quiet_is_end=False)
            self.reconnects += 1
            self._stop.wait(RETRY_S)

    def _read(self, receive: Callable[[], bytes], *, quiet_is_end: bool = True) -> None:
        """Take what comes until the stop or, where that is what no bytes mean, the end."""
        while not self._stop.is_set():
            try:
                data = receive()
            except TimeoutError:
                continue
            if data:
                self._take(data, "link", monotonic_ns())
            elif quiet_is_end:
                return


class Speakers:
    """Who told a position in the last seconds: two of one name make it unknown where it is."""

    def __init__(self) -> None:
        self._heard: dict[object, int] = {}

    def heard(self, peer: object, t_ns: int) -> int:
        """Note that a peer told a position; return how many did of late."""
        self._heard[peer] = t_ns
        self._heard = {who: at for who, at in self._heard.items() if t_ns - at < _TWO_NS}
        return len(self._heard)
