"""How many alerts each rule of each camera has raised. Used by the supervisor."""

from collections.abc import Iterable
from pathlib import Path

from perception.alerts.raised import count_raised
from perception.wire import Alert

MAX_KNOWN = 10_000


class RaisedAlerts:
    """Counts an alert once by its key: a restarted alert process may send it again.

    cameras: names. store: the alert store. since_wall_ns: start of the run, wall time in ns. The
    last MAX_KNOWN keys are remembered.
    """

    def __init__(self, cameras: Iterable[str], store: Path, since_wall_ns: int) -> None:
        self._heard: dict[str, dict[str, int]] = {name: {} for name in cameras}
        self._known: dict[str, None] = {}
        self._store, self._since_wall_ns = store, since_wall_ns
        # Not empty where the wall clock was set back between two runs.
        self._before = count_raised(store, since_wall_ns)

    def is_news(self, alert: Alert) -> bool:
        """Count an alert; return False where its raise was already seen."""
        known = alert.key in self._known
        self._known.pop(alert.key, None)
        self._known[alert.key] = None  # the last of them is the newest
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
        if known:
            return alert.state != "raised"
        by_rule = self._heard[alert.camera]
        by_rule[alert.rule] = by_rule.get(alert.rule, 0) + 1
        return True

    def counts(self) -> dict[str, dict[str, int]]:
        """Return alerts raised in this run, by camera and rule.

        The store knows alerts that a restarted alert process published before this process had
        connected to it again. Where the store could not be written it knows fewer: the larger
        number counts.
        """
        counts = {camera: dict(by_rule) for camera, by_rule in self._heard.items()}
        for (camera, rule), stored in count_raised(self._store, self._since_wall_ns).items():
            if camera in counts:
                new = stored - self._before.get((camera, rule), 0)
                counts[camera][rule] = max(new, counts[camera].get(rule, 0))
        return {camera: {rule: n for rule, n in by.items() if n} for camera, by in counts.items()}
