"""Delivery in the alert process: one thread per sink, so that no sink waits for another."""

import threading
from collections.abc import Mapping

from perception import clock
from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore
from perception.errors import SinkError
from perception.processes.runtime import Runtime
from perception.sinks import Remembers, Sink

DELIVER_S = 0.2
CLOSE_S = 2.0


class Post:
    """Delivers the outbox of the store, one thread per sink."""

    def __init__(self, runtime: Runtime, store: AlertStore, sinks: Mapping[str, Sink]) -> None:
        self._runtime, self._end = runtime, threading.Event()
        self._wakes = [threading.Event() for _ in sinks]
        for name, sink in sinks.items():
            if isinstance(sink, Remembers):
                told = store.outbox.told(name)
                sink.restore([alert for alert in told if alert.camera in runtime.process.cameras])
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
            for name, count in courier.counters.items():
                self._runtime.metrics.counters[name] = count
            for sink, why in courier.errors.items():
                if failing.get(sink) != why:
                    self._runtime.log.warning("delivery failed", sink=sink, reason=why)
            failing = dict(courier.errors)
            if last:
                return
