"""Streams from the network: RTSP cameras, and MPEG-TS over udp, tcp or http. See live.py."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from perception.sources import Allocate, Frame
from perception.sources.http_kind import explain
from perception.sources.live import Address, LiveStream
from perception.sources.tap import PacketTap
from perception.sources.urls import redact, scheme

# Measured: without a probe for the rate MPEG-TS opens in 0.04 s, not 0.77 s. No `nobuffer`: it
# drops the key frame that the probe has read, and nothing may decode until the next.
FAST_START = {"analyzeduration": "1000000", "fpsprobesize": "0"}
# A parser gives a picture out when the next begins, though each PES packet is one: 33 ms at 30 fps
# (benchmarks/decode.py: age at read() 68 ms with it, 35 without).
_NO_PARSER = {"fflags": "+noparse"}
_RTSP_PROTOCOLS = {"rtsp": "rtsp,rtp,tcp,udp", "rtsps": "rtsp,rtsps,rtp,tcp,udp,tls"}
_TS_PROTOCOLS = {
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "udp": "udp",
}
_UDP = {"overrun_nonfatal": "1", "fifo_size": "43690", "buffer_size": "4194304"}
# 8 MB of 188-byte packets wait for a reader that is late, then the oldest are lost, not the stream.

Seconds = Annotated[float, Field(gt=0, le=60)]


def check_url(url: str, schemes: dict[str, str]) -> str:
    """Return an URL of one of these schemes as it is. Raises ValueError, passwords hidden."""
    allowed = ", ".join(f"{name}://" for name in schemes)
    if scheme(url) not in schemes:
        raise ValueError(f"{redact(url)}: expected {allowed}")
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        raise ValueError(f"{redact(url)!r}: blanks and control characters are not allowed")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{redact(url)}: not an URL{_escapes(url)}") from None
    bare = scheme(url) in ("tcp", "udp")
    if not host or (bare and (port is None or parts.query or parts.path not in ("", "/"))):
        form = f"{scheme(url)}://host:port" if bare else "a host"
        raise ValueError(f"{redact(url)}: expected {form}{_escapes(url)}")
    return url


def _escapes(url: str) -> str:
    """Say how to write the characters of a user name or password that end it in an URL."""
    userinfo = url.partition("://")[2].rpartition("@")[0]
    found = [f"{letter!r} as %{ord(letter):02X}" for letter in "#@/?[]" if letter in userinfo]
    return f"; in a user name or password write {', '.join(found)}" if found else ""


def _rtsp_url(url: str) -> str:
    return check_url(url, _RTSP_PROTOCOLS)


def _own_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text}: expected an address of this host, as 192.168.1.5") from None


def _ts_url(url: str) -> str:
    return check_url(url, _TS_PROTOCOLS)


class StreamOptions(BaseModel):
    """What every stream takes; rotate: degrees clockwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 3.0
    rotate: Literal[0, 90, 180, 270] | None = None


class StreamSource:
    """What streams have in common: a thread that connects and reads, see LiveStream."""

    live = True

    def __init__(
        self,
        url: str,
        container: str,
        settings: dict[str, str],
        options: StreamOptions,
        *,
        explains: bool = True,
    ) -> None:
        self.counters: dict[str, int] = {}
        address = Address(
            url,
            container,
            settings | FAST_START,
            options.open_timeout_s,
            options.read_timeout_s,
            explain if explains and scheme(url) in ("http", "https") else None,
        )
        self._stream = LiveStream(address, options.rotate, self.counters)

    @property
    def tap(self) -> PacketTap | None:
        """Who takes the coded packets; set it before open()."""
        return self._stream.tap

    @tap.setter
    def tap(self, tap: PacketTap | None) -> None:
        self._stream.tap = tap

    @property
    def fps(self) -> float | None:
        """Frames a second as the stream says, None before it is open."""
        return self._stream.fps

    def open(self) -> None:
        """Start to connect. Raises SourceLost where that fails at once."""
        self._stream.open()

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the newest frame; None while connecting. Raises SourceLost."""
        return self._stream.read(allocate)

    def close(self) -> None:
        """Disconnect, within 0.5 s."""
        self._stream.close()


class RtspSource(StreamSource):
    """An RTSP camera: newest frame only, lost when it is silent for read_timeout_s.

    Options: url: rtsp:// or rtsps://, with user:password@ where needed; transport: tcp, or udp
    where the camera knows nothing else; open_timeout_s, read_timeout_s; rotate: degrees clockwise.
    A wrong password is lost with retry_after_s = 30. Certificates of rtsps are not verified.
    """

    class Options(StreamOptions):
        url: Annotated[str, AfterValidator(_rtsp_url)] = Field(repr=False)
        transport: Literal["tcp", "udp"] = "tcp"

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        whitelist = _RTSP_PROTOCOLS[scheme(options.url) or ""]
        settings = {"rtsp_transport": options.transport, "protocol_whitelist": whitelist}
        super().__init__(options.url, "rtsp", settings, options)


class MpegTsSource(StreamSource):
    """An MPEG transport stream over udp://, tcp:// or http(s)://: newest frame only.

    Options: url: of udp the address of this host, or the multicast group, and the port that are
    listened on; interface: this host's address that joins the group; open_timeout_s,
    read_timeout_s; rotate: degrees clockwise. Whatever comes is read as MPEG-TS: a playlist or page
    is refused. Certificates of https are not verified.
    """

    class Options(StreamOptions):
        url: Annotated[str, AfterValidator(_ts_url)] = Field(repr=False)
        interface: Annotated[str, AfterValidator(_own_address)] | None = None

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        kind = scheme(options.url) or ""
        settings = {"protocol_whitelist": _TS_PROTOCOLS[kind]} | _NO_PARSER
        if kind == "udp":
            settings |= _UDP
        if options.interface is not None:
            settings["localaddr"] = options.interface
        # Players write udp://@host:port for what they listen on.
        super().__init__(options.url.replace("://@", "://"), "mpegts", settings, options)
