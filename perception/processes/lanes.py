"""The lanes process: newest frame of each of its cameras -> the lane lines in it.

It runs beside detection and does not delay it. Frames that a newer one replaced are skipped.
"""

from perception import clock
from perception.errors import RingError, SlotOverwritten
from perception.launchfile.build import make_analysers
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.transport.bus import Inbox, Publisher
from perception.transport.ring import RingReader
from perception.wire import FrameMessage, LaneMessage, make_id


def run(runtime: Runtime) -> None:
    """Process frames until the run stops, then those that were sent before that."""
    names = runtime.process.cameras
    inbox = Inbox(runtime.run_dir, "frames", names, newest=True)
    lines = {name: _Line(runtime, name) for name in names}
    runtime.count_rejected(inbox.rejected)
    runtime.ready()  # cameras begin when all others are ready, and wait for us
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in inbox.poll(IDLE_MS):
                runtime.turn()
                lines[message.stamp.camera].take(message)
        for message in drain(inbox):
            runtime.turn()
            lines[message.stamp.camera].take(message)
    finally:
        inbox.close()
        for line in lines.values():
            line.close()


class _Line:
    """One camera's analysers."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime, self._name = runtime, name
        self._reader = RingReader()
        self._looks = [
            (one, Publisher(runtime.run_dir, one.topic, name))
            for one in make_analysers(runtime.plan.cameras[name])
        ]
        self._last_id = -1
        self._sent = 0

    def take(self, message: FrameMessage) -> None:
        """Process a frame and send its message, also if it has no lines."""
        metrics, name, taken_ns = self._runtime.metrics, self._name, clock.monotonic_ns()
        if message.stamp.frame_id <= self._last_id or message.damage == "direct":
            return
        self._last_id = message.stamp.frame_id
        frame = (message.ring, message.slot, message.generation)
        try:
            pixels = self._reader.pixels(*frame, message.height, message.width, message.coding)
            prepared = [one.prepare(pixels) for one, _ in self._looks]
            self._reader.check(*frame)
        except SlotOverwritten:
            metrics.count(f"dropped.{name}.overwritten_lanes")
            return
        except RingError as error:
            self._runtime.log.warning("frame refused", camera=name, reason=str(error))
            metrics.count(f"dropped.{name}.refused_lanes")
            return
        for (one, publisher), given in zip(self._looks, prepared, strict=True):
            said = one.analyse(given, message.stamp)
            if isinstance(said, LaneMessage):
                said.t_taken_ns, said.t_done_ns = taken_ns, clock.monotonic_ns()
                said.message_id = make_id(self._runtime.epoch, self._sent)
            self._sent += 1
            publisher.send(said)
            metrics.count(f"{one.topic}.{name}")
            metrics.latency(f"{one.topic}.{name}", clock.monotonic_ns() - taken_ns)

    def close(self) -> None:
        """Stop sending."""
        for _, publisher in self._looks:
            publisher.close()
