"""Which alerts a sink gets: options that every sink has. Imports hours and wire."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from perception.rules.hours import Hours
from perception.wire import Alert

Word = str | bool | int | float | None
Words = Word | tuple[Word, ...]


class When(Hours):
    """Filters and cool-down of a sink.

    only: allowed values, by field of the alert (camera, rule, kind, state, class_name) or by key of
    its details (zone, direction, known, ...). A value or a list of values; null: the key is
    missing. `who: [unknown, undecided]` waits for a decision and skips known people. hours,
    time_zone: hours of the day, by the wall time of the alert. A sink that got an alert also gets
    its end, whatever the filters, unless `only` has a `state`. once: send only the first state of
    an alert that passes. cooldown_s: after an alert was delivered, later alerts of the same camera
    and rule are not sent, if they were raised less than so long after it. expire_s: an alert that
    was not delivered within so long is given up.
    """

    only: dict[str, Words] = Field(default_factory=dict[str, Words])
    once: bool = False
    expire_s: Annotated[float, Field(gt=0.0, le=1e10, allow_inf_nan=False)] = 86_400.0
    cooldown_s: Annotated[float, Field(ge=0.0, le=86_400.0, allow_inf_nan=False)] = 0.0

    def wants(self, alert: Alert) -> bool:
        """Return whether this state of an alert passes `only` and `hours`."""
        for name in self.only:
            value = alert.details.get(name)
            if name in ("camera", "rule", "kind", "state", "class_name"):
                value = getattr(alert, name)
            if not passes(self.only, name, value):
                return False
        return self.active(alert.t_wall_ns)

    def wants_end(self, alert: Alert) -> bool:
        """Return whether this is the end of an alert that a sink which got the alert must get."""
        return alert.state == "cleared" and "state" not in self.only

    def in_cooldown(self, alert: Alert, last: Alert) -> bool:
        """Return whether an alert was raised within cooldown_s after the last delivered one.

        Clocks: media time within one run of the camera; the uptime of the machine for alerts about
        the camera itself; else wall time. So a wall clock that is set back changes nothing in the
        first two cases.
        """
        since_ns = alert.start_t_media_ns - last.start_t_media_ns
        if since_ns <= 0 or alert.frame_id >> 32 != last.frame_id >> 32:
            since_ns = alert.start_t_wall_ns - last.start_t_wall_ns
        up = [a.details.get("uptime_s") for a in (alert, last)]
        if isinstance(up[0], float) and isinstance(up[1], float) and up[0] > up[1]:
            since_ns = (up[0] - up[1]) * 1e9
        return 0 <= since_ns < self.cooldown_s * 1e9


def passes(only: Mapping[str, Words], name: str, value: object) -> bool:
    """Return whether `only` allows this value of a field. A field that it does not name passes."""
    words = only.get(name, (value,))
    return value in (words if isinstance(words, tuple) else (words,))


class SinkFilter:
    """Filters and cool-down of one sink in the analysis of a recording, where there is no store.

    It decides as alerts.silence.Silence does in a run.
    """

    def __init__(self, when: When) -> None:
        self._when = when
        self._had: set[str] = set()
        self._rested: set[str] = set()
        self._last: dict[tuple[str, str], Alert] = {}

    def sends(self, alert: Alert) -> bool:
        """Return whether this state of an alert is sent. If so it counts as delivered."""
        when, place = self._when, (alert.camera, alert.rule)
        if alert.key in self._had:
            passes = not when.once and (when.wants_end(alert) or when.wants(alert))
        else:
            last = self._last.get(place)
            in_cooldown = (
                last is not None and last.key != alert.key and when.in_cooldown(alert, last)
            )
            if when.wants(alert) and in_cooldown:
                self._rested.add(alert.key)
            passes = when.wants(alert) and not in_cooldown and alert.key not in self._rested
        if passes:
            self._had.add(alert.key)
            self._last[place] = alert
        return passes
