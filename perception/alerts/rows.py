"""Rows of the alert store as values. Imports wire."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from perception.wire import Alert


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox: one state of an alert on its way to one sink."""

    id: int
    sink: str
    camera: str
    tries: int
    alert: Alert


@dataclass(frozen=True, slots=True)
class Progress:
    """The last committed frame of a camera, and the state of its rules."""

    frame_id: int
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A person says that an alert should not have been: who, and when."""

    user: str
    t_wall_ns: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An alert in the store: its last state, when a person acknowledged it, who says that it was
    wrong (None: nobody), and its deliveries.

    deliveries: sink -> status of its last row: pending, delivered, filtered, rested, dead.
    reasons: sink -> why a row of it is given up or still waits, where it failed.
    """

    alert: Alert
    t_acked_wall_ns: int | None
    deliveries: dict[str, str]
    reasons: dict[str, str]
    wrong: Wrong | None = None


class Mark(NamedTuple):
    """The first alert of a camera in a step of time. alerts: how many began in that step."""

    key: str
    rule: str
    kind: str
    start_t_wall_ns: int
    alerts: int


def alert_of(body: str) -> Alert:
    """Return the alert in the JSON of a row."""
    return msgspec.json.decode(body, type=Alert)
