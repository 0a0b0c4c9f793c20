"""What is sent to browsers: binary messages of packets and pictures, JSON of tracks and alerts.

Imports wire and sinks.
"""

import struct
from typing import Any

import msgspec

from perception.sinks import document
from perception.wire import Alert, PacketMessage, TrackMessage, text_id

_ENCODE = msgspec.json.Encoder()


def packed(header: dict[str, Any], data: bytes | memoryview) -> bytes:
    """Return a binary message: size of the header (uint32, little endian), header (JSON), data."""
    head = _ENCODE.encode(header)
    return b"".join((struct.pack("<I", len(head)), head, data))


def encoded_tracks(message: TrackMessage, who: dict[int, str]) -> bytes:
    """Return tracks as JSON. box: fractions of the picture, xyxy. velocity: fractions a second."""
    width, height = message.width, message.height
    rows: list[dict[str, Any]] = []
    for track in message:
        if track.state not in ("confirmed", "lost"):
            continue
        x1, y1, x2, y2 = track.box
        vx, vy = track.velocity_px_s
        row: dict[str, Any] = {
            "id": text_id(track.track_id),
            "class": track.class_name,
            "state": track.state,
            "score": round(track.score, 3),
            "box": [round(v, 5) for v in (x1 / width, y1 / height, x2 / width, y2 / height)],
            "velocity": [round(vx / width, 4), round(vy / height, 4)],
        }
        if track.track_id in who:
            row["who"] = who[track.track_id]
        if track.ttc_s is not None:
            row["ttc_s"] = round(track.ttc_s, 1)
        if track.metres is not None:
            row["ahead_m"] = round(track.metres.ahead_m, 1)
        rows.append(row)
    return _ENCODE.encode(
        {
            "kind": "tracks",
            "camera": message.stamp.camera,
            "t": message.stamp.t_media_ns // 1000,
            "frame": text_id(message.stamp.frame_id),
            "age_ms": round(message.age_ms, 1),
            "tracks": rows,
        }
    )


def packed_packet(message: PacketMessage) -> bytes:
    """Return a packet as a binary message. t, wall: media and wall time, us; pts in s."""
    return packed(
        {
            "kind": "packet",
            "camera": message.stamp.camera,
            "t": message.stamp.t_media_ns // 1000,
            "pts": message.pts / message.timescale,
            "timescale": message.timescale,
            "key": message.key,
            "stream": message.stream,
            "header": message.header_bytes,
            "codec": message.codec,
            "width": message.width,
            "height": message.height,
            "wall": message.stamp.t_wall_ns // 1000,
            "lost": message.lost,
        },
        memoryview(message.blocks.reshape(-1))[: message.size],
    )


def encoded_alert(alert: Alert, number: str) -> bytes:
    """Return an alert's change as JSON. number: the id of the event."""
    return _ENCODE.encode({"kind": "alert", "id": number, "alert": document(alert)})
