"""What a sink does not hear of: its filters, `once`, and its cool-down after an alert it got.

Used by delivery.py. Imports the rest of this room, sinks and wire.
"""

from perception.alerts.rows import Delivery
from perception.alerts.store import AlertStore
from perception.sinks import Sink
from perception.wire import Alert


class Silence:
    """Decides by a sink's `When` and by what the store says it has had."""

    def __init__(self, store: AlertStore) -> None:
        self._store = store
        self._last: dict[tuple[str, str, str], Alert | None] = {}

    def covers(self, name: str, sink: Sink, row: Delivery) -> bool:
        """Return whether the sink does not hear of this delivery; then the store notes why."""
        rest = False
        once, end = sink.when.once, sink.when.wants_end(row.alert)
        told = (once or end) and self._store.outbox.has_had(name, row.alert.key)
        if told and not once:
            return False
        if sink.when.wants(row.alert) and not told:
            rest = sink.when.cooldown_s > 0.0 and self._in_cooldown(name, sink, row.alert)
            if not rest:
                return False
        self._store.outbox.left_out([row.id], rest=rest)
        return True

    def delivered(self, name: str, alert: Alert) -> None:
        """Forget which alert was the last that a sink got: now it is this one."""
        self._last.pop((name, alert.camera, alert.rule), None)

    def _in_cooldown(self, name: str, sink: Sink, alert: Alert) -> bool:
        place = name, alert.camera, alert.rule
        if place not in self._last:
            self._last[place] = self._store.outbox.last_delivered(*place)
        last = self._last[place]
        if last is None or last.key == alert.key:
            return False
        return sink.when.in_cooldown(alert, last) or self._store.outbox.rested(name, alert.key)
