"""`perception top` and the client's ledger on a real line; a budget that is broken is told."""

import json
import time

import perception
from tests.line import INSIDE, perception_says, running, synthetic, wait_until


def test_top_shows_steps_rates_and_processes(home) -> None:
    cameras = {"front": {**synthetic(), **INSIDE, "budget_ms": 0.5}}
    launch = {"cameras": cameras, "alerts": {"sinks": {"jsonl": {}}}}
    with running(home, launch) as line:
        line.wait_ready()
        said = perception_says("top", line.name, "--once")
        assert said.returncode == 0, said.stderr
        for words in ("age when tracked", "read 1", "tracking", "ready", "older than the budget"):
            assert words in said.stdout, said.stdout
        told = json.loads(perception_says("top", "--json", "--once").stdout)
        front = told["cameras"]["front"]
        assert 8 < front["rates"]["tracked"] < 16
        steps = front["steps"]
        ages = {"camera", "wait", "inference", "detection", "tracker", "tracking", "rules"}
        assert set(steps) >= ages
        assert steps["camera"]["p50_ms"] <= steps["wait"]["p50_ms"] * 1.03
        assert steps["detection"]["p50_ms"] <= steps["tracking"]["p50_ms"] * 1.03
        assert steps["tracking"]["p50_ms"] <= steps["rules"]["p50_ms"] * 1.03
        assert steps["rules"]["p50_ms"] <= steps["rules"]["p95_ms"] <= steps["rules"]["p99_ms"]
        assert front["over_budget"] > 10
        ledger = next(perception.connect(line.name).ledger())
        assert ledger.processes()
        late = wait_until(
            lambda: [a for a in line.alerts() if a["kind"] == "late"], 10, "an alert: late"
        )
        assert "older than 0.5 ms" in late[0]["details"]["reason"]
        assert line.stop() == 0


def test_the_ledger_follows_an_alert_to_its_sinks(home) -> None:
    line_rule = {
        "lines": {"middle": [[0.5, 0], [0.5, 1]]},
        "rules": {"cross": {"type": "line", "line": "middle"}},
    }
    launch = {
        "cameras": {"front": {**synthetic(), **line_rule}},
        "alerts": {"sinks": {"jsonl": {}}},
    }
    with running(home, launch) as line:
        line.wait_ready()
        deadline = time.monotonic() + 30
        for ledger in perception.connect(line.name).ledger(window_s=20.0):
            steps = {step.name: step for step in ledger.steps("front")}
            if "sent" in steps or time.monotonic() > deadline:
                break
        assert steps["alert"].frames >= 1
        assert steps["sent"].frames >= 1
        assert steps["alert"].p50_ms < steps["sent"].p50_ms + 5, "sent is by the wall clock"
        assert steps["sent"].p99_ms < 5_000
        assert line.stop() == 0


def test_top_names_what_is_alive(home) -> None:
    said = perception_says("top")
    assert said.returncode == 2
    assert "alive now: none" in said.stderr
