"""kill -9 of the alert process of a running line, again and again: every alert, by its one key."""

import itertools
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crowd import CAMERA, Crowd, Stored, name_of
from tests.line import ROOT, SLOW, START_S, RunningLine, environment, running, wait_until
from tests.receivers import Hook

KILLS, CARS, PASSES = 20, 8, 50
ALERTS = CARS * PASSES + CARS * PASSES // 2
EARLY = 5
"""Kills while it starts, takes its state back and catches up; the others while it works."""


def drive(crowd: Crowd, may: threading.Semaphore) -> None:
    """Cross the line with each permit."""
    for _ in range(PASSES):
        assert may.acquire(timeout=30 * SLOW)
        crowd.drive(frame_s=0.03)


def start(line: RunningLine) -> subprocess.Popen[bytes]:
    """Start the alert process by hand: the supervisor gives up after five restarts a minute."""
    place = ["-m", "perception.processes", "alert", str(line.run_dir), "1", "0"]
    return subprocess.Popen([sys.executable, *place], cwd=ROOT, env=environment())


@pytest.mark.timeout(240)
@pytest.mark.fault("F04")
def test_kill_9_at_20_random_moments_while_600_alerts_are_raised(home: Path) -> None:
    chance = random.Random(5)
    early = set(chance.sample(range(1, KILLS), EARLY))
    may = threading.Semaphore(0)
    stored, detected = [0], [0]
    with Hook() as hook, ThreadPoolExecutor(1) as pool:
        sinks = {"jsonl": {}, "hook": {"type": "webhook", "url": hook.url}}
        launch = {"cameras": {"door": CAMERA}, "alerts": {"sinks": sinks}}
        with running(home, launch, "--without", "alert") as line:
            line.wait_begun()
            alert = start(line)
            line.wait_ready()
            crowd = Crowd(line, cars=CARS)
            driving = pool.submit(drive, crowd, may)
            with line.health("alert", "detection-default") as listen:
                for n in range(KILLS):
                    may.release(2 + n % 2)
                    if n in early:
                        time.sleep(chance.uniform(0.3, 1.0))  # the moment is the experiment
                    else:
                        listen(START_S, lambda m, p=alert.pid: m.pid == p and m.state == "ready")
                        time.sleep(chance.uniform(0.0, 0.5))
                    alert.send_signal(signal.SIGKILL)
                    alert.wait(10)
                    stored.append(len(Stored(line.folder / "alerts.sqlite").alerts))
                    alert = start(line)
                    now = time.monotonic_ns()
                    detected.append(
                        listen(
                            5 * SLOW,
                            lambda m, t=now: (
                                m.process == "detection-default" and m.t_monotonic_ns > t
                            ),
                        ).counters["detected.door"]
                    )
            driving.result(60 * SLOW)

            def all_delivered() -> bool:
                kept = Stored(line.folder / "alerts.sqlite")
                return len(kept.of("inside")) == crowd.visits and not kept.undelivered()

            wait_until(all_delivered, 20 * SLOW, "everything is delivered")
            crowd.close()
            assert line.stop() == 0
            assert alert.wait(10) == 0
    assert len(detected) == KILLS + 1
    assert all(a < b for a, b in itertools.pairwise(detected)), detected
    grown = [b > a for a, b in itertools.pairwise(stored)]
    assert sum(grown) >= KILLS // 2, f"the kills fell beside the work: {stored}"
    kept = Stored(line.folder / "alerts.sqlite")
    assert crowd.crossings == len(kept.of("crossed")) == CARS * PASSES
    assert crowd.visits == len(kept.of("inside"))
    assert len(kept.alerts) == len(kept.keys) == ALERTS == 600
    counts = Counter(alert["details"]["direction"] for alert in kept.of("crossed"))
    assert counts == {"in": ALERTS // 3, "out": ALERTS // 3}
    assert {alert["state"] for alert in kept.of("inside")} == {"cleared"}
    assert list(line.folder.glob("alerts.sqlite.*")) == [], "nothing was found corrupt"
    lines = line.alerts()
    assert {name_of(alert) for alert in lines} == set(kept.due("jsonl"))
    said = {name_of(alert): alert for alert in lines}
    assert all(alert == said[name_of(alert)] for alert in lines), "a repeat is the very same alert"
    assert set(hook.taken) == set(kept.due("hook"))
