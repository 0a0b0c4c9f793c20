"""Delivery in the alert process: one thread per sink, so that no sink waits for another."""

import threading
from collections.abc import Mapping, Sequence

from perception import clock
from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore
from perception.alerts.watch import RULE
from perception.errors import SinkError
from perception.processes.runtime import Runtime
from perception.rules import rule_class
from perception.sinks import Announces, Remembers, Sink

DELIVER_S = 0.2
CLOSE_S = 2.0


class Post:
    """Delivers the outbox of the store, one thread per sink."""

    def __init__(self, runtime: Runtime, store: AlertStore, sinks: Mapping[str, Sink]) -> None:
        self._runtime, self._end, self._lock = runtime, threading.Event(), threading.Lock()
        self._wakes = [threading.Event() for _ in sinks]
        for name, sink in sinks.items():
            if isinstance(sink, Remembers):
                told = store.outbox.told(name)
                sink.restore([alert for alert in told if alert.camera in runtime.process.cameras])
        self._announcing = [sink for sink in sinks.values() if isinstance(sink, Announces)]
        for sink in self._announcing:
            sink.announce(_rules(runtime))
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

    def connected(self, camera: str, is_connected: bool) -> None:
        """Tell the sinks that want to know whether frames of a camera come."""
        for sink in self._announcing:
            sink.connected(camera, is_connected)

    def wake(self) -> None:
        """Start a delivery now instead of at the next interval."""
        for wake in self._wakes:
            wake.set()

    def close(self) -> None:
        """Deliver what is due, then end. A thread that hangs is abandoned after CLOSE_S."""
        self._end.set()
        self.wake()
        deadline = clock.monotonic_ns() + clock.to_ns(CLOSE_S)
        for thread in self._threads:
            thread.join(timeout=max(0.0, clock.seconds(deadline - clock.monotonic_ns())))

    def _work(self, courier: Courier, wake: threading.Event) -> None:
        failing: dict[str, str] = {}
        unwritten = False
        while True:
            last = self._end.is_set()
            wake.wait(0 if last else DELIVER_S)
            wake.clear()
            try:
                courier.deliver(clock.monotonic_ns())
                if unwritten:
                    self._runtime.note("")
                unwritten = False
            except SinkError as error:
                self._runtime.metrics.count("sink_errors.store")
                self._runtime.note(f"store: {error}")
                if not unwritten:
                    self._runtime.log.error("store", reason=str(error))
                unwritten = True
            with self._lock:
                for camera, age_ns in courier.ages:
                    self._runtime.metrics.latency(f"sent.{camera}", age_ns)
            courier.ages.clear()
            for name, count in courier.counters.items():
                self._runtime.metrics.counters[name] = count
            for sink, why in courier.errors.items():
                if failing.get(sink) != why:
                    self._runtime.log.warning("delivery failed", sink=sink, reason=why)
            failing = dict(courier.errors)
            if last:
                return


SILENT_NS = 8 * clock.NS_PER_S
"""A camera that gives no frames for so long is not connected."""


class Connectivity:
    """Tells a Post whether frames of each camera come, when that changes."""

    def __init__(self, post: Post, cameras: Sequence[str]) -> None:
        self._post = post
        self._heard_ns = dict.fromkeys(cameras, clock.monotonic_ns())
        self._is_connected: dict[str, bool] = {}

    def heard(self, camera: str) -> None:
        """Note that a frame of a camera has come."""
        self._heard_ns[camera] = clock.monotonic_ns()
        if not self._is_connected.get(camera, False):
            self._tell(camera, True)

    def turn(self) -> None:
        """Tell which cameras have been silent for too long."""
        oldest_ns = clock.monotonic_ns() - SILENT_NS
        for camera, heard_ns in self._heard_ns.items():
            if heard_ns < oldest_ns and self._is_connected.get(camera, True):
                self._tell(camera, False)

    def _tell(self, camera: str, is_connected: bool) -> None:
        self._is_connected[camera] = is_connected
        self._post.connected(camera, is_connected)


def _rules(runtime: Runtime) -> dict[str, dict[str, str]]:
    """Return the kind of each rule by its name, by camera; RULE where the camera is watched."""
    found: dict[str, dict[str, str]] = {}
    for name in runtime.process.cameras:
        camera = runtime.plan.cameras[name]
        found[name] = {key: rule_class(stage.type).kind for key, stage in camera.rules.items()}
        if camera.watch is not None:
            found[name][RULE] = RULE
    return found
