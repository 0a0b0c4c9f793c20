"""Replay of what a running line recorded: equal to the last bit, and a change is named."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from perception.analysis import replay
from perception.analysis.recorded import Part, parts
from perception.analysis.redetect import Redetector
from perception.footage.catalog import Catalog
from perception.wire import Detections
from tests.line import EXTENSION, INSIDE, perception_says, running, synthetic, wait_until
from tests.servers import rtsp_server


def replayed(root: Path, *more: str) -> dict[str, Any]:
    said = perception_says("replay", "door", "--folder", root, "--json", *more)
    assert said.returncode in (0, 1), said.stderr
    (result,) = [json.loads(line) for line in said.stdout.splitlines()]
    assert bool(result["first"]) == bool(said.returncode)
    return result


def one_score_more(part: Part, at: int) -> str:
    """Return the first difference where the detector finds one score 1e-6 higher in one frame."""
    infer, count = Redetector._found, [0]

    def more(self: Redetector, *given: Any) -> Detections:
        found, count[0] = infer(self, *given), count[0] + 1
        if count[0] >= at and len(found) and count[0] < 1 << 30:
            count[0] = 1 << 30
            found.scores[0] *= 1.00001
        return found

    Redetector._found = more
    try:
        return replay.replay(part, "detect").first
    finally:
        Redetector._found = infer


@pytest.mark.fault("F34")
@pytest.mark.timeout(240)
def test_c1_a_line_whose_processes_were_killed_replays_to_the_last_bit(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with rtsp_server() as server:
        camera = {"source": server.url, "record": {}, **INSIDE}
        with running(home, {"cameras": {"door": camera}}) as line:
            line.wait_ready()
            root = line.folder / "footage"
            wait_until(lambda: list(root.rglob("*.mp4.part")), 20, "a segment begins")
            time.sleep(2)
            for name in ("detection-default", "tracking", "alert", "camera-door"):
                line.wait_back(name, line.kill(name), 15)
                time.sleep(1.5)
            line.stop()
    results = [replayed(root, "--stage", "detect") for _ in range(2)]
    assert results[0] == results[1]
    stages = {stage["name"]: stage for stage in results[0]["stages"]}
    assert results[0]["first"] is None, results[0]
    assert stages["detections"]["compared"] > 100
    assert stages["tracks"]["compared"] > 0.7 * results[0]["frames"], stages
    assert stages["camera motion"]["compared"] > 50
    assert stages["alerts"]["compared"] >= 3
    monkeypatch.syspath_prepend(str(EXTENSION))
    catalog = Catalog(root, create=False)
    (part,) = parts(root, catalog.segments("door"))
    catalog.close()
    assert " door detection frame " in one_score_more(part, 60)
    assert one_score_more(part, 1 << 29) == ""


def test_what_another_rule_would_have_raised(home: Path) -> None:
    camera = {**synthetic(frames=100), **INSIDE, "record": {}}
    with running(home, {"cameras": {"door": camera}}) as line:
        line.wait_begun()
        assert line.process.wait(60) == 0, line.says
        root = line.folder / "footage"
    assert replayed(root)["first"] is None
    text = line.file.read_text()
    assert "type: zone" in text
    line.file.write_text(text.replace("type: zone", "type: dwell\n        seconds: 60"))
    said = perception_says("replay", "door", "--folder", root, "--launch", line.file)
    assert said.returncode == 0, said.stderr
    assert " gone" in said.stdout
    assert " same" not in said.stdout
    # Encoded for recording: its pictures are not those that were detected in, and that is said.
    (detected, *_) = replayed(root, "--stage", "detect")["stages"]
    assert detected["compared"] == 0
    assert any("encoded for recording" in why for why in detected["notes"])
    said = perception_says("replay", "gate", "--folder", root)
    assert said.returncode == 2
    assert "neither a recorded camera (door) nor one segment" in said.stderr


def test_a_reload_of_the_rules_replays(home: Path) -> None:
    corner = [[0.98, 0.0], [1.0, 0.0], [1.0, 0.02]]
    camera = {
        **synthetic(), "zones": {"porch": corner}, "record": {"clips": False},
        "rules": {"inside": {"type": "zone", "zone": "porch"}},
    }  # fmt: skip
    with running(home, {"cameras": {"door": camera}}) as line:
        line.wait_ready()
        root = line.folder / "footage"
        wait_until(lambda: list(root.rglob("*.mp4.part")), 20, "a segment begins")
        time.sleep(2)
        launch = yaml.safe_load(line.file.read_text())
        launch["cameras"]["door"]["zones"]["porch"] = INSIDE["zones"]["all"]
        line.file.write_text(yaml.safe_dump(launch, sort_keys=False))
        assert perception_says("reload").stdout.strip() == "taken"
        wait_until(line.alerts, 20, "an alert in the new zone")
        time.sleep(3)
        line.stop()
    result = replayed(root)
    alerts = next(stage for stage in result["stages"] if stage["name"] == "alerts")
    assert result["first"] is None, result
    assert alerts["compared"] >= 1
    assert not alerts["notes"], alerts


def test_why_answers_about_a_line_that_ran(home: Path) -> None:
    far = {"zones": {"all": INSIDE["zones"]["all"]}, "rules": {
        "inside": {"type": "zone", "zone": "all"},
        "stays": {"type": "dwell", "zone": "all", "seconds": 300},
    }}  # fmt: skip
    camera = {**synthetic(frames=120), **far, "record": {}}
    with running(home, {"cameras": {"door": camera}, "alerts": {"sinks": {"jsonl": {}}}}) as line:
        line.wait_begun()
        assert line.process.wait(60) == 0, line.says
        root = line.folder / "footage"
    catalog = Catalog(root, create=False)
    (row,) = catalog.segments("door")
    catalog.close()
    when = datetime.fromtimestamp(row.start_wall_ns / 1e9 + 6, UTC)
    words = ("why", "door", f"{when:%Y-%m-%dT%H:%M:%SZ}", "--folder", root)
    said = perception_says(*words)
    assert said.returncode == 0, said.stderr
    assert "rule inside (zone): it is part of alert" in said.stdout
    assert "rule stays (dwell): it has been there for" in said.stdout
    assert "the rule waits for 300 s" in said.stdout
    assert "delivery: jsonl: told" in said.stdout
    answer = json.loads(perception_says(*words, "--json").stdout)
    assert all(step["ok"] for step in answer["steps"])
    rules = {one["rule"]: one for subject in answer["subjects"] for one in subject["rules"]}
    (wait,) = [one for one in rules["stays"]["reasons"] if one["key"] == "seconds"]
    assert 290 < wait["short"] < 300
    said = perception_says("why", "door", "soon", "--folder", root)
    assert said.returncode == 2
    assert "'soon': expected a time as 14:07:31" in said.stderr
