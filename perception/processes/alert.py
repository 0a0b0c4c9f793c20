"""The alert process: tracks -> rules -> alerts, in the store first, then to every sink.

Each alert is committed together with the last frame dealt with; after a restart tracking is asked
for what was missed. Delivery runs in threads, one a sink, so that a slow one delays nothing.
"""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from perception import clock
from perception.alerts.book import AlertBook
from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore, Progress
from perception.errors import ConfigError, SinkError
from perception.identity.who import details
from perception.messages import Alert, AlertMessage, IdentityMessage, Stamp, TrackMessage
from perception.plan import make_rules, make_sinks
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.processes.watching import Watching
from perception.sinks import Sink
from perception.sinks.snapshot import SnapshotSink
from perception.transport.bus import Inbox, Publisher, catch_up
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base

DELIVER_S = 0.2
CLOSE_S = 2.0
MAX_UNSAVED = 10_000
STORE_WAIT_S = 30.0
RETRY_S = 0.5
"""How long a store that failed is left alone: a locked one takes its time to say so."""


def run(runtime: Runtime) -> None:
    """Apply rules until the run stops, then to what still waits in the queue."""
    sinks = make_sinks(runtime.plan)
    snapshots = [sink for sink in sinks.values() if isinstance(sink, SnapshotSink)]
    others = {name: sink for name, sink in sinks.items() if not isinstance(sink, SnapshotSink)}
    inbox = Inbox(runtime.run_dir, "tracks", runtime.process.cameras)
    runtime.count_rejected(inbox.rejected)
    store = _open_store(runtime, list(others))
    if store.set_aside is not None:
        runtime.log.error("store was corrupt and set aside", moved_to=str(store.set_aside))
    post = _Post(runtime, store, others)
    asked = runtime.plan.cameras_of("identity")
    names = Inbox(runtime.run_dir, "identities", asked)
    runtime.count_rejected(names.rejected)
    lines = {name: _Line(runtime, name, store, snapshots, post) for name in runtime.process.cameras}
    watching = Watching(runtime, store, {name: line.tell for name, line in lines.items()})
    runtime.ready()
    try:
        while not runtime.stopping:
            runtime.turn()
            if watching.turn():
                post.wake()
            for said in names.poll(0):
                lines[said.stamp.camera].name(said)
            for message in inbox.poll(IDLE_MS):
                runtime.turn()
                lines[message.stamp.camera].take(message)
        for message in drain(inbox):
            runtime.turn()
            lines[message.stamp.camera].take(message)
        for line in lines.values():
            line.close()
    finally:
        inbox.close()
        names.close()
        post.close()
        store.close()


def _open_store(runtime: Runtime, sinks: Sequence[str]) -> AlertStore:
    """Open the store; where another program holds it, wait for it a while."""
    deadline = clock.monotonic_ns() + clock.to_ns(STORE_WAIT_S)
    while True:
        try:
            return AlertStore(Path(runtime.plan.store), sinks)
        except SinkError as error:
            if "locked" not in str(error) or clock.monotonic_ns() > deadline or runtime.stopping:
                raise ConfigError(f"alerts cannot be stored: {error}") from None
            runtime.note(f"store: {error}")
            runtime.turn()
            runtime.wait(RETRY_S)


