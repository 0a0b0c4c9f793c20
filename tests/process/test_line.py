"""A whole line as a user runs it: its end, its neighbours, its slowness, its numbers."""

import json
import os
import signal
import time
import urllib.request
from pathlib import Path

import av
import pytest

from perception.transport import rundir
from perception.transport.bus import Inbox
from perception.wire import DetectionMessage
from tests.line import (
    BACK_S,
    SLOW,
    START_S,
    STOP_S,
    perception_says,
    running,
    synthetic,
    wait_until,
    write_launch,
)
from tests.servers import free_port


def frames_of(path: Path) -> int:
    with av.open(str(path)) as video:
        return sum(1 for _ in video.decode(video=0))


def test_sources_end_and_every_frame_is_accounted_for(home: Path) -> None:
    launch = {
        "cameras": {"a": synthetic(frames=40), "b": synthetic(frames=25, seed=2)},
        "output": {"video": True, "tracks": True},
    }
    with running(home, launch) as line:
        line.wait_begun()
        assert line.wait_end(START_S + 30) == 0
        line.assert_nothing_left()
    assert line.says.count("b: ended, the others go on\n") == 1
    assert "a: ended" not in line.says, "it was the last: the run ends"
    summary = line.summary()
    assert summary["run"]["exit_code"] == 0
    for name, frames in (("a", 40), ("b", 25)):
        camera = summary["cameras"][name]
        dropped = sum(camera["dropped"].values())
        assert camera["frames_read"] == frames == camera["frames_tracked"] + dropped
        assert camera["frames_tracked"] >= 0.8 * frames
        assert camera["age_at_track"]["p95_ms"] < 200 * SLOW
        rows = (line.folder / f"tracks-{name}.jsonl").read_text().splitlines()
        assert len(rows) == camera["frames_tracked"]
        assert frames_of(line.folder / f"annotated-{name}.mp4") == camera["frames_tracked"]
    assert all(process["exit_code"] == 0 for process in summary["processes"].values())
    assert all({"event", "level", "process", "timestamp"} <= set(row) for row in line.log())


@pytest.mark.fault("F31")
def test_sigterm_finishes_and_a_second_interrupt_kills(home: Path) -> None:
    launch = {"cameras": {"a": synthetic()}, "output": {"video": True, "tracks": True}}
    with running(home, launch) as line:
        line.wait_ready()
        tracks = line.connect().tracks("a", every=True)
        seen = [next(tracks).stamp.frame_id for _ in range(10)]
        assert line.stop(signal.SIGTERM) == 0
        seen += [message.stamp.frame_id for message in tracks]
    written = [
        json.loads(row)["frame"]
        for row in (line.folder / "tracks-a.jsonl").read_text().splitlines()
    ]
    assert set(n & 0xFFFFFFFF for n in seen) <= set(written), "what was tracked was written too"
    camera = line.summary()["cameras"]["a"]
    assert len(written) == camera["frames_tracked"] == camera["frames_detected"]

    with running(home, launch) as line:
        line.wait_ready()
        tracks = line.connect().tracks("a", every=True)
        for _ in range(30):
            next(tracks)
        output = line.note_pids()["output"]
        line.process.send_signal(signal.SIGINT)
        os.kill(output, signal.SIGSTOP)
        wait_until(lambda: "camera-a" not in line.note_pids(), STOP_S, "it has begun to stop")
        began = time.monotonic()
        while time.monotonic() - began < 1.2:  # it is woken to stop, and holds up the stop
            os.kill(output, signal.SIGSTOP)
            time.sleep(0.001)
        began = time.monotonic()
        line.process.send_signal(signal.SIGINT)
        line.assert_children_gone(1.0 * SLOW)
        assert time.monotonic() - began < 1.0 * SLOW
        line.wait_end(STOP_S)
        line.assert_nothing_left()
        assert line.process.returncode == 0
    assert frames_of(line.folder / "annotated-a.mp4") > 0


def test_signals_within_a_second_of_the_first_are_the_same_one(home: Path) -> None:
    """coreutils' `timeout` sends SIGTERM to the process and to its group, within milliseconds."""
    launch = {"cameras": {"a": synthetic()}, "output": {"tracks": True}}
    with running(home, launch) as line:
        line.wait_ready()
        tracks = line.connect().tracks("a", every=True)
        for _ in range(10):
            next(tracks)
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            line.process.send_signal(number)
            time.sleep(0.005)
        assert line.wait_end(STOP_S) == 0
        line.assert_nothing_left()
    summary = line.summary()
    assert {name: one["exit_code"] for name, one in summary["processes"].items()} == dict.fromkeys(
        summary["processes"], 0
    ), "none was killed"
    camera = summary["cameras"]["a"]
    assert camera["frames_tracked"] == camera["frames_detected"]


