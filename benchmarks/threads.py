"""What wrong choices of threads cost on a busy line; measured once, not part of `make bench`.

The clip at 60 fps on the whole line, which has more to do than it can: as the plan lays it out
(network threads = cores - 1, every library pinned), with one thing changed at a time.
"""

from __future__ import annotations

from typing import Any

import perception.supervision.child
from benchmarks import harness
from benchmarks.harness import median
from benchmarks.lines import Watched, clip_720p, detector, watch

WARM_S = 2.0
PINNED = perception.supervision.child.thread_environment


def run(
    precision: str, runtime: str = "openvino", threads: int | None = None, *,
    pinned: bool = True, wait: str | None = None,
) -> Watched:  # fmt: skip
    """Run the line for 8 s. threads: of the network. wait: OpenMP's wait policy."""
    source = {"type": "video", "path": str(clip_720p()), "loop": True, "fps": 60.0}
    launch: dict[str, Any] = {
        "cameras": {"highway": {"source": source}},
        "detectors": {"default": detector(precision, runtime)},
    }
    if threads is not None:
        launch["threads"] = {"detection": threads}

    def environment(count: int) -> dict[str, str]:
        changed = PINNED(count) if pinned else {}
        return {**changed, **({"OMP_WAIT_POLICY": wait} if wait else {})}

    perception.supervision.child.thread_environment = environment
    try:
        return watch(launch, 8.0)
    finally:
        perception.supervision.child.thread_environment = PINNED


def main() -> None:
    """Measure."""
    asked = harness.options("threads", __doc__, rounds=(int, 3, "rounds"))
    variants: dict[str, dict[str, Any]] = {
        "OpenVINO bf16, as planned": {"precision": "bf16"},
        "OpenVINO bf16, libraries not pinned": {"precision": "bf16", "pinned": False},
        "OpenVINO bf16, 2 threads": {"precision": "bf16", "threads": 2},
        "OpenVINO f32, as planned": {"precision": "f32"},
        "OpenVINO f32, 2 threads": {"precision": "f32", "threads": 2},
        "ONNX Runtime f32, as planned": {"precision": "f32", "runtime": "onnxruntime"},
        "ONNX Runtime f32, 2 threads": {
            "precision": "f32", "runtime": "onnxruntime", "threads": 2,
        },
    }  # fmt: skip
    with harness.report("threads", asked.out) as report:
        found = harness.interleave(
            {name: lambda o=options: run(**o) for name, options in variants.items()},
            1 if asked.short else asked.rounds,
        )
        for name, runs in found.items():
            base = f"{name.partition(',')[0]}, as planned"
            rates, bases = (
                [w.rate("tracking", "tracked.highway", WARM_S) for w in ws]
                for ws in (runs, found[base])
            )
            cpu = median([w.cpu_share(WARM_S) / r * 1e3 for w, r in zip(runs, rates, strict=True)])
            ages = median(
                [w.times("tracking", "tracking.highway", WARM_S).percentile(95) for w in runs]
            )
            report.add(
                f"{name}: frames tracked a second", "", median(rates), base, median(bases),
                higher=True, note=f"CPU {cpu:.1f} ms a frame, p95 age at track {ages:.0f} ms",
            )  # fmt: skip


if __name__ == "__main__":
    main()
