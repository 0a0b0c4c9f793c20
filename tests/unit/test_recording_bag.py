"""Tracks as a ROS 2 bag: what rosbags reads again is what was tracked."""

import inspect
import json

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from perception.client import Run
from perception.errors import SinkError
from perception.recording.bag import ARRAY, topic_name, write_bag
from perception.recording.tracks import TracksWriter
from perception.sources.push import Pusher
from perception.wire import CONFIRMED
from tests.line import ROOT, perception_says
from tests.unit.test_recording_tracks import message


def read(folder):
    """Return (topic, stamp ns, message) of a bag."""
    with AnyReader([folder]) as reader:
        return [
            (connection.topic, t_ns, reader.deserialize(raw, connection.msgtype))
            for connection, t_ns, raw in reader.messages()
        ]


def test_confirmed_tracks_are_detections_with_ids(tmp_path):
    sent = [message(n, 5, camera="front-left") for n in range(4)]
    assert write_bag(sent, tmp_path / "bag") == 4
    arrays = [(t, said) for topic, t, said in read(tmp_path / "bag") if topic.endswith("/tracks")]
    assert [t for t, _ in arrays] == [one.stamp.t_media_ns for one in sent]
    for one, (_, said) in zip(sent, arrays, strict=True):
        assert said.__msgtype__ == ARRAY
        stamp = said.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == one.stamp.t_media_ns
        assert said.header.frame_id == "front-left"
        rows = np.flatnonzero(one.tracks.states == CONFIRMED)
        assert len(said.detections) == len(rows) == 2
        for row, found in zip(rows.tolist(), said.detections, strict=True):
            x1, y1, x2, y2 = one.tracks.boxes[row].tolist()
            assert found.bbox.center.position.x == pytest.approx((x1 + x2) / 2, abs=0.01)
            assert found.bbox.center.position.y == pytest.approx((y1 + y2) / 2, abs=0.01)
            assert found.bbox.size_x == pytest.approx(x2 - x1, abs=0.011)
            assert found.bbox.size_y == pytest.approx(y2 - y1, abs=0.011)
            (result,) = found.results
            assert result.hypothesis.class_id == "person"
            assert result.hypothesis.score == pytest.approx(one.tracks.scores[row], abs=1e-4)
            assert found.id == f"1-{row + 1}"


def test_the_same_stands_there_as_json(tmp_path):
    write_bag([message(3, 5)], tmp_path / "bag")
    ((topic, _, said),) = [row for row in read(tmp_path / "bag") if row[0].endswith("json")]
    assert topic == "/front/tracks_json"
    value = json.loads(said.data)
    assert (value["camera"], value["t_media_ns"], value["width"]) == ("front", 120_000_000, 320)
    assert [track["id"] for track in value["tracks"]] == ["1-1", "1-4"]


@pytest.mark.parametrize(
    ("camera", "topic"),
    [("front", "front"), ("front-left", "front_left"), ("2nd.cam", "camera_2nd_cam")],
)
def test_a_topic_has_a_name_that_ros_2_allows(camera, topic):
    assert topic_name(camera) == topic


def test_a_folder_that_is_there_is_refused(tmp_path):
    (tmp_path / "bag").mkdir()
    with pytest.raises(SinkError, match="bag cannot be written"):
        write_bag([message()], tmp_path / "bag")


def test_the_command_takes_the_file_of_a_run(tmp_path):
    writer = TracksWriter(tmp_path / "tracks-front.jsonl")
    for n in range(3):
        writer.add(message(n))
    writer.close()
    said = perception_says("bag", tmp_path / "tracks-front.jsonl", tmp_path / "out")
    assert said.returncode == 0, said.stderr
    assert "3 frames" in said.stdout
    assert len(read(tmp_path / "out")) == 6
    again = perception_says("bag", tmp_path / "tracks-front.jsonl", tmp_path / "out")
    assert again.returncode != 0
    assert "cannot be written" in again.stderr
    assert "Traceback" not in again.stderr


def test_the_bridge_node_uses_what_the_client_has():
    """ROS is not needed here: each call on our side has the signature that the file expects."""
    text = (ROOT / "docs" / "ros2_bridge.py").read_text()
    compile(text, "ros2_bridge.py", "exec")
    assert "self._run.push(camera)" in text
    inspect.signature(Run.push).bind(None, "front")
    inspect.signature(Pusher.send).bind(None, np.zeros((2, 2, 3), np.uint8), 1)
    inspect.signature(Run.tracks).bind(None, "front")
