"""Parses a camera's `source:` in a launch file, short or long form, to type name and options.

    rtsp://host/path   udp://address:port   tcp://host:port   http://host/x.ts   rtmp://host/app/key
    http://host/x.m3u8 (HLS), .mjpg (motion JPEG), .jpg (stills)   x.sdp (RTP)   0   clip.mp4
    folder/   stills/*.png   bag:drive.mcap#/topic   push   synthetic   {type: ..., options}
    {url: ...}   {path: ...}

Imports errors and the table of sources. Of files it only checks whether they exist or are folders.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perception.errors import ConfigError, unknown
from perception.extensions import names
from perception.sources import SOURCES
from perception.sources.urls import redact, scheme

_READ = ".avif .bmp .gif .heic .heif .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp"
_NOT_READ = ".arw .cr2 .cr3 .dng .jp2 .jpe .jxl .nef .orf .psd .raf .raw .rw2 .svg .tga"
IMAGE_SUFFIXES = frozenset(_READ.split())
OTHER_IMAGES = frozenset(_NOT_READ.split())
"""Suffixes of unsupported images. They are skipped, and named to the user."""
CONVERT = "convert them, e.g. `heif-convert a.heic a.jpg` or `magick a.dng a.png`"
URL_TYPES = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "tcp": "mpegts",
    "http": "mpegts",
    "https": "mpegts",
    "udp": "mpegts",
    "rtmp": "rtmp",
    "rtmps": "rtmp",
}
_HTTP_SUFFIXES = {
    ".m3u8": "hls", ".mjpg": "mjpeg", ".mjpeg": "mjpeg", ".jpg": "snapshot", ".jpeg": "snapshot",
}  # fmt: skip
_RELAY = {
    "srt": 'relay it: ffmpeg -i "srt://..." -c copy -f mpegts udp://127.0.0.1:5600',
    "rtp": "write {type: rtp, port: 5600, codec: h264} or the path of an .sdp file",
}


def parse(spec: object) -> tuple[str, dict[str, Any]]:
    """Return the type name and the options of a source.

    spec: str, int (webcam index), or a mapping with `type` or with one of `url`, `path`, `device`,
    from which the type follows. The options are validated later, by the class of the type.
    Raises ConfigError for any other spec. Its text does not contain passwords of URLs.
    """
    if isinstance(spec, Mapping):
        return _long({str(key): value for key, value in spec.items()})
    if isinstance(spec, int) and not isinstance(spec, bool):
        return "webcam", {"device": spec}
    if isinstance(spec, Path):
        spec = str(spec)
    if not isinstance(spec, str) or not spec.strip():
        raise ConfigError(f"{spec!r} is no source: expected an URL, a path, a webcam number, ...")
    if spec in ("push", "synthetic"):
        return spec, {}
    if spec.startswith("bag:"):
        return "bag", _bag(spec.removeprefix("bag:"))
    if scheme(spec) is not None:
        return _url_type(spec), {"url": spec}
    if spec.isascii() and spec.isdigit():
        return "webcam", {"device": int(spec)}
    spec = str(Path(spec).expanduser()) if spec.startswith("~") else spec
    kind = _path_type(spec)
    return kind, {"device" if kind == "webcam" else "path": spec}


def pictures_in_data(folder: Path) -> bool:
    """Return whether a folder has a folder `data` with pictures, as KITTI's raw image_02 has."""
    inner = folder / "data"
    return inner.is_dir() and any(p.suffix.lower() in IMAGE_SUFFIXES for p in inner.iterdir())


def _long(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    kind = options.pop("type", None)
    if kind is not None:
        allowed = names(SOURCES, "perception.sources")
        if kind not in allowed:
            raise ConfigError(unknown(str(kind), allowed, "sources"), key="type")
        return str(kind), options
    given = [key for key in ("url", "path", "device") if key in options]
    if len(given) != 1:
        raise ConfigError("a source needs one of: type, url, path, device", key="source")
    value = options[given[0]]
    if given[0] == "device":
        return "webcam", options
    if not isinstance(value, str | Path):
        raise ConfigError(f"expected text, found {type(value).__name__}", key=given[0])
    return (_url_type if given[0] == "url" else _path_type)(str(value)), options


def _url_type(url: str) -> str:
    kind = URL_TYPES.get(scheme(url) or "")
    if kind is None:
        hint = _RELAY.get(scheme(url) or "", "")
        more = f"; {hint}" if hint else ""
        raise ConfigError(f"{redact(url)}: expected one of {', '.join(URL_TYPES)}://{more}")
    if scheme(url) in ("http", "https"):
        path = url.partition("?")[0].partition("#")[0]
        return _HTTP_SUFFIXES.get(Path(path).suffix.lower(), kind)
    return kind


def _bag(spec: str) -> dict[str, Any]:
    """Return the options of FILE#/topic. The topic is optional."""
    path, _, topic = spec.partition("#")
    if not path:
        raise ConfigError(f"bag:{spec}: expected bag:FILE#/topic")
    return {"path": path, **({"topic": topic} if topic else {})}


def is_bag(path: Path) -> bool:
    """Return whether a path is a ROS bag: .bag, .mcap or the folder of a ROS 2 bag."""
    return path.suffix.lower() in (".bag", ".mcap") or (path / "metadata.yaml").is_file()


def _path_type(path: str) -> str:
    if path.startswith("/dev/"):
        if path.startswith("/dev/video"):
            return "webcam"
        raise ConfigError(f"{path} is no source; a webcam is /dev/video0 or 0")
    if Path(path).suffix.lower() == ".sdp":
        return "rtp"
    if is_bag(Path(path)):
        return "bag"
    stills = any(mark in path for mark in "*?[") or Path(path).suffix.lower() in IMAGE_SUFFIXES
    return "images" if stills or path.endswith("/") or Path(path).is_dir() else "video"
