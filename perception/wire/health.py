"""What a process says of itself."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from perception.wire.fields import Dotted, Finite, Name, Natural


@dataclass(slots=True, eq=False, kw_only=True)
class HealthMessage:
    """What a process says of itself. turns: turns of its work loop, which the supervisor watches.

    counters only rise within one epoch. latencies: sparse histograms of metrics.Histogram.
    """

    process: Name
    pid: Natural
    epoch: Natural
    state: Literal["starting", "ready", "stopping"]
    turns: Natural
    t_monotonic_ns: Natural
    note: Annotated[str, msgspec.Meta(max_length=500)]
    cpu_s: Finite
    rss_bytes: Natural
    counters: Annotated[dict[Dotted, Natural], msgspec.Meta(max_length=1000)]
    gauges: Annotated[dict[Dotted, Finite], msgspec.Meta(max_length=1000)]
    latencies: Annotated[dict[Dotted, dict[int, Natural]], msgspec.Meta(max_length=200)]
