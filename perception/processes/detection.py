"""The detection process: newest frame of each of its cameras in turn -> boxes, small grey image.

Shared memory is read only while the frame is letterboxed, so a slow network never loses a frame it
has taken; what it did not take is counted by cause.
"""

import numpy as np

from perception import clock
from perception.detectors import Detector, looks, prepare
from perception.errors import RingError, SlotOverwritten
from perception.geometry.grey import small_grey
from perception.launchfile.build import camera_detector, class_filter, make_detector
from perception.processes.next_frame import NextFrame
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.transport.bus import Inbox, Publisher
from perception.transport.ring import RingReader
from perception.wire import DetectionMessage, Detections, FrameMessage, make_id, short_id
from perception.wire.plan import CameraPlan

STALL_FACTOR = 5
MIN_STALL_S = 2.5


def run(runtime: Runtime) -> None:
    """Detect until the run stops, then what was sent before that."""
    cameras = [runtime.plan.cameras[name] for name in runtime.process.cameras]
    inbox = Inbox(runtime.run_dir, "frames", runtime.process.cameras)
    detector = make_detector(runtime.plan, cameras[0].detectors, runtime.process.threads)
    runtime.metrics.gauge("stall_after_s", max(MIN_STALL_S, STALL_FACTOR * _seconds(detector)))
    lines = {camera.name: _Line(runtime, camera, detector) for camera in cameras}
    runtime.count_rejected(inbox.rejected)
    runtime.ready()  # cameras begin when all others are ready, and wait for us
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in inbox.poll(IDLE_MS):
                runtime.turn()
                line = lines[message.stamp.camera]
                line.take(line.fresh(message, inbox) if len(lines) == 1 else message)
        for message in drain(inbox):
            runtime.turn()
            line = lines[message.stamp.camera]
            if runtime.has_time_for(line.takes_s):
                line.take(message)
    finally:
        inbox.close()
        for line in lines.values():
            line.publisher.close()


class _Line:
    """What detection knows of one camera."""

    def __init__(self, runtime: Runtime, camera: CameraPlan, detector: Detector) -> None:
        self._runtime, self._camera = runtime, camera
        self._detector = camera_detector(camera, detector)
        self._reader = RingReader()
        self.publisher = Publisher(runtime.run_dir, "detections", camera.name)
        self._last_id = -1
        self._next_due_ns: int | None = None
        self._period_ns = 0 if camera.rate_hz is None else round(clock.NS_PER_S / camera.rate_hz)
        self._dropped: dict[str, int] = {}
        self._keep = class_filter(detector, camera.objects)
        fresh_ms = camera.fresh_ms
        self._next_frame = (
            None if fresh_ms is None else NextFrame(round(fresh_ms * clock.NS_PER_MS))
        )
        self.takes_s = 0.0
        self._sent = 0

    def fresh(self, message: FrameMessage, inbox: Inbox) -> FrameMessage:
        """Return the newest frame, or the next one where the camera wants it waited for."""
        if self._next_frame is None:
            return message
        wait_ns = self._next_frame.wait_ns(message.stamp, clock.monotonic_ns())
        if wait_ns:
            newer = list(inbox.poll(-(-wait_ns // clock.NS_PER_MS)))
            message = newer[0] if newer else message
        return message

    def take(self, message: FrameMessage) -> None:
        """Detect in a frame and send what was found, also where that is nothing."""
        taken_ns = clock.monotonic_ns()
        self._count_gap(message.stamp.frame_id)
        if not self._is_due(message.stamp.t_media_ns):
            return self._drop("rate")
        try:
            frame = (message.ring, message.slot, message.generation)
            size = message.height, message.width
            pixels = self._reader.pixels(*frame, *size, message.coding)
            grey = small_grey(pixels)
            whole = message.damage != "direct"
            time_ns = message.stamp.t_media_ns
            prepared = prepare(self._detector, pixels, time_ns) if whole else None
            self._reader.check(*frame)
        except SlotOverwritten:
            return self._drop("overwritten")
        except RingError as error:
            self._runtime.log.warning("frame refused", camera=self._camera.name, reason=str(error))
            return self._drop("refused")
        started_ns = clock.monotonic_ns()
        found = Detections.none()
        if prepared is not None:
            found = self._keep(self._detector.infer(prepared))
        self._send(message, found, grey, taken_ns, started_ns)
        return None

    def _send(
        self,
        message: FrameMessage,
        found: Detections,
        grey: np.ndarray[tuple[int, int], np.dtype[np.uint8]],
        taken_ns: int,
        started_ns: int,
    ) -> None:
        name, metrics, now_ns = self._camera.name, self._runtime.metrics, clock.monotonic_ns()
        names = self._detector.names
        self.publisher.send(
            DetectionMessage(
                stamp=message.stamp,
                width=message.width,
                height=message.height,
                names={i: names.get(i, str(i)) for i in set(found.class_ids.tolist())},
                dropped=self._dropped,
                t_taken_ns=taken_ns,
                t_detected_ns=now_ns,
                inference_ns=now_ns - started_ns,
                detections=found,
                grey=grey,
                message_id=make_id(self._runtime.epoch, self._sent),
                damage=message.damage,
            )
        )
        self._sent += 1
        self._dropped = {}
        metrics.count(f"detected.{name}")
        metrics.latency(f"wait.{name}", taken_ns - message.stamp.t_arrival_ns)
        metrics.latency(f"inference.{name}", now_ns - started_ns)
        metrics.latency(f"detection.{name}", now_ns - message.stamp.t_arrival_ns)
        self.takes_s = clock.seconds(now_ns - taken_ns)
        longest = STALL_FACTOR * self.takes_s
        metrics.gauge("stall_after_s", max(metrics.gauges["stall_after_s"], longest))
        for cause, count in self._detector.counters.items():
            metrics.counters[f"rejected.{cause}"] = count
        for kind, count in looks(self._detector).items():
            metrics.counters[f"looks.{name}.{kind}"] = count

    def _count_gap(self, frame_id: int) -> None:
        """Count frames that a newer one replaced; what came before the first was not sent to us."""
        same_start = frame_id >> 32 == self._last_id >> 32
        missed = frame_id - self._last_id - 1 if same_start else short_id(frame_id)
        if missed > 0 and self._last_id >= 0:
            self._drop("newer", missed)
        self._last_id = frame_id

    def _is_due(self, t_media_ns: int) -> bool:
        """Whether the camera's detection rate lets this frame pass, by media time."""
        if not self._period_ns:
            return True
        due = self._next_due_ns
        if due is not None and due - self._period_ns <= t_media_ns < due:
            return False
        on_beat = due is not None and t_media_ns < due + self._period_ns
        self._next_due_ns = (due if on_beat and due else t_media_ns) + self._period_ns
        return True

    def _drop(self, cause: str, n: int = 1) -> None:
        self._dropped[cause] = self._dropped.get(cause, 0) + n
        self._runtime.metrics.count(f"dropped.{self._camera.name}.{cause}", n)


def _seconds(detector: Detector) -> float:
    """Return how long the detector takes for a picture, so that slow is not taken for hung."""
    started_ns = clock.monotonic_ns()
    detector.detect(np.zeros((720, 1280, 3), np.uint8))
    return clock.seconds(clock.monotonic_ns() - started_ns)
