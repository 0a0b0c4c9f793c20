"""The command line as a newcomer types it; nothing here needs a network or a screen."""

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import pytest
import yaml

from perception import __version__
from tests.clips import write_clip
from tests.line import (
    BACK_S,
    ROOT,
    SLOW,
    START_S,
    command,
    environment,
    perception_says,
    running,
    synthetic,
    wait_until,
    write_launch,
)

LAUNCH_FILES = sorted((ROOT / "launch").glob("*.yaml"))


def test_help_is_fast() -> None:
    took: list[float] = []
    for _ in range(3):
        before = os.times()
        done = perception_says("--help")
        after = os.times()
        # CPU time: what a machine that does nothing else would take.
        took.append(after.children_user + after.children_system)
        took[-1] -= before.children_user + before.children_system
        assert done.returncode == 0
        for word in ("run", "demo", "check", "analyze", "models", "stage", "warm", "schema"):
            assert word in done.stdout
        assert "Exit codes: 0 done; 2 " in done.stdout
    assert statistics.median(took) < 0.5


def test_version() -> None:
    done = perception_says("--version")
    assert (done.returncode, done.stdout) == (0, f"perception {__version__}\n")


def test_models_list() -> None:
    done = perception_says("models", "list")
    assert done.returncode == 0
    for word in ("yolo11n", "AGPL-3.0", "yolox-nano", "Apache-2.0", "highway"):
        assert word in done.stdout


def test_an_unknown_command_or_file_is_one_line(home: Path) -> None:
    assert perception_says("rnu").returncode == 2
    done = perception_says("run", home / "none.yaml")
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == f"perception: {home}/none.yaml: cannot be read: No such file or directory"
    )


def test_check_prints_the_plan_and_starts_nothing(home: Path) -> None:
    clip = write_clip(home / "clip.mp4", frames=10)
    launch = {
        "cameras": {
            "clip": {
                "source": str(clip),
                "lines": {"gate": {"points": [[0, 0.5], [1, 0.5]]}},
                "rules": {"crossed": {"type": "line", "line": "gate"}},
                "zones": {"all": [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]},
            },
            "mine": {"source": "push"},
        },
        "detectors": {"default": {"type": "onnx", "model": "yolox-nano", "runtime": "openvino"}},
        "output": {"folder": str(home / "out")},
    }
    file = write_launch(home / "launch.yaml", launch)
    done = perception_says("check", file, "--picture", home / "stills")
    assert done.returncode == 0, done.stdout + done.stderr
    for word in (
        "320x240 25 fps",
        "frames come from your own process",
        "yolox-nano",
        "Apache-2.0",
        "crossed (line)",
        "detection-default",
        f"{home}/perception/line/frames.clip",
        f"{home}/perception/line/tracks.mine",
    ):
        assert word in done.stdout, word
    assert re.search(r"clip\s+20\s+5\b", done.stdout), "20 frames of 320x240 are 5 MB"
    assert cv2.imread(str(home / "stills" / "clip.png")).shape == (240, 320, 3)
    assert not (home / "out").exists()


def test_check_says_once_which_file_cannot_be_opened_and_which_camera_is_off(home: Path) -> None:
    missing, off = f"{home}/none.mp4", "rtsp://127.0.0.1:9/door"
    cameras = {"a": {"source": missing}, "b": {"source": off}}
    file = write_launch(home / "launch.yaml", {"cameras": cameras})
    done = perception_says("check", file, "--picture", home / "stills", COLUMNS="80")
    assert done.returncode == 3, "of the file; a camera that is off is a warning"
    said = done.stdout + done.stderr
    assert f"\na: {missing}: cannot be opened: No such file or directory\n" in said
    assert f"\nb: no picture now, a run goes on trying: {off}: Connection refused\n" in said
    for why in ("No such file", "Connection refused"):
        assert said.count(why) == 1


def schema() -> dict[str, Any]:
    done = perception_says("schema")
    assert done.returncode == 0
    return json.loads(done.stdout)


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda path: path.stem)
def test_launch_files_pass_check(home: Path, file: Path) -> None:
    done = perception_says("check", file, "--picture", home / "stills")
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((home / "stills").glob("*.png"))


@pytest.mark.parametrize("file", LAUNCH_FILES, ids=lambda path: path.stem)
def test_schema_fits_the_launch_files(file: Path) -> None:
    whole = schema()
    validator = jsonschema.validators.validator_for(whole)
    validator.check_schema(whole)
    validator(whole).validate(yaml.safe_load(file.read_text()))
    camera = {"source": "push"}
    for wrong in (
        {"cameras": {"a": {"sorce": "push"}}},
        {"cameras": {"a": {**camera, "rules": {"b": {"type": "zone", "zon": "c"}}}}},
        {"cameras": {"a": camera}, "detectors": {"default": {"modl": "yolo11n"}}},
        {"cameras": {"a": camera}, "alerts": {"sinks": {"jsonl": {"pth": "x"}}}},
        {"cameras": {"a": camera}, "track": {"lost": 3}},
    ):
        assert not validator(whole).is_valid(wrong), wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no Linux")
