import json
import signal
import socket

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore
from perception.clock import monotonic_ns
from perception.errors import SinkError
from perception.sinks import sink_class
from perception.sinks.mqtt import topic_level
from tests.receivers import Broker, Listener, until
from tests.scenes import alert, written

pytest.importorskip("paho.mqtt.client")


@pytest.fixture
def broker(tmp_path):
    with Broker(tmp_path / "broker") as broker:
        yield broker


def make(port, **options):
    cls = sink_class("mqtt")
    return cls(cls.Options(host="127.0.0.1", port=port, **options), None)


@pytest.fixture
def listener(broker):
    listener = Listener(broker.port)
    yield listener
    listener.close()


def test_the_life_of_an_alert(broker, listener, tmp_path):
    picture = tmp_path / "a.jpg"
    cv2.imwrite(str(picture), np.zeros((8, 8, 3), np.uint8))
    sink = make(broker.port)
    states = [alert(1, snapshot=str(picture)), alert(2), alert(1, "updated"), alert(1, "cleared")]
    for state in [*states, alert(2, "cleared")]:
        sink.send(state, None)
    until(lambda: len(listener.payloads("perception/events")) == 5)
    events = [json.loads(p) for p in listener.payloads("perception/events")]
    assert events[0]["after"]["track"] == "0-1"
    assert [e["type"] for e in events] == ["new", "new", "update", "end", "end"]
    assert written(json.dumps(events[0]["after"])) == states[0]
    until(lambda: len(listener.payloads("perception/door/entered")) == 5)
    assert listener.payloads("perception/door/entered") == [b"ON", b"ON", b"ON", b"ON", b"OFF"]
    assert listener.payloads("perception/door/entered/snapshot") == [picture.read_bytes()]
    assert listener.payloads("perception/door/camera/picture") == [picture.read_bytes()]  # L1
    assert listener.payloads("perception/available") == [b"online"]
    sink.close()
    until(lambda: listener.payloads("perception/available") == [b"online", b"offline"])


def test_home_assistant_finds_a_camera(broker, listener):
    sink = make(broker.port)
    sink.send(alert(1), None)
    sink.send(alert(2), None)
    sink.send(alert(3, rule="crossed", kind="line"), None)
    topic = "homeassistant/device/perception_door/config"
    until(lambda: len(listener.payloads(topic)) == 2)
    device = json.loads(listener.payloads(topic)[-1])
    assert device["device"]["identifiers"] == ["perception_door"]
    assert device["availability_topic"] == "perception/available"
    parts = device["components"]
    assert parts["perception_door_entered"]["platform"] == "binary_sensor"
    assert parts["perception_door_crossed"]["platform"] == "sensor"
    for part in parts.values():
        assert part["unique_id"]
    sink.close()


RULES = {"door": {"entered": "visit", "crossed": "line"}, "yard": {"left": "zone"}}


def test_all_there_is_is_announced_before_the_first_alert(broker, listener):
    sink = make(broker.port)
    sink.announce(RULES)
    sink.connected("door", True)
    sink.connected("yard", False)
    until(lambda: listener.payloads("perception/yard/camera/connected") == [b"OFF"])
    until(lambda: listener.payloads("perception/door/camera/connected") == [b"ON"])
    until(lambda: listener.payloads("perception/door/entered") == [b"OFF"])
    until(lambda: listener.payloads("perception/yard/left") == [b"OFF"])
    assert listener.payloads("perception/door/crossed") == []
    device = json.loads(listener.payloads("homeassistant/device/perception_door/config")[-1])
    part = device["components"]["perception_door_connected"]
    assert part["device_class"] == "connectivity"
    assert part["state_topic"] == "perception/door/camera/connected"
    assert {"perception_door_entered", "perception_door_crossed"} < set(device["components"])
    sink.close()


def test_filtered_rules_are_not_announced(broker, listener):
    sink = make(broker.port, only={"camera": "door", "rule": ["entered"]})
    sink.announce(RULES)
    until(lambda: listener.payloads("perception/door/entered") == [b"OFF"])
    config = listener.payloads("homeassistant/device/perception_door/config")[-1]
    assert set(json.loads(config)["components"]) == {
        "perception_door_camera",
        "perception_door_connected",
        "perception_door_entered",
        "perception_door_entered_picture",
    }
    assert listener.payloads("homeassistant/device/perception_yard/config") == []
    sink.close()


def test_home_assistant_that_starts_later_is_told_again(broker, listener):
    sink = make(broker.port)
    sink.announce(RULES)
    topic = "homeassistant/device/perception_door/config"
    until(lambda: listener.payloads(topic))
    told = len(listener.payloads(topic))
    listener.client.publish("homeassistant/status", b"online")
    until(lambda: len(listener.payloads(topic)) == told + 1)
    sink.close()


def test_what_is_retained_meets_who_comes_later(broker):
    sink = make(broker.port, discovery=None)
    sink.send(alert(1), None)
    late = Listener(broker.port, "late")
    until(lambda: len(late.got) >= 3)
    assert {t for t, _, retained in late.got if retained} == {
        "perception/available",
        "perception/door/entered",
        "perception/door/entered/alert",
    }
    late.close()
    sink.close()


def test_a_sink_that_is_killed_is_offline_by_its_will(broker, listener):
    sink = make(broker.port)
    sink.send(alert(1), None)
    sink._client.socket().shutdown(socket.SHUT_RDWR)  # as when its host dies
    until(lambda: b"offline" in listener.payloads("perception/available"))
    until(lambda: listener.payloads("perception/available")[-1] == b"online")
    sink.close()