@pytest.mark.fault("F32")
def test_two_runs_of_one_launch_file_side_by_side(home: Path) -> None:
    output = {"tracks": True, "folder": str(home / "out")}
    launch = {"cameras": {"a": synthetic()}, "output": output}
    with running(home / "1", launch) as one:
        one.wait_ready()
        with running(home / "2", launch) as two:
            two.wait_ready()
            assert (one.name, two.name) == ("line", "line-2")
            assert not set(one.rings()) & set(two.rings())
            ids = [next(line.connect().tracks("a")).stamp.frame_id for line in (one, two)]
            assert ids[0] != ids[1]
            store = (home / "out" / "alerts.sqlite").resolve()
            other = {"output": {"folder": str(home / "3")}, "alerts": {"store": str(store)}}
            file = write_launch(home / "3.yaml", launch | other)
            third = perception_says("run", file)
            assert third.returncode == 2
            why = "run line writes its alerts there: name another file under alerts.store"
            assert third.stderr == f"perception: {store}: {why}\n"
            assert one.stop() == 0
            next(two.connect().tracks("a"))
            assert two.stop() == 0
    assert not list(home.rglob("*.lock"))
    assert rundir.running() == []
    for folder in (home / "out", home / "out-2"):
        summary = json.loads((folder / "summary.json").read_bytes())
        rows = (folder / "tracks-a.jsonl").read_text().splitlines()
        assert len(rows) == summary["cameras"]["a"]["frames_tracked"] > 0
        assert (folder / "alerts.sqlite").exists()


@pytest.mark.timeout(180)
@pytest.mark.fault("F19")
def test_a_detector_far_slower_than_the_ring_loses_nothing_it_took(home: Path) -> None:
    seconds = 3.0
    launch = {
        # 5 slots at 30 a second: a frame lives 0.17 s, the detector takes 18 times as long, and
        # longer than the 2.5 s after which a process that does not turn is taken for hung.
        "cameras": {"a": {**synthetic(fps=30, width=160, height=120), "keep_s": 0.1}},
        "detectors": {"default": {"type": "blobs", "seconds": seconds}},
    }
    with running(home, launch) as line:
        line.wait_ready()
        inbox = Inbox(line.run_dir, "detections", ["a"])
        found: list[DetectionMessage] = []
        deadline = time.monotonic() + 4 * seconds + BACK_S
        while len(found) < 4 and time.monotonic() < deadline:
            found += inbox.poll(200)
        inbox.close()
        assert len(found) == 4
        assert line.stop() == 0
    assert all(len(message.detections) > 0 for message in found)
    for message in found:
        waited_s = (message.t_taken_ns - message.stamp.t_arrival_ns) / 1e9
        assert waited_s < 0.2 * SLOW, "the newest frame is taken, not one that waited"
        assert message.inference_ns >= seconds * 1e9
    summary = line.summary()
    assert summary["processes"]["detection-default"]["restarts"] == 0
    camera = summary["cameras"]["a"]
    assert camera["dropped"].get("overwritten", 0) == 0
    assert camera["frames_read"] == camera["frames_tracked"] + sum(camera["dropped"].values())


def test_numbers_for_prometheus_and_logs_for_programs(home: Path) -> None:
    port = free_port()
    launch = {"cameras": {"a": synthetic()}, "metrics": {"port": port}}
    with running(home, launch) as line:
        line.wait_ready()
        next(line.connect().tracks("a"))
        old = line.kill("tracking")
        line.wait_back("tracking", old)

        def scrape() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                return answer.read().decode()

        def complete() -> str:
            text = scrape()
            return text if 'perception_restarts_total{process="tracking"} 1.0' in text else ""

        text = wait_until(complete, BACK_S, "the restart is in the metrics")
        rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
        bound = [row.split()[1] for row in rows if row.split()[1].endswith(f":{port:04X}")]
        assert {address.partition(":")[0] for address in bound} == {"0100007F"}
        assert line.stop() == 0
    for word in (
        'perception_read_total{camera="a",cause="",process="camera-a"}',
        'perception_latency_seconds_bucket{camera="a",cause="",le="0.01",process="tracking"',
        'perception_latency_seconds_bucket{camera="a",cause="",le="+Inf",process="detection-default"',
        'perception_state{process="alert",state="ready"} 1.0',
        "perception_cpu_seconds_total",
        "perception_memory_bytes",
    ):
        assert word in text, word
    events = line.log()
    assert events
    assert all({"event", "level", "process", "timestamp"} <= set(event) for event in events)


@pytest.mark.timeout(180)
def test_a_real_network_comes_back_too(home: Path) -> None:
    launch = {
        "cameras": {"a": synthetic(fps=10)},
        "detectors": {"default": {"type": "onnx", "model": "yolox-nano"}},
    }
    with running(home, launch) as line:
        line.wait_ready()
        next(line.connect().tracks("a"))
        old = line.kill("detection-default")
        line.wait_back("detection-default", old, BACK_S + 5 * SLOW)  # 5 s and the model's load
        next(line.connect().detections("a"))
        assert line.stop() == 0
    models = line.summary()["run"]["models"]
    assert models["default"]["licence"] == "Apache-2.0"
    assert os.path.exists(line.folder / "alerts.sqlite")
