"""The open alerts of one camera: rules find events, the book gives them a life.

An event that lasts becomes one alert per rule and track: raised at its begin, updated while it
lasts, cleared at its end. An instant (a line crossing) is raised and nothing more ever comes of it.
Wall times come from the message, so a replay gives the same alerts. Imports rules, messages.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from perception.messages import Alert, AlertState, Stamp, TrackMessage
from perception.rules import Event, Json, Rule


def alert_key(camera: str, rule: str, track_id: int, start_t_media_ns: int) -> str:
    """Return the key of an alert: 32 hex digits, the same whenever the work is done again."""
    text = msgspec.json.encode([camera, rule, track_id, start_t_media_ns])
    return hashlib.blake2b(text, digest_size=16).hexdigest()


class AlertBook:
    """Rules of one camera and the alerts they hold open; a plain object, fed frame by frame.

    open: the alerts that are not cleared, by rule and track_id. frame_id: the last frame dealt
    with, -1 before any. repeated: frames ignored because they, or later ones, were dealt with.
    """

    def __init__(self, camera: str, rules: Sequence[Rule]) -> None:
        self.camera = camera
        self.rules = list(rules)
        self.open: dict[tuple[str, int], Alert] = {}
        self._gone: list[Alert] = []
        self.frame_id = -1
        self.repeated = 0

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """What rules have counted since the first start, by rule and name (line: direction)."""
        return {rule.name: dict(rule.counts) for rule in self.rules if rule.counts}

    def update(self, message: TrackMessage) -> list[Alert]:
        """Return the alerts that changed their state in this frame, in the order they did.

        A frame that does not rise within its camera epoch is ignored and counted in `repeated`.
        Raises ValueError for another camera's message.
        """
        stamp = message.stamp
        if stamp.camera != self.camera:
            raise ValueError(f"a message of camera {stamp.camera!r} in the book of {self.camera!r}")
        if stamp.frame_id >> 32 == self.frame_id >> 32 and stamp.frame_id <= self.frame_id:
            self.repeated += 1
            return []
        self.frame_id = stamp.frame_id
        alerts = [_changed(a, "cleared", stamp, {"reason": "rule changed"}) for a in self._gone]
        self._gone.clear()
        for rule in self.rules:
            for event in rule.update(message):
                alert = self._apply(event, stamp)
                if alert is not None:
                    alerts.append(alert)
        return alerts

    def finish(self, stamp: Stamp) -> list[Alert]:
        """Clear what is still open, as nothing will follow `stamp` (the end of a recording)."""
        alerts = [_changed(a, "cleared", stamp, {"reason": "ended"}) for a in self.open.values()]
        self.open.clear()
        return alerts

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, JSON values."""
        return {
            "frame_id": self.frame_id,
            "open": [msgspec.to_builtins(alert) for alert in (*self.open.values(), *self._gone)],
            "rules": {rule.name: rule.state() for rule in self.rules},
        }

    def restore(self, state: dict[str, Any]) -> list[str]:
        """Take what `state` gave; return the names of rules that had to start afresh.

        Alerts of a rule that is no longer there are cleared with the next frame.
        """
        self.frame_id = int(state["frame_id"])
        opened = msgspec.convert(state["open"], list[Alert])
        afresh: list[str] = []
        for rule in self.rules:
            try:
                rule.restore(state["rules"][rule.name])
            except (ValueError, TypeError, KeyError, AttributeError):
                afresh.append(rule.name)
        known = {rule.name for rule in self.rules} - set(afresh)
        self.open = {(a.rule, a.track_id): a for a in opened if a.rule in known}
        self._gone = [alert for alert in opened if alert.rule not in known]
        return afresh

    def _apply(self, event: Event, stamp: Stamp) -> Alert | None:
        """Return what an event makes of its alert; None where there is nothing to say."""
        place = event.rule, event.track_id
        alert = self.open.get(place)
        if event.phase == "end":
            if alert is None:
                return None
            del self.open[place]
            return _changed(alert, "cleared", stamp, event.details, event)
        if alert is not None and event.phase != "once":
            self.open[place] = _changed(alert, "updated", stamp, event.details, event)
            return self.open[place]
        raised = _raised(self.camera, event, stamp)
        if event.phase != "once":
            self.open[place] = raised
        return raised


def _raised(camera: str, event: Event, stamp: Stamp) -> Alert:
    return Alert(
        key=alert_key(camera, event.rule, event.track_id, event.t_media_ns),
        camera=camera,
        rule=event.rule,
        kind=event.kind,
        state="raised",
        track_id=event.track_id,
        class_name=event.class_name,
        score=event.score,
        box=event.box,
        frame_id=event.frame_id,
        start_t_media_ns=event.t_media_ns,
        t_media_ns=event.t_media_ns,
        start_t_wall_ns=stamp.t_wall_ns,
        t_wall_ns=stamp.t_wall_ns,
        details=event.details,
    )


def _changed(
    alert: Alert,
    state: AlertState,
    stamp: Stamp,
    details: dict[str, Json],
    event: Event | None = None,
) -> Alert:
    """Return the alert in its new state; box, score and class as the event last saw them."""
    seen: dict[str, Any] = (
        {"box": event.box, "score": event.score, "class_name": event.class_name} if event else {}
    )
    return msgspec.structs.replace(
        alert,
        state=state,
        frame_id=stamp.frame_id,
        t_media_ns=stamp.t_media_ns,
        t_wall_ns=stamp.t_wall_ns,
        details={**alert.details, **details},
        **seen,
    )
