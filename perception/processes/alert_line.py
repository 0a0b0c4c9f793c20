"""One camera in the alert process: its rules, its open alerts, its progress in the store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from perception import clock
from perception.alerts.book import AlertBook
from perception.alerts.rows import Progress
from perception.alerts.store import AlertStore
from perception.alerts.watch import RULE
from perception.errors import SinkError
from perception.footage.clips import clip_path
from perception.identity.who import details
from perception.launchfile.build import make_rules
from perception.processes.gaps import Gaps
from perception.processes.journal import Journal, rules_of
from perception.processes.posting import Post
from perception.processes.runtime import Runtime
from perception.sinks.snapshot import SnapshotSink
from perception.transport.bus import Publisher
from perception.transport.catch_up import catch_up
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base
from perception.wire import (
    Alert,
    AlertMessage,
    IdentityMessage,
    LaneMessage,
    OwnLane,
    Stamp,
    TrackMessage,
)

MAX_UNSAVED = 10_000
RETRY_S = 0.5
"""Time between two writes to a store that fails: a locked one blocks each of them."""


class AlertLine:
    """One camera's rules and open alerts."""

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        store: AlertStore,
        snapshots: Sequence[SnapshotSink],
        post: Post,
    ) -> None:
        self._runtime, self._name, self._store = runtime, name, store
        self._snapshots, self._post = snapshots, post
        self._reader = RingReader()
        self._publisher = Publisher(runtime.run_dir, "alerts", name)
        self._journal = Journal(runtime, name, "alert")
        self._seen: list[OwnLane] = []
        self._named: list[IdentityMessage] = []
        self._book = self._new_book()
        self._budget_ns = clock.to_ns((runtime.plan.cameras[name].budget_ms or 0.0) / 1000)
        record, kept = runtime.plan.cameras[name].record, runtime.plan.recordings
        self._clips = Path(kept.folder) if record and record["clips"] and kept else None
        self._unsaved: list[Alert] = []
        self._failing = False
        self._retry_ns = 0
        self._last: TrackMessage | None = None
        self._before = store.progress(name)
        self._gaps = Gaps(_last_message(self._before))
        if self._before is not None or runtime.restarted:
            self._journal.wait()
            self._catch_up(self._before.frame_id if self._before is not None else -1)

    def take(self, message: TrackMessage) -> None:
        """Process one frame. Missing frames before it are requested from tracking first.

        Not at the stop: tracking has ended by then.
        """
        missing = self._gaps.before(message.message_id)
        if self._last is not None and missing and not self._runtime.stopping:
            self._catch_up(self._last.stamp.frame_id)
        self._process(message)

    def _catch_up(self, after_frame_id: int) -> None:
        for message in catch_up(self._runtime.run_dir, self._name, after_frame_id):
            self._runtime.metrics.count(f"caught_up.{self._name}")
            self._runtime.turn()
            self._process(message)

    def _process(self, message: TrackMessage) -> None:
        """Process one frame; a frame that was processed before is ignored."""
        metrics, stamp = self._runtime.metrics, message.stamp
        is_new = message.message_id > self._gaps.last
        missed = self._gaps.missed(message.message_id)
        if missed:
            cause = "alert_away" if self._last is None else "alert_lost"
            metrics.count(f"missed.{self._name}.{cause}", missed)
        if self._last is None:
            self._begin(stamp)
        if is_new:
            self._note(message, missed)
        alerts = [self._with_clip(self._with_picture(a)) for a in self._book.update(message)]
        if self._last is None or self._book.frame_id == stamp.frame_id:
            self._last = message
        self._save(self._last.stamp.frame_id, alerts)
        now_ns = clock.monotonic_ns()
        metrics.latency(f"rules.{self._name}", now_ns - stamp.t_arrival_ns)
        if self._budget_ns and now_ns - stamp.t_arrival_ns > self._budget_ns:
            metrics.count(f"over_budget.{self._name}")
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
        """Publish an alert."""
        message = AlertMessage(stamp=stamp, t_alerted_ns=clock.monotonic_ns(), alert=alert)
        self._publisher.send(message)

    def name(self, said: IdentityMessage) -> None:
        """Set the identity of a track; its alerts carry it with the next frame."""
        self._book.name(said.track_id, details(said.state, said.who, said.confidence))
        self._named.append(said)

    def see(self, lanes: LaneMessage) -> None:
        """Tell the rules where the own lane is."""
        own = lanes.own()
        self._book.see(own)
        self._seen.append(own)

    def _note(self, message: TrackMessage, missed: int) -> None:
        """Tell the journal what is taken in before this message."""
        stamp, message_id, journal = message.stamp, message.message_id, self._journal
        named, self._named = self._named, []
        seen, self._seen = self._seen, []
        if self._last is None:
            journal.tell("began", stamp, message_id, self._told_state())
            return
        if missed:
            journal.tell("skipped", stamp, message_id, missed)
        for said in named:
            who = details(said.state, said.who, said.confidence)
            journal.tell("named", stamp, message_id, {"track_id": said.track_id, "who": who})
        for own in seen if self._book.sees_lanes else ():
            journal.tell("lanes", stamp, message_id, own)
        if journal.is_due(stamp.t_media_ns, message_id):
            journal.tell("state", stamp, message_id, self._told_state())

    def _told_state(self) -> dict[str, Any]:
        """Return the book's state and what its rules are: a reload changes them."""
        camera = self._runtime.plan.cameras[self._name]
        return {"book": self._book.state(), "rules": rules_of(camera)}

    def step(self) -> None:
        """Retry a write that failed, also while no frames come."""
        if self._failing and self._last is not None:
            self._save(self._last.stamp.frame_id, [])
            if not self._failing:
                self._post.wake()

    def close(self) -> None:
        """Commit the progress; retry for LAST_NS where alerts would be lost.

        Where the whole run ends, open alerts are cleared.
        """
        if self._last is not None:
            stamp = self._last.stamp
            over = self._book.finish(stamp) if self._runtime.is_over else []
            if over:
                self._journal.tell("ended", stamp, self._last.message_id, None)
            self._save(stamp.frame_id, over, now=True)
            for alert in over:
                self.tell(stamp, alert)
            while self._unsaved and self._store.wait_to_retry():
                self._save(stamp.frame_id, [], now=True)
        if self._unsaved:
            self._runtime.log.error("alerts lost", camera=self._name, count=len(self._unsaved))
        self._publisher.close()
        self._journal.close()

    def _state(self) -> dict[str, Any]:
        return {**self._book.state(), "message_id": self._gaps.last}

    def _new_book(self) -> AlertBook:
        return AlertBook(self._name, make_rules(self._runtime.plan.cameras[self._name]))

    def _begin(self, stamp: Stamp) -> None:
        """Restore the state of the last alert process. Clear its alerts where they are of an
        earlier run, and open alerts of the store that no rule knows."""
        before, over = self._before, list[Alert]()
        if (
            before is not None
            and self._restore(before)
            and before.frame_id >> 32 != stamp.frame_id >> 32
        ):
            over = self._book.finish(stamp)
            self._book = self._new_book()
        known = {alert["key"] for alert in self._book.state()["open"]} | {a.key for a in over}
        lost = [a for a in self._store.open_alerts(self._name) if a.rule != RULE]
        forgotten = self._new_book()
        forgotten.open = {(a.rule, n): a for n, a in enumerate(lost) if a.key not in known}
        over += forgotten.finish(stamp)
        if over:
            self._save(before.frame_id if before is not None else -1, over)

    def _restore(self, before: Progress) -> bool:
        """Restore the state of the rules; return whether it could be read."""
        try:
            afresh = self._book.restore(before.state)
        except (ValueError, TypeError, KeyError, AttributeError, msgspec.MsgspecError) as error:
            self._runtime.log.error("state in store not understood", reason=repr(error))
            self._book = self._new_book()
            return False
        if afresh:
            self._runtime.log.warning("rules start afresh", rules=afresh)
        return True

    def _save(self, frame_id: int, alerts: list[Alert], *, now: bool = False) -> None:
        """Commit. Where the store cannot be written the alerts are kept for the next frame."""
        self._unsaved += alerts
        if self._failing and not now and clock.monotonic_ns() < self._retry_ns:
            return
        try:
            now = now or self._failing
            self._store.commit(self._name, frame_id, self._unsaved, self._state, now=now)
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

    def _with_clip(self, alert: Alert) -> Alert:
        """Return the alert with the path that its clip has, or will have some seconds later."""
        if self._clips is None:
            return alert
        path = str(clip_path(self._clips, self._name, alert.key))
        return msgspec.structs.replace(alert, details={**alert.details, "clip": path})

    def _with_picture(self, alert: Alert) -> Alert:
        """Return the alert with its snapshot where a sink wants one and the ring has the frame."""
        wanting = [sink for sink in self._snapshots if sink.wants(alert)]
        if not wanting:
            return alert
        base = ring_base(self._runtime.run_dir, self._name)
        picture = self._reader.picture(base, alert.frame_id)
        if picture is None:
            self._runtime.metrics.count(f"no_picture.{self._name}")
            return alert
        path: Path | None = None
        for sink in wanting:
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


def _last_message(before: Progress | None) -> int:
    """Return the message_id of the last processed message, -1 where it is unknown."""
    known = before.state.get("message_id") if before is not None else None
    return known if isinstance(known, int) else -1