def test_what_was_told_before_a_restart_is_said_again(broker, listener):
    sink = make(broker.port)
    sink.restore(
        [
            alert(1, "updated"),
            alert(2),
            alert(3, "cleared", rule="left"),
            alert(4, rule="crossed", kind="line"),
        ]
    )
    until(lambda: listener.payloads("perception/door/left"))
    assert listener.payloads("perception/door/entered")[-1] == b"ON"
    assert listener.payloads("perception/door/left")[-1] == b"OFF"
    assert listener.payloads("perception/door/crossed") == []
    device = json.loads(listener.payloads("homeassistant/device/perception_door/config")[-1])
    assert {f"perception_door_{rule}" for rule in ("entered", "left", "crossed")} < set(
        device["components"]
    )
    told = len(listener.payloads("perception/door/entered"))
    for n in (1, 2):
        sink.send(alert(n, "cleared", frame=9), None)
    until(lambda: len(listener.payloads("perception/door/entered")) == told + 2)
    assert listener.payloads("perception/door/entered")[told:] == [b"ON", b"OFF"]
    sink.close()


def test_a_broker_that_forgot_everything_is_told_again(broker, listener):
    sink = make(broker.port)
    sink.announce({"door": {"quiet": "zone"}})
    sink.connected("door", True)
    for a in (alert(1), alert(2, rule="left"), alert(2, "cleared", rule="left")):
        sink.send(a, None)
    broker.end(signal.SIGKILL)
    for file in broker.config.parent.glob("*.db*"):
        file.unlink()
    broker.start()
    with Listener(broker.port, "new") as new:
        until(lambda: new.payloads("perception/door/entered") == [b"ON"])
        until(lambda: new.payloads("perception/door/left") == [b"OFF"])
        until(lambda: new.payloads("perception/door/quiet") == [b"OFF"])
        until(lambda: new.payloads("perception/door/camera/connected") == [b"ON"])
        until(lambda: new.payloads("homeassistant/device/perception_door/config"))
        assert new.payloads("perception/available")[-1] == b"online"
    sink.close()


@pytest.mark.fault("H15")
def test_names_cannot_leave_their_level_of_the_topic(broker, listener):
    sink = make(broker.port)
    sink.send(alert(1, camera="a/#+b\x00", rule="{{ x }}", class_name="<script>"), None)
    until(lambda: listener.payloads("perception/a_b_/_x_"))
    sink.close()
    assert topic_level("../..") == "_"
    assert topic_level("é" * 300) == "_"
    assert len(topic_level("x" * 300)) == 64


def test_wrong_password_is_named_and_never_shown(tmp_path, request):
    folder = tmp_path / "broker"
    folder.mkdir()
    (folder / "passwords").write_text("")
    broker = Broker(folder, "allow_anonymous false", f"password_file {folder / 'passwords'}")
    broker.start()
    request.addfinalizer(broker.end)
    sink = make(broker.port, username="me", password="hush-hush")
    until(lambda: "refused" in sink._refused)
    with pytest.raises(SinkError, match="refused: ") as caught:
        sink.send(alert(1), None)
    assert "hush" not in str(caught.value) + repr(sink.when)
    sink.close()


def test_nobody_there_is_named():
    sink = make(1, timeout_s=0.2)
    with pytest.raises(SinkError, match=r"mqtt 127\.0\.0\.1:1: not connected"):
        sink.send(alert(1), None)
    sink.close()


@pytest.mark.parametrize(
    "options",
    [
        {"topic": "a/#"},
        {"topic": "/a"},
        {"discovery": "+"},
        {"client_id": "a b"},
        {"port": 0},
        {"once": True},
        {"only": {"state": "raised"}},
    ],
)
def test_what_cannot_be_is_refused(options):
    with pytest.raises(ValidationError):
        sink_class("mqtt").Options(host="h", **options)


def deliver(courier, wanted, wait_s=30.0):
    sent = 0

    def all_sent():
        nonlocal sent
        sent += courier.deliver(monotonic_ns())
        return sent >= wanted

    until(all_sent, wait_s)


def keys(listener):
    return [json.loads(p)["after"]["key"] for p in listener.payloads("perception/events")]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_broker_that_goes_and_comes_back_gets_every_alert(broker, listener, tmp_path, how):
    sink = make(broker.port, timeout_s=1)
    with AlertStore(tmp_path / "a.sqlite", ["mqtt"]) as store:
        courier = Courier(store, {"mqtt": sink}, seed=1)
        for n in range(10):
            store.commit("door", n, [alert(n)], dict)
        deliver(courier, 10)
        until(lambda: len(keys(listener)) >= 10)
        broker.end(how)
        for n in range(10, 30):
            store.commit("door", n, [alert(n)], dict)
        for _ in range(3):
            assert courier.deliver(monotonic_ns()) == 0
        broker.start()
        listener.ready.clear()
        assert listener.ready.wait(10)
        deliver(courier, 20)
        assert store.outbox.counts() == {"mqtt": {"delivered": 30}}
        until(lambda: {alert(n).key for n in range(30)} <= set(keys(listener)))
        assert [k for i, k in enumerate(keys(listener)) if k not in keys(listener)[:i]] == [
            alert(n).key for n in range(30)
        ]
    sink.close()
