"""A line that runs for long: two cameras, one a stream that hangs up every 20 seconds, one a file
in a loop. Memory and open files of each process may not grow after the warm-up.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, Worker
from benchmarks.lines import Seen, clip_720p, detector, watch

CUT_S = 20.0


def slope(samples: Sequence[Seen]) -> float:
    """Return MB a minute that the resident set grows by, least squares."""
    minutes = np.array([s.t_ns for s in samples]) / 60e9
    return float(np.polyfit(minutes - minutes[0], [s.rss / 1e6 for s in samples], 1)[0])


def soak(report: Report, minutes: float) -> None:
    """Add the rows of each process."""
    warm_s = min(60.0, minutes * 60 / 3)
    with Worker("benchmarks.streams") as camera:
        port = camera.call("open", fps=15, frames=400, height=360, width=640, cut_s=CUT_S)
        launch = {
            "cameras": {
                "stream": {"source": f"tcp://127.0.0.1:{port}"},
                "file": {
                    "source": {
                        "type": "video", "path": str(clip_720p()), "loop": True, "fps": 10.0,
                    }
                },
            },
            "detectors": {"default": detector("f32", size=320)},
            "output": {"tracks": True},
        }  # fmt: skip
        watched = watch(launch, minutes * 60, memory=True, every_s=2.0)
    lost = watched.samples["camera-stream"][-1].counters.get("lost.stream", 0)
    report.add("reconnects in the run", "", lost, note=f"{minutes:g} min")
    for name, samples in watched.samples.items():
        late = [s for s in samples if s.t_ns - samples[0].t_ns > warm_s * 1e9 and s.rss]
        if len(late) < 5 or late[0].pid != late[-1].pid:
            report.add(f"{name}: restarted or too short", "", float(len(late)), of="ours")
            continue
        first, last = late[0], late[-1]
        third = max(1, len(late) // 3)
        files = max(s.files for s in late[-third:]) - max(s.files for s in late[:third])
        report.add(
            f"{name}: growth of memory", "MB/min", slope(late), target="under 1",
            met=lambda v: v < 1, of="ours",
            note=f"{first.rss / 1e6:.0f} to {last.rss / 1e6:.0f} MB",
        )  # fmt: skip
        report.add(
            f"{name}: growth of open files", "", files, target="0", met=lambda v: v <= 0,
            of="ours", note=f"{last.files} open",
        )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("soak", __doc__, minutes=(float, 20.0, "minutes"))
    with harness.report("soak", asked.out) as report:
        soak(report, 0.7 if asked.short else asked.minutes)


if __name__ == "__main__":
    main()
