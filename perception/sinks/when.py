"""Which alerts a sink hears of; every sink's options begin with these. Imports hours, wire."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from perception.rules.hours import Hours
from perception.wire import Alert

Word = str | bool | int | float | None
Words = Word | tuple[Word, ...]


class When(Hours):
    """Filters, and the rest a sink gets after an alert.

    only: what has to be so, by field of the alert (camera, rule, kind, state, class_name) or by key
    of its details (zone, direction, known, ...): one value, or several that are all right; null
    stands for none; `who: [unknown, undecided]` waits for the name and leaves out whom you know.
    hours, time_zone: by the wall time of the alert. Whoever was told of an alert is told of its end
    too, whatever the filters, unless they name a `state`: a lamp goes off again.
    once: only the first state of an alert that passes. cooldown_s: after an alert has really been
    delivered, new ones of the same camera and rule are left out for so long, by the times of their
    raises. expire_s: what could not be delivered within so long is given up.
    """

    only: dict[str, Words] = Field(default_factory=dict[str, Words])
    once: bool = False
    expire_s: Annotated[float, Field(gt=0.0, le=1e10, allow_inf_nan=False)] = 86_400.0
    cooldown_s: Annotated[float, Field(ge=0.0, le=86_400.0, allow_inf_nan=False)] = 0.0

    def wants(self, alert: Alert) -> bool:
        """Say whether the filters let this state of an alert pass."""
        for name in self.only:
            value = alert.details.get(name)
            if name in ("camera", "rule", "kind", "state", "class_name"):
                value = getattr(alert, name)
            if not passes(self.only, name, value):
                return False
        return self.active(alert.t_wall_ns)

    def hears_the_end(self, alert: Alert) -> bool:
        """Say whether this is the end of an alert and who was told of it wants to hear that."""
        return alert.state == "cleared" and "state" not in self.only

    def rests(self, alert: Alert, last: Alert) -> bool:
        """Say whether an alert begins in the rest after one that was delivered, as it was raised.

        By media time within one run of the camera, alerts about the camera itself by the uptime of
        the machine: a wall clock that is set back neither makes the rest longer nor ends it.
        """
        since_ns = alert.start_t_media_ns - last.start_t_media_ns
        if since_ns <= 0 or alert.frame_id >> 32 != last.frame_id >> 32:
            since_ns = alert.start_t_wall_ns - last.start_t_wall_ns
        up = [a.details.get("uptime_s") for a in (alert, last)]
        if isinstance(up[0], float) and isinstance(up[1], float) and up[0] > up[1]:
            since_ns = (up[0] - up[1]) * 1e9
        return 0 <= since_ns < self.cooldown_s * 1e9


def passes(only: Mapping[str, Words], name: str, value: object) -> bool:
    """Whether `only` lets this value of a field pass; a field that it does not name always does."""
    words = only.get(name, (value,))
    return value in (words if isinstance(words, tuple) else (words,))


class Heard:
    """What one sink hears of, where no store says what it has had: analysis of a recording.

    The same decisions as alerts.silence.Silence takes for a run.
    """

    def __init__(self, when: When) -> None:
        self._when = when
        self._had: set[str] = set()
        self._rested: set[str] = set()
        self._last: dict[tuple[str, str], Alert] = {}

    def hears(self, alert: Alert) -> bool:
        """Say whether this state of an alert is sent; one that is counts as delivered."""
        when, place = self._when, (alert.camera, alert.rule)
        if alert.key in self._had:
            passes = not when.once and (when.hears_the_end(alert) or when.wants(alert))
        else:
            last = self._last.get(place)
            rests = last is not None and last.key != alert.key and when.rests(alert, last)
            if when.wants(alert) and rests:
                self._rested.add(alert.key)
            passes = when.wants(alert) and not rests and alert.key not in self._rested
        if passes:
            self._had.add(alert.key)
            self._last[place] = alert
        return passes
