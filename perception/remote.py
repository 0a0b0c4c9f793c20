"""A running line from user code on another host: its page's API, by a token.

    run = perception.connect("https://cam:8443", token="pct_...", certificate="certificate.pem")
    for frame in run.tracks("door"):
        print([track.class_name for track in frame])

The messages are those of `perception.connect` on the line's own host, but `age_ms` has no meaning:
clocks of two hosts differ. Needs the extra `web`. Imports wire, clock and errors.
"""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import msgspec

from perception.clock import monotonic_ns, sleep_until, to_ns
from perception.errors import ConfigError, MessageError, unknown
from perception.wire import Alert, DetectionMessage, TrackMessage
from perception.wire.codec import decode

_API = "/api/v1"
_SILENT_S = 20.0
"""A connection that says nothing for so long, not even a ping, is opened again."""
_BACK_S = 10.0
"""A line that does not answer for so long has ended."""
_MAX_BYTES = 8 << 20


class RemoteRun:
    """A live run on another host. A lost connection is opened again.

    Iterators end _BACK_S after the line has ended.
    """

    def __init__(
        self, address: str, token: str, certificate: str | Path | None, timeout_s: float
    ) -> None:
        """certificate: PEM file of the line's own certificate; None: one that this host trusts.

        Raises ConfigError: no such host, a certificate that is not trusted, a wrong token.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise ConfigError(f"{address!r}: expected https://host:port")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
            raise ConfigError(f"{address!r}: a token is sent over https only, or on this host")
        self._address = f"{parts.scheme}://{parts.netloc}"
        self._token = token
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=certificate and str(certificate))
            except OSError as error:
                raise ConfigError(f"{certificate}: {error.strerror or error}") from None
        deadline = monotonic_ns() + to_ns(timeout_s)
        while True:
            try:
                self._me = self._get("/account")["me"]
                break
            except ConnectionError as error:
                if monotonic_ns() > deadline:
                    raise ConfigError(f"{self._address}: {error}") from None
        if self._me is None:
            raise ConfigError(f"{self._address}: the token is not valid")

    @property
    def name(self) -> str:
        """Name of the run."""
        return self._me["run"]

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras that the token may see."""
        return list(self._me["cameras"])

    def tracks(self, camera: str) -> Iterator[TrackMessage]:
        """Yield tracks of a camera as frames are tracked; what comes too fast is passed over."""
        return self._messages("tracks", camera)

    def detections(self, camera: str) -> Iterator[DetectionMessage]:
        """Yield detections of a camera as frames are detected."""
        return self._messages("detections", camera)

    def alerts(self, camera: str | None = None) -> Iterator[Alert]:
        """Yield alerts of a camera, or of all, as they are raised, updated and cleared."""
        if camera is not None:
            self._known(camera)
        for text in self._listen({}):
            if isinstance(text, str) and '"kind":"alert"' in text[:40]:
                said = json.loads(text)["alert"]
                if camera in (None, said["camera"]):
                    yield _alert(said)

    def picture(self, camera: str, width: int = 960) -> bytes:
        """Return the newest picture of a camera as JPEG, at most so many px wide.

        Raises ConfigError where there is none now.
        """
        path = f"/cameras/{self._known(camera)}/picture.jpg?width={width}"
        with self._open(path) as answer:
            return answer.read(_MAX_BYTES)

    def _messages(self, topic: str, camera: str) -> Iterator[Any]:
        for data in self._listen({"watch": self._known(camera), "as": topic}):
            if isinstance(data, bytes):
                try:
                    yield decode(data, topic)
                except MessageError:
                    raise ConfigError("the line is of another version of this program") from None

    def _known(self, camera: str) -> str:
        if camera not in self.cameras:
            raise ConfigError(unknown(camera, self.cameras, f"cameras of {self.name}"))
        return camera

    def _listen(self, ask: dict[str, str]) -> Iterator[str | bytes]:
        """Yield what the live connection sends; open it again while the line lives."""
        from websockets.exceptions import ConnectionClosed, InvalidHandshake
        from websockets.sync.client import connect

        address = self._address.replace("http", "ws", 1) + f"{_API}/live"
        headers = {"Authorization": f"Bearer {self._token}"}
        while True:
            try:
                with connect(
                    address, ssl=self._tls, additional_headers=headers, max_size=_MAX_BYTES,
                    compression=None, ping_interval=_SILENT_S, ping_timeout=_SILENT_S,
                    close_timeout=1,
                ) as opened:  # fmt: skip
                    if ask:
                        opened.send(json.dumps(ask))
                    yield from opened
            except (OSError, InvalidHandshake, ConnectionClosed):
                pass
            if not self._comes_back():
                return

    def _comes_back(self) -> bool:
        """Whether the page answers again within _BACK_S, and the token still holds."""
        deadline = monotonic_ns() + to_ns(_BACK_S)
        while monotonic_ns() < deadline:
            try:
                return self._get("/account")["me"] is not None
            except ConnectionError:
                sleep_until(monotonic_ns() + to_ns(0.2))
        return False

    def _get(self, path: str) -> Any:
        with self._open(path) as answer:
            return json.load(answer)

    def _open(self, path: str) -> Any:
        """Open a route. Raises ConnectionError: no connection; ConfigError: refused."""
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            return urlopen(
                Request(f"{self._address}{_API}{path}", headers=headers),
                timeout=5,
                context=self._tls,
            )
        except HTTPError as error:
            with error:
                detail = json.load(error).get("detail", error.reason)
            raise ConfigError(f"{self._address}: {detail}") from None
        except URLError as error:
            if isinstance(error.reason, ssl.SSLCertVerificationError):
                raise ConfigError(
                    f"{self._address}: its certificate is not trusted here: copy certificate.pem "
                    f"of the line and name it as certificate= ({error.reason.verify_message})"
                ) from None
            raise ConnectionError(str(error.reason)) from None
        except OSError as error:
            raise ConnectionError(str(error)) from None


def _alert(said: dict[str, Any]) -> Alert:
    given = {name: value for name, value in said.items() if name in Alert.__struct_fields__}
    return msgspec.convert(given, Alert)
