"""Trigger to user code: how old an alert is when a client of the line gets it.

A 720p clip at 30 frames/s, yolo11n, one detection thread; a client in a process of its own reads
`perception.connect(...).alerts()`. Age: since the frame that raised it came out of the decoder, by
the wall clock of this host. Wanted: p95 at most the detector's p95 and 25 ms.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import harness, lines
from benchmarks.harness import Report, percentile
from benchmarks.lines import clip_720p, detector

SECONDS, WARM_S, SLACK_MS = 30.0, 5.0, 25.0
FRESH_MS = 20.0
"""As launch/vehicle.yaml has it."""
DETECTION = "detection-default"
CLIENT = """
import sys, perception
from perception import clock
for alert in perception.connect("bench", timeout_s=30).alerts():
    if alert.state == "raised":
        print((clock.wall_ns() - alert.t_wall_ns) / 1e6, flush=True)
"""


def launch(fresh_ms: float | None) -> dict[str, object]:
    """Return a line whose cars raise many alerts: each that is seen, and each that crosses."""
    return {
        "cameras": {
            "ahead": {
                "source": {"type": "video", "path": str(clip_720p()), "loop": True},
                "fresh_ms": fresh_ms,
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


def measure(made: Report, fresh_ms: float | None, seconds: float) -> None:
    """Run the line once and add its rows."""
    said = "every newest frame" if fresh_ms is None else f"fresh_ms {fresh_ms:g}"
    client = [sys.executable, "-c", CLIENT]
    with subprocess.Popen(client, stdout=subprocess.PIPE, text=True) as listening:
        watched = lines.watch(launch(fresh_ms), WARM_S + seconds)
        text, _ = listening.communicate(timeout=30)
    ages = [float(line) for line in text.split()]
    network = watched.times(DETECTION, "inference.ahead", WARM_S).percentile(95)
    waited = watched.times(DETECTION, "wait.ahead", WARM_S).percentile(95)
    limit = network + SLACK_MS
    made.add(f"{said}: alerts", "", float(len(ages)))
    made.add(f"{said}: detections", "a second", watched.rate(DETECTION, "detected.ahead", WARM_S))
    made.add(f"{said}: network, p95", "ms", network)
    made.add(f"{said}: wait for the network, p95", "ms", waited)
    made.add(f"{said}: age of an alert at the client, p50", "ms", percentile(ages, 50))
    made.add(
        f"{said}: age of an alert at the client, p95",
        "ms",
        percentile(ages, 95),
        target=f"at most {limit:.1f} (network + {SLACK_MS:g})",
        met=lambda age: age <= limit,
        of="ours",
    )


def main() -> None:
    """Measure with and without waiting for a fresh frame, in turns."""
    asked = harness.options("alert_age", __doc__)
    with harness.report("alert_age", asked.out) as made:
        for _ in range(1 if asked.short else 3):
            for fresh_ms in (None, FRESH_MS):
                measure(made, fresh_ms, 15.0 if asked.short else SECONDS)


if __name__ == "__main__":
    main()
