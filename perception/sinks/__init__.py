"""Where alerts go: a file, a folder of pictures, later a broker or a phone. One file each.

A sink is a plain object that sends one alert and says so, or raises SinkError; it is called again
with the same alert until it does, so doing it twice has to be harmless (the alert's key says it is
the same). To add one: a file with a class that fits Sink, one row in SINKS. Imports wire and
below.
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
    """Sends alerts. Options: its part of the launch file, a When. when: those options."""

    Options: type[When]
    when: When

    def __init__(self, options: Any, folder: Path) -> None:
        """folder: where the run's output goes; relative paths in the options start there."""
        ...

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Send one state of an alert; returning means it has arrived.

        picture: uint8 (H, W, 3) BGR of the alert's frame, or None where it is not to be had.
        Raises SinkRefused where it will never take this one, any other SinkError where it may take
        it later.
        """
        ...


@runtime_checkable
class Remembers(Protocol):
    """A sink that has to know what it told of before this process was started."""

    def restore(self, told: Sequence[Alert]) -> None:
        """told: what arrived there last of each rule, and of each alert that is open there."""
        ...


@runtime_checkable
class Announces(Protocol):
    """A sink that tells others what there is before anything happens."""

    def announce(self, rules: Mapping[str, Mapping[str, str]]) -> None:
        """rules: the kind of each rule by its name, by camera, as the launch file has them."""
        ...

    def connected(self, camera: str, is_connected: bool) -> None:
        """Say whether frames of a camera come."""
        ...


INSTANT = "line"
"""The kind of alert that is over as it begins: raised, never cleared."""


def delivery_key(alert: Alert) -> str:
    """Return what is the same whenever this state of an alert is sent: the idempotency key."""
    return f"{alert.key}-{alert.state}-{alert.frame_id}"


def document(alert: Alert) -> dict[str, Any]:
    """Return an alert as it is written for others, as JSON: its fields, and two ids as text.

    track, frame: of track_id and frame_id, which have more digits than a browser or jq keeps.
    track is None where no single track is to blame.
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
"""The sinks that write files only: a recording that is analysed again calls nobody."""


def sink_class(name: str) -> Any:
    """Return the class of a sink; ConfigError with the nearest name where there is none."""
    return load(SINKS, "perception.sinks", name)
