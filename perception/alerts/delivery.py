"""From the outbox to the sinks: at least once, in order, however long a sink is down.

A plain object: a thread of the alert process, one a sink, calls `deliver` again and again; it sends
what is due and never sleeps. Tries are counted in the store; when to try again is kept in
monotonic time, so neither a restart nor a clock that jumps holds anything back.
Imports sinks, messages, clock and errors.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perception.alerts.rows import Delivery
from perception.alerts.store import AlertStore
from perception.clock import NS_PER_S
from perception.errors import SinkError
from perception.messages import Alert
from perception.sinks import Sink

FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
"""So that what waits is delivered within 10 s after a sink is back. One that took nothing for so
long was down as a whole: none of its deliveries was to blame."""
OVERTAKE_S = 5.0
"""How long a delivery that fails holds back later alerts of its camera; it counts from when its
turn could first have come, so many that are refused hold them back no longer than one."""
REACH = 16
"""First tries that may fail in one turn, at most: 80 s where each ends at a deadline of 5 s."""
WELL_S = 30.0
"""How long after a sink took something else a failure is held against a delivery."""
BATCH = 100
BATCHES = 20
"""Read at most for one turn: what is held back fills the first of them, what is new stands behind.
A row costs 10 us."""
LATE = 3
"""Tries a turn, after all else, of what a sink that is well refuses again and again: enough that
of one alert in 6 s as many are given up as come."""
OLD_TRIES = 7
"""Tries after which a delivery has failed for OVERTAKE_S, also where that was before a restart."""


@dataclass(slots=True)
class _Hold:
    """Failures in a row, since when it waits and when the next try is due (monotonic ns).

    strikes: failures while the sink was well, as far as is known; doubtful: of these, those since
    the sink took something last, withdrawn where something else fails too. A delivery that failed
    between two that were taken at their first try has one strike for it at least.
    """

    failures: int
    since_ns: int
    until_ns: int
    strikes: int = 0
    doubtful: int = 0


@dataclass(slots=True)
class _Turn:
    """What has become of one sink's outbox in one call: how many more first tries may fail, how
    many arrived, whether an old one has failed, which keys and cameras have to wait, until when
    one of these does at least (monotonic ns), and which old ones may be tried after all else."""

    reach: int
    sent: int = 0
    failed: bool = False
    keys: set[str] = field(default_factory=set[str])
    cameras: set[str] = field(default_factory=set[str])
    wait_ns: int = 1 << 62
    late: list[Delivery] = field(default_factory=list[Delivery])


class Courier:
    """Sends what the store's outbox holds; one object, one thread.

    sinks: by the names that the store writes. picture: gives the picture of an alert, where there
    still is one. max_tries: failures while its sink takes others, then a delivery is given up
    (`dead`); while a sink is down nothing is. counters: delivered.<sink>,
    failed.<sink>, dead.<sink>, left_out.<sink>. errors: the last of each sink that is failing.
    """

    def __init__(
        self,
        store: AlertStore,
        sinks: Mapping[str, Sink],
        picture: Callable[[Alert], NDArray[np.uint8] | None] | None = None,
        *,
        max_tries: int = 12,
        seed: int | None = None,
    ) -> None:
        self._store = store
        self._sinks = dict(sinks)
        self._picture = picture
        self._max_tries = max_tries
        self._random = random.Random(seed)
        self._sink_holds: dict[str, _Hold] = {}
        self._row_holds: dict[str, dict[int, _Hold]] = {name: {} for name in sinks}
        self._reach = dict.fromkeys(sinks, 1)
        self._taken_ns: dict[str, int] = {}
        self._failed: dict[str, set[int]] = {name: set() for name in sinks}
        self._unmarked: list[int] = []
        self._last: dict[tuple[str, str, str], Alert | None] = {}
        self.counters: Counter[str] = Counter()
        self.errors: dict[str, str] = {}

    def deliver(self, now_ns: int) -> int:
        """Send what is due at now_ns (monotonic); return how many deliveries arrived.

        Order is kept per camera and sink; a delivery that fails and has waited for OVERTAKE_S lets
        later alerts pass, never later states of its own alert. A sink that fails is left alone
        until its back-off is over; then twice as many first tries may fail as the time before.
        Raises SinkError only for the store; while that cannot note what has arrived nothing is
        sent, or it would be sent again and again.
        """
        self._mark()
        return sum(self._deliver(name, sink, now_ns) for name, sink in self._sinks.items())

    def _deliver(self, name: str, sink: Sink, now_ns: int) -> int:
        pause = self._sink_holds.get(name)
        if (
            pause is not None
            and now_ns < pause.until_ns
            and not self._is_alone(name, pause, now_ns)
        ):
            return 0
        turn, after = _Turn(self._reach[name]), 0
        for _ in range(BATCHES):
            rows = self._store.pending(name, BATCH, after)
            if not self._offer(name, sink, rows, turn, now_ns) or turn.sent or len(rows) < BATCH:
                break
            after = rows[-1].id
        more = 1 if turn.reach else 2
        self._reach[name] = 1 if turn.sent else min(more * self._reach[name], REACH)
        well = self._is_well(name, now_ns)
        for row in self._late(name, turn, well=well):
            if not self._left_out(name, sink, row) and self._send(name, sink, row, now_ns):
                turn.sent += 1
                self._is_back(name, pause, now_ns)
        if name in self._sink_holds:
            pause = self._sink_holds[name]
            pass_ns = turn.wait_ns if well else pause.since_ns + round(OVERTAKE_S * NS_PER_S)
            if now_ns < pass_ns:
                pause.until_ns = min(pause.until_ns, pass_ns)
        return turn.sent

    def _offer(
        self, name: str, sink: Sink, rows: Sequence[Delivery], turn: _Turn, now_ns: int
    ) -> bool:
        """Send what is due of some rows; return whether those behind them may have their turn."""
        pause = self._sink_holds.get(name)
        holds = [self._held(name, row, now_ns) for row in rows]
        for row, held in zip(rows, holds, strict=True):
            tried, old_ns = held.failures > 0, held.since_ns + round(OVERTAKE_S * NS_PER_S)
            old = now_ns >= old_ns
            free = row.alert.key not in turn.keys and row.camera not in turn.cameras
            if tried and (now_ns < held.until_ns or (old and turn.failed)):
                if free and now_ns >= held.until_ns:
                    turn.late.append(row)
                turn.keys.add(row.alert.key)
                if not old:
                    turn.cameras.add(row.camera)
                    turn.wait_ns = min(turn.wait_ns, old_ns)
            elif free and not self._left_out(name, sink, row):
                if self._send(name, sink, row, now_ns):
                    turn.sent += 1
                    if self._is_back(name, pause, now_ns):
                        return False  # the oldest first
                elif not old:
                    turn.wait_ns = min(turn.wait_ns, old_ns)
                    return False
                else:  # it may be to blame itself: some that did not fail yet have a try
                    turn.failed = True
                    turn.keys.add(row.alert.key)
                    turn.reach -= not tried
                    if turn.reach == 0:
                        return False
        return True

    def _late(self, name: str, turn: _Turn, *, well: bool) -> Sequence[Delivery]:
        """Return which old ones to try after all else, those not tried for longest: the oldest two,
        where it refuses both, would never let a sink show by others that it is back."""
        holds = self._row_holds[name]
        return sorted(turn.late, key=lambda row: holds[row.id].until_ns)[: LATE if well else 1]

    def _held(self, name: str, row: Delivery, now_ns: int) -> _Hold:
        """Return what is held against a row; one that failed before a restart is due at once."""
        held = self._row_holds[name].get(row.id)
        if held is None:
            old = row.tries >= OLD_TRIES
            since_ns = now_ns - round(OVERTAKE_S * NS_PER_S) if old else now_ns
            held = _Hold(row.tries if old else 0, since_ns, now_ns)
            self._row_holds[name][row.id] = held
        return held

    def _is_well(self, name: str, now_ns: int) -> bool:
        taken_ns = self._taken_ns.get(name)
        return taken_ns is not None and now_ns - taken_ns < WELL_S * NS_PER_S

    def _is_alone(self, name: str, pause: _Hold, now_ns: int) -> bool:
        """Say whether one delivery alone has failed, for so long that others need not wait."""
        return len(self._failed[name]) == 1 and now_ns - pause.since_ns >= OVERTAKE_S * NS_PER_S

    def _is_back(self, name: str, pause: _Hold | None, now_ns: int) -> bool:
        """Say whether a sink was down and now took something: then all that waits is due."""
        if pause is None or now_ns - pause.since_ns < LONGEST_WAIT_S * NS_PER_S:
            return False
        for held in self._row_holds[name].values():
            held.until_ns = now_ns
        return True

    def _left_out(self, name: str, sink: Sink, row: Delivery) -> bool:
        """Apply a sink's filters, and its rest after the last alert that it really got."""
        rest = False
        once, end = sink.when.once, sink.when.hears_the_end(row.alert)
        told = (once or end) and self._store.has_had(name, row.alert.key)
        if told and not once:
            return False
        if sink.when.wants(row.alert) and not told:
            rest = sink.when.cooldown_s > 0.0 and self._rests(name, sink, row.alert)
            if not rest:
                return False
        self._store.left_out([row.id], rest=rest)
        self._row_holds[name].pop(row.id, None)
        self.counters[f"left_out.{name}"] += 1
        return True

    def _rests(self, name: str, sink: Sink, alert: Alert) -> bool:
        place = name, alert.camera, alert.rule
        if place not in self._last:
            self._last[place] = self._store.last_delivered(*place)
        last = self._last[place]
        if last is None or last.key == alert.key:
            return False
        return sink.when.rests(alert, last) or self._store.rested(name, alert.key)

    def _send(self, name: str, sink: Sink, row: Delivery, now_ns: int) -> bool:
        """Try one delivery and note what came of it."""
        try:
            sink.send(row.alert, self._picture(row.alert) if self._picture else None)
        except SinkError as error:
            self._note_failure(name, row, str(error), now_ns)
            return False
        self._unmarked.append(row.id)
        self._row_holds[name].pop(row.id, None)
        self._sink_holds.pop(name, None)
        self._confirm(name, row.id)
        self.errors.pop(name, None)
        self._taken_ns[name] = now_ns
        self._last.pop((name, row.camera, row.alert.rule), None)
        self.counters[f"delivered.{name}"] += 1
        self._mark()
        return True

    def _confirm(self, name: str, row_id: int) -> None:
        """Hold it against what failed since the sink took something last that it took this now.

        Where it took what it had refused meanwhile, it was down: then nothing else is to blame.
        """
        failed, was_down = self._failed[name], row_id in self._failed[name]
        for other, held in self._row_holds[name].items():
            if was_down:
                held.strikes -= held.doubtful
            elif other in failed and not held.doubtful:
                held.strikes += 1
            held.doubtful = 0
        failed.clear()

    def _mark(self) -> None:
        """Note in the store what has arrived."""
        if self._unmarked:
            self._store.delivered(self._unmarked)
            self._unmarked.clear()

    def _note_failure(self, name: str, row: Delivery, error: str, now_ns: int) -> None:
        self.errors[name] = error
        self.counters[f"failed.{name}"] += 1
        pause = self._sink_holds.get(name)
        if pause is None or now_ns >= pause.until_ns:  # once a turn
            self._sink_holds[name] = self._longer(pause, now_ns)
        holds = self._row_holds[name]
        held = holds[row.id] = self._longer(holds.get(row.id), now_ns)
        self._strike(name, row.id, now_ns)
        dead = held.strikes >= self._max_tries
        if dead:
            self.counters[f"dead.{name}"] += 1
            del holds[row.id]
        self._store.failed([row.id], error, dead=dead)

    def _strike(self, name: str, row_id: int, now_ns: int) -> None:
        """Hold a failure against its delivery, unless the sink seems to be down as a whole."""
        failed, holds = self._failed[name], self._row_holds[name]
        failed.add(row_id)
        if len(failed) > 1:
            for held in holds.values():
                held.strikes -= held.doubtful
                held.doubtful = 0
        elif self._is_well(name, now_ns):
            holds[row_id].strikes += 1
            holds[row_id].doubtful += 1

    def _longer(self, hold: _Hold | None, now_ns: int) -> _Hold:
        """Return the hold after one more failure: twice as long, capped, with jitter of half."""
        failures = 1 if hold is None else hold.failures + 1
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
        wait_s *= self._random.uniform(0.5, 1.0)
        until_ns = now_ns + round(wait_s * NS_PER_S)
        if hold is None:
            return _Hold(failures, now_ns, until_ns)
        return replace(hold, failures=failures, until_ns=until_ns)
