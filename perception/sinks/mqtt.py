"""Alerts to an MQTT broker, found by Home Assistant by themselves.

Needs the `notify` extra. Topics, under `topic` (perception):
  available                      online, offline (retained, the broker's last will)
  events                         JSON {"type": new | update | end, "after": the alert}, as Frigate's
  <camera>/camera/connected      ON while frames of the camera come, OFF else (retained)
  <camera>/<rule>                ON while an alert is open, OFF else (retained)
  <camera>/<rule>/alert          the last alert as JSON (retained)
  <camera>/<rule>/snapshot       its picture, JPEG (retained)
With each connection it says again which cameras and rules there are and which are ON, and when Home
Assistant says `online` on <discovery>/status: broker and Home Assistant may have forgotten.
Imports wire and errors.
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
"""Topic, payload, whether it is retained."""
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=100)]


class MqttSink:
    """Publishes with QoS 1: an alert has arrived when the broker has acknowledged all of it.

    What a broker does with it then is not ours to promise: one that is killed may forget. Messages
    bear the alert's key, so a repeat can be told.
    """

    class Options(When):
        """host, port, tls, username, password: of the broker. discovery: Home Assistant's prefix,
        null: none. timeout_s: for the broker's acknowledgement."""

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
                raise ValueError("ON without OFF: leave out `once` and `state` in `only` for mqtt")
            return self

    def __init__(self, options: Any, folder: Path) -> None:
        """Starts to connect, and to reconnect whenever that is lost, in a thread of the client."""
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
        self._say_all()

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if message.payload == b"online":
            self._say_all()

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, *_: Any) -> None:
        if self._connected.is_set():
            self._refused = "not connected"
            self._connected.clear()

    def announce(self, rules: Mapping[str, Mapping[str, str]]) -> None:
        """Take which rules there are; those whose alerts the filters leave out are not told."""
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
        """Say whether frames of a camera come; see Announces."""
        with self._lock:
            if camera not in self._rules:
                return
            self._online[camera] = is_connected
            if self._connected.is_set():
                self._publish([self._connectivity(camera)])

    def restore(self, told: Sequence[Alert]) -> None:
        """Take what the broker was told of before this process began; see Remembers."""
        with self._lock:
            for alert in told:
                self._rules.setdefault(alert.camera, {})[alert.rule] = alert.kind
                if alert.kind != INSTANT:
                    self._note(alert)
        if self._connected.is_set():
            self._say_all()

    def _say_all(self) -> None:
        """Publish all that is lasting: the devices, and which rules have an open alert."""
        with self._lock:  # held while publishing: no old state goes after a new one
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
            except ValueError as error:  # larger than MQTT allows, or a topic it does not
                raise SinkRefused(f"mqtt {place}: {error}") from None
        for info in waiting:
            try:
                info.wait_for_publish(self._options.timeout_s)
            except (RuntimeError, ValueError) as error:
                raise SinkError(f"mqtt {place}: {error}") from None
            if not info.is_published():
                raise SinkError(f"mqtt {place}: not acknowledged in time")

    def _messages(self, alert: Alert) -> list[Message]:
        """Return all that tells of an alert."""
        options = self._options
        base = f"{options.topic}/{word(alert.camera)}/{word(alert.rule)}"
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
            self._note(alert)
            messages.append(self._state(alert.camera, alert.rule))
        if alert.snapshot:
            path = Path(alert.snapshot)
            if path.is_file() and path.stat().st_size <= MAX_PICTURE_BYTES:
                picture = path.read_bytes()
                messages.append((f"{base}/snapshot", picture, True))
                messages.append((self._picture_topic(alert.camera), picture, False))
        return messages

    def _note(self, alert: Alert) -> None:
        """Note whether an alert is open."""
        opened = self._open.setdefault((alert.camera, alert.rule), set())
        (opened.discard if alert.state == "cleared" else opened.add)(alert.key)

    def _state(self, camera: str, rule: str) -> Message:
        """Return the message that says whether a rule has any alert open."""
        is_open = bool(self._open.get((camera, rule)))
        topic = f"{self._options.topic}/{word(camera)}/{word(rule)}"
        return topic, b"ON" if is_open else b"OFF", True

    def _connectivity(self, camera: str) -> Message:
        """Return the message that says whether frames of a camera come."""
        topic = f"{self._options.topic}/{word(camera)}/camera/connected"
        return topic, b"ON" if self._online[camera] else b"OFF", True

    def _picture_topic(self, camera: str) -> str:
        return f"{self._options.topic}/{word(camera)}/camera/picture"

    def _device(self, name: str) -> Message:
        """Return Home Assistant's device message of a camera."""
        rules = self._rules[name]
        options, camera = self._options, word(name)
        device = f"{word(options.client_id)}_{camera}"
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
            base = f"{options.topic}/{camera}/{word(rule)}"
            part = f"{device}_{word(rule)}"
            about = {"json_attributes_topic": f"{base}/alert"}
            if kind == INSTANT:
                shown = {"platform": "sensor", "state_topic": f"{base}/alert"}
                shown["value_template"] = "{{ value_json.details.direction }}"
            else:
                shown = {"platform": "binary_sensor", "state_topic": base}
            parts[part] = {"name": word(rule), "unique_id": part, **shown, **about}
            parts[f"{part}_picture"] = {
                "platform": "image",
                "name": f"{word(rule)} picture",
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
        """Say offline and end the connection."""
        if self._connected.is_set():
            topic = f"{self._options.topic}/available"
            self._client.publish(topic, "offline", qos=1, retain=True).wait_for_publish(1.0)
        self._client.disconnect()
        self._client.loop_stop()


def word(name: str) -> str:
    """Return a name as one level of a topic: no wildcard, no slash, nothing a template reads."""
    return _UNSAFE.sub("_", name)[:64] or "_"
