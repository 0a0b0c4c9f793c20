"""An image topic of a ROS bag as a source: ROS 1 (.bag), ROS 2 (.mcap, or its folder). ROS is not
needed.

sensor_msgs/Image, sensor_msgs/CompressedImage (JPEG, PNG) and foxglove_msgs/CompressedVideo (H.264,
H.265). Media time is the stamp of the message header. The motion of the vehicle is read from
nav_msgs/Odometry or geometry_msgs/TwistStamped. Uses rosbags, of the extra `vehicle`.
"""

import contextlib
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import av
import av.error
import cv2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from perception.clock import NS_PER_S, monotonic_ns
from perception.errors import SourceEnded, SourceError
from perception.sources import Allocate, Frame
from perception.sources.decoding import copy_rotated
from perception.sources.levels import LevelsOption
from perception.sources.ros_images import TYPES, MessageDecoder
from perception.wire import OwnMotion

ODOMETRY = (
    "nav_msgs/msg/Odometry",
    "geometry_msgs/msg/TwistStamped",
    "geometry_msgs/msg/TwistWithCovarianceStamped",
)
MAX_SPEED_M_S, MAX_YAW_RATE = 200.0, 10.0
MAX_OWN_NS = NS_PER_S
"""Own motion is used for pictures within this time of its stamp."""
MAX_BAD = 100
"""After more messages in a row without a picture, read() raises SourceError."""
_READ_NS = NS_PER_S * 4 // 10


