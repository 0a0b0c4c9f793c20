"""A span of a camera's recordings as MCAP for Foxglove: video, boxes of tracks, alerts.

Messages are JSON with Foxglove's own schemas (CompressedVideo, ImageAnnotations, Log); the video is
not encoded again, only given start codes. Imports wire and PyAV.
"""

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext
from av.error import FFmpegError
from mcap.writer import CompressionType, Writer

from perception.errors import ConfigError, MessageError
from perception.footage.messages import PACKETS, PacketLine, read
from perception.footage.rows import SegmentRow
from perception.wire import REMOVED, AlertMessage, TrackMessage, short_id
from perception.wire.codec import decode_record

_FILTERS = {"h264": ("h264", "h264_mp4toannexb"), "hevc": ("h265", "hevc_mp4toannexb")}
_LINE_LOOP, _WARNING = 2, 3
_TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
_TEXT, _LIST = {"type": "string"}, {"type": "array", "items": {"type": "object"}}
_SCHEMAS: dict[str, dict[str, Any]] = {
    "CompressedVideo": {
        "timestamp": _TIME, "frame_id": _TEXT, "format": _TEXT,
        "data": {"type": "string", "contentEncoding": "base64"},
    },
    "ImageAnnotations": {"circles": _LIST, "points": _LIST, "texts": _LIST},
    "Log": {
        "timestamp": _TIME, "level": {"type": "integer"}, "message": _TEXT, "name": _TEXT,
        "file": _TEXT, "line": {"type": "integer"},
    },
}  # fmt: skip
_GREEN, _DARK = {"r": 0.2, "g": 0.9, "b": 0.3, "a": 1.0}, {"r": 0.0, "g": 0.0, "b": 0.0, "a": 0.6}


def export_foxglove(
    root: Path, rows: Iterable[SegmentRow], output: Path, from_wall_ns: int, to_wall_ns: int
) -> int:
    """Write a span, from the last key frame before it; return how many pictures there are.

    Raises ConfigError where a codec or B-frames cannot be shown there, or files cannot be used.
    """
    count, part = 0, output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            writer = Writer(file, compression=CompressionType.ZSTD)
            writer.start(profile="", library="perception")
            channels: dict[str, int] = {}
            for row in rows:
                for topic, kind, t_ns, value in _segment(root, row, from_wall_ns, to_wall_ns):
                    if topic not in channels:
                        channels[topic] = _channel(writer, topic, kind)
                    data = json.dumps(value).encode()
                    writer.add_message(channels[topic], log_time=t_ns, publish_time=t_ns, data=data)
                    count += kind == "CompressedVideo"
            writer.finish()
        if count:
            part.replace(output)
    except (FFmpegError, OSError) as error:
        raise ConfigError(f"{output}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    if not count:
        raise ConfigError("nothing was recorded in that span")
    return count


def _channel(writer: Writer, topic: str, kind: str) -> int:
    schema = {"title": f"foxglove.{kind}", "type": "object", "properties": _SCHEMAS[kind]}
    number = writer.register_schema(f"foxglove.{kind}", "jsonschema", json.dumps(schema).encode())
    return writer.register_channel(topic, "json", number)


def _segment(
    root: Path, row: SegmentRow, first: int, last: int
) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Yield topic, kind, wall time and message; boxes at the time of their picture."""
    said = list(read(root / f"{row.path}.mcap"))
    lines = [PacketLine.unpack(one.data) for one in said if one.topic == PACKETS]
    wall = {line.t_media_ns: line.t_wall_ns for line in lines}
    stamps = {line.pts - row.base_pts: line.t_wall_ns for line in lines}
    for t_ns, value in _video(root, row, stamps, first, last):
        yield f"/{row.camera}/video", "CompressedVideo", t_ns, value
    for one in said:
        if one.topic not in ("tracks", "alerts") or not first <= one.t_wall_ns < last:
            continue
        try:
            message = decode_record(one.data)
        except MessageError:
            continue
        t_ns = wall.get(message.stamp.t_media_ns, one.t_wall_ns)
        if isinstance(message, TrackMessage):
            yield f"/{row.camera}/boxes", "ImageAnnotations", t_ns, _boxes(message, t_ns)
        elif isinstance(message, AlertMessage):
            yield f"/{row.camera}/alerts", "Log", t_ns, _log(message, t_ns)


def _video(
    root: Path, row: SegmentRow, stamps: dict[int, int], first: int, last: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    if row.codec not in _FILTERS:
        raise ConfigError(f"{row.path}: Foxglove shows H.264 and H.265, this is {row.codec}")
    name, annex_b = _FILTERS[row.codec]
    waiting: list[tuple[int, dict[str, Any]]] = []
    with av.open(str(root / f"{row.path}.mp4"), "r") as source:
        stream = source.streams.video[0]
        convert = BitStreamFilterContext(annex_b, stream)
        before = -1 << 62
        for packet in source.demux(stream):
            for one in convert.filter(packet if packet.size else None):
                if one.pts is None:
                    continue
                if one.pts < before:
                    raise ConfigError(f"{row.path}: has B-frames, which Foxglove cannot show")
                before, t_ns = one.pts, stamps.get(one.pts, row.start_wall_ns)
                if t_ns >= last:
                    return
                if one.is_keyframe and t_ns <= first:
                    waiting = []
                data = base64.b64encode(bytes(one)).decode()
                value = {
                    "timestamp": _time(t_ns), "frame_id": row.camera, "format": name, "data": data,
                }  # fmt: skip
                waiting.append((t_ns, value))
                if t_ns >= first:
                    yield from waiting
                    waiting = []


def _boxes(message: TrackMessage, t_ns: int) -> dict[str, Any]:
    points, texts, tracks = list[Any](), list[Any](), message.tracks
    for n in range(len(tracks)):
        if tracks.states[n] == REMOVED:
            continue
        x1, y1, x2, y2 = tracks.boxes[n].tolist()
        corners = [{"x": x, "y": y} for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
        at = _time(t_ns)
        points.append(
            {
                "timestamp": at, "type": _LINE_LOOP, "points": corners, "outline_color": _GREEN,
                "outline_colors": [], "fill_color": {**_GREEN, "a": 0.0}, "thickness": 2,
            }
        )  # fmt: skip
        name = message.names.get(int(tracks.class_ids[n]), "?")
        text = f"{name} {short_id(int(tracks.track_ids[n]))}"
        texts.append(
            {
                "timestamp": at, "position": {"x": x1, "y": y1}, "text": text, "font_size": 14,
                "text_color": _GREEN, "background_color": _DARK,
            }
        )  # fmt: skip
    return {"circles": [], "points": points, "texts": texts}


def _log(message: AlertMessage, t_ns: int) -> dict[str, Any]:
    alert = message.alert
    text = f"{alert.rule}: {alert.class_name} {alert.state}"
    return {
        "timestamp": _time(t_ns), "level": _WARNING, "message": text, "name": alert.camera,
        "file": "", "line": 0,
    }  # fmt: skip


def _time(t_ns: int) -> dict[str, int]:
    return {"sec": t_ns // 1_000_000_000, "nsec": t_ns % 1_000_000_000}