def test_show_without_a_display_is_one_line(home: Path) -> None:
    file = write_launch(
        home / "launch.yaml",
        {"cameras": {"a": synthetic()}, "output": {"folder": str(home / "out")}},
    )
    done = perception_says("run", file, "--show", DISPLAY="", WAYLAND_DISPLAY="")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "--show needs a display" in line
    assert not (home / "out").exists()


def test_show_in_a_window(home: Path) -> None:
    xvfb = shutil.which("Xvfb")
    if xvfb is None:
        pytest.skip("no Xvfb")
    with subprocess.Popen(
        [xvfb, "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            display = f":{server.stdout.readline().strip()}"
            launch = {"cameras": {"a": synthetic()}}
            with running(home, launch, "--show", DISPLAY=display) as line:
                line.wait_ready("show", "tracking")
                with line.health("show") as listen:
                    listen(START_S, lambda m: m.counters.get("shown.a", 0) > 5)
                assert line.stop() == 0
        finally:
            server.terminate()


def test_a_stage_by_hand(home: Path) -> None:
    launch = {"cameras": {"a": synthetic()}, "output": {"tracks": True}}
    with running(home, launch, "--without", "tracking") as line:
        line.wait_ready("camera-a", "detection-default", "alert", "output")
        busy = perception_says("stage", "alert", "--run", line.name)
        assert busy.returncode == 2
        assert f"alert of run {line.name} is running already" in busy.stderr
        wrong = perception_says("stage", "trackin", "--run", line.name)
        assert wrong.returncode == 2
        assert "did you mean 'tracking'" in wrong.stderr
        ids: list[int] = []
        for _ in range(2):
            with subprocess.Popen(
                command("stage", "tracking", "--run", line.name), cwd=ROOT, env=environment()
            ) as stage:
                try:
                    tracks = line.connect().tracks("a", every=True)
                    for message in tracks:
                        if len(message.tracks):
                            ids.append(int(message.tracks.track_ids[0]))
                            break
                    second = perception_says("stage", "tracking", "--run", line.name)
                    assert second.returncode == 2
                    if len(ids) == 1:
                        stage.send_signal(signal.SIGINT)
                        assert stage.wait(BACK_S) == 0
                    else:
                        assert line.stop() == 0
                        assert stage.wait(BACK_S) == 0, "it ends with the run"
                finally:
                    stage.kill()
    assert 0 < ids[0] >> 32 < ids[1] >> 32, "ids of a stage by hand come from the clock and rise"
    summary = line.summary()
    assert len(summary["processes"]["tracking"]["pids"]) == 2
    camera = summary["cameras"]["a"]
    assert camera["frames_read"] == camera["frames_tracked"] + sum(camera["dropped"].values())
    assert camera["frames_tracked"] > 0


def test_without_names_a_process(home: Path) -> None:
    file = write_launch(home / "launch.yaml", {"cameras": {"a": synthetic()}})
    done = perception_says("run", file, "--without", "trackin")
    assert done.returncode == 2
    assert "did you mean 'tracking'" in done.stderr


PASSWORD = "s3cr3t-w0rd"


def test_a_camera_that_is_offline_is_shown_and_its_password_nowhere(home: Path) -> None:
    from tests.servers import rtsp_server

    with rtsp_server("user", PASSWORD) as server:
        launch = {
            "cameras": {
                "door": {"source": server.url.replace(PASSWORD, "${DOOR_PASSWORD}")},
                "other": synthetic(),
            }
        }
        assert PASSWORD not in str(launch)
        with running(home, launch, DOOR_PASSWORD=PASSWORD) as line:
            line.wait_ready()
            next(line.connect().tracks("door"))
            server.kill()
            with line.health("camera-door") as listen:
                offline = listen(8.0 * SLOW, lambda m: m.note.startswith("offline"))
                assert offline.gauges["online.door"] == 0
                next(line.connect().tracks("other"))
                server.process = server.start()
                listen(30.0 * SLOW, lambda m: m.gauges["online.door"] == 1 and not m.note)
            next(line.connect().tracks("door"))
            shown = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True)
            # The server of this test is told its password on its command line.
            rows = [row for row in shown.stdout.splitlines() if "rtsp_server.py" not in row]
            assert PASSWORD not in "\n".join(rows)
            assert line.stop() == 0
    assert PASSWORD not in line.says
    for path in line.folder.rglob("*"):
        if path.is_file():
            assert PASSWORD.encode() not in path.read_bytes(), path
    assert "user:***@" in (line.folder / "summary.json").read_text()
    wait_until(lambda: line.summary(), 1, "summary")
