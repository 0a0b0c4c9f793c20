"""Detections of a recording's frames, several frames at the same time, in the frames' order.

A network that remembers nothing looks at several frames at once, each in a request of its own: one
thread each is faster than all threads on one frame. What remembers earlier pictures sees one frame
after the other, while the frame before is tracked and written. Results do not depend on it.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from perception import clock
from perception.detectors import Detector, ReadsTime, looks, prepare
from perception.errors import PerceptionError
from perception.launchfile import build as stages
from perception.sources import Frame
from perception.wire import Detections
from perception.wire.plan import CameraPlan, Plan


@dataclass(frozen=True, slots=True)
class DetectedFrame:
    """What was detected in a frame, and between which times, monotonic ns."""

    frame: Frame
    detections: Detections
    started_ns: int
    detected_ns: int


class DetectionStage:
    """The detectors of one recording. names: class names. requests: frames at the same time."""

    def __init__(self, what: Plan, camera: CameraPlan, threads: int, requests: int) -> None:
        """threads: of each request. requests: at most so many; 1 where a detector remembers."""
        first = stages.make_detector(what, camera.detectors, threads)
        own = stages.camera_detector(camera, first)
        self._detectors: list[Detector] = [own]
        if own is first and not isinstance(own, ReadsTime):
            self._detectors += [
                stages.make_detector(what, camera.detectors, threads) for _ in range(requests - 1)
            ]
        self._keep = stages.class_filter(own, camera.objects)
        self.names = own.names

    @property
    def requests(self) -> int:
        """How many frames are looked at at the same time."""
        return len(self._detectors)

    @property
    def looks(self) -> dict[str, int]:
        """Pictures looked at as a whole, in parts, not at all; {} where all are whole."""
        return looks(self._detectors[0])

    def detect(self, frames: Iterable[Frame]) -> Iterator[DetectedFrame]:
        """Yield each frame with its detections, in the order of the frames.

        A frame with data missing has no detections. Raises what a detector raises; and what the
        frames raise, after all frames before that.
        """
        waiting: deque[Future[DetectedFrame]] = deque()
        failed: PerceptionError | None = None
        rest = enumerate(frames)
        with ThreadPoolExecutor(self.requests, thread_name_prefix="detect") as pool:
            while True:
                try:
                    n, frame = next(rest)
                except StopIteration:
                    break
                except PerceptionError as error:  # raised after the frames before it
                    failed = error
                    break
                done = None
                if len(waiting) == self.requests:
                    done = waiting.popleft().result()  # its detector is free from here on
                detector = self._detectors[n % self.requests]
                waiting.append(pool.submit(self._detect, detector, frame))
                if done is not None:
                    yield done
            while waiting:
                yield waiting.popleft().result()
        if failed is not None:
            raise failed

    def _detect(self, detector: Detector, frame: Frame) -> DetectedFrame:
        started_ns, found = clock.monotonic_ns(), Detections.none()
        if frame.damage != "direct":
            prepared = prepare(detector, frame.pixels, frame.t_media_ns)
            found = self._keep(detector.infer(prepared))
        return DetectedFrame(frame, found, started_ns, clock.monotonic_ns())
