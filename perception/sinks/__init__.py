"""Sinks: receivers of alerts, such as a file, an MQTT broker, a URL, a phone. One file for each.

A sink sends one alert and returns, or raises SinkError. It may be called again with the same alert,
so sending twice must be harmless (the delivery key is the same). To add one: a file with a class
that fits Sink, and one row in SINKS. Imports wire and below.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from perception.extensions import load
from perception.sinks.when import When
from perception.wire import Alert, short_id, text_id


class Sink(Protocol):
    """Sends alerts. Options: model of its launch file options, a When. when: the options."""

    Options: type[When]
    when: When

    def __init__(self, options: Any, folder: Path) -> None:
        """folder: output folder of the run. Relative paths in the options are relative to it."""
        ...

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Send one state of an alert. When it returns, the alert is delivered.

        picture: uint8 (H, W, 3) BGR of the alert's frame; None: not available. Raises SinkRefused
        for a permanent error (this alert is never sent), any other SinkError for a transient one.
        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """A sink that needs to know what it delivered before this process was started."""

    def restore(self, told: Sequence[Alert]) -> None:
        """told: the last delivered state of each open alert, and the last alert of each rule."""
        ...


@runtime_checkable
class Announces(Protocol):
    """A sink that announces cameras and rules before the first alert."""

    def announce(self, rules: Mapping[str, Mapping[str, str]]) -> None:
        """rules: by camera, the kind of each rule by its name, from the launch file."""
        ...

    def connected(self, camera: str, is_connected: bool) -> None:
        """Set whether frames of a camera are coming."""
        ...


INSTANT = "line"
"""The kind of rule whose alerts have no duration: they are raised and never cleared."""


def delivery_key(alert: Alert) -> str:
    """Return the idempotency key of this state of an alert."""
    return f"{alert.key}-{alert.state}-{alert.frame_id}"


def document(alert: Alert) -> dict[str, Any]:
    """Return an alert as a dict for JSON: its fields, and two ids as text.

    track, frame: text of track_id and frame_id, which exceed the integer precision of a browser and
    of jq. track is None where the alert is not about a single track.
    """
    track = text_id(alert.track_id) if short_id(alert.track_id) else None
    ids = {"track": track, "frame": text_id(alert.frame_id)}
    return msgspec.to_builtins(alert) | ids


SINKS = {
    "jsonl": "perception.sinks.jsonl:JsonlSink",
    "webhook": "perception.sinks.webhook:WebhookSink",
    "mqtt": "perception.sinks.mqtt:MqttSink",
    "apprise": "perception.sinks.apprise:AppriseSink",
    "cot": "perception.sinks.cot:CotSink",
    "snapshot": "perception.sinks.snapshot:SnapshotSink",
}

FILES = ("jsonl", "snapshot")
"""The sinks that write files only. The analysis of a recording uses no others."""


def sink_class(name: str) -> Any:
    """Return the class of a sink. Raises ConfigError with the nearest name for an unknown one."""
    return load(SINKS, "perception.sinks", name)
