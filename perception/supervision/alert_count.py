"""How many alerts each rule of each camera has raised. Used by the supervisor."""

from collections.abc import Iterable

from perception.wire import Alert

MAX_KNOWN = 10_000


class RaisedAlerts:
    """Counts an alert once by its key: a restarted alert process may send it again.

    counts: alerts raised, by camera and rule. The last MAX_KNOWN keys are remembered.
    """

    def __init__(self, cameras: Iterable[str]) -> None:
        self.counts: dict[str, dict[str, int]] = {name: {} for name in cameras}
        self._known: dict[str, None] = {}

    def is_news(self, alert: Alert) -> bool:
        """Count an alert; return False where its raise was already seen."""
        known = alert.key in self._known
        self._known.pop(alert.key, None)
        self._known[alert.key] = None  # the last of them is the newest
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if known:
            return alert.state != "raised"
        by_rule = self.counts[alert.camera]
        by_rule[alert.rule] = by_rule.get(alert.rule, 0) + 1
        return True