class _Line:
    """One camera's rules and open alerts."""

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        store: AlertStore,
        snapshots: Sequence[SnapshotSink],
        post: "_Post",
    ) -> None:
        self._runtime, self._name, self._store = runtime, name, store
        self._snapshots, self._post = snapshots, post
        self._reader = RingReader()
        self._publisher = Publisher(runtime.run_dir, "alerts", name)
        self._book = self._new_book()
        self._unsaved: list[Alert] = []
        self._failing = False
        self._retry_ns = 0
        self._last: TrackMessage | None = None
        self._before = store.progress(name)
        if self._before is not None or runtime.restarted:
            after = self._before.frame_id if self._before is not None else -1
            for message in catch_up(runtime.run_dir, name, after):
                runtime.metrics.count(f"caught_up.{name}")
                runtime.turn()
                self.take(message)

    def take(self, message: TrackMessage) -> None:
        """Deal with one frame; one dealt with before is ignored."""
        if self._before is not None:
            self._go_on_from(self._before, message)
            self._before = None
        metrics, stamp = self._runtime.metrics, message.stamp
        alerts = [self._with_picture(alert) for alert in self._book.update(message)]
        self._last = message
        self._save(stamp.frame_id, alerts)
        now_ns = clock.monotonic_ns()
        metrics.latency(f"rules.{self._name}", now_ns - stamp.t_arrival_ns)
        for alert in alerts:
            if alert.state == "raised":
                metrics.latency(f"alert.{self._name}", now_ns - stamp.t_arrival_ns)
                metrics.count(f"raised.{self._name}")
            self.tell(stamp, alert)
        if alerts:
            self._post.wake()
        for rule, counts in self._book.counts.items():
            for what, count in counts.items():
                metrics.gauge(f"crossings.{self._name}.{rule}:{what}", count)
        metrics.counters[f"repeated.{self._name}"] = self._book.repeated

    def tell(self, stamp: Stamp, alert: Alert) -> None:
        """Publish an alert to whoever listens."""
        message = AlertMessage(stamp=stamp, t_alerted_ns=clock.monotonic_ns(), alert=alert)
        self._publisher.send(message)

    def name(self, said: IdentityMessage) -> None:
        """Note who a track is; its alerts say so with the next frame."""
        self._book.name(said.track_id, details(said.state, said.who, said.confidence))

    def close(self) -> None:
        """Write down how far it got."""
        if self._last is not None:
            self._save(self._last.stamp.frame_id, [], now=True)
        self._publisher.close()

    def _new_book(self) -> AlertBook:
        return AlertBook(self._name, make_rules(self._runtime.plan.cameras[self._name]))

    def _go_on_from(self, before: Progress, message: TrackMessage) -> None:
        """Go on where the last alert process stopped; clear its alerts where that was a run ago."""
        try:
            afresh = self._book.restore(before.state)
        except (ValueError, TypeError, KeyError, AttributeError, msgspec.MsgspecError) as error:
            self._runtime.log.error("state in store not understood", reason=repr(error))
            self._book = self._new_book()
            return
        if afresh:
            self._runtime.log.warning("rules start afresh", rules=afresh)
        if before.frame_id >> 32 != message.stamp.frame_id >> 32:
            self._save(before.frame_id, self._book.finish(message.stamp))
            self._book = self._new_book()

    def _save(self, frame_id: int, alerts: list[Alert], *, now: bool = False) -> None:
        """Commit; where the store cannot be written, keep the alerts for the next frame."""
        self._unsaved += alerts
        if self._failing and not now and clock.monotonic_ns() < self._retry_ns:
            return
        try:
            self._store.commit(self._name, frame_id, self._unsaved, self._book.state, now=now)
            self._unsaved.clear()
            if self._failing:
                self._failing = False
                self._runtime.note("")
                self._runtime.log.info("store writes again", camera=self._name)
        except SinkError as error:
            self._runtime.metrics.count("sink_errors.store")
            self._runtime.note(f"store: {error}")
            if not self._failing:
                self._runtime.log.error("store", camera=self._name, reason=str(error))
            self._failing = True
            self._retry_ns = clock.monotonic_ns() + clock.to_ns(RETRY_S)
            del self._unsaved[:-MAX_UNSAVED]

    def _with_picture(self, alert: Alert) -> Alert:
        """Return the alert with its snapshot taken, where it is time and the frame lives."""
        if not any(sink.wants(alert) for sink in self._snapshots):
            return alert
        base = ring_base(self._runtime.run_dir, self._name)
        picture = self._reader.picture(base, alert.frame_id)
        if picture is None:
            self._runtime.metrics.count(f"no_picture.{self._name}")
            return alert
        path: Path | None = None
        for sink in self._snapshots:
            try:
                path = sink.save(alert, picture.image)
            except SinkError as error:
                self._runtime.metrics.count("sink_errors.snapshot")
                self._runtime.note(f"snapshot: {error}")
        return msgspec.structs.replace(
            alert,
            snapshot=str(path) if path else None,
            picture_offset_ms=(picture.t_media_ns - alert.t_media_ns) / clock.NS_PER_MS,
        )


class _Post:
    """Delivers what the store's outbox holds: a thread for each sink, so none waits for another."""

    def __init__(self, runtime: Runtime, store: AlertStore, sinks: Mapping[str, Sink]) -> None:
        self._runtime, self._end = runtime, threading.Event()
        self._wakes = [threading.Event() for _ in sinks]
        self._threads = [
            threading.Thread(
                target=self._work,
                args=(Courier(store, {name: sink}), wake),
                name=f"post-{name}",
                daemon=True,
            )
            for (name, sink), wake in zip(sinks.items(), self._wakes, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Say that there is something to deliver."""
        for wake in self._wakes:
            wake.set()

    def close(self) -> None:
        """Deliver what is due now, then end; who hangs is left behind after CLOSE_S."""
        self._end.set()
        self.wake()
        deadline = clock.monotonic_ns() + clock.to_ns(CLOSE_S)
        for thread in self._threads:
            thread.join(timeout=max(0.0, clock.seconds(deadline - clock.monotonic_ns())))

    def _work(self, courier: Courier, wake: threading.Event) -> None:
        failing: dict[str, str] = {}
        while True:
            last = self._end.is_set()
            wake.wait(0 if last else DELIVER_S)
            wake.clear()
            try:
                courier.deliver(clock.monotonic_ns())
            except SinkError as error:
                self._runtime.metrics.count("sink_errors.store")
                self._runtime.note(f"store: {error}")
            for name, count in courier.counters.items():
                self._runtime.metrics.counters[name] = count
            for sink, why in courier.errors.items():
                if failing.get(sink) != why:
                    self._runtime.log.warning("delivery failed", sink=sink, reason=why)
            failing = dict(courier.errors)
            if last:
                return
