"""One detection process serves 1 to 8 cameras of 5 fps, bf16: CPU and memory of each further
camera, and whether each gets its share.
"""

from __future__ import annotations

from benchmarks import harness
from benchmarks.harness import Report
from benchmarks.lines import Watched, clip_720p, detector, watch

COUNTS = (1, 2, 4, 8)
FPS = 5.0
WARM_S = 3.0


def run(cameras: int, precision: str, seconds: float) -> Watched:
    """Run a line of so many cameras, each the clip from another place at 5 fps."""
    source = {"type": "video", "path": str(clip_720p()), "loop": True, "fps": FPS}
    launch = {
        "cameras": {f"c{n}": {"source": {**source, "start_s": 1.2 * n}} for n in range(cameras)},
        "detectors": {"default": detector(precision)},
    }
    return watch(launch, seconds, memory=True)


def pss(watched: Watched) -> float:
    """Return MB that all processes hold at the end, shared pages shared out, frames left out."""
    return sum(samples[-1].pss for samples in watched.samples.values()) / 1e6


def main() -> None:
    """Measure."""
    asked = harness.options("cameras", __doc__, seconds=(float, 15.0, "seconds of each run"))
    seconds = 8.0 if asked.short else asked.seconds
    with harness.report("cameras", asked.out) as report:
        measure(report, seconds)


def measure(report: Report, seconds: float) -> None:
    """Add all rows."""
    runs = {n: run(n, "bf16", seconds) for n in COUNTS}
    rates = {
        n: [watched.rate("tracking", f"tracked.c{c}", WARM_S) for c in range(n)]
        for n, watched in runs.items()
    }
    cpu = {n: watched.cpu_share(WARM_S) / n * 100 for n, watched in runs.items()}
    for n in COUNTS:
        offered = runs[n].rate("camera-c0", "read.c0", WARM_S)
        report.add(
            f"{n} cameras: CPU of a camera", "% of a core", cpu[n], "itself at 1", cpu[1],
            target="at most 1.15 of it" if n == COUNTS[-1] else "",
            met=(lambda r: 1 / r <= 1.15) if n == COUNTS[-1] else None,
            note=f"{cpu[n] / cpu[1]:.2f} of it; {sum(rates[n]) / n:.2f} of {offered:.2f}/s tracked",
        )  # fmt: skip
    last = COUNTS[-1]
    more = (pss(runs[last]) - pss(runs[1])) / (last - 1)
    report.add(
        "each further camera: PSS without its ring", "MB", more, target="at most 120",
        met=lambda v: v <= 120, of="ours", note=f"{pss(runs[1]):.0f} with 1, "
        f"{pss(runs[last]):.0f} with {last}",
    )  # fmt: skip
    fair = min(rates[last]) / (sum(rates[last]) / last)
    report.add(
        f"{last} cameras: the worst one's share of the mean", "", fair, target="at least 0.8",
        met=lambda v: v >= 0.8, of="ours",
    )  # fmt: skip
    over = 30.0
    source = {"type": "video", "path": str(clip_720p()), "loop": True, "fps": over}
    crowd = watch(
        {
            "cameras": {f"c{n}": {"source": dict(source)} for n in range(4)},
            "detectors": {"default": detector("bf16")},
        },
        seconds,
    )
    got = [crowd.rate("detection-default", f"detected.c{n}", WARM_S) for n in range(4)]
    report.add(
        "4 cameras of 30 fps, more than it can do: the worst one's share", "",
        min(got) / (sum(got) / 4), target="at least 0.8", met=lambda v: v >= 0.8, of="ours",
        note=f"{sum(got):.1f} detected/s together",
    )  # fmt: skip


if __name__ == "__main__":
    main()
