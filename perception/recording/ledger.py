"""Latency of a running line in the last seconds, by camera and step.

Computed from the health messages of all processes. Used by `perception top` and the client.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from perception import clock
from perception.metrics import Histogram
from perception.wire import HealthMessage

STEPS = {
    "decoder": "decoder, since the packet had come",
    "camera": "age in shared memory",
    "wait": "waits for detection",
    "inference": "network",
    "detection": "age when detected",
    "tracker": "tracker",
    "tracking": "age when tracked",
    "rules": "age after the rules",
    "alert": "age of an alert",
    "sent": "age of an alert at the sinks",
}
"""Steps of a frame in order, with their titles. An age is the time since the decoder returned it.

sent: wall time, of alerts raised in this run, counted once for each sink that delivered them.
"""
WINDOW_S = 5.0


class Step(NamedTuple):
    """Percentiles of a step in the window, ms. frames: their number; `alert`, `sent`: alerts."""

    name: str
    frames: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process now. cpu: cores used in the window. rss_bytes: peak. silent_s: s since its last
    health message."""

    name: str
    pid: int
    state: str
    cpu: float
    rss_bytes: int
    note: str
    silent_s: float


class Ledger:
    """The health messages of the last window_s seconds. Call `take` with every message."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_ns = clock.to_ns(window_s)
        self._said: dict[str, deque[tuple[int, HealthMessage]]] = {}

    def take(self, message: HealthMessage) -> None:
        """Add a health message of any process."""
        now = clock.monotonic_ns()
        said = self._said.setdefault(message.process, deque())
        if said and said[-1][1].epoch != message.epoch:
            said.clear()
        said.append((now, message))
        while len(said) > 2 and now - said[1][0] > self._window_ns:
            said.popleft()

    def steps(self, camera: str) -> list[Step]:
        """Return the steps of a camera that had frames in the window, in order."""
        found: list[Step] = []
        for name in STEPS:
            whole = Histogram()
            for said in self._said.values():
                whole.merge(_since(said, f"{name}.{camera}"))
            if whole.count:
                p50, p95, p99 = (whole.percentile(p) for p in (50, 95, 99))
                found.append(Step(name, whole.count, p50, p95, p99))
        return found

    def rate(self, counter: str) -> float:
        """Return the rate of a counter in the window, 1/s. counter: its name, as `read.front`."""
        total = 0.0
        for said in self._said.values():
            (_, first), (_, last) = said[0], said[-1]
            seconds = clock.seconds(last.t_monotonic_ns - first.t_monotonic_ns)
            if seconds > 0:
                count = last.counters.get(counter, 0) - first.counters.get(counter, 0)
                total += count / seconds
        return max(0.0, total)

    def counted(self, prefix: str) -> dict[str, int]:
        """Return the counters with a prefix, without it, since the start of their processes."""
        found: dict[str, int] = {}
        for said in self._said.values():
            for name, count in said[-1][1].counters.items():
                if name.startswith(prefix) and count:
                    key = name.removeprefix(prefix)
                    found[key] = found.get(key, 0) + count
        return found

    def processes(self) -> list[ProcessState]:
        """Return the processes that have sent a health message, sorted by name."""
        now = clock.monotonic_ns()
        found: list[ProcessState] = []
        for name, said in sorted(self._said.items()):
            (_, first), (heard_ns, last) = said[0], said[-1]
            seconds = clock.seconds(last.t_monotonic_ns - first.t_monotonic_ns)
            cpu = (last.cpu_s - first.cpu_s) / seconds if seconds > 0 else math.nan
            silent_s = clock.seconds(now - heard_ns)
            found.append(
                ProcessState(name, last.pid, last.state, cpu, last.rss_bytes, last.note, silent_s)
            )
        return found


def _since(said: deque[tuple[int, HealthMessage]], name: str) -> dict[int, int]:
    """Return the counts of a latency histogram in the window, by bin."""
    before = said[0][1].latencies.get(name, {}) if len(said) > 1 else {}
    bins = said[-1][1].latencies.get(name, {})
    counts = {at: n - before.get(at, 0) for at, n in bins.items()}
    return {at: n for at, n in counts.items() if n > 0}
