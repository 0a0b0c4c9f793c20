"""Alerts to an MQTT broker, with discovery by Home Assistant.

Needs the extra `notify`. Topics, under `topic` (perception):
  available                      online or offline (retained; offline is the last will)
  events                         JSON {"type": new | update | end, "after": the alert}, as Frigate
  <camera>/camera/connected      ON while frames of the camera come, else OFF (retained)
  <camera>/camera/picture        the last snapshot of the camera, JPEG
  <camera>/<rule>                ON while an alert is open, else OFF (retained)
  <camera>/<rule>/alert          the last alert, JSON (retained)
  <camera>/<rule>/snapshot       its picture, JPEG (retained)
Devices and states are published again after each connect and after `online` on <discovery>/status,
because the broker or Home Assistant may have lost them. Imports wire and errors.
"""

import importlib
import importlib.util
import json
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from perception.errors import SinkError, SinkRefused
from perception.sinks import INSTANT, document
from perception.sinks.when import When, passes
from perception.wire import Alert

TYPES = {"raised": "new", "updated": "update", "cleared": "end"}
MAX_PICTURE_BYTES = 2 << 20
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
Message = tuple[str, bytes, bool]
"""Topic, payload, retained."""
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)]


class MqttSink:
    """Publishes with QoS 1. An alert is delivered when the broker has acknowledged all messages.

    A broker that is killed afterwards may lose them. Messages contain the key of the alert, so a
    receiver can recognise a duplicate.
    """

    class Options(When):
        """host, port, tls, username, password: of the broker. port: default 1883, with tls 8883.

        topic: first levels of all topics. discovery: discovery prefix of Home Assistant; null: no
        discovery. timeout_s: for the acknowledgement of the broker."""

        host: Annotated[str, Field(min_length=1, max_length=253)]
        port: Annotated[int, Field(ge=1, le=65535)] | None = None
        tls: bool = False
        username: str | None = None
        password: str | None = Field(default=None, repr=False)
        client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "perception"
        topic: Topic = "perception"
        discovery: Topic | None = "homeassistant"
        timeout_s: Annotated[float, Field(ge=0.1, le=60.0)] = 5.0

        @model_validator(mode="after")
        def _installed(self) -> Self:
            if importlib.util.find_spec("paho") is None:
                raise ValueError("the mqtt sink needs: pip install 'perception-line[notify]'")
            if self.once or "state" in self.only:
                raise ValueError("mqtt needs all states: remove `once` and `only: state`")
            return self

    def __init__(self, options: Any, folder: Path) -> None:
        """Start the client's thread, which connects and reconnects."""
        self.when: When = options
        self._options: MqttSink.Options = options
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], set[str]] = {}
        self._rules: dict[str, dict[str, str]] = {}
        self._online: dict[str, bool] = {}
        self._connected = threading.Event()
        self._refused = "not connected"
        self._paho: Any = importlib.import_module("paho.mqtt.client")
        self._client = self._start()

    def _start(self) -> Any:
        options, paho = self._options, self._paho
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=options.client_id)
        if options.tls:
            client.tls_set()
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        client.will_set(f"{options.topic}/available", "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 5)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message = self._on_message
        client.connect_async(options.host, options.port or (8883 if options.tls else 1883), 15)
        client.loop_start()
        return client

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, *_: Any) -> None:
        if reason.is_failure:
            self._refused = f"refused: {reason}"
            return
        client.publish(f"{self._options.topic}/available", "online", qos=1, retain=True)
        if self._options.discovery:
            client.subscribe(f"{self._options.discovery}/status", qos=1)
        self._connected.set()
        self._publish_all()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if message.payload == b"online":
            self._publish_all()

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, *_: Any) -> None:
        if self._connected.is_set():
            self._refused = "not connected"
            self._connected.clear()

    def announce(self, rules: Mapping[str, Mapping[str, str]]) -> None:
        """Publish devices and states of new rules that `only` allows; see Announces."""
        only, messages = self._options.only, list[Message]()
        with self._lock:
            for camera, kinds in rules.items():
                known = self._rules.get(camera, {})
                new = {
                    rule: kind
                    for rule, kind in kinds.items()
                    if passes(only, "camera", camera)
                    and passes(only, "rule", rule)
                    and rule not in known
                }
                if new:
                    self._rules[camera] = {**known, **new}
                    messages += [self._device(camera)] if self._options.discovery else []
                    messages += [self._state(camera, r) for r, k in new.items() if k != INSTANT]
            if self._connected.is_set():
                self._publish(messages)

    def connected(self, camera: str, is_connected: bool) -> None:
        """Publish whether frames of a camera are coming; see Announces."""
        with self._lock:
            if camera not in self._rules:
                return
            self._online[camera] = is_connected
            if self._connected.is_set():
                self._publish([self._connectivity(camera)])

    def restore(self, told: Sequence[Alert]) -> None:
        """Restore the rules and open alerts from what was delivered before; see Remembers."""
        with self._lock:
            for alert in told:
                self._rules.setdefault(alert.camera, {})[alert.rule] = alert.kind
                if alert.kind != INSTANT:
                    self._record(alert)
        if self._connected.is_set():
            self._publish_all()

    def _publish_all(self) -> None:
        """Publish all devices, states of rules and connectivity states."""
        with self._lock:  # held while publishing, so that no older state is sent after a newer one
            messages = [self._device(camera) for camera in self._rules if self._options.discovery]
            messages += [
                self._state(camera, rule)
                for camera, rules in self._rules.items()
                for rule, kind in rules.items()
                if kind != INSTANT
            ]
            messages += [self._connectivity(camera) for camera in self._online]
            self._publish(messages)

    def _publish(self, messages: list[Message]) -> list[Any]:
        return [
            self._client.publish(topic, payload, qos=1, retain=retain)
            for topic, payload, retain in messages
        ]

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Publish the alert; see Sink.send."""
        place = f"{self._options.host}:{self._options.port or 'default port'}"
        if not self._connected.wait(0.5):
            raise SinkError(f"mqtt {place}: {self._refused}")
        with self._lock:
            try:
                waiting = self._publish(self._messages(alert))
            except ValueError as error:  # the payload is too large, or the topic is not allowed
                raise SinkRefused(f"mqtt {place}: {error}") from None
        for info in waiting:
            try:
                info.wait_for_publish(self._options.timeout_s)
            except (RuntimeError, ValueError) as error:
                raise SinkError(f"mqtt {place}: {error}") from None
            if not info.is_published():
                raise SinkError(f"mqtt {place}: not acknowledged in time")

    def _messages(self, alert: Alert) -> list[Message]:
        """Return the messages of an alert."""
        options = self._options
        base = f"{options.topic}/{topic_level(alert.camera)}/{topic_level(alert.rule)}"
        said = document(alert)
        body = msgspec.json.encode(said)
        event = msgspec.json.encode({"type": TYPES[alert.state], "after": said})
        messages: list[Message] = []
        rules = self._rules.setdefault(alert.camera, {})
        known = rules.get(alert.rule)
        if known is None or (known == INSTANT) != (alert.kind == INSTANT):
            rules[alert.rule] = alert.kind
            messages += [self._device(alert.camera)] if options.discovery else []
        messages += [(f"{options.topic}/events", event, False), (f"{base}/alert", body, True)]
        if alert.kind != INSTANT:
            self._record(alert)
            messages.append(self._state(alert.camera, alert.rule))
        if alert.snapshot:
            path = Path(alert.snapshot)
            if path.is_file() and path.stat().st_size <= MAX_PICTURE_BYTES:
                picture = path.read_bytes()
                messages.append((f"{base}/snapshot", picture, True))
                messages.append((self._picture_topic(alert.camera), picture, False))
        return messages

    def _record(self, alert: Alert) -> None:
        """Record whether an alert is open."""
        opened = self._open.setdefault((alert.camera, alert.rule), set())
        (opened.discard if alert.state == "cleared" else opened.add)(alert.key)

    def _state(self, camera: str, rule: str) -> Message:
        """Return the state message of a rule: whether it has an open alert."""
        is_open = bool(self._open.get((camera, rule)))
        topic = f"{self._options.topic}/{topic_level(camera)}/{topic_level(rule)}"
        return topic, b"ON" if is_open else b"OFF", True

    def _connectivity(self, camera: str) -> Message:
        """Return the connectivity message of a camera."""
        topic = f"{self._options.topic}/{topic_level(camera)}/camera/connected"
        return topic, b"ON" if self._online[camera] else b"OFF", True

    def _picture_topic(self, camera: str) -> str:
        return f"{self._options.topic}/{topic_level(camera)}/camera/picture"

    def _device(self, name: str) -> Message:
        """Return the discovery message of a camera: a Home Assistant device with its entities."""
        rules = self._rules[name]
        options, camera = self._options, topic_level(name)
        device = f"{topic_level(options.client_id)}_{camera}"
        connected = f"{device}_connected"
        parts: dict[str, Any] = {
            connected: {
                "platform": "binary_sensor",
                "device_class": "connectivity",
                "name": "connected",
                "unique_id": connected,
                "state_topic": f"{options.topic}/{camera}/camera/connected",
            }
        }
        parts[f"{device}_camera"] = {
            "platform": "camera",
            "name": "last picture",
            "unique_id": f"{device}_camera",
            "topic": self._picture_topic(name),
        }
        for rule, kind in rules.items():
            base = f"{options.topic}/{camera}/{topic_level(rule)}"
            part = f"{device}_{topic_level(rule)}"
            about = {"json_attributes_topic": f"{base}/alert"}
            if kind == INSTANT:
                shown = {"platform": "sensor", "state_topic": f"{base}/alert"}
                shown["value_template"] = "{{ value_json.details.direction }}"
            else:
                shown = {"platform": "binary_sensor", "state_topic": base}
            parts[part] = {"name": topic_level(rule), "unique_id": part, **shown, **about}
            parts[f"{part}_picture"] = {
                "platform": "image",
                "name": f"{topic_level(rule)} picture",
                "unique_id": f"{part}_picture",
                "image_topic": f"{base}/snapshot",
                "content_type": "image/jpeg",
            }
        payload = {
            "device": {"identifiers": [device], "name": camera, "manufacturer": "perception"},
            "origin": {"name": "perception"},
            "availability_topic": f"{options.topic}/available",
            "qos": 1,
            "components": parts,
        }
        topic = f"{options.discovery}/device/{device}/config"
        return topic, json.dumps(payload).encode(), True

    def close(self) -> None:
        """Publish `offline` and disconnect."""
        if self._connected.is_set():
            topic = f"{self._options.topic}/available"
            self._client.publish(topic, "offline", qos=1, retain=True).wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()


def topic_level(name: str) -> str:
    """Return a name as one topic level: letters, digits, _ and -, at most 64; others become _."""
    return _UNSAFE.sub("_", name)[:64] or "_"
