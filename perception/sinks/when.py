"""Which alerts a sink hears of; every sink's options begin with these. Imports hours, wire."""

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
        for name, words in self.only.items():
            value = alert.details.get(name)
            if name in ("camera", "rule", "kind", "state", "class_name"):
                value = getattr(alert, name)
            if value not in (words if isinstance(words, tuple) else (words,)):
                return False
        return self.active(alert.t_wall_ns)

    def hears_the_end(self, alert: Alert) -> bool:
        """Say whether this is the end of an alert and who was told of it wants to hear that."""
        return alert.state == "cleared" and "state" not in self.only

    def rests(self, alert: Alert, last: Alert) -> bool:
        """Say whether an alert begins in the rest after one that was delivered, as it was raised.

        By media time within one run of the camera: a wall clock that is set back neither makes the
        rest longer nor ends it.
        """
        since_ns = alert.start_t_media_ns - last.start_t_media_ns
        if since_ns <= 0 or alert.frame_id >> 32 != last.frame_id >> 32:
            since_ns = alert.start_t_wall_ns - last.start_t_wall_ns
        return 0 < since_ns < self.cooldown_s * 1e9
