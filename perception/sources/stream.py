"""Network streams: RTSP cameras, and MPEG-TS over udp, tcp or http. The reader is in live.py."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from perception.sources import Allocate, Frame
from perception.sources.address import Address
from perception.sources.http_kind import explain
from perception.sources.live import LiveStream
from perception.sources.metadata import MetadataTap
from perception.sources.tap import PacketTap
from perception.sources.urls import redact, scheme

# Measured: without probing the frame rate MPEG-TS opens in 0.04 s instead of 0.77 s. `nobuffer` is
# not used: it drops the key frame that the probe has read, so decoding starts at the next one.
FAST_START = {"analyzeduration": "1000000", "fpsprobesize": "0"}
# The parser returns a picture when the next one begins, 33 ms later at 30 fps. Here each PES packet
# is a whole picture, so no parser is needed (benchmarks/decode.py: age at read() 68 ms with it, 35
# without).
_NO_PARSER = {"fflags": "+noparse"}
_RTSP_PROTOCOLS = {"rtsp": "rtsp,rtp,tcp,udp", "rtsps": "rtsp,rtsps,rtp,tcp,udp,tls"}
_TS_PROTOCOLS = {
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "udp": "udp",
}
_UDP = {"overrun_nonfatal": "1", "fifo_size": "43690", "buffer_size": "4194304"}
# A buffer of 8 MB for a slow reader. When it is full, the oldest packets are dropped.

Seconds = Annotated[float, Field(gt=0, le=60)]


def check_url(url: str, schemes: dict[str, str]) -> str:
    """Return the URL if it is valid and has one of these schemes, unchanged.

    Raises ValueError otherwise. Its text does not contain passwords.
    """
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
    """Return a hint how to escape reserved characters in a user name or password; "": none."""
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
    """Options of every stream. rotate: degrees clockwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    open_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 3.0
    rotate: Literal[0, 90, 180, 270] | None = None


class StreamSource:
    """Base class of network streams; see LiveStream.

    container: name of FFmpeg's demuxer. settings: options for FFmpeg. explains: for http(s), find
    out what the address sends when it cannot be opened.
    """

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
        """Receiver of the coded packets. Set it before open()."""
        return self._stream.tap

    @tap.setter
    def tap(self, tap: PacketTap | None) -> None:
        self._stream.tap = tap

    @property
    def metadata(self) -> MetadataTap | None:
        """Who takes the data beside the video; set it before open()."""
        return self._stream.metadata

    @metadata.setter
    def metadata(self, metadata: MetadataTap | None) -> None:
        self._stream.metadata = metadata

    @property
    def fps(self) -> float | None:
        """Frames per second in the stream's header; None: not open, or unknown."""
        return self._stream.fps

    def open(self) -> None:
        """Start to connect. Raises SourceLost where that fails within 0.5 s."""
        self._stream.open()

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the newest frame; None: there was none within 0.5 s. Raises SourceLost."""
        return self._stream.read(allocate)

    def close(self) -> None:
        """Disconnect. Returns within 0.5 s."""
        self._stream.close()


class RtspSource(StreamSource):
    """An RTSP camera: newest frame only. It is lost when nothing comes for read_timeout_s.

    Options: url: rtsp:// or rtsps://, with user:password@ if needed. transport: tcp, or udp for a
    camera without tcp. open_timeout_s, read_timeout_s. rotate: degrees clockwise. With a wrong
    password SourceLost has retry_after_s 30. Certificates of rtsps are not verified.
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

    Options: url: for udp, the address of this host or the multicast group, and the port to listen
    on. interface: address of this host that joins the group. open_timeout_s, read_timeout_s.
    rotate: degrees clockwise. Other data than MPEG-TS, such as a playlist or a web page, is
    refused. Certificates of https are not verified.
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
        # Video players write udp://@host:port for a port that they listen on.
        super().__init__(options.url.replace("://@", "://"), "mpegts", settings, options)
