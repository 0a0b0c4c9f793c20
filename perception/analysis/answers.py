"""What an answer to "why" is made of, and the words for losses, frames left out and deliveries.

Imports alerts and rules.
"""

from dataclasses import dataclass, field
from pathlib import Path

from perception.alerts.store import AlertStore
from perception.errors import ConfigError, SinkError
from perception.rules.reasons import Reason

LOSSES = {
    "disk": "the disk did not take it: full, slow or gone. Detection and alerts went on",
    "not received": "the recorder did not run: killed or restarted",
    "no key frame": "the stream had just begun: recording starts at its first key frame",
    "queue of the camera": "the machine was too busy to hand it on",
    "queue of the recorder": "the disk was too slow",
}
DAMAGED = "damaged"
DROPS = {
    "rate": "more frames a second than `detect: {rate_hz: }` asks for",
    "newer": "a newer frame came while the detector was busy",
    "overwritten": "the detector was too late for them",
    "refused": "they could not be read",
    DAMAGED: "data of them was lost on the way from the camera",
}
_DELIVERIES = {
    "delivered": "told",
    "filtered": "not told: its filters (`only`, `hours`, `once`) leave this alert out",
    "rested": "not told: it rests after an earlier alert (`cooldown_s`)",
    "pending": "not told yet: it does not answer",
    "dead": "not told: given up",
}


@dataclass
class Step:
    """One step from the camera to the delivery. ok None: only information."""

    name: str
    ok: bool | None
    text: str


@dataclass
class Judged:
    """What a rule makes of one track. alert: key of the alert that it is part of."""

    rule: str
    kind: str
    alert: str | None
    reasons: list[Reason]

    @property
    def unmet(self) -> list[Reason]:
        """The conditions that were not met."""
        return [] if self.alert else [one for one in self.reasons if not one.met]


@dataclass
class Subject:
    """A track, or a detection that no track took (track_id 0)."""

    name: str
    track_id: int
    box: tuple[float, float, float, float]
    score: float
    text: str
    rules: list[Judged] = field(default_factory=list[Judged])


@dataclass
class Answer:
    """All that is known of the second from t_wall_ns on. frame: what the subjects are seen in."""

    camera: str
    t_wall_ns: int
    steps: list[Step] = field(default_factory=list[Step])
    subjects: list[Subject] = field(default_factory=list[Subject])
    frame_wall_ns: int | None = None


def add_deliveries(answer: Answer, path: Path | None) -> None:
    """Add who was told of the alerts that the subjects are part of."""
    keys = {one.alert for subject in answer.subjects for one in subject.rules if one.alert}
    if not keys or path is None or not path.is_file():
        return
    try:
        with AlertStore(path) as store:
            for key in sorted(keys):
                kept = store.show(key)
                for sink, status in kept.deliveries.items():
                    why = kept.reasons.get(sink, "")
                    text = f"{sink}: {_DELIVERIES.get(status, status)}" + (
                        f" ({why})" if why else ""
                    )
                    answer.steps.append(Step("delivery", status == "delivered", text))
    except (ConfigError, SinkError) as error:
        answer.steps.append(Step("delivery", None, f"the store of alerts: {error}"))
