"""Trigger to user code: how old an alert is when a client of the line gets it.

A 720p clip at 30 frames/s, yolo11n, one detection thread; a client in a process of its own reads
`perception.connect(...).alerts()`. Age: since the frame that raised it came out of the decoder, by
the wall clock of this host. Wanted: p95 at most the detector's p95 and 25 ms.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import harness, lines
from benchmarks.harness import percentile
from benchmarks.lines import clip_720p, detector

SECONDS, WARM_S, SLACK_MS = 60.0, 5.0, 25.0
CLIENT = """
import sys, perception
from perception import clock
for alert in perception.connect("bench", timeout_s=30).alerts():
    if alert.state == "raised":
        print((clock.wall_ns() - alert.t_wall_ns) / 1e6, flush=True)
"""


def launch() -> dict[str, object]:
    """Return a line whose cars raise many alerts: each that is seen, and each that crosses."""
    return {
        "cameras": {
            "ahead": {
                "source": {"type": "video", "path": str(clip_720p()), "loop": True},
                "zones": {
                    "left": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]],
                    "right": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]],
                },
                "lines": {"middle": [[0, 0.6], [1, 0.6]]},
                "rules": {
                    "left": {"type": "zone", "zone": "left", "enter_s": 0},
                    "right": {"type": "zone", "zone": "right", "enter_s": 0},
                    "crossed": {"type": "line", "line": "middle"},
                },
            }
        },
        "detectors": {"default": detector()},
        "threads": {"detection": 1},
    }


def main() -> None:
    """Measure and compare."""
    asked = harness.options("alert_age", __doc__)
    with harness.report("alert_age", asked.out) as made:
        client = [sys.executable, "-c", CLIENT]
        with subprocess.Popen(client, stdout=subprocess.PIPE, text=True) as listening:
            watched = lines.watch(launch(), WARM_S + (15.0 if asked.short else SECONDS))
            said, _ = listening.communicate(timeout=30)
        ages = [float(line) for line in said.split()]
        network = watched.times("detection-default", "inference.ahead", WARM_S)
        waited = watched.times("detection-default", "wait.ahead", WARM_S)
        limit = network.percentile(95) + SLACK_MS
        made.add("alerts", "", float(len(ages)))
        made.add("detector, p95", "ms", network.percentile(95))
        made.add("wait for the detector, p95", "ms", waited.percentile(95))
        made.add(
            "age of an alert at the client, p95",
            "ms",
            percentile(ages, 95),
            target=f"at most {limit:.1f} (detector + {SLACK_MS:g})",
            met=lambda age: age <= limit,
            of="ours",
        )
        made.add("age of an alert at the client, p50", "ms", percentile(ages, 50))


if __name__ == "__main__":
    main()
