"""Home Assistant finds cameras and rules of a line that has seen nothing yet."""

import json

import pytest

from tests.line import running, synthetic
from tests.receivers import Broker, Listener, until

pytest.importorskip("paho.mqtt.client")


def test_a_line_announces_itself_before_the_first_alert(tmp_path):
    visitor = {"type": "visit", "enter_s": 3600}
    launch = {"cameras": {"door": {**synthetic(), "rules": {"visitor": visitor}}}}
    with Broker(tmp_path / "broker") as broker, Listener(broker.port) as listener:
        launch["alerts"] = {"sinks": {"mqtt": {"host": "127.0.0.1", "port": broker.port}}}
        with running(tmp_path, launch) as line:
            until(lambda: listener.payloads("perception/door/camera/connected")[-1:] == [b"ON"], 30)
            until(lambda: listener.payloads("perception/door/visitor")[-1:] == [b"OFF"])
            topic = "homeassistant/device/perception_door/config"
            parts = json.loads(listener.payloads(topic)[-1])["components"]
            assert {"perception_door_connected", "perception_door_visitor"} < set(parts)
            assert listener.payloads("perception/events") == []
            line.stop()
