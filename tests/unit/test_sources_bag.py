"""ROS bags without ROS: written by rosbags, ROS 1 and ROS 2, each encoding, and broken ones."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from perception.clock import NS_PER_S
from perception.errors import ConfigError, SourceError
from perception.sources.bag import BagSource
from perception.sources.ros_images import COMPRESSED, IMAGE, VIDEO
from perception.sources.spec import parse
from tests.clips import play

H, W = 24, 32
START_NS = 1_700_000_000 * NS_PER_S
STEP_NS = 100_000_000
VIDEO_DEFINITION = (
    "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n"
)


def picture(n: int) -> np.ndarray[Any, Any]:
    """A picture of three areas of one colour each: chroma planes keep them."""
    image = np.zeros((H, W, 3), np.uint8)
    image[:, :16], image[:, 16:] = (20 + 10 * n, 60, 200), (200, 180, 40)
    return image


def as_bgr8(n: int) -> tuple[str, bytes, int]:
    return "bgr8", picture(n).tobytes(), W * 3


class Bag:
    """Writes one bag. kind: ros1, mcap, sqlite3."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self._kind = path, kind
        store = Stores.ROS1_NOETIC if kind == "ros1" else Stores.ROS2_HUMBLE
        self.types = get_typestore(store)
        if kind != "ros1":
            self.types.register(get_types_from_msg(VIDEO_DEFINITION, VIDEO))
        plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
        made = Writer1(path) if kind == "ros1" else Writer2(path, version=9, storage_plugin=plugin)
        self._writer: Any = made
        self._topics: dict[str, Any] = {}

    def __enter__(self) -> "Bag":
        self._writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, topic: str, kind: str, t_ns: int, message: Any) -> None:
        if topic not in self._topics:
            made = self._writer.add_connection(topic, kind, typestore=self.types)
            self._topics[topic] = made
        one = self.types.serialize_ros1 if self._kind == "ros1" else self.types.serialize_cdr
        self._writer.write(self._topics[topic], t_ns, one(message, kind))

    def header(self, t_ns: int) -> Any:
        known = self.types.types
        stamp = known["builtin_interfaces/msg/Time"](t_ns // NS_PER_S, t_ns % NS_PER_S)
        more = {"seq": 0} if self._kind == "ros1" else {}
        return known["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **more)

    def image(
        self,
        n: int,
        form: tuple[str, bytes, int],
        topic: str = "/a",
        big: int = 0,
        size: tuple[int, int] = (H, W),
    ) -> None:
        encoding, data, step = form
        t_ns = START_NS + n * STEP_NS
        message = self.types.types[IMAGE](
            header=self.header(t_ns), height=size[0], width=size[1], encoding=encoding,
            is_bigendian=big, step=step, data=np.frombuffer(data, np.uint8),
        )  # fmt: skip
        self.write(topic, IMAGE, t_ns + 5_000_000, message)

    def odometry(self, form: str, n: int, speed: float, yaw_rate: float) -> None:
        """Write a reading of /odom just before picture n."""
        t_ns, known = START_NS + n * STEP_NS, self.types.types
        vector = known["geometry_msgs/msg/Vector3"]
        twist = known["geometry_msgs/msg/Twist"](
            linear=vector(x=speed, y=0.0, z=0.0), angular=vector(x=0.0, y=0.0, z=yaw_rate)
        )
        header, kind = self.header(t_ns), f"geometry_msgs/msg/{form}"
        if form == "Odometry":
            kind, none = f"nav_msgs/msg/{form}", np.zeros(36)
            pose = known["geometry_msgs/msg/Pose"](
                position=known["geometry_msgs/msg/Point"](x=0.0, y=0.0, z=0.0),
                orientation=known["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
            )
            message = known[kind](
                header=header,
                child_frame_id="base_link",
                pose=known["geometry_msgs/msg/PoseWithCovariance"](pose=pose, covariance=none),
                twist=known["geometry_msgs/msg/TwistWithCovariance"](twist=twist, covariance=none),
            )
        else:
            message = known[kind](header=header, twist=twist)
        self.write("/odom", kind, t_ns + 1_000_000, message)

    def coded(self, n: int, data: bytes, topic: str = "/a") -> None:
        t_ns = START_NS + n * STEP_NS
        message = self.types.types[COMPRESSED](
            header=self.header(t_ns), format="jpeg", data=np.frombuffer(data, np.uint8)
        )
        self.write(topic, COMPRESSED, t_ns + 5_000_000, message)


def source(path: Path, **options: Any) -> BagSource:
    return BagSource(BagSource.Options(path=path, **options), camera="a")


@pytest.mark.parametrize("kind", ["ros1", "mcap", "sqlite3"])
def test_header_stamps_are_media_time(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("drive.bag" if kind == "ros1" else "drive")
    with Bag(path, kind) as bag:
        for n in range(5):
            bag.image(n, as_bgr8(n))
    made = source(path)
    got = play(made)
    assert [frame.t_media_ns for frame in got] == [START_NS + n * STEP_NS for n in range(5)]
    for n, frame in enumerate(got):
        np.testing.assert_array_equal(frame.image, picture(n))
    assert made.fps == pytest.approx(10.0)
    assert made.expected_frames == 5


def test_a_part_of_a_topic_turned(tmp_path: Path) -> None:
    with Bag(tmp_path / "drive", "mcap") as bag:
        for n in range(10):
            bag.image(n, as_bgr8(n))
    made = source(tmp_path / "drive", start_s=0.25, duration_s=0.4, rotate=90)
    got = play(made)
    wanted = [n for n in range(10) if 0.25 <= n * STEP_NS / NS_PER_S < 0.65]
    assert len(wanted) == 4
    assert [frame.t_media_ns for frame in got] == [START_NS + n * STEP_NS for n in wanted]
    for n, frame in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(frame.image, np.rot90(picture(n), -1))
    assert made.expected_frames is None


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
@pytest.mark.parametrize("form", ["Odometry", "TwistStamped"])
def test_own_motion_comes_from_a_topic(tmp_path: Path, kind: str, form: str) -> None:
    """A reading holds for 1 s; one of 900 m/s is none."""
    path = tmp_path / ("drive.bag" if kind == "ros1" else "drive")
    with Bag(path, kind) as bag:
        for n in range(32):
            if n in (2, 5, 8):
                bag.odometry(form, n, {2: 10.0, 5: 12.0, 8: 900.0}[n], 0.1 * n)
            bag.image(n, as_bgr8(n % 10))
    made = source(path, topic="/a", odometry="/odom")
    own = [frame.own for frame in play(made)]
    assert [None if one is None else one.speed_m_s for one in own[:6]] == [None] * 2 + [
        10.0
    ] * 3 + [12.0]
    assert own[8] is not None
    assert own[8].speed_m_s == 12.0
    assert own[8].yaw_rate == pytest.approx(0.5)
    assert own[30] is None, "older than 1 s"
    assert made.counters["odometry_broken"] == 1
    with pytest.raises(SourceError, match="no odometry in topic /a; topics of odometry: /odom"):
        source(path, topic="/a", odometry="/a").open()


def forms() -> dict[str, tuple[bytes, int, int, int]]:
    """Encoding -> data, step, whether big-endian, how far a channel may be off."""
    image = picture(1)
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    padded = np.zeros((H, W * 3 + 5), np.uint8)
    padded[:, : W * 3] = image.reshape(H, -1)
    uyvy = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_UYVY)
    yuy2 = cv2.cvtColor(image, cv2.COLOR_BGR2YUV_YUY2)
    mosaic = np.zeros((H, W), np.uint8)
    mosaic[::2, ::2], mosaic[1::2, 1::2] = image[::2, ::2, 2], image[1::2, 1::2, 0]
    mosaic[::2, 1::2], mosaic[1::2, ::2] = image[::2, 1::2, 1], image[1::2, ::2, 1]
    return {
        "bgr8": (padded.tobytes(), W * 3 + 5, 0, 0),
        "rgb8": (image[:, :, ::-1].tobytes(), W * 3, 0, 0),
        "rgba8": (cv2.cvtColor(image, cv2.COLOR_BGR2RGBA).tobytes(), W * 4, 0, 0),
        "bgra8": (cv2.cvtColor(image, cv2.COLOR_BGR2BGRA).tobytes(), W * 4, 0, 0),
        "yuv422": (uyvy.tobytes(), W * 2, 0, 4),
        "yuv422_yuy2": (yuy2.tobytes(), W * 2, 0, 4),
        "bayer_rggb8": (mosaic.tobytes(), W, 0, 2),
        "mono8": (grey.tobytes(), W, 0, -1),
        "mono16": ((grey.astype("<u2") * 200).tobytes(), W * 2, 0, -2),
        "16UC1": ((grey.astype(np.uint16) * 200).astype(">u2").tobytes(), W * 2, 1, -2),
    }


@pytest.mark.parametrize("encoding", list(forms()))
def test_each_encoding_gives_its_colours(tmp_path: Path, encoding: str) -> None:
    data, step, big, off = forms()[encoding]
    with Bag(tmp_path / "drive", "mcap") as bag:
        bag.image(0, (encoding, data, step), big=big)
    (frame,) = play(source(tmp_path / "drive"))
    said = frame.image.astype(int)
    if off >= 0:
        inner = np.s_[4:-4, [*range(4, 12), *range(20, 28)]]  # away from the edges of the colours
        assert np.abs(said - picture(1))[inner].max() <= off
        return
    grey = cv2.cvtColor(picture(1), cv2.COLOR_BGR2GRAY).astype(int)
    assert (said == said[:, :, :1]).all()
    if off == -1:
        np.testing.assert_array_equal(said[:, :, 0], grey)
    else:
        assert (said[:, :, 0][grey == grey.min()] == 0).all()
        assert (said[:, :, 0][grey == grey.max()] == 255).all()


@pytest.mark.parametrize(("suffix", "off"), [(".jpg", 12), (".png", 0)])
@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_compressed_images(tmp_path: Path, kind: str, suffix: str, off: int) -> None:
    path = tmp_path / ("drive.bag" if kind == "ros1" else "drive")
    with Bag(path, kind) as bag:
        for n in range(3):
            bag.coded(n, cv2.imencode(suffix, picture(n))[1].tobytes())
    for n, frame in enumerate(play(source(path))):
        assert np.abs(frame.image.astype(int) - picture(n))[4:-4, 4:12].max() <= off


def test_compressed_video(tmp_path: Path) -> None:
    import av

    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = W, H, "yuv420p", Fraction(1, 10)
    codec.options = {"tune": "zerolatency", "preset": "ultrafast"}
    with Bag(tmp_path / "drive", "mcap") as bag:
        known = bag.types.types
        for n in range(6):
            frame = av.VideoFrame.from_ndarray(picture(n), format="bgr24")
            frame.pts = n
            for packet in codec.encode(frame):
                t_ns = START_NS + n * STEP_NS
                stamp = known["builtin_interfaces/msg/Time"](t_ns // NS_PER_S, t_ns % NS_PER_S)
                data = np.frombuffer(bytes(packet), np.uint8)
                message = known[VIDEO](timestamp=stamp, frame_id="a", data=data, format="h264")
                bag.write("/a", VIDEO, t_ns, message)
    got = play(source(tmp_path / "drive"))
    assert [frame.t_media_ns for frame in got] == [START_NS + n * STEP_NS for n in range(6)]
    assert np.abs(got[5].image.astype(int) - picture(5))[4:-4, 4:12].max() <= 20


def test_a_topic_is_asked_for_where_there_are_several(tmp_path: Path) -> None:
    path = tmp_path / "drive"
    with Bag(path, "mcap") as bag:
        bag.image(0, as_bgr8(0), "/left")
        bag.image(0, as_bgr8(3), "/right")
    with pytest.raises(SourceError, match="topics of images: /left, /right"):
        source(path).open()
    with pytest.raises(SourceError, match="no images in topic /up"):
        source(path, topic="/up").open()
    (frame,) = play(source(path, topic="/right"))
    np.testing.assert_array_equal(frame.image, picture(3))


def test_broken_messages_and_old_stamps_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "drive"
    with Bag(path, "mcap") as bag:
        bag.image(0, as_bgr8(0))
        bag.image(1, ("bgr8", b"short", W * 3))
        bag.image(2, ("secret", bytes(W * H * 3), W * 3))
        bag.image(3, as_bgr8(3))
        bag.image(3, as_bgr8(4))
        bag.image(4, ("bgr8", picture(4).tobytes(), 3))
    made = source(path)
    assert [frame.t_media_ns for frame in play(made)] == [START_NS, START_NS + 3 * STEP_NS]
    assert made.counters == {
        "images_broken": 3,
        "stamps_not_rising": 1,
        "odometry_broken": 0,
    }


@pytest.mark.parametrize("kind", ["ros1", "mcap", "sqlite3"])
def test_bags_cut_short_or_turned_over_never_crash(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("drive.bag" if kind == "ros1" else "drive")
    with Bag(path, kind) as bag:
        for n in range(4):
            bag.image(n, as_bgr8(n))
    file = path if kind == "ros1" else next(f for f in path.iterdir() if f.suffix != ".yaml")
    good, rng = file.read_bytes(), np.random.default_rng(5)
    for share in (0.0, 0.1, 0.5, 0.9, 0.99):
        file.write_bytes(good[: int(len(good) * share)])
        _either(path)
    for _ in range(30):
        bad = bytearray(good)
        for at in rng.integers(0, len(good), 8):
            bad[at] = int(rng.integers(0, 256))
        file.write_bytes(bytes(bad))
        _either(path)


def _either(path: Path) -> None:
    """A bag gives pictures of the right size, or one line of what is wrong."""
    said = str(path)
    try:
        shapes = {frame.image.ndim for frame in play(source(path))}
    except SourceError as error:
        shapes, said = {3}, str(error)
    assert shapes <= {3}
    assert str(path) in said


def test_short_forms_of_a_bag(tmp_path: Path) -> None:
    assert parse("bag:drive.mcap#/camera/image_raw") == (
        "bag",
        {"path": "drive.mcap", "topic": "/camera/image_raw"},
    )
    assert parse("bag:drive.bag") == ("bag", {"path": "drive.bag"})
    assert parse("drive.bag") == ("bag", {"path": "drive.bag"})
    with Bag(tmp_path / "drive", "mcap") as bag:
        bag.image(0, as_bgr8(0))
    assert parse(str(tmp_path / "drive"))[0] == "bag"
    with pytest.raises(ConfigError, match="bag:FILE#/topic"):
        parse("bag:#/topic")


def test_two_publishers_of_one_topic_are_both_read(tmp_path: Path) -> None:
    path = tmp_path / "drive.bag"
    with Bag(path, "ros1") as bag:
        for n in range(6):
            if n == 3:  # the publisher was started again
                again = bag._writer.add_connection("/a", IMAGE, typestore=bag.types, callerid="/b")
                bag._topics["/a"] = again
            bag.image(n, as_bgr8(n))
    made = source(path)
    assert [frame.t_media_ns for frame in play(made)] == [START_NS + n * STEP_NS for n in range(6)]
    assert made.expected_frames == 6
