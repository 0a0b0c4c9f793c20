"""`perception top` and the client's ledger on a real line; a budget that is broken is told."""

import json

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
        assert set(steps) >= {"wait", "inference", "detection", "tracker", "tracking", "rules"}
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


def test_top_names_what_is_alive(home) -> None:
    said = perception_says("top")
    assert said.returncode == 2
    assert "alive now: none" in said.stderr
