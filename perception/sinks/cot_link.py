"""A connection to a TAK server or to listeners: bytes over udp, tcp or TLS. Imports errors."""

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from perception.errors import SinkError

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


CotType = Annotated[str, Field(pattern=r"^[a-zA-Z](-[A-Za-z0-9]{1,8}){1,9}$")]
Url = Annotated[str, AfterValidator(_checked)]
Pem = Annotated[Path, AfterValidator(Path.expanduser)]
Stale = Annotated[float, Field(ge=1.0, le=86_400.0)]


class LinkOptions(BaseModel):
    """url: udp, tcp or tls. timeout_s: s.

    ca: PEM file of the authority of the server's certificate, if the host does not trust it. cert,
    key: PEM files of the client's certificate, if the server needs one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Url
    timeout_s: Annotated[float, Field(ge=0.1, le=60.0)] = 5.0
    ca: Pem | None = None
    cert: Pem | None = None
    key: Pem | None = None

    @model_validator(mode="after")
    def _belong(self) -> Self:
        if any((self.ca, self.cert, self.key)) and not self.url.startswith("tls:"):
            raise ValueError("ca, cert and key are for tls://")
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


class CotLink:
    """Sends events. It connects with the first one, and again after the connection was lost."""

    def __init__(self, options: LinkOptions) -> None:
        self._options = options
        parts = urlsplit(options.url)
        self._kind, self._at = parts.scheme, (parts.hostname or "", parts.port or 0)
        self._link: socket.socket | None = None

    def send(self, data: bytes) -> None:
        """Send one event. Over udp there is no acknowledgement. Raises SinkError."""
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
        """Close the connection. The next event opens a new one."""
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
        """Discard what the server has sent. Return whether it has closed the connection."""
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
