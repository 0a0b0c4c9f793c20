"""What a process counts and times, and how the whole run is shown to Prometheus.

A process holds one Metrics and sends its snapshot in every HealthMessage; the supervisor hands the
last HealthMessage of each process to `exposition`. Names are dotted: `what`, `what.camera` or
`what.camera.cause`, e.g. `detected.front`, `dropped.front.slot_overwritten`; latencies are
`stage.camera`. Imports wire, clock and errors.
"""

import errno
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from perception import clock
from perception.errors import ConfigError
from perception.wire import HealthMessage

FIRST_NS = 10_000
GROWTH = 1.05
BINS = math.ceil(math.log(1e7, GROWTH))
"""Bins of 5 % from 10 us to 100 s; bin b holds FIRST_NS * GROWTH**b to FIRST_NS * GROWTH**(b+1)."""

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STATES = ("starting", "ready", "stalled", "stopping", "failed")


class Histogram:
    """Counts of durations in log-spaced bins: any percentile within 2.5 %, merged by adding.

    Shorter than 10 us (and negative) counts in the first bin, longer than 100 s in the last.
    """

    __slots__ = ("bins", "count")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.count = 0

    @classmethod
    def from_sparse(cls, bins: Mapping[int, int]) -> Self:
        """Make a histogram of {bin: count}, the form that HealthMessage.latencies carries.

        Bins outside the range count in the nearest one.
        """
        histogram = cls()
        histogram.merge(bins)
        return histogram

    def add(self, ns: int) -> None:
        """Count one duration of `ns` nanoseconds."""
        at = int(math.log(ns / FIRST_NS) / _LOG_GROWTH) if ns > FIRST_NS else 0
        at = min(at, BINS - 1)
        self.bins[at] = self.bins.get(at, 0) + 1
        self.count += 1

    def merge(self, other: "Histogram | Mapping[int, int]") -> None:
        """Add the counts of another histogram, or of its sparse form."""
        for at, count in (other.bins if isinstance(other, Histogram) else other).items():
            inside = min(max(at, 0), BINS - 1)
            self.bins[inside] = self.bins.get(inside, 0) + count
            self.count += count

    def sparse(self) -> dict[int, int]:
        """Return {bin: count} of the bins that are not empty, by rising bin."""
        return dict(sorted(self.bins.copy().items()))

    def percentile(self, p: float) -> float:
        """Return the duration in ms that p % of the counted ones do not exceed; NaN for none.

        It is the geometric middle of the bin, so within 2.5 % of the truth.
        """
        if not self.count:
            return math.nan
        left = max(1, math.ceil(self.count * min(max(p, 0.0), 100.0) / 100))
        for at in sorted(self.bins):
            left -= self.bins[at]
            if left <= 0:
                return middle_ns(at) / clock.NS_PER_MS
        return math.nan


_LOG_GROWTH = math.log(GROWTH)


def middle_ns(at: int) -> float:
    """Return the geometric middle of bin `at` in ns."""
    return FIRST_NS * GROWTH ** (at + 0.5)


