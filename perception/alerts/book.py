"""The open alerts of one camera.

An event with a duration becomes one alert per rule and track: raised at its begin, updated while
it lasts, cleared at its end. An instant event (a line crossing) is raised only. The identity of a
track is known later than its alerts: it is sent as an update of the same alert. Wall times come
from the message, so a replay gives the same alerts. Imports rules and wire.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from perception.alerts.placing import with_place
from perception.rules import Event, Json, Rule, SeesLanes
from perception.wire import Alert, AlertState, OwnLane, Stamp, TrackMessage

NAME_WAIT_NS = 10_000_000_000
"""An instant alert can get a name for so long after it was raised, media time."""


@runtime_checkable
class Visits(Protocol):
    """A rule whose events can belong to several tracks together."""

    def visit_of(self, track_id: int) -> int:
        """Return the track_id in the events that belong to this track."""
        ...


def alert_key(camera: str, rule: str, track_id: int, start_t_media_ns: int) -> str:
    """Return the key of an alert: 32 hex digits, a hash of the arguments."""
    text = msgspec.json.encode([camera, rule, track_id, start_t_media_ns])
    return hashlib.blake2b(text, digest_size=16).hexdigest()


class AlertBook:
    """Rules of one camera and their open alerts. `update` takes one frame after the other.

    open: alerts that are not cleared, by rule and track_id. frame_id: the last frame processed, -1
    before the first. repeated: frames ignored because their frame_id does not rise.
    """

    def __init__(self, camera: str, rules: Sequence[Rule]) -> None:
        self.camera = camera
        self.rules = list(rules)
        self.open: dict[tuple[str, int], Alert] = {}
        self._gone: list[Alert] = []
        self._instants: dict[tuple[str, int], Alert] = {}
        self._names: dict[int, dict[str, Json]] = {}
        self.frame_id = -1
        self.repeated = 0

    @property
    def sees_lanes(self) -> bool:
        """Whether a rule asks for the own lane."""
        return any(isinstance(rule, SeesLanes) for rule in self.rules)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Counts of the rules since the first start, by rule and name (line: direction)."""
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
                    placed = with_place(alert, message)
                    if placed is not alert:
                        self._keep(placed)
                    alerts.append(placed)
        return self._with_names(alerts, message)

    def see(self, lane: OwnLane) -> None:
        """Tell the rules that ask for it where the own lane is."""
        for rule in self.rules:
            if isinstance(rule, SeesLanes):
                rule.see(lane)

    def name(self, track_id: int, who: Mapping[str, Json]) -> None:
        """Set the identity of a track: `who`, `known` (None: undecided), `confidence`.

        The next frame sends it: with the alerts that change then, else as an update of every open
        alert of the track and of its instant alerts of the last 10 s.
        """
        self._names.pop(track_id, None)
        self._names[track_id] = dict(who)

    def finish(self, stamp: Stamp) -> list[Alert]:
        """Clear every open alert: `stamp` was the last frame. Return the cleared alerts."""
        alerts = [_changed(a, "cleared", stamp, {"reason": "ended"}) for a in self.open.values()]
        self.open.clear()
        return alerts

    def state(self) -> dict[str, Any]:
        """Return the state that `restore` takes, as JSON values."""
        return {
            "frame_id": self.frame_id,
            "open": [msgspec.to_builtins(alert) for alert in (*self.open.values(), *self._gone)],
            "rules": {rule.name: rule.state() for rule in self.rules},
            "instants": [msgspec.to_builtins(alert) for alert in self._instants.values()],
            "names": {str(track_id): who for track_id, who in self._names.items()},
        }

    def restore(self, state: dict[str, Any]) -> list[str]:
        """Set the state that `state` returned; return the rules that could not read theirs.

        Alerts of a rule that no longer exists are cleared with the next frame.
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
        instants = msgspec.convert(state.get("instants", []), list[Alert])
        self._instants = {(a.rule, a.track_id): a for a in instants if a.rule in known}
        self._names = {int(i): dict(who) for i, who in state.get("names", {}).items()}
        return afresh

    def _apply(self, event: Event, stamp: Stamp) -> Alert | None:
        """Return the alert as the event changes it; None where it changes nothing."""
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
        (self._instants if event.phase == "once" else self.open)[place] = raised
        return raised

    def _with_names(self, alerts: list[Alert], message: TrackMessage) -> list[Alert]:
        """Return the alerts of this frame with names, and updates of alerts that got a name now."""
        stamp, alive = message.stamp, set(message.tracks.track_ids.tolist())
        self._instants = {
            place: alert
            for place, alert in self._instants.items()
            if abs(stamp.t_media_ns - alert.start_t_media_ns) <= NAME_WAIT_NS
        }
        if not self._names:
            return alerts
        named = {(rule.name, _visit_of(rule, i)) for rule in self.rules for i in self._names}
        told: list[Alert] = []
        for alert in alerts:
            who = self._who(alert) if (alert.rule, alert.track_id) in named else None
            alert = _named(alert, who) if who else alert
            self._keep(alert)
            told.append(alert)
        changed = {alert.key for alert in alerts}
        for alert in (*self.open.values(), *self._instants.values()):
            who = self._who(alert) if alert.key not in changed else None
            if who and any(alert.details.get(k) != who[k] for k in ("who", "known")):
                alert = _changed(alert, "updated", stamp, who)
                self._keep(alert)
                told.append(alert)
        places = {*self.open, *self._instants}
        self._names = {
            i: who
            for i, who in self._names.items()
            if i in alive or any((r.name, _visit_of(r, i)) in places for r in self.rules)
        }
        return told

    def _who(self, alert: Alert) -> dict[str, Json] | None:
        """Return the identity of an alert's tracks: the most certain, of these the newest."""
        rule = next((rule for rule in self.rules if rule.name == alert.rule), None)
        if rule is None:
            return None
        said = [w for i, w in self._names.items() if _visit_of(rule, i) == alert.track_id]
        return max(reversed(said), key=_certainty, default=None)

    def _keep(self, alert: Alert) -> None:
        """Replace the earlier state of an alert where it is still kept."""
        for held in (self.open, self._instants):
            place = alert.rule, alert.track_id
            if place in held and held[place].key == alert.key:
                held[place] = alert


def _certainty(who: Mapping[str, Json]) -> int:
    """Return 2 for a known person, 1 for a stranger, 0 for undecided."""
    known = who["known"]
    return 0 if known is None else 2 if known else 1


def _visit_of(rule: Rule, track_id: int) -> int:
    return rule.visit_of(track_id) if isinstance(rule, Visits) else track_id


def _named(alert: Alert, who: Mapping[str, Json]) -> Alert:
    return msgspec.structs.replace(alert, details={**alert.details, **who})


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
    """Return the alert in its new state; box, score and class are those of the event."""
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
