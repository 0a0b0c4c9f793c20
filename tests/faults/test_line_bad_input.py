"""What a user gets for broken sources, a full disk, too little memory: the rest goes on."""

import os
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clips import write_clip
from tests.line import (
    BACK_S,
    ROOT,
    START_S,
    command,
    environment,
    perception_says,
    running,
    synthetic,
    wait_until,
    write_launch,
)
from tests.namespaces import own_mounts

ZONE = {
    "zones": {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]},
    "rules": {"inside": {"type": "zone", "zone": "all"}},
}


@pytest.mark.fault("H10")
def test_sources_that_cannot_be_read_are_named_and_the_others_go_on(home: Path) -> None:
    (home / "empty").mkdir()
    (home / "text.mp4").write_text("no video at all\n" * 50)
    (home / "zero.mp4").write_bytes(b"")
    cut = write_clip(home / "whole.mp4", frames=20).read_bytes()
    (home / "header.mp4").write_bytes(cut[:300])
    bad = {
        "missing": str(home / "no such.mp4"),
        "folder": f"{home}/empty/",
        "text": str(home / "text.mp4"),
        "zero": str(home / "zero.mp4"),
        "header": str(home / "header.mp4"),
    }
    launch = {
        "cameras": {**{k: {"source": v} for k, v in bad.items()}, "good": synthetic(frames=30)}
    }
    with running(home, launch) as line:
        assert line.wait_end(START_S + 30) == 3, line.says
        line.assert_nothing_left()
    summary = line.summary()
    assert summary["run"]["exit_code"] == 3
    for name, source in bad.items():
        problems = summary["cameras"][name]["problems"]
        assert len(problems) == 1, problems
        assert source.rstrip("/") in problems[0]
        assert problems[0].count("\n") == 0
        assert "Traceback" not in problems[0]
        assert summary["processes"][f"camera-{name}"]["restarts"] == 0
    good = summary["cameras"]["good"]
    assert good["frames_read"] == 30
    assert good["frames_tracked"] > 20


@pytest.mark.timeout(180)
@pytest.mark.fault("F08", "H10")
def test_a_camera_whose_decoder_takes_it_down(home: Path) -> None:
    footage = os.environ.get("PERCEPTION_TEST_DATA", ROOT.parent / "shared" / "data")
    crashes = Path(footage) / "video" / "broken" / "raw_bgr24_48x48_crashes_cv2.avi"
    cameras: dict[str, Any] = {
        "bad": {"source": {"type": "aborts", "frames": 3}},
        "good": synthetic(),
    }
    if crashes.exists():
        cameras["clip"] = {"source": str(crashes)}
    with running(home, {"cameras": cameras}) as line:
        line.wait_begun()
        wait_until(lambda: "camera-bad failed" in line.says, START_S + 30, "the camera is given up")
        tracks = line.connect().tracks("good", every=True)
        for _ in range(10):
            next(tracks)
        assert line.stop() == 0
    summary = line.summary()
    bad = summary["processes"]["camera-bad"]
    assert bad["restarts"] == 5
    assert bad["exit_code"] == -signal.SIGABRT
    (problem,) = summary["cameras"]["bad"]["problems"]
    assert "6 times within 60 s: given up" in problem
    assert summary["processes"]["camera-good"]["restarts"] == 0
    good = summary["cameras"]["good"]
    assert good["frames_tracked"] > 0.8 * good["frames_read"]
    if "clip" in cameras:
        clip = summary["processes"]["camera-clip"]
        assert clip["restarts"] <= 5


