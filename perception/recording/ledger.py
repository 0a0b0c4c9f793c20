"""Where the time of frames goes in a running line: the last seconds, by camera and step.

Made from the health messages of all processes; used by `perception top` and the client.
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
"""Steps of a frame in their order. Ages count from when it came out of the decoder.

sent: by the wall clock, of alerts raised in this run, counted once for each sink that took them.
"""
WINDOW_S = 5.0


class Step(NamedTuple):
    """A step's times in the window, ms. frames: how many; alerts for `alert` and `sent`."""

    name: str
    frames: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process now. cpu: cores used in the window. rss_bytes: its peak."""

    name: str
    pid: int
    state: str
    cpu: float
    rss_bytes: int
    note: str
    silent_s: float


class Ledger:
    """What a line's processes said in the last window_s seconds. `take` every health message."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_ns = clock.to_ns(window_s)
        self._said: dict[str, deque[tuple[int, HealthMessage]]] = {}

    def take(self, message: HealthMessage) -> None:
        """Take a health message of any process."""
        now = clock.monotonic_ns()
        said = self._said.setdefault(message.process, deque())
        if said and said[-1][1].epoch != message.epoch:
            said.clear()
        said.append((now, message))
        while len(said) > 2 and now - said[1][0] > self._window_ns:
            said.popleft()

    def steps(self, camera: str) -> list[Step]:
        """Return the steps of a camera's frames that had any, in their order."""
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
        """Return counts a second of a counter, as `read.front`."""
        total = 0.0
        for said in self._said.values():
            (_, first), (_, last) = said[0], said[-1]
            seconds = clock.seconds(last.t_monotonic_ns - first.t_monotonic_ns)
            if seconds > 0:
                count = last.counters.get(counter, 0) - first.counters.get(counter, 0)
                total += count / seconds
        return max(0.0, total)

    def counted(self, prefix: str) -> dict[str, int]:
        """Return all counters that begin with a prefix, by what follows it, since their start."""
        found: dict[str, int] = {}
        for said in self._said.values():
            for name, count in said[-1][1].counters.items():
                if name.startswith(prefix) and count:
                    key = name.removeprefix(prefix)
                    found[key] = found.get(key, 0) + count
        return found

    def processes(self) -> list[ProcessState]:
        """Return the processes that have said anything, by name."""
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
    """Return the bins of a latency that were counted in the window."""
    before = said[0][1].latencies.get(name, {}) if len(said) > 1 else {}
    bins = said[-1][1].latencies.get(name, {})
    counts = {at: n - before.get(at, 0) for at, n in bins.items()}
    return {at: n for at, n in counts.items() if n > 0}