class BagSource:
    """One image topic of a bag.

    Options: path: .bag, .mcap or the folder of a ROS 2 bag. topic: not needed if the bag has one
    image topic only. levels_16bit: the 16-bit values that become 0 and 255; default: the 0.5 and
    99.5 percentiles of the first picture. rotate: degrees clockwise. start_s, duration_s: part of
    the topic, from its first picture. odometry: topic of the motion of the vehicle: x is forwards,
    a positive yaw rate turns to the left (REP 103). realtime: None: the run decides.

    Messages without a readable picture, pictures whose stamp does not rise, and motion faster than
    200 m/s or 10 rad/s are skipped and counted.
    """

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        path: Annotated[Path, AfterValidator(Path.expanduser)]
        topic: str | None = Field(default=None, min_length=1)
        odometry: str | None = Field(default=None, min_length=1)
        levels_16bit: LevelsOption = None
        rotate: Literal[0, 90, 180, 270] = 0
        start_s: float = Field(default=0.0, ge=0, le=1e6)
        duration_s: float | None = Field(default=None, gt=0, le=1e6)
        realtime: bool | None = None

    live = False

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        self.fps: float | None = None
        self.counters = {"images_broken": 0, "stamps_not_rising": 0, "odometry_broken": 0}
        self._own: tuple[int, OwnMotion] | None = None
        self._reader: Any = None
        self._messages: Iterator[Any] = iter(())
        self._wrong: tuple[type[BaseException], ...] = ()
        self._decoder = MessageDecoder(options.levels_16bit)
        self._first_ns: int | None = None
        self._last_ns = -1
        self._bad = 0
        self.expected_frames: int | None = None

    def open(self) -> None:
        """Open the bag. Raises SourceError where it cannot be read or has no such topic."""
        self.close()
        path = self._options.path
        try:
            import apsw  # rosbags reads SQLite by it
            from rosbags.highlevel import AnyReader, AnyReaderError
            from rosbags.rosbag1 import ReaderError as ReaderError1
            from rosbags.rosbag2 import ReaderError as ReaderError2
            from rosbags.serde import SerdeError
            from rosbags.typesys import Stores, get_typestore
        except ImportError:
            raise SourceError(
                f"{path}: ROS bags need rosbags: pip install 'perception-line[vehicle]'"
            ) from None
        errors = AnyReaderError, ReaderError1, ReaderError2, SerdeError, apsw.Error
        self._wrong = (*errors, *_BROKEN)
        try:
            self._reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
            self._reader.open()
            connections = self._connections()
            odometry = self._odometry()
            duration_ns = self._reader.duration
        except self._wrong as error:
            self.close()
            said = "no such file or folder" if isinstance(error, FileNotFoundError) else error
            raise SourceError(f"{path}: not a ROS bag that can be read: {said}") from None
        except SourceError:
            self.close()
            raise
        count = sum(one.msgcount for one in connections)
        whole = not self._options.start_s and self._options.duration_s is None
        self.expected_frames = count if whole else None
        self.fps = (count - 1) * NS_PER_S / duration_ns if count > 1 and duration_ns > 0 else None
        self._messages = self._reader.messages(connections=[*connections, *odometry])
        self._own = None
        self._first_ns, self._last_ns, self._bad = None, -1, 0
        self._decoder = MessageDecoder(self._options.levels_16bit)

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next picture. None: there was none in the messages of 0.4 s.

        Raises SourceEnded at the end of the bag, SourceError where the bag cannot be read on.
        """
        path, deadline = self._options.path, monotonic_ns() + _READ_NS
        if self._reader is None:
            raise SourceError(f"{path}: not open")
        while monotonic_ns() < deadline:
            try:
                connection, bag_ns, raw = next(self._messages)
                message = self._reader.deserialize(raw, connection.msgtype)
            except StopIteration:
                raise SourceEnded(f"{path}: end of the bag") from None
            except self._wrong as error:
                raise SourceError(f"{path}: the bag is broken here: {error}") from None
            if connection.msgtype in ODOMETRY:
                self._hear(message, bag_ns)
                continue
            try:
                pixels = self._decoder.picture(message, connection.msgtype)
            except (*_BROKEN, cv2.error, av.error.FFmpegError):
                pixels = None
            if pixels is None:
                self._count_bad(connection.topic)
                continue
            stamp_ns = _stamp_ns(message) or bag_ns
            if stamp_ns <= self._last_ns:
                self.counters["stamps_not_rising"] += 1
                continue
            self._last_ns, self._bad = stamp_ns, 0
            if not self._is_wanted(stamp_ns):
                continue
            image = copy_rotated(pixels, self._options.rotate, allocate)
            return Frame(image, stamp_ns, monotonic_ns(), own=self._own_at(stamp_ns))
        return None

    def close(self) -> None:
        """Close the bag. Safe to call twice."""
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(*self._wrong):  # raised where opening it failed
                reader.close()

    def _is_wanted(self, stamp_ns: int) -> bool:
        """Whether a picture is in the part to play. Raises SourceEnded after it."""
        options = self._options
        if self._first_ns is None:
            self._first_ns = stamp_ns
        t_s = (stamp_ns - self._first_ns) / NS_PER_S
        if options.duration_s is not None and t_s >= options.start_s + options.duration_s:
            raise SourceEnded(f"{options.path}: end of the part")
        return t_s >= options.start_s

    def _connections(self) -> list[Any]:
        """Return the connections of the topic, one per publisher. Raises SourceError if none."""
        path, topic = self._options.path, self._options.topic
        found: dict[str, list[Any]] = {}
        for one in self._reader.connections:
            if one.msgtype in TYPES:
                found.setdefault(one.topic, []).append(one)
        names = ", ".join(sorted(found)) or "none"
        if topic is None:
            if len(found) == 1:
                return next(iter(found.values()))
            raise SourceError(f"{path}: `topic` is needed; topics of images: {names}")
        if topic not in found:
            raise SourceError(f"{path}: no images in topic {topic}; topics of images: {names}")
        return found[topic]

    def _odometry(self) -> list[Any]:
        """Return the connections of the odometry topic. Raises SourceError where it is none."""
        path, topic = self._options.path, self._options.odometry
        if topic is None:
            return []
        known = [one for one in self._reader.connections if one.msgtype in ODOMETRY]
        found = [one for one in known if one.topic == topic]
        if not found:
            names = ", ".join(sorted({one.topic for one in known})) or "none"
            raise SourceError(f"{path}: no odometry in topic {topic}; topics of odometry: {names}")
        return found

    def _hear(self, message: Any, bag_ns: int) -> None:
        """Keep what a message says of the vehicle's own motion."""
        try:
            twist = getattr(message.twist, "twist", message.twist)
            speed, yaw_rate = float(twist.linear.x), float(twist.angular.z)
            stamp_ns = _stamp_ns(message) or bag_ns
        except (AttributeError, TypeError, ValueError):
            speed = yaw_rate = math.nan
            stamp_ns = bag_ns
        if not (abs(speed) <= MAX_SPEED_M_S and abs(yaw_rate) <= MAX_YAW_RATE):  # NaN too
            self.counters["odometry_broken"] += 1
            return
        said = OwnMotion(t_monotonic_ns=monotonic_ns(), speed_m_s=speed, yaw_rate=yaw_rate)
        self._own = stamp_ns, said

    def _own_at(self, stamp_ns: int) -> OwnMotion | None:
        if self._own is None or abs(stamp_ns - self._own[0]) > MAX_OWN_NS:
            return None
        return self._own[1]

    def _count_bad(self, topic: str) -> None:
        self.counters["images_broken"] += 1
        self._bad += 1
        if self._bad > MAX_BAD:
            raise SourceError(f"{self._options.path}: {topic} gives no picture that can be read")


_BROKEN = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError,
    struct.error, EOFError, OverflowError, RuntimeError, MemoryError,
)  # fmt: skip
"""What rosbags raises for truncated bags and for other files."""


def _stamp_ns(message: Any) -> int:
    """Return the stamp of a message, ns: of its header, or of its field `timestamp`. 0: not set."""
    stamp = message.header.stamp if hasattr(message, "header") else message.timestamp
    return int(stamp.sec) * NS_PER_S + int(stamp.nanosec)
