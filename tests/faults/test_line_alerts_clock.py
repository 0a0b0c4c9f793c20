"""The wall clock of a running line is moved by an hour, forward and back: nothing notices.

Every process of the line runs with a library that answers for the wall clock and leaves the
monotonic clock alone. Debian's libfaketime 0.9.10 cannot: told to leave it alone, it refuses every
sleep of Python.
"""

import contextlib
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from perception.clock import NS_PER_S, wall_ns
from tests.crowd import CAMERA, Crowd, Stored, name_of
from tests.line import SLOW, running, wait_until
from tests.receivers import Hook

HOUR_S = 3600
VISIT = {"visitor": {"type": "visit", "zone": "yard", "enter_s": 0.1, "away_s": 0.2}}
DOOR: dict[str, Any] = {**CAMERA, "rules": {**CAMERA["rules"], **VISIT}}
SOURCE = Path(__file__).with_name("moved_clock.c")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The library, compiled."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc): nothing can answer for the wall clock")
    made = tmp_path / "moved_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE], check=True)
    return made


@pytest.mark.timeout(120)
@pytest.mark.fault("F18")
def test_the_wall_clock_is_moved_by_an_hour_forward_and_back(home: Path, library: Path) -> None:
    offset = home / "offset"
    offset.write_bytes(struct.pack("l", 0))

    def move(seconds: int) -> None:
        with offset.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    env = {"LD_PRELOAD": str(library), "MOVED_CLOCK": str(offset)}
    with Hook() as hook:
        sinks = {"jsonl": {}, "hook": {"type": "webhook", "url": hook.url}}
        launch = {"cameras": {"door": DOOR}, "alerts": {"sinks": sinks}}
        with running(home, launch, **env) as line, contextlib.ExitStack() as stack:
            line.wait_ready()
            crowd = stack.enter_context(contextlib.closing(Crowd(line, cars=2)))

            def arrived(sinks: int = 2) -> bool:
                kept = Stored(line.folder / "alerts.sqlite")
                rules = [alert["rule"] for alert in kept.alerts]
                counts = tuple(map(rules.count, ("crossed", "inside", "visitor")))
                waiting = {row[0] for row in kept.undelivered()}
                return counts == (crowd.crossings, crowd.visits, crowd.visits) and (
                    not waiting or (sinks == 1 and waiting == {"hook"})
                )

            for seconds in (HOUR_S, -HOUR_S, 0):
                crowd.drive()
                wait_until(arrived, 5 * SLOW, "all so far arrives")
                hook.mood, asked = "answers 500", hook.asked
                crowd.drive()
                crowd.drive()  # the clock moves while somebody is there, and the hook is down
                wait_until(lambda n=asked: hook.asked > n + 2, 5 * SLOW, "it is tried")
                move(seconds)
                crowd.drive()
                wait_until(lambda: arrived(1), 5 * SLOW, "the other sink does not wait")
                hook.mood = "well"
                wait_until(arrived, 10 * SLOW, "nor does delivery stop")
            line.wait_back("alert", line.kill("alert"))
            crowd.drive()
            move(HOUR_S)
            crowd.drive()
            wait_until(arrived, 5 * SLOW, "and on, after a restart")
            now_ns = wall_ns()
            crowd.close()
            assert line.stop() == 0
    kept = Stored(line.folder / "alerts.sqlite")
    off_h = {round((alert["t_wall_ns"] - now_ns) / NS_PER_S / HOUR_S) for alert in kept.alerts}
    assert off_h == {-1, 0, 1}, "the clock really was moved"
    for rule in ("inside", "visitor"):
        assert {alert["state"] for alert in kept.of(rule)} == {"cleared"}
        assert {alert["details"].get("tracks", 1) for alert in kept.of(rule)} == {1}
    assert {name_of(alert) for alert in line.alerts()} == set(kept.due("jsonl"))
    assert set(hook.taken) == set(kept.due("hook"))
    restarts = {name: p["restarts"] for name, p in line.summary()["processes"].items()}
    assert restarts.pop("alert") == 1, "by the test"
    assert set(restarts.values()) == {0}
