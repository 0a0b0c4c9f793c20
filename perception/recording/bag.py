"""Writes tracks to a ROS 2 bag: vision_msgs/Detection2DArray, and the same as JSON text.

Uses rosbags, of the extra `vehicle`; ROS is not needed. Imports wire, errors and clock.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from perception.clock import NS_PER_S
from perception.errors import SinkError
from perception.wire import CONFIRMED, TrackMessage, text_id

ARRAY, TEXT = "vision_msgs/msg/Detection2DArray", "std_msgs/msg/String"
DEFINITIONS = {
    "vision_msgs/msg/Point2D": "float64 x\nfloat64 y",
    "vision_msgs/msg/Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "vision_msgs/msg/BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "vision_msgs/msg/ObjectHypothesis": "string class_id\nfloat64 score",
    "vision_msgs/msg/ObjectHypothesisWithPose": (
        "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose"
    ),
    "vision_msgs/msg/Detection2D": (
        "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        "vision_msgs/BoundingBox2D bbox\nstring id"
    ),
    ARRAY: "std_msgs/Header header\nvision_msgs/Detection2D[] detections",
}
"""Message definitions of vision_msgs 4, of ROS 2 Humble and later."""


def write_bag(messages: Iterable[TrackMessage], folder: Path) -> int:
    """Write a ROS 2 bag (MCAP) of confirmed tracks. Return how many frames it has.

    folder: is created; it must not exist. Topics: /<camera>/tracks and /<camera>/tracks_json. The
    stamp of a header is the media time, its frame_id the camera. Boxes are in px. `id` is that of
    the track. The pose of a hypothesis is unknown: its covariance is -1. Raises SinkError where
    rosbags is missing or the bag cannot be written.
    """
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError:
        raise SinkError(
            f"{folder}: ROS bags need rosbags: pip install 'perception-line[vehicle]'"
        ) from None
    types = get_typestore(Stores.ROS2_HUMBLE)
    missing: dict[str, Any] = {}
    for name, text in DEFINITIONS.items():
        if name not in types.types:
            missing.update(get_types_from_msg(text, name))
    types.register(missing)
    topics: dict[tuple[str, str], Any] = {}
    count = 0
    try:
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            for message in messages:
                camera, t_ns = message.stamp.camera, message.stamp.t_media_ns
                for name, kind, made in (
                    ("tracks", ARRAY, _array(message, types.types)),
                    ("tracks_json", TEXT, types.types[TEXT](data=_text(message))),
                ):
                    if (camera, name) not in topics:
                        topics[camera, name] = writer.add_connection(
                            f"/{topic_name(camera)}/{name}", kind, typestore=types
                        )
                    data = types.serialize_cdr(made, kind)
                    writer.write(topics[camera, name], max(0, t_ns), data)
                count += 1
    except (WriterError, OSError) as error:
        raise SinkError(f"{folder}: the bag cannot be written: {error}") from None
    return count


def topic_name(camera: str) -> str:
    """Return a camera's name as valid in a ROS 2 topic: letters, digits and _, no digit first."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", camera)
    return f"camera_{name}" if name[0].isdigit() else name


def _array(message: TrackMessage, types: Any) -> Any:
    t_ns = max(0, message.stamp.t_media_ns)
    stamp = types["builtin_interfaces/msg/Time"](t_ns // NS_PER_S % (1 << 31), t_ns % NS_PER_S)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id=message.stamp.camera)
    pose = types["geometry_msgs/msg/PoseWithCovariance"](
        pose=types["geometry_msgs/msg/Pose"](
            position=types["geometry_msgs/msg/Point"](0.0, 0.0, 0.0),
            orientation=types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
        ),
        covariance=np.full(36, -1.0),
    )
    found: list[Any] = []
    for row in _confirmed(message):
        x1, y1, x2, y2 = row["box"]
        middle = types["vision_msgs/msg/Point2D"]((x1 + x2) / 2, (y1 + y2) / 2)
        box = types["vision_msgs/msg/BoundingBox2D"](
            center=types["vision_msgs/msg/Pose2D"](position=middle, theta=0.0),
            size_x=x2 - x1,
            size_y=y2 - y1,
        )
        named = types["vision_msgs/msg/ObjectHypothesis"](class_id=row["class"], score=row["score"])
        one = types["vision_msgs/msg/ObjectHypothesisWithPose"](hypothesis=named, pose=pose)
        found.append(
            types["vision_msgs/msg/Detection2D"](
                header=header, results=[one], bbox=box, id=row["id"]
            )
        )
    return types[ARRAY](header=header, detections=found)


def _text(message: TrackMessage) -> str:
    stamp = message.stamp
    said = {
        "camera": stamp.camera,
        "t_media_ns": stamp.t_media_ns,
        "width": message.width,
        "height": message.height,
        "tracks": _confirmed(message),
    }
    return json.dumps(said, separators=(",", ":"))


def _confirmed(message: TrackMessage) -> list[dict[str, Any]]:
    """Return the confirmed tracks as JSON values, with ttc_s and metres where known."""
    rows: list[dict[str, Any]] = []
    for i in (message.tracks.states == CONFIRMED).nonzero()[0].tolist():
        track = message.tracks.row(i, message.names)
        row: dict[str, Any] = {
            "id": text_id(track.track_id),
            "class": track.class_name,
            "score": round(track.score, 4),
            "box": [round(side, 2) for side in track.box],
        }
        if track.ttc_s is not None:
            row["ttc_s"] = round(track.ttc_s, 3)
        if track.metres is not None:
            row["ahead_m"] = round(track.metres.ahead_m, 2)
            row["lateral_m"] = round(track.metres.lateral_m, 2)
        rows.append(row)
    return rows
