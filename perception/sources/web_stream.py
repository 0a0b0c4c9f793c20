"""RTMP, HLS and motion JPEG over HTTP, for IP cameras, phones and servers.

Each type has one demuxer and a list of allowed protocols, so a playlist cannot open a file or
another scheme. Imports stream and below.
"""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from perception.sources.stream import StreamOptions, StreamSource, check_url

_RTMP = {"rtmp": "rtmp,tcp", "rtmps": "rtmps,tls,tcp"}
_HTTP = {"http": "http,tcp", "https": "https,http,tls,tcp"}
_SEGMENTS = "mpegts,mov,mp4,m4a,aac,hls"


class RtmpSource(StreamSource):
    """An RTMP stream. Options: url; listen: act as the server for one drone or encoder."""

    class Options(StreamOptions):
        url: Annotated[str, AfterValidator(lambda url: check_url(url, _RTMP))] = Field(repr=False)
        listen: bool = False

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        protocols = _RTMP[options.url.partition("://")[0].lower()]
        settings = {"protocol_whitelist": protocols}
        settings |= {"listen": "1"} if options.listen else {"rtmp_live": "live"}
        super().__init__(options.url, "flv", settings, options)


class HlsSource(StreamSource):
    """An HLS playlist (.m3u8) of MPEG-TS or MP4 segments. HLS has a delay of some seconds."""

    class Options(StreamOptions):
        url: Annotated[str, AfterValidator(lambda url: check_url(url, _HTTP))] = Field(repr=False)
        read_timeout_s: Annotated[float, Field(gt=0, le=60)] = 15.0

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        protocols = _HTTP[options.url.partition("://")[0].lower()] + ",crypto"
        settings = {"protocol_whitelist": protocols, "format_whitelist": _SEGMENTS}
        super().__init__(options.url, "hls", settings, options, explains=False)


class MjpegSource(StreamSource):
    """Motion JPEG over HTTP (multipart/x-mixed-replace): IP cameras, ESP32-CAM, phone apps."""

    class Options(StreamOptions):
        url: Annotated[str, AfterValidator(lambda url: check_url(url, _HTTP))] = Field(repr=False)

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        protocols = _HTTP[options.url.partition("://")[0].lower()]
        settings = {"protocol_whitelist": protocols, "format_whitelist": "mpjpeg"}
        super().__init__(options.url, "mpjpeg", settings, options, explains=False)
