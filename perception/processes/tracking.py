"""The tracking process: detections of every camera -> tracks; keeps 30 s of them for catch-up."""

from collections import deque

from perception import clock
from perception.messages import CatchUpRequest, DetectionMessage, TrackMessage
from perception.plan import confirmed_ids, make_tracker
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.trackers.camera_motion import CameraMotion
from perception.trackers.scene_cut import SceneCut
from perception.transport.bus import CatchUpServer, Inbox, Publisher

KEEP_NS = 30 * clock.NS_PER_S
MAX_KEPT = 30 * 240


def run(runtime: Runtime) -> None:
    """Track until the run stops, then what still waits in the queue."""
    names = runtime.process.cameras
    inbox = Inbox(runtime.run_dir, "detections", names)
    server = CatchUpServer(runtime.run_dir)
    lines = {name: _Line(runtime, name) for name in names}
    runtime.count_rejected(inbox.rejected)
    runtime.count_rejected(server.rejected)
    runtime.ready()
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in inbox.poll(IDLE_MS):
                lines[message.stamp.camera].take(message)
            for who, request in server.requests():
                line = lines.get(request.camera)
                server.answer(who, request.camera, line.kept_after(request) if line else [])
        for message in drain(inbox):
            runtime.turn()
            lines[message.stamp.camera].take(message)
    finally:
        inbox.close()
        server.close()
        for line in lines.values():
            line.publisher.close()


class _Line:
    """One camera's tracker, camera motion and history."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime, self._name = runtime, name
        self._tracker = make_tracker(runtime.plan, runtime.epoch)
        self._motion = CameraMotion()
        self._cuts = SceneCut()
        self._history: deque[TrackMessage] = deque(maxlen=MAX_KEPT)
        self._last_id = -1
        self._names: dict[int, str] = {}
        self._confirmed: set[int] = set()
        self.publisher = Publisher(runtime.run_dir, "tracks", name)

    def take(self, message: DetectionMessage) -> None:
        metrics, stamp, started_ns = self._runtime.metrics, message.stamp, clock.monotonic_ns()
        if stamp.frame_id <= self._last_id:
            metrics.count(f"rejected.{self._name}.order")
            return
        same_start = stamp.frame_id >> 32 == self._last_id >> 32
        missed = stamp.frame_id - self._last_id - 1 if same_start else 0
        # What detection did not say was lost between the two processes.
        metrics.count(f"dropped.{self._name}.lost", max(0, missed - sum(message.dropped.values())))
        self._last_id = stamp.frame_id
        self._names.update(message.names)
        boxes = message.detections.boxes
        warp = self._motion.estimate(message.grey, boxes, message.width, message.height)
        cut = self._cuts.is_cut(message.grey)
        if cut:
            self._tracker.end_all()
            metrics.count(f"cuts.{self._name}")
        tracks = self._tracker.update(message.detections, stamp.t_media_ns, warp, missed)
        now_ns = clock.monotonic_ns()
        answer = TrackMessage(
            stamp=stamp,
            width=message.width,
            height=message.height,
            names={i: self._names.get(i, str(i)) for i in set(tracks.class_ids.tolist())},
            dropped=message.dropped,
            t_detected_ns=message.t_detected_ns,
            t_tracked_ns=now_ns,
            tracks=tracks,
            warp=warp,
            cut=cut,
        )
        self.publisher.send(answer)
        self._keep(answer)
        metrics.count(f"tracked.{self._name}")
        metrics.latency(f"tracking.{self._name}", now_ns - stamp.t_arrival_ns)
        metrics.latency(f"tracker.{self._name}", now_ns - started_ns)
        for cause, count in self._tracker.counters.items():
            metrics.counters[f"rejected.{self._name}.{cause}"] = count
        confirmed = confirmed_ids(tracks)
        metrics.count(f"confirmed.{self._name}", len(confirmed - self._confirmed))
        self._confirmed = (self._confirmed | confirmed) & set(tracks.track_ids.tolist())

    def _keep(self, message: TrackMessage) -> None:
        history = self._history
        history.append(message)
        oldest = message.stamp.t_arrival_ns - KEEP_NS
        while history[0].stamp.t_arrival_ns < oldest:
            history.popleft()

    def kept_after(self, request: CatchUpRequest) -> list[TrackMessage]:
        """Return the messages after the requested frame that are still kept, oldest first."""
        return [m for m in self._history if m.stamp.frame_id > request.after_frame_id]
