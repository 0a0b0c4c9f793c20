"""The open alerts of one camera: rules find events, the book gives them a life.

An event that lasts becomes one alert per rule and track: raised at its begin, updated while it
lasts, cleared at its end. An instant (a line crossing) is raised; only a name may follow it.
Who a track is comes later than its alerts and is told in an update of the same alert.
Wall times come from the message, so a replay gives the same alerts. Imports rules, wire.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from perception.rules import Event, Json, Rule
from perception.wire import Alert, AlertState, Stamp, TrackMessage

NAME_WAIT_NS = 10_000_000_000
"""How long after an instant its alert may still be given a name, media time."""


@runtime_checkable
class Visits(Protocol):
    """A rule whose events may be of several tracks together."""

    def visit_of(self, track_id: int) -> int:
        """Return the track_id that its events bear for this track."""
        ...


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
        self._instants: dict[tuple[str, int], Alert] = {}
        self._names: dict[int, dict[str, Json]] = {}
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
        return self._with_names(alerts, message)

    def name(self, track_id: int, who: Mapping[str, Json]) -> None:
        """Note who a track is: `who`, `known` (None: undecided), `confidence`.

        Told with the next frame: in what its rules raise or update then, else in an update of its
        own, of every open alert of the track and every instant of the last 10 s.
        """
        self._names.pop(track_id, None)
        self._names[track_id] = dict(who)

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
            "instants": [msgspec.to_builtins(alert) for alert in self._instants.values()],
            "names": {str(track_id): who for track_id, who in self._names.items()},
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
        instants = msgspec.convert(state.get("instants", []), list[Alert])
        self._instants = {(a.rule, a.track_id): a for a in instants if a.rule in known}
        self._names = {int(i): dict(who) for i, who in state.get("names", {}).items()}
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
        (self._instants if event.phase == "once" else self.open)[place] = raised
        return raised

    def _with_names(self, alerts: list[Alert], message: TrackMessage) -> list[Alert]:
        """Return the alerts of this frame with names, and updates of those that got one now."""
        stamp, alive = message.stamp, set(message.tracks.track_ids.tolist())
        self._instants = {
            place: alert
            for place, alert in self._instants.items()
            if abs(stamp.t_media_ns - alert.start_t_media_ns) <= NAME_WAIT_NS
        }
        if not self._names:
            return alerts
        named = {(rule.name, _speaks_for(rule, i)) for rule in self.rules for i in self._names}
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
            if i in alive or any((r.name, _speaks_for(r, i)) in places for r in self.rules)
        }
        return told

    def _who(self, alert: Alert) -> dict[str, Json] | None:
        """Return what is known of the tracks of an alert; the last word of those that say most."""
        rule = next((rule for rule in self.rules if rule.name == alert.rule), None)
        if rule is None:
            return None
        said = [w for i, w in self._names.items() if _speaks_for(rule, i) == alert.track_id]
        return max(reversed(said), key=_says, default=None)

    def _keep(self, alert: Alert) -> None:
        """Put an alert in the place of its earlier state, where that is still held."""
        for held in (self.open, self._instants):
            place = alert.rule, alert.track_id
            if place in held and held[place].key == alert.key:
                held[place] = alert


def _says(who: Mapping[str, Json]) -> int:
    """Rank what is said of a track: a known person above a stranger, that above undecided."""
    known = who["known"]
    return 0 if known is None else 2 if known else 1


def _speaks_for(rule: Rule, track_id: int) -> int:
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
