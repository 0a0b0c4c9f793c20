"""A real line that knows people: the alert stands first, the same alert gets the name."""

import json
import os
import signal
from pathlib import Path

import pytest

from perception.wire import Alert
from tests.line import SLOW, START_S, RunningLine, perception_says, running, wait_until

SINGER = "Lin-Manuel O'Test"
pytestmark = pytest.mark.footage


@pytest.fixture
def own(home: Path, footage: Path) -> dict[str, str]:
    """A user's own folders, in which the singer of the clip is enrolled with one photo."""
    env = {"XDG_DATA_HOME": str(home / "d"), "XDG_CONFIG_HOME": str(home / "c")}
    photo = footage / "images/faces/face_recognition/examples_lin-manuel-miranda.png"
    done = perception_says("enroll", SINGER, photo, **env)
    assert done.returncode == 0, done.stderr
    return env


def door(footage: Path, **source: object) -> dict[str, object]:
    clip = {"type": "video", "path": str(footage / "video/doorway/whitehouse_faces_cuts.mp4")}
    camera = {
        "source": {**clip, **source},
        "objects": ["person"],
        "keep_s": 3,
        "rules": {"visitor": {"type": "visit"}},
    }
    detectors = {"default": {"type": "onnx", "model": "yolo11n"}}
    return {"cameras": {"door": camera}, "detectors": detectors, "identity": {}}


def named(line: RunningLine) -> list[dict[str, object]]:
    return [alert for alert in line.alerts() if alert["details"].get("known") is True]


def test_the_same_alert_is_upgraded_and_nothing_else_tells_the_name(
    home: Path, footage: Path, own: dict[str, str]
) -> None:
    with running(home, door(footage), **own) as line:
        line.wait_begun()
        assert line.wait_end(START_S + 60) == 0
        line.assert_nothing_left()
    alerts = line.alerts()
    (upgrade,) = {alert["key"]: alert for alert in reversed(named(line))}.values()
    assert upgrade["state"] == "updated"
    assert upgrade["details"]["who"] == SINGER
    assert 0.363 <= upgrade["details"]["confidence"] <= 1
    (first,) = [a for a in alerts if a["key"] == upgrade["key"] and a["state"] == "raised"]
    assert "who" not in first["details"]
    assert upgrade["t_media_ns"] - first["t_media_ns"] < 2e9 * SLOW
    assert {a["details"].get("who") for a in alerts} <= {None, SINGER, "undecided", "unknown"}
    for told in ("log.jsonl", "summary.json"):
        assert "Lin-Manuel" not in (line.folder / told).read_text()
    assert line.summary()["processes"]["identity"]["exit_code"] == 0
    store = (line.folder / "alerts.sqlite").read_bytes()
    assert SINGER.encode() in store
    assert json.dumps(first)


def test_identity_may_die_and_hang_and_alerts_go_on(
    home: Path, footage: Path, own: dict[str, str]
) -> None:
    with running(home, door(footage, loop=True), **own) as line:
        line.wait_ready()
        assert os.getpriority(os.PRIO_PROCESS, line.pid("identity")) == 10
        alerts = line.connect().alerts("door")
        old = line.kill("identity", signal.SIGKILL)
        raised: Alert = next(alert for alert in alerts if alert.state == "raised")
        assert raised.camera == "door"
        line.wait_back("identity", old)
        wait_until(lambda: named(line), 30 * SLOW, "a name after the restart")
        assert line.stop() == 0


def test_who_is_enrolled_while_it_runs_is_known_and_who_is_erased_is_not(
    home: Path, footage: Path, own: dict[str, str]
) -> None:
    assert perception_says("gallery", "erase", SINGER, **own).returncode == 0
    with running(home, door(footage, loop=True), **own) as line:
        line.wait_ready()

        def said(who: str) -> int:
            return sum(alert["details"].get("who") == who for alert in line.alerts())

        wait_until(lambda: said("unknown"), 40 * SLOW, "the singer is a stranger")
        assert not named(line)
        photo = footage / "images/faces/face_recognition/examples_lin-manuel-miranda.png"
        assert perception_says("enroll", "Lin", photo, **own).returncode == 0
        wait_until(lambda: said("Lin"), 40 * SLOW, "the singer is known")
        assert perception_says("gallery", "erase", "Lin", **own).returncode == 0
        strangers = said("unknown")
        wait_until(lambda: said("unknown") > strangers, 60 * SLOW, "a stranger again")
        assert line.stop() == 0


def test_a_wrong_key_is_told_before_anything_starts(
    home: Path, footage: Path, own: dict[str, str]
) -> None:
    launch = {**door(footage), "identity": {"key": "${DOOR_KEY}"}}
    wrong = perception_says("gallery", "new-key").stdout.strip()
    with running(home, launch, **own, DOOR_KEY=wrong) as line:
        assert line.wait_end(START_S) == 2
    assert "launch.yaml" in line.says
    assert "wrong key" in line.says
    assert wrong not in line.says
    assert not line.folder.exists()