@pytest.mark.fault("F26")
def test_too_little_shared_memory_is_refused_before_anything_starts(home: Path) -> None:
    prefix = own_mounts("mount -t tmpfs -o size=2m none /dev/shm")
    cameras = {"cameras": {"a": synthetic(width=1280, height=720)}}
    file = write_launch(home / "launch.yaml", {**cameras, "output": {"folder": str(home / "out")}})
    done = subprocess.run(
        [*prefix, *command("run", file)],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    slots = 11  # 12 frames a second, 0.7 s of them, and two
    assert f"the cameras need {slots * 1280 * 720 * 3 / 1e6:.0f} MB of /dev/shm" in done.stderr
    assert "2 MB are free" in done.stderr
    assert not (home / "out").exists(), "nothing was started"


@pytest.mark.fault("F32")
def test_a_metrics_port_that_is_taken(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        launch = {"cameras": {"a": synthetic()}, "metrics": {"port": port}}
        with running(home, launch) as line:
            assert line.wait_end(START_S) == 2
            line.assert_nothing_left()
    assert f"port {port} of 127.0.0.1 is taken" in line.says
    assert "Traceback" not in line.says


@pytest.mark.timeout(180)
@pytest.mark.fault("F23")
def test_a_disk_that_fills_up(home: Path) -> None:
    out = home / "disk"
    out.mkdir()
    prefix = own_mounts(f"mount -t tmpfs -o size=3m none {out}")
    launch = {
        "cameras": {"a": {**synthetic(objects=8, speed_px_s=400), **ZONE}},
        "output": {"folder": str(out / "out"), "video": True, "tracks": True},
    }
    with running(home, launch, prefix=prefix) as line:
        line.wait_ready()
        run = line.connect()
        disk = Path(f"/proc/{line.process.pid}/root{out}")
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            try:
                while ballast.write(b"x" * 4096) == 4096:
                    pass
            except OSError as error:
                assert error.errno == 28  # noqa: PT017
        with line.health("output") as listen:
            listen(START_S, lambda m: m.counters.get("sink_errors.output", 0) > 0)
        tracks, alerts = run.tracks("a", every=True), run.alerts()
        for _ in range(20):
            next(tracks)
        assert next(alerts).state in ("raised", "cleared", "updated")
        with line.health("alert") as listen:
            failing = listen(START_S, lambda m: m.counters.get("sink_errors.store", 0) > 0)
            assert "store" in failing.note or "snapshot" in failing.note
            (disk / "ballast").unlink()
            listen(START_S, lambda m: m.note == "" and m.counters.get("delivered.jsonl", 0) > 0)
        before = line.note_pids()
        assert all(len(pids) == 1 for pids in line.pids.values()), "nothing was restarted"
        kept = disk / "out" / "alerts.jsonl"
        size = kept.stat().st_size
        wait_until(lambda: kept.stat().st_size > size, BACK_S + 10, "alerts are delivered again")
        assert before == line.note_pids()
        assert line.stop() == 0


@pytest.mark.fault("F24")
def test_a_store_that_is_held_at_start_is_waited_for(home: Path) -> None:
    (home / "out").mkdir()
    with running(home / "first", {"cameras": {"a": synthetic(frames=3)}}) as line:
        assert line.wait_end(START_S + 20) == 0
    store = line.folder / "alerts.sqlite"
    db = sqlite3.connect(store, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    launch = {"cameras": {"a": synthetic(frames=30)}, "alerts": {"store": str(store)}}
    with running(home / "second", launch) as line:
        line.wait_begun()
        with line.health("alert") as listen:
            listen(START_S, lambda m: "locked" in m.note)
        db.execute("ROLLBACK")
        db.close()
        assert line.wait_end(START_S + 20) == 0
        line.assert_nothing_left()
    assert line.summary()["processes"]["alert"]["restarts"] == 0


BAD_FILES: list[tuple[dict[str, Any], list[str]]] = [
    ({"cameras": {"a": {"sorce": "push"}}}, ["cameras.a.sorce", "did you mean 'source'"]),
    ({"cameras": {"a": {"source": "push", "keep_s": -1}}}, ["keep_s", "greater than or equal"]),
    ({"cameras": {"a": {"source": {"type": "sythetic"}}}}, ["did you mean 'synthetic'"]),
    (
        {"cameras": {"a": {"source": "push", "detect": {"detector": "fast"}}}},
        ["cameras.a.detect.detector", "default"],
    ),
    (
        {"cameras": {"a": {"source": "push", "rules": {"r": {"type": "zone", "zone": "yard"}}}}},
        ["cameras.a.rules.r", "yard"],
    ),
    ({"detectors": {"default": {"type": "blob"}}}, ["detectors.default", "did you mean 'blobs'"]),
    (
        {"detectors": {"default": {"type": "blobs", "secs": 1}}},
        ["detectors.default.secs", "seconds"],
    ),
    (
        {"detectors": {"default": {"type": "onnx", "model": "yolo11m"}}},
        ["yolo11m", "yolo11n"],
    ),
    (
        {"detectors": {"default": {"type": "onnx", "model": "/no/such/model.onnx"}}},
        ["/no/such/model.onnx"],
    ),
    ({"track": {"type": "two_stages"}}, ["track", "did you mean 'two_stage'"]),
    ({"alerts": {"sinks": {"jsnl": {}}}}, ["alerts.sinks.jsnl", "did you mean 'jsonl'"]),
    ({"metrics": {"port": 99999}}, ["metrics.port", "65535"]),
    ({"nmae": "x"}, ["did you mean 'name'"]),
]


@pytest.mark.parametrize(("changes", "words"), BAD_FILES, ids=lambda value: str(value)[:40])
@pytest.mark.fault("H12")
def test_a_wrong_launch_file_starts_nothing(
    home: Path, changes: dict[str, Any], words: list[str]
) -> None:
    launch = {"cameras": {"a": {"source": "push"}}, "output": {"folder": str(home / "out")}}
    file = write_launch(home / "wrong.yaml", {**launch, **changes})
    done = perception_says("run", file)
    assert done.returncode in (2, 4), done.stdout + done.stderr
    (said,) = done.stderr.strip().splitlines()
    for word in words:
        assert word in said, said
    if done.returncode == 2:
        assert f"{file}:" in said
    assert not (home / "out").exists()
    assert not list((home / "perception").glob("*")) if (home / "perception").exists() else True
