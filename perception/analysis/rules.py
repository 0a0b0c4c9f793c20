"""Recorded tracks through the rules again, with what the alert process took in between them.

Imports launchfile and below.
"""

from typing import Any

import msgspec

from perception.alerts.book import AlertBook
from perception.alerts.watch import RULE
from perception.analysis import differences
from perception.analysis.differences import Stage
from perception.analysis.recorded import Part
from perception.launchfile import build
from perception.wire import Alert, JournalMessage, OwnLane, TrackMessage
from perception.wire.journal import from_text, to_text
from perception.wire.plan import CameraPlan, Plan, StagePlan


class Rules:
    """Track messages through the rules, with what the alert process took in between them.

    book: open alerts and rules after the last message; None before a state is known. camera: the
    plan that holds, with the rules of the last reload.
    """

    def __init__(self, part: Part, plan: Plan, *, chained: bool) -> None:
        self.stage = Stage("alerts")
        self.was: list[Alert] = []
        self.now: list[Alert] = []
        self._chained, self.camera = chained, plan.cameras[part.camera]
        self._entries: dict[int, list[JournalMessage]] = {}
        self._skipped: set[int] = set()
        for entry in part.messages("journal"):
            if entry.process == "alert":
                self._entries.setdefault(entry.message_id, []).append(entry)
                if entry.kind == "skipped":
                    missed, until = int(from_text(entry.data)), entry.message_id
                    self._skipped |= set(range(max(0, until - missed), until))
        self._recorded: dict[int, list[Alert]] = {}
        for said in part.messages("alerts"):
            if said.alert.rule != RULE:
                self._recorded.setdefault(said.stamp.frame_id, []).append(said.alert)
        self.book: AlertBook | None = None
        self._rules: Any = None
        self._last: int | None = None

    def take(self, message: TrackMessage, used: TrackMessage, *, inside: bool) -> None:
        """Apply the rules to one message; `used`: the tracks to apply them to."""
        lost, self._last = differences.was_lost(message, self._last), message.message_id
        if lost:
            self.stage.note("track messages were not recorded", lost)
            self.book = None
        if message.message_id in self._skipped:
            return
        entries = self._entries.get(message.message_id, [])
        for entry in entries:
            if (said := self._before(entry, used)) and inside:
                self.stage.add(f"{differences.place(message, 'alert')}: {said}")
        if self.book is None:
            if not self._chained:
                self.stage.note("before the first state that was kept", int(inside))
                return
            self.book = self._new_book()
        now = self.book.update(used)
        if any(entry.kind == "ended" for entry in entries):
            now += self.book.finish(used.stamp)
        was = self._recorded.get(message.stamp.frame_id, [])
        if not inside:
            return
        self.was += [alert for alert in was if alert.state == "raised"]
        self.now += [alert for alert in now if alert.state == "raised"]
        difference = None if self._chained else differences.of_alerts(was, now)
        if was or now:
            where = differences.place(message, "alert")
            self.stage.add(difference and f"{where}: {difference}")

    def last_state(self, message_id: int) -> JournalMessage | None:
        """Return the newest entry with a state before a track message; None where there is none."""
        found = [
            entry
            for number, entries in self._entries.items()
            for entry in entries
            if number <= message_id and entry.kind in ("began", "state")
        ]
        return max(found, key=lambda entry: entry.message_id, default=None)

    def _before(self, entry: JournalMessage, message: TrackMessage) -> str | None:
        """Take in what the alert process took in; return where its state was another one."""
        if entry.kind == "named":
            said = from_text(entry.data)
            if self.book is not None:
                self.book.name(int(said["track_id"]), said["who"])
        elif entry.kind == "lanes":
            if self.book is not None:
                self.book.see(msgspec.convert(from_text(entry.data), OwnLane))
        elif entry.kind in ("began", "state") and not self._chained:
            said = from_text(entry.data)
            other = said["rules"] != self._rules
            if other:
                self.camera = _with_rules(self.camera, said["rules"])
                self._rules = said["rules"]
            if self.book is None or entry.kind == "began" or other:
                self.book = self._new_book()
                self.book.restore(said["book"])
                return None
            now = from_text(to_text(self.book.state()))
            difference = differences.of_states(said["book"], now)
            return difference and f"state {difference}"
        return None

    def _new_book(self) -> AlertBook:
        return AlertBook(self.camera.name, build.make_rules(self.camera))


def _with_rules(camera: CameraPlan, rules: dict[str, Any]) -> CameraPlan:
    """Return the camera with the zones, lines and rules that held then; see processes/journal."""
    stages = msgspec.convert(rules["rules"], dict[str, StagePlan])
    return msgspec.structs.replace(camera, zones=rules["zones"], lines=rules["lines"], rules=stages)
