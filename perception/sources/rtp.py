"""RTP without RTSP, as QGroundControl and the companion computers of ArduPilot and PX4 use it.

FFmpeg reads a session description (SDP) that is written here. Only checked values of a user's .sdp
file are used, so such a file cannot name another protocol. Imports live and below.
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from perception.errors import SourceError
from perception.sources import Allocate, Frame
from perception.sources.address import Address
from perception.sources.live import LiveStream
from perception.sources.stream import FAST_START, StreamOptions
from perception.sources.tap import PacketTap

MAX_SDP_BYTES = 16_384
_ENCODINGS = {"h264": "H264", "h265": "H265", "jpeg": "JPEG", "mpegts": "MP2T"}
_STATIC = {26: "jpeg", 33: "mpegts"}
_MEDIA = re.compile(r"^m=video (\d{1,5})(?:/\d+)? RTP/AVP (\d{1,3})\b", re.MULTILINE)
_HOST = re.compile(r"^c=IN IP[46] ([0-9A-Fa-f.:]{2,45})", re.MULTILINE)
_FMTP = re.compile(r"^a=fmtp:(\d{1,3}) ([A-Za-z0-9=;,+/ -]{1,2000})$", re.MULTILINE)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text}: expected an address of this host or a multicast group") from None


@dataclass(frozen=True, slots=True)
class Session:
    """One RTP session. payload: payload type number. fmtp: format parameters of the codec."""

    address: str
    port: int
    codec: str
    payload: int
    fmtp: str = ""

    def text(self) -> bytes:
        """Return its session description (RFC 8866)."""
        family = "IP6" if ":" in self.address else "IP4"
        lines = [
            "v=0", f"o=- 0 0 IN {family} {self.address}", "s=downlink",
            f"c=IN {family} {self.address}", "t=0 0",
            f"m=video {self.port} RTP/AVP {self.payload}",
            f"a=rtpmap:{self.payload} {_ENCODINGS[self.codec]}/90000",
        ]  # fmt: skip
        if self.fmtp:
            lines.append(f"a=fmtp:{self.payload} {self.fmtp}")
        return ("\r\n".join(lines) + "\r\n").encode()


def read_sdp(path: Path) -> Session:
    """Return the first video session of an .sdp file. Raises SourceError that says what
    is wrong.
    """
    try:
        if path.stat().st_size > MAX_SDP_BYTES:
            raise SourceError(f"{path}: larger than {MAX_SDP_BYTES} bytes")
        text = path.read_text(errors="replace").replace("\r\n", "\n")
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from None
    media = _MEDIA.search(text)
    if media is None:
        raise SourceError(f"{path}: has no line `m=video PORT RTP/AVP PAYLOAD`")
    port, payload = int(media[1]), int(media[2])
    mapped = re.search(rf"^a=rtpmap:{payload} ([A-Za-z0-9-]{{1,20}})/", text, re.MULTILINE)
    codecs = {name.lower(): codec for codec, name in _ENCODINGS.items()}
    codec = codecs.get(mapped[1].lower()) if mapped else _STATIC.get(payload)
    if codec is None or not 1 <= port <= 65535 or payload > 127:
        said = mapped[1] if mapped else f"payload {payload}"
        raise SourceError(f"{path}: {said} on port {port}: expected {', '.join(_ENCODINGS)}")
    host = _HOST.search(text)
    try:
        address = _address(host[1]) if host else "127.0.0.1"
    except ValueError as error:
        raise SourceError(f"{path}: {error}") from None
    fmtp = next((m[2] for m in _FMTP.finditer(text) if int(m[1]) == payload), "")
    return Session(address, port, codec, payload, fmtp)


class RtpSource:
    """An RTP stream: newest frame only. It is lost when nothing comes for read_timeout_s.

    Options: path: an .sdp file; or port, codec, payload (type number) and address: of this host, or
    a multicast group. open_timeout_s, read_timeout_s. rotate: degrees clockwise.
    """

    live = True

    class Options(StreamOptions):
        path: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        port: Annotated[int, Field(ge=1, le=65535)] | None = None
        address: Annotated[str, AfterValidator(_address)] = "127.0.0.1"
        codec: Literal["h264", "h265", "jpeg", "mpegts"] = "h264"
        payload: Annotated[int, Field(ge=0, le=127)] = 96

        @model_validator(mode="after")
        def _one(self) -> "RtpSource.Options":
            if (self.path is None) == (self.port is None):
                raise ValueError("give the path of an .sdp file, or a port")
            return self

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        self.counters: dict[str, int] = {}
        self._stream: LiveStream | None = None
        self.tap: PacketTap | None = None

    @property
    def fps(self) -> float | None:
        """Frames per second in the stream's header; None: not open, or unknown."""
        return self._stream.fps if self._stream is not None else None

    def open(self) -> None:
        """Start to receive. Raises SourceError for an .sdp file that cannot be used."""
        options = self._options
        if options.path is not None:
            session = read_sdp(options.path)
        else:
            port = options.port or 0
            session = Session(options.address, port, options.codec, options.payload)
        if self._stream is None:
            address = Address(
                f"rtp://{session.address}:{session.port}",
                "sdp",
                FAST_START | {"protocol_whitelist": "rtp,udp"},
                options.open_timeout_s,
                options.read_timeout_s,
                description=session.text(),
            )
            self._stream = LiveStream(address, options.rotate, self.counters)
            self._stream.tap = self.tap
        self._stream.open()

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the newest frame; None: there was none within 0.5 s. Raises SourceLost."""
        if self._stream is None:
            raise SourceError("rtp: not open")
        return self._stream.read(allocate)

    def close(self) -> None:
        """Stop receiving. Returns within 0.5 s."""
        if self._stream is not None:
            self._stream.close()
