"""The tracking process: detections of every camera -> tracks; keeps 30 s of them for catch-up."""

from collections import deque

from perception import clock
from perception.launchfile.build import make_follower, wants_metadata
from perception.launchfile.mapping import make_placer
from perception.processes.journal import Journal
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.trackers.follow import missed_frames
from perception.transport.bus import Inbox, Publisher
from perception.transport.catch_up import CatchUpServer
from perception.transport.push_queue import Puller
from perception.transport.sockets import OWN_MOTION
from perception.wire import (
    CatchUpRequest,
    DetectionMessage,
    MetadataMessage,
    OwnMotion,
    TrackMessage,
    make_id,
)

KEEP_NS = 30 * clock.NS_PER_S
MAX_KEPT = 30 * 240
MOTION_NS, MAX_SAID = clock.NS_PER_S, 500
"""How long a vehicle's own motion holds after it was said, and how many are kept for frames that
were still in the detector when it was."""


def run(runtime: Runtime) -> None:
    """Track until the run stops, then what still waits in the queue."""
    names = runtime.process.cameras
    inbox = Inbox(runtime.run_dir, "detections", names)
    server = CatchUpServer(runtime.run_dir)
    motion = _Motion(runtime)
    cameras = runtime.plan.cameras
    inside = [name for name in names if wants_metadata(cameras[name])]
    metadata = Inbox(runtime.run_dir, "metadata", inside)
    lines = {name: _Line(runtime, name) for name in names}
    runtime.count_rejected(inbox.rejected)
    runtime.count_rejected(server.rejected)
    runtime.count_rejected(metadata.rejected)
    runtime.ready(inbox)
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in inbox.poll(IDLE_MS):
                _take_metadata(metadata, lines)
                lines[message.stamp.camera].take(message, motion.at(message.stamp.t_arrival_ns))
            for who, request in server.requests():
                line = lines.get(request.camera)
                server.answer(who, request.camera, line.kept_after(request) if line else [])
        for message in drain(inbox):
            runtime.turn()
            lines[message.stamp.camera].take(message, motion.at(message.stamp.t_arrival_ns))
    finally:
        inbox.close()
        metadata.close()
        motion.close()
        server.close()
        for line in lines.values():
            line.close()


def _take_metadata(inbox: Inbox, lines: "dict[str, _Line]") -> None:
    """Take all telemetry that has come inside of streams."""
    while waiting := list(inbox.poll(0)):
        for message in waiting:
            lines[message.stamp.camera].told(message)


class _Motion:
    """How the vehicle moves, as user code last said before a frame came."""

    def __init__(self, runtime: Runtime) -> None:
        self._puller = Puller(runtime.run_dir, OWN_MOTION, "motion")
        self._said: deque[OwnMotion] = deque(maxlen=MAX_SAID)
        runtime.count_rejected(self._puller.rejected)

    def at(self, t_arrival_ns: int) -> OwnMotion | None:
        """Return the last one before this time; None where it is older than MOTION_NS."""
        while (said := self._puller.receive(0)) is not None:
            self._said.append(said)
        for said in reversed(self._said):
            if said.t_monotonic_ns <= t_arrival_ns:
                return said if t_arrival_ns - said.t_monotonic_ns <= MOTION_NS else None
        return None

    def close(self) -> None:
        self._puller.close()


class _Line:
    """One camera's tracks and their history."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime, self._name = runtime, name
        self._follower = make_follower(runtime.plan, name, runtime.epoch)
        self._history: deque[TrackMessage] = deque(maxlen=MAX_KEPT)
        self._last_id = -1
        self._sent = 0
        self.publisher = Publisher(runtime.run_dir, "tracks", name)
        self._journal = Journal(runtime, name, "tracking")
        self._placer = self._feed = None
        if (made := make_placer(runtime.plan.cameras[name])) is not None:
            self._placer, self._feed, why = made
            if why:
                runtime.note(f"{name}: {why}")
                runtime.log.error("telemetry", camera=name, reason=why)

    def told(self, message: MetadataMessage) -> None:
        """Take telemetry that came inside the camera's stream."""
        if self._feed is not None:
            self._feed.take(message.data.tobytes(), message.stamp.t_media_ns)

    def take(self, message: DetectionMessage, own: OwnMotion | None) -> None:
        metrics, stamp, started_ns = self._runtime.metrics, message.stamp, clock.monotonic_ns()
        if stamp.frame_id <= self._last_id:
            metrics.count(f"rejected.{self._name}.order")
            return
        missed = missed_frames(stamp.frame_id, self._last_id)
        # What detection did not say was lost between the two processes.
        metrics.count(f"dropped.{self._name}.lost", max(0, missed - sum(message.dropped.values())))
        self._last_id = stamp.frame_id
        answer = self._follower.follow(message, missed, own)
        if self._placer is not None and self._feed is not None:
            self._placer.place(answer)
            for cause, count in self._placer.reasons.items():
                metrics.counters[f"unplaced.{self._name}.{cause}"] = count
            for cause, count in self._feed.counters.items():
                metrics.counters[f"telemetry.{self._name}.{cause}"] = count
        answer.message_id = make_id(self._runtime.epoch, self._sent)
        self._sent += 1
        self.publisher.send(answer)
        if self._journal.is_due(stamp.t_media_ns, message.message_id):
            state = self._follower.state()
            if state is not None:
                self._journal.tell("state", stamp, answer.message_id, state)
        self._keep(answer)
        now_ns = answer.t_tracked_ns
        metrics.count(f"tracked.{self._name}")
        metrics.counters[f"confirmed.{self._name}"] = self._follower.confirmed
        metrics.counters[f"cuts.{self._name}"] = self._follower.cuts
        metrics.latency(f"tracking.{self._name}", now_ns - stamp.t_arrival_ns)
        metrics.latency(f"tracker.{self._name}", now_ns - started_ns)
        for cause, count in self._follower.tracker.counters.items():
            metrics.counters[f"rejected.{self._name}.{cause}"] = count

    def _keep(self, message: TrackMessage) -> None:
        history = self._history
        history.append(message)
        oldest = message.stamp.t_arrival_ns - KEEP_NS
        while history[0].stamp.t_arrival_ns < oldest:
            history.popleft()

    def close(self) -> None:
        """Stop sending and listening."""
        self.publisher.close()
        self._journal.close()
        if self._feed is not None:
            self._feed.close()

    def kept_after(self, request: CatchUpRequest) -> list[TrackMessage]:
        """Return the messages after the requested frame that are still kept, oldest first."""
        return [m for m in self._history if m.stamp.frame_id > request.after_frame_id]
