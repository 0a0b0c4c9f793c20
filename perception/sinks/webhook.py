"""Alerts as signed JSON to a URL of the user. Imports wire, clock and errors.

The server is not trusted: redirects are not followed, at most 64 KiB of the answer are read, and
one deadline holds for all of the request, from the name look-up to the last byte.
"""

import base64
import contextlib
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from perception import clock
from perception.errors import SinkError, SinkRefused
from perception.sinks import delivery_key, document
from perception.sinks.when import When
from perception.wire import Alert

_LATER = (408, 425, 429)
"""Status codes 4xx that are transient: timeout, too early, too many requests."""
MAX_REPLY_BYTES = 64 << 10


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        good = good and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise ValueError("is no URL: write https://host/path")
    return url


class WebhookSink:
    """POSTs each state of an alert as JSON. It is delivered when the status is 200 to 299.

    The header Idempotency-Key is the same when the same state is sent again. With a secret, the
    header X-Perception-Signature is `t=<unix seconds>,v1=<hex>`, the HMAC-SHA256 of `<t>.<body>`.
    The receiver should compare it in constant time and reject an old t.
    """

    class Options(When):
        """url: http or https, with user:password@ for basic authentication. secret: of the
        signature. headers: added to the request. timeout_s: of the whole request."""

        url: Annotated[str, AfterValidator(_checked)] = Field(repr=False)
        secret: str | None = Field(default=None, min_length=8, repr=False)
        headers: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
        timeout_s: Annotated[float, Field(ge=0.1, le=60.0)] = 5.0

    def __init__(self, options: Any, folder: Path) -> None:
        self.when: When = options
        self._options: WebhookSink.Options = options
        self._url = urlsplit(options.url)
        self._name = f"{self._url.scheme}://{self._url.hostname}"
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        self._exchange: _Exchange | None = None

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """POST the alert; see Sink.send."""
        deadline_ns = clock.monotonic_ns() + clock.to_ns(self._options.timeout_s)
        if self._exchange is not None and self._exchange.hangs(deadline_ns):
            raise SinkError(f"{self._name}: no answer in time")
        body = msgspec.json.encode(document(alert))
        request = self._path(), body, self._headers(alert, body)
        self._exchange = _Exchange(self._connection(), request)
        if self._exchange.hangs(deadline_ns):
            self._exchange.cut()
            raise SinkError(f"{self._name}: no answer in time")
        status, error = self._exchange.status, self._exchange.error
        if status is None:
            raise SinkError(f"{self._name}: {_reason(error)}")
        if 300 <= status < 400:
            raise SinkError(f"{self._name}: answered {status}: redirects are not followed")
        if 400 <= status < 500 and status not in _LATER:
            raise SinkRefused(f"{self._name}: answered {status}")
        if not 200 <= status < 300:
            raise SinkError(f"{self._name}: answered {status}")

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        wait_s = self._options.timeout_s
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=wait_s, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=wait_s)

    def _path(self) -> str:
        path = self._url.path or "/"
        return f"{path}?{self._url.query}" if self._url.query else path

    def _headers(self, alert: Alert, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "perception",
            "Connection": "close",
            **self._options.headers,
            "Idempotency-Key": delivery_key(alert),
        }
        if self._url.username is not None:
            user = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        if self._options.secret is not None:
            now_s = clock.wall_ns() // clock.NS_PER_S
            headers["X-Perception-Signature"] = signature(self._options.secret, now_s, body)
        return headers


class _Exchange:
    """One request in a thread, because a name look-up has no time-out.

    status: of the answer; None: there is none. error: why there is none.
    """

    def __init__(
        self, connection: http.client.HTTPConnection, request: tuple[str, bytes, dict[str, str]]
    ) -> None:
        self.status: int | None = None
        self.error: Exception | None = None
        self._connection, self._request = connection, request
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="webhook", daemon=True)
        self._thread.start()

    def hangs(self, deadline_ns: int) -> bool:
        """Wait until a monotonic time, ns. Return whether the request is still running then."""
        self._thread.join(max(0.0, clock.seconds(deadline_ns - clock.monotonic_ns())))
        return self._thread.is_alive()

    def cut(self) -> None:
        """Abort the request. After a pending name look-up nothing is sent."""
        self._over.set()
        sock = self._connection.sock
        if isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):  # already closed
                sock.shutdown(socket.SHUT_RDWR)

    def _work(self) -> None:
        path, body, headers = self._request
        try:
            self._connection.connect()
            if not self._over.is_set():
                self._connection.request("POST", path, body, headers)
                answer = self._connection.getresponse()
                answer.read(MAX_REPLY_BYTES)
                self.status = answer.status
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.error = error
        finally:
            self._connection.close()


def signature(secret: str, t_s: int, body: bytes) -> str:
    """Return the value of X-Perception-Signature for a body sent at t_s, unix seconds."""
    digest = hmac.new(secret.encode(), b"%d." % t_s + body, hashlib.sha256).hexdigest()
    return f"t={t_s},v1={digest}"


def _reason(error: Exception | None) -> str:
    """Return why a request failed, without text from the server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.RemoteDisconnected):
        return "no answer: the server closed the connection"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"not a valid HTTP answer: {type(error).__name__}"
