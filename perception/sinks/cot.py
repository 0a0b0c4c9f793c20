"""Alerts with a place as Cursor-on-Target events, for ATAK, WinTAK and TAK servers.

One event 2.0 an alert state, over udp, tcp or TLS. Source: the CoT base schema, MITRE MP 090284 and
MTR 060039. Imports wire and errors.
"""

import contextlib
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from perception.errors import SinkError, SinkRefused
from perception.sinks.when import When
from perception.wire import Alert, short_id, text_id

UNKNOWN_M = "9999999.0"
"""What the schema writes where a height or an error is not known."""
_SCHEMES = ("udp", "tcp", "tls")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and bool(parts.port)
        good = good and not (parts.path or parts.query or parts.username)
    except ValueError:
        good = False
    if not good:
        raise ValueError("write udp://host:port, tcp://host:port or tls://host:port")
    return url


class CotSink:
    """Sends each state of an alert whose track has a place; others are refused.

    The uid is the same for all events of a track. An event is stale stale_s after its frame; that
    of a cleared alert is stale at once. Over udp nobody says whether it arrived.
    """

    class Options(When):
        """url: udp, tcp or tls. cot_type: of the events, a-u-G: unknown, on the ground.

        ca: PEM of who signed the server's certificate, where the host does not know it. cert, key:
        PEM of our own, where the server asks for one.
        """

        url: Annotated[str, AfterValidator(_checked)]
        cot_type: Annotated[str, Field(pattern=r"^[a-zA-Z](-[A-Za-z0-9]{1,8}){1,9}$")] = "a-u-G"
        stale_s: Annotated[float, Field(ge=1.0, le=86_400.0)] = 60.0
        timeout_s: Annotated[float, Field(ge=0.1, le=60.0)] = 5.0
        ca: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        cert: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        key: Annotated[Path, AfterValidator(Path.expanduser)] | None = None

        @model_validator(mode="after")
        def _belong(self) -> "CotSink.Options":
            if any((self.ca, self.cert, self.key)) and not self.url.startswith("tls:"):
                raise ValueError("ca, cert and key are for tls://")
            if (self.cert is None) != (self.key is None):
                raise ValueError("cert and key belong together")
            return self

    def __init__(self, options: Any, folder: Path) -> None:
        self.when: When = options
        self._options: CotSink.Options = options
        parts = urlsplit(options.url)
        self._kind, self._at = parts.scheme, (parts.hostname or "", parts.port or 0)
        self._link: socket.socket | None = None

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Send the alert as an event; see Sink.send."""
        data = event(alert, self._options.cot_type, self._options.stale_s)
        try:
            if self._kind == "udp":
                self._datagram(data)
            else:
                self._write(data)
        except (OSError, ValueError) as error:
            self.close()
            said = getattr(error, "strerror", None) or str(error)
            raise SinkError(f"{self._options.url}: {said}") from None

    def close(self) -> None:
        """End the connection; the next event opens another."""
        if self._link is not None:
            with contextlib.suppress(OSError):
                self._link.close()
        self._link = None

    def _datagram(self, data: bytes) -> None:
        family, kind, number, _, at = socket.getaddrinfo(*self._at, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, number) as sender:
            sender.sendto(data, at)

    def _write(self, data: bytes) -> None:
        if self._link is not None and self._is_over(self._link):
            self.close()
        if self._link is None:
            self._link = self._connect()
        self._link.sendall(data)

    def _connect(self) -> socket.socket:
        options = self._options
        link = socket.create_connection(self._at, timeout=options.timeout_s)
        if self._kind != "tls":
            return link
        try:
            context = ssl.create_default_context(cafile=options.ca)
            if options.cert is not None:
                context.load_cert_chain(options.cert, options.key)
            return context.wrap_socket(link, server_hostname=self._at[0])
        except (OSError, ValueError):
            link.close()
            raise

    def _is_over(self, link: socket.socket) -> bool:
        """Take what the server sends, which is not read; return whether it has ended."""
        link.settimeout(0.0)
        try:
            while link.recv(65536):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            link.settimeout(self._options.timeout_s)
            return False
        except OSError:
            return True
        return True


def event(alert: Alert, cot_type: str, stale_s: float) -> bytes:
    """Return an alert as an event of CoT 2.0, XML. Raises SinkRefused where it has no place."""
    lat, lon = alert.details.get("lat"), alert.details.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        raise SinkRefused(f"alert {alert.key}: its track has no place on the map")
    error = alert.details.get("error_m")
    seen, begun = alert.t_wall_ns, alert.start_t_wall_ns
    stale = seen if alert.state == "cleared" else seen + round(stale_s * 1e9)
    root = ElementTree.Element(
        "event",
        {
            "version": "2.0", "uid": f"perception.{alert.camera}.{text_id(alert.track_id)}",
            "type": cot_type, "how": "m-f", "time": _iso(seen), "start": _iso(min(begun, seen)),
            "stale": _iso(stale),
        },
    )  # fmt: skip
    ce = f"{error:.1f}" if isinstance(error, int | float) else UNKNOWN_M
    point = {"lat": f"{lat:.7f}", "lon": f"{lon:.7f}", "hae": UNKNOWN_M, "ce": ce, "le": UNKNOWN_M}
    ElementTree.SubElement(root, "point", point)
    detail = ElementTree.SubElement(root, "detail")
    name = f"{alert.class_name} {short_id(alert.track_id)}"
    ElementTree.SubElement(detail, "contact", {"callsign": name})
    remarks = ElementTree.SubElement(detail, "remarks")
    remarks.text = f"{alert.camera}, {alert.rule}: {alert.kind} {alert.state}"
    head = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return head + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _iso(t_ns: int) -> str:
    at = datetime.fromtimestamp(t_ns / 1e9, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
