"""From the outbox to the sinks: at least once, each alert's states in order.

A plain object: a thread of the alert process, one a sink, calls `deliver` again and again. It sends
what is due and never sleeps. An error of a sink is of one of two kinds. Permanent (SinkRefused):
the delivery is given up at once. Transient (any other SinkError): the sink rests, 0.25 s doubling
to 8 s, and is tried again with the first of the queue. Imports sinks, wire, clock and errors.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from perception import clock
from perception.alerts.back_off import BackOff
from perception.alerts.rows import Delivery
from perception.alerts.silence import Silence
from perception.alerts.store import AlertStore
from perception.errors import SinkError, SinkRefused
from perception.sinks import Sink
from perception.wire import Alert

BATCH = 100


class Courier:
    """Sends what the store's outbox holds; one object, one thread.

    sinks: by the names that the store writes. picture: gives the picture of an alert, where there
    still is one. counters: delivered.<sink>, failed.<sink> (tries), dead.<sink> (given up: refused
    or older than `expire_s`), left_out.<sink>. errors: the last of each sink that is failing.
    """

    def __init__(
        self,
        store: AlertStore,
        sinks: Mapping[str, Sink],
        picture: Callable[[Alert], NDArray[np.uint8] | None] | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        self._store = store
        self._sinks = dict(sinks)
        self._picture = picture
        self._back_offs = {name: BackOff(random.Random(seed)) for name in sinks}
        self._unmarked: list[int] = []
        self._inherited = store.outbox.last_row()
        self._failed_ns: dict[int, int] = {}
        self._silence = Silence(store)
        self.counters: Counter[str] = Counter()
        self.errors: dict[str, str] = {}
        self.ages: list[tuple[str, int]] = []
        """Camera and age in ns of each alert raised in this run, as a sink took it."""

    def deliver(self, now_ns: int) -> int:
        """Send what is due at now_ns (monotonic); return how many deliveries arrived.

        Where one fails, one of another alert is tried, the least tried first: if that arrives, the
        sink is up and the rest follows; if it fails too, the sink rests. Raises SinkError only for
        the store: nothing is sent until the store has noted what arrived before.
        """
        self._mark()
        return sum(self._deliver(name, sink, now_ns) for name, sink in self._sinks.items())

    def _deliver(self, name: str, sink: Sink, now_ns: int) -> int:
        back_off, before = self._back_offs[name], self.counters[f"delivered.{name}"]
        failed: set[str] = set()
        if now_ns < back_off.until_ns:
            # One alert alone may be to blame: what was never tried need not wait for it.
            if not back_off.one_failed or not self._store.outbox.has_untried(name):
                return 0
            failed |= back_off.failed
        in_vain = handled = 0
        while in_vain < 2 and handled < BATCH:
            rows = self._store.outbox.due(name, BATCH, failed, least_tried=bool(failed))
            for row in rows:
                handled += 1
                if not self._handle(name, sink, row, now_ns):
                    failed.add(row.alert.key)
                    in_vain += 1
                    break
                in_vain = 0
            if not rows:
                break
        sent = self.counters[f"delivered.{name}"] - before
        back_off.turn_ended(frozenset(failed), sent, now_ns)
        return sent

    def _handle(self, name: str, sink: Sink, row: Delivery, now_ns: int) -> bool:
        """Send, leave out or give up one delivery; return False where it is to be tried again."""
        if self._is_expired(sink, row, now_ns):
            self._give_up(name, row, f"expired: not delivered within {sink.when.expire_s:g} s")
            return True
        if self._silence.covers(name, sink, row):
            self.counters[f"left_out.{name}"] += 1
            return True
        sent = self._send(name, sink, row)
        if sent:
            self._failed_ns.pop(row.id, None)
        else:
            self._failed_ns.setdefault(row.id, now_ns)
        return sent

    def _is_expired(self, sink: Sink, row: Delivery, now_ns: int) -> bool:
        """By the wall clock only for what waited before this start: it may be set meanwhile."""
        failed_ns = self._failed_ns.get(row.id)
        if failed_ns is None:
            return False  # each has one try
        age_ns = now_ns - failed_ns
        if row.id <= self._inherited:
            age_ns = max(age_ns, clock.wall_ns() - row.alert.t_wall_ns)
        return clock.seconds(age_ns) > sink.when.expire_s

    def _give_up(self, name: str, row: Delivery, reason: str) -> None:
        self.counters[f"dead.{name}"] += 1
        self._failed_ns.pop(row.id, None)
        self._store.outbox.failed([row.id], reason, dead=True)

    def _send(self, name: str, sink: Sink, row: Delivery) -> bool:
        """Try one delivery and note what came of it; False where it is to be tried again."""
        try:
            sink.send(row.alert, self._picture(row.alert) if self._picture else None)
        except SinkRefused as error:
            self.errors[name] = str(error)
            self.counters[f"failed.{name}"] += 1
            self._give_up(name, row, str(error))
            return True
        except SinkError as error:
            self.errors[name] = str(error)
            self.counters[f"failed.{name}"] += 1
            self._store.outbox.failed([row.id], str(error))
            return False
        self._unmarked.append(row.id)
        self.errors.pop(name, None)
        self._silence.delivered(name, row.alert)
        self.counters[f"delivered.{name}"] += 1
        if row.id > self._inherited and row.alert.state == "raised":
            self.ages.append((row.alert.camera, clock.wall_ns() - row.alert.t_wall_ns))
        self._mark()
        return True

    def _mark(self) -> None:
        """Note in the store what has arrived."""
        if self._unmarked:
            self._store.outbox.delivered(self._unmarked)
            self._unmarked.clear()