class Counters(dict[str, int]):
    """Counts by name; they only rise."""

    def count(self, name: str, n: int = 1) -> None:
        """Add n to `name`, which starts at 0."""
        self[name] = self.get(name, 0) + n


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of a Metrics: the three fields of HealthMessage that bear its names."""

    counters: dict[str, int]
    gauges: dict[str, float]
    latencies: dict[str, dict[int, int]]


@dataclass(slots=True)
class Metrics:
    """Counters, gauges and latencies of one process: one thread writes, any takes snapshots."""

    counters: Counters = field(default_factory=Counters)
    gauges: dict[str, float] = field(default_factory=dict[str, float])
    latencies: dict[str, Histogram] = field(default_factory=dict[str, Histogram])

    def count(self, name: str, n: int = 1) -> None:
        """Add n to the counter `name`."""
        self.counters.count(name, n)

    def gauge(self, name: str, value: float) -> None:
        """Set the gauge `name`; NaN and infinity are left out, as no message may carry them."""
        if math.isfinite(value):
            self.gauges[name] = value

    def latency(self, name: str, ns: int) -> None:
        """Count one duration of `ns` nanoseconds under `name`."""
        histogram = self.latencies.get(name)
        if histogram is None:
            histogram = self.latencies[name] = Histogram()
        histogram.add(ns)

    def add(self, other: "Metrics | HealthMessage") -> None:
        """Add the counts and durations of another, and take its gauges."""
        for name, count in other.counters.items():
            self.count(name, count)
        for name, times in other.latencies.items():
            self.latencies.setdefault(name, Histogram()).merge(times)
        self.gauges.update(other.gauges)

    def snapshot(self) -> Snapshot:
        """Return copies that later counting does not change."""
        return Snapshot(
            dict(self.counters),
            dict(self.gauges),
            {name: histogram.sparse() for name, histogram in list(self.latencies.items())},
        )


def split(name: str) -> tuple[str, str, str]:
    """Return (what, camera, cause) of a dotted name; `dropped.x` and `rejected.x` name a cause."""
    what, _, rest = name.partition(".")
    camera, _, cause = rest.rpartition(".")
    if not camera and what not in ("dropped", "rejected"):
        camera, cause = cause, ""
    return what, camera, cause


def exposition(
    health: Mapping[str, HealthMessage],
    restarts: Mapping[str, int] | None = None,
    states: Mapping[str, str] | None = None,
) -> Iterator[Metric]:
    """Yield the Prometheus families of a run, all prefixed `perception_`, none empty.

    health: the last message of each process, by process name. restarts: how often each was
    started again. states: what the supervisor holds each to be (STATES), else its own word.
    Labels: process; camera and cause where the dotted name has them.
    """
    families: dict[str, Any] = {}

    def family(kind: Any, name: str, text: str, *labels: str) -> Any:
        key = f"perception_{_metric_name(name)}"
        if key not in families:
            families[key] = kind(key, text, labels=labels)
        return families[key]

    for process, said in health.items():
        for name, value in said.counters.items():
            what, *labels = split(name)
            counter = family(
                CounterMetricFamily, what, f"{what}, counted", "process", "camera", "cause"
            )
            counter.add_metric([process, *labels], value)
        for name, value in said.gauges.items():
            what, *labels = split(name)
            gauge = family(
                GaugeMetricFamily, f"{what}_now", f"{what}, now", "process", "camera", "cause"
            )
            gauge.add_metric([process, *labels], value)
        for name, bins in said.latencies.items():
            stage, *labels = split(name)
            times = family(
                HistogramMetricFamily,
                "latency_seconds",
                "Seconds each step took, or age of the frame at that step",
                *("process", "stage", "camera", "cause"),
            )
            buckets, total = _buckets(bins)
            times.add_metric([process, stage, *labels], buckets, sum_value=total)
        cpu = family(CounterMetricFamily, "cpu_seconds", "CPU seconds used", "process")
        cpu.add_metric([process], said.cpu_s)
        memory = family(GaugeMetricFamily, "memory_bytes", "Largest resident memory", "process")
        memory.add_metric([process], said.rss_bytes)
    for process, times in (restarts or {}).items():
        family(CounterMetricFamily, "restarts", "Starts after the first", "process").add_metric(
            [process], times
        )
    now = {name: said.state for name, said in health.items()} | dict(states or {})
    for process, state in now.items():
        one = family(GaugeMetricFamily, "state", "1 for the state it is in", "process", "state")
        for other in dict.fromkeys((*STATES, state)):
            one.add_metric([process, other], float(other == state))
    yield from families.values()


def _metric_name(what: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", what)


def _buckets(bins: Mapping[int, int]) -> tuple[list[tuple[str, float]], float]:
    """Return cumulative Prometheus buckets of a sparse histogram, and its sum in seconds."""
    counted = [(middle_ns(at) / clock.NS_PER_S, count) for at, count in bins.items()]
    below = [
        (repr(limit), float(sum(count for t_s, count in counted if t_s <= limit)))
        for limit in BUCKETS_S
    ]
    return (
        [*below, ("+Inf", float(sum(count for _, count in counted)))],
        sum(t_s * count for t_s, count in counted),
    )


class _RunCollector(Collector):
    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        return self._read()


class MetricsServer:
    """Prometheus text on http://127.0.0.1:<port>/metrics, until closed; never beyond loopback."""

    def __init__(self, port: int, read: Callable[[], Iterable[Metric]]) -> None:
        """port: 0 for any free one. read: called in the server's thread at each scrape.

        Raises ConfigError where the port is taken or not allowed.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_RunCollector(read))
        try:
            self._server, self._thread = start_http_server(port, "127.0.0.1", registry)
        except (OSError, OverflowError) as error:
            raise ConfigError(_why_not(port, error), key="metrics.port") from None
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def serve(port: int, read: Callable[[], Iterable[Metric]]) -> MetricsServer:
    """Serve what `read` returns (see exposition) on 127.0.0.1:port; close() ends it.

    Raises ConfigError where the port is taken or not allowed.
    """
    return MetricsServer(port, read)


def _why_not(port: int, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of 127.0.0.1 is taken by another program: choose another, "
            "or 0 for any free one"
        )
    return f"cannot listen on port {port} of 127.0.0.1: {error}; choose 0 or 1024 to 65535"
