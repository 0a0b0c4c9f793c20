"""Which telemetry a recording has: a log beside it, or data inside of it. Imports this room."""

from pathlib import Path

import av
from av.error import FFmpegError

from perception.telemetry.stills import speaks_of_position

LIVE = ("mavlink", "nmea")
"""Readers of vehicles that fly now."""

STILL_SUFFIXES = (".jpg", ".jpeg")
_LOOKED_AT = 32
"""Pictures of a folder that are looked into for a position."""
_BESIDE = {".srt": "dji_srt", ".SRT": "dji_srt", ".tlog": "tlog", ".nmea": "nmea_log"}


def find(video: Path) -> str | None:
    """Return the type of the reader for a recording's telemetry, None where it has none.

    video: a file, or a folder of stills. A subtitle of a film is none: it has to speak of a
    position, and so have stills.
    """
    if video.is_dir() or video.suffix.lower() in STILL_SUFFIXES:
        return "stills" if _stills(video) else None
    if not video.is_file():
        return None
    for suffix, kind in _BESIDE.items():
        beside = video.with_suffix(suffix)
        if beside.is_file() and (kind != "dji_srt" or _speaks_of_position(beside)):
            return kind
    return _inside(video)


def _stills(place: Path) -> bool:
    try:
        files = sorted(place.iterdir()) if place.is_dir() else [place]
    except OSError:
        return False
    pictures = [p for p in files if p.suffix.lower() in STILL_SUFFIXES and p.is_file()]
    return any(map(speaks_of_position, pictures[:_LOOKED_AT]))


def _speaks_of_position(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(65_536).decode("utf-8-sig", "replace").lower()
    except OSError:
        return False
    return "gps" in head or "latitude" in head


def _inside(video: Path) -> str | None:
    try:
        options = {"protocol_whitelist": "file"}
        with av.open(f"file:{video.absolute()}", options=options, metadata_errors="replace") as box:
            for stream in box.streams:
                handler = str(stream.metadata.get("handler_name", ""))
                if stream.type == "data" and "GoPro MET" in handler:
                    return "gpmf"
                if stream.type == "subtitle" and "DJI" in handler.upper():
                    return "dji_srt"
                if stream.type == "data" and video.suffix.lower() in (".ts", ".mts", ".m2ts"):
                    return "klv"
    except (FFmpegError, ValueError, OSError):
        return None
    return None
