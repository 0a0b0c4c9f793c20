"""A recording through the stages that made it, and whether they give the same again.

The stage objects are those of the live line; there are no sockets and no clock. Each stage gets
what the recording says that it took in, so that a difference is its own. With other options than
those recorded the stages are chained instead: what would have happened. Imports launchfile and
below.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from perception.analysis import differences
from perception.analysis.differences import Stage
from perception.analysis.recorded import Part
from perception.analysis.redetect import Redetector
from perception.analysis.rules import Rules
from perception.errors import ConfigError
from perception.footage import manifest
from perception.launchfile import build
from perception.trackers.follow import RecordedMotion, missed_frames
from perception.wire import Alert, DetectionMessage, OwnMotion, TrackMessage
from perception.wire.journal import from_text, to_text
from perception.wire.plan import Plan

STAGES = ("detect", "track", "alert")
_WAIT = 512
"""Detections that are held for a track message that comes later."""


@dataclass
class Result:
    """What a replay of a part gave. changed: what is not as when it was recorded, in words.

    was, now: the raised alerts that were recorded in the span, and those of the replay.
    """

    stages: list[Stage]
    changed: list[str]
    frames: int = 0
    was: list[Alert] = field(default_factory=list[Alert])
    now: list[Alert] = field(default_factory=list[Alert])

    @property
    def first(self) -> str:
        """The first difference of the first stage that has one; empty where all are equal."""
        return next((stage.first for stage in self.stages if stage.first), "")


def plan_of(part: Part) -> Plan:
    """Return the plan of a part. Raises ConfigError where the recording does not say it."""
    if part.manifest is None:
        raise ConfigError(f"{part.rows[0].path}: recorded before there was a journal: no replay")
    try:
        return msgspec.convert(part.manifest["plan"], Plan)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise ConfigError(f"{part.rows[0].path}: plan of another version: {error}") from None


def replay(
    part: Part,
    stage: str = "track",
    plan: Plan | None = None,
    span: tuple[int, int] | None = None,
    threads: int = 1,
) -> Result:
    """Replay a part from a stage on; see STAGES.

    plan: other options than those recorded; then the stages are chained. span: wall ns; only what
    is in it is compared. threads: of the network, for stage `detect`.
    """
    recorded = plan_of(part)
    used = plan or recorded
    chained = plan is not None
    first, last = span or (0, 1 << 62)
    detector = None
    if stage == "detect":
        detector = Redetector(part, used, recorded, threads=threads, chained=chained)
    tracking = _Tracking(part, used, chained=chained)
    alerts = Rules(part, used, chained=chained)
    result = Result([], changed(part, used))
    for message, found in _joined(part):
        inside = first <= message.stamp.t_wall_ns < last
        if detector is not None and found is not None:
            found = detector.take(found, message, inside=inside)
        followed = message
        if stage != "alert":
            followed = tracking.take(message, found, inside=inside) or message
        alerts.take(message, followed if chained else message, inside=inside)
        result.frames += inside
    result.was, result.now = alerts.was, alerts.now
    stages = [detector.stage, detector.motion] if detector is not None else []
    stages += [tracking.stage] if stage != "alert" else []
    result.stages = [*stages, alerts.stage]
    return result


def changed(part: Part, plan: Plan) -> list[str]:
    """Return what of versions, models and instruction set is not as it was recorded."""
    said, found = part.manifest or {}, list[str]()
    for name, was in said.get("versions", {}).items():
        now = manifest.versions().get(name, "not installed")
        if now != was:
            found.append(f"{name} {was} -> {now}")
    now = manifest.models(plan, part.camera)
    for name, was in said.get("models", {}).items():
        if name in now and now[name] != was:
            found.append(f"the model of detector {name} is another file")
    if said.get("isa", "") != manifest.instruction_set():
        found.append(f"other instruction set: {said.get('isa')} -> {manifest.instruction_set()}")
    return found


def _joined(part: Part) -> Iterator[tuple[TrackMessage, DetectionMessage | None]]:
    """Yield each track message with the detections it was made of, where they were recorded."""
    detections = part.messages("detections")
    waiting: dict[int, DetectionMessage] = {}
    for message in part.messages("tracks"):
        frame_id = message.stamp.frame_id
        while frame_id not in waiting and len(waiting) < _WAIT:
            found = next(detections, None)
            if found is None:
                break
            waiting[found.stamp.frame_id] = found
        yield message, waiting.pop(frame_id, None)
        if len(waiting) > _WAIT // 2:
            waiting = {i: one for i, one in waiting.items() if i > frame_id}


class _Tracking:
    """Detections through the tracker. It begins at the start of a tracker, or at a kept state."""

    def __init__(self, part: Part, plan: Plan, *, chained: bool) -> None:
        self.stage = Stage("tracks")
        self._part, self._plan, self._chained = part, plan, chained
        self._states = {
            entry.message_id: entry
            for entry in part.messages("journal")
            if entry.process == "tracking" and entry.kind == "state"
        }
        self._motion = RecordedMotion()
        self._follower: Any = None
        self._last: TrackMessage | None = None

    def take(
        self, message: TrackMessage, found: DetectionMessage | None, *, inside: bool
    ) -> TrackMessage | None:
        """Return the tracks that the replay gives; None where it cannot tell."""
        last, self._last = self._last, message
        lost = differences.was_lost(message, last.message_id if last else None)
        self._begin(message, lost)
        if self._follower is None:
            self.stage.note("before the first state that was kept", int(inside))
            self._restore(message)
            return None
        if found is None:
            self.stage.note("detections were not recorded", int(inside))
            self._follower = None
            self._restore(message)
            return None
        resized = last is not None and (last.width, last.height) != (message.width, message.height)
        if resized:
            self.stage.note("the picture changed its size", int(inside))
            self._follower = None
            self._restore(message)
            return None
        own = None
        if message.own_speed_m_s is not None:
            own = OwnMotion(
                t_monotonic_ns=0, speed_m_s=message.own_speed_m_s, yaw_rate=message.own_yaw_rate
            )
        self._motion.warp, self._motion.cut = message.warp, message.cut
        missed = missed_frames(message.stamp.frame_id, last.stamp.frame_id if last else -1)
        now: TrackMessage = self._follower.follow(found, missed, own)
        now.message_id = message.message_id
        if inside and not self._chained:
            difference = differences.of_tracks(message, now) or self._state_differs(message)
            self.stage.add(difference and f"{differences.place(message, 'tracks')}: {difference}")
        elif inside:
            self.stage.add(None)
        return now

    def _begin(self, message: TrackMessage, lost: int) -> None:
        """Take a new tracker where one began; forget the old one where messages are missing."""
        if lost:
            self.stage.note("track messages were not recorded", lost)
            self._follower = None
        if message.message_id & 0xFFFFFFFF == 0 or (self._follower is None and self._chained):
            self._make(message.message_id >> 32)

    def _make(self, epoch: int) -> None:
        self._motion = RecordedMotion()
        self._follower = build.make_follower(
            self._plan, self._part.camera, epoch, recorded=self._motion
        )

    def _restore(self, message: TrackMessage) -> None:
        """Go on from the state that the tracker had after a message, where it was kept."""
        entry = self._states.get(message.message_id)
        if entry is None:
            return
        self._make(message.message_id >> 32)
        try:
            self._follower.restore(from_text(entry.data))
        except (ValueError, KeyError, TypeError, IndexError):
            self.stage.note("a kept state could not be read")
            self._follower = None

    def _state_differs(self, message: TrackMessage) -> str | None:
        entry = self._states.get(message.message_id)
        if entry is None:
            return None
        said = differences.of_states(from_text(entry.data), self._follower_state())
        return said and f"state {said}"

    def _follower_state(self) -> Any:
        return from_text(to_text(self._follower.state()))
