"""Recording by a running line: a real RTSP server, real kills, the files read without this code."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

from perception.footage.catalog import Catalog
from perception.footage.finding import find
from perception.footage.messages import PACKETS, PacketLine, read
from perception.footage.query import parse
from perception.wire.codec import decode_record
from tests.line import (
    INSIDE,
    ROOT,
    command,
    environment,
    perception_says,
    running,
    synthetic,
    wait_until,
    write_launch,
)
from tests.namespaces import own_mounts
from tests.servers import mpegts_server, rtsp_server
from tests.unit.test_footage import write_clip


def frames_in(video: Path) -> int:
    with av.open(str(video)) as container:
        return sum(1 for _ in container.decode(video=0))


def packets_of(root: Path, path: str) -> list[PacketLine]:
    said = read(root / f"{path}.mcap")
    return [PacketLine.unpack(one.data) for one in said if one.topic == PACKETS]


def read_by_a_stranger(base: Path, frames: int) -> None:
    """Run the program of docs/recording.md, which knows nothing of this package."""
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/recording.md").read_text(), re.S)
    said = subprocess.run(
        [sys.executable, "-I", "-c", program, str(base)], capture_output=True, text=True, timeout=60
    )
    assert said.stdout.startswith(f"{frames} packets, {frames} pictures, "), said
    assert "\nrecorded [" in said.stdout
    assert "perception" not in program


def videos(root: Path) -> list[Path]:
    return [path for path in root.rglob("*.mp4*") if path.parent.name != "clips"]


def test_a_mpegts_camera_is_recorded_packet_by_packet(home: Path) -> None:
    clip = write_clip(home / "clip.ts", frames=200, size=(320, 240))
    with mpegts_server(clip) as server:
        camera = {"source": server.url, "record": {}}
        with running(home, {"cameras": {"door": camera}}) as line:
            line.wait_ready()
            root = line.folder / "footage"
            wait_until(lambda: videos(root), 20, "a segment begins")
            time.sleep(3)
            line.stop()
    catalog = Catalog(root, create=False)
    rows = catalog.segments("door")
    catalog.close()
    assert sum(row.frames for row in rows) >= 40
    for row in rows:
        assert (row.codec, row.width, row.height) == ("h264", 320, 240)
        assert frames_in(root / f"{row.path}.mp4") == row.frames


def test_an_rtsp_camera_is_recorded_packet_by_packet(home: Path) -> None:
    with rtsp_server() as server:
        camera = {"source": server.url, "record": {}}
        with running(home, {"cameras": {"door": camera}}) as line:
            line.wait_ready()
            root = line.folder / "footage"
            wait_until(lambda: videos(root), 20, "a segment begins")
            time.sleep(6)
            line.stop()
    catalog = Catalog(root, create=False)
    (row,) = catalog.segments("door")
    assert not [loss for loss in catalog.losses() if loss.cause != "no key frame"]
    catalog.close()
    assert (row.codec, row.width, row.height) == ("h264", 320, 240)
    assert row.frames >= 5 * 30
    assert frames_in(root / f"{row.path}.mp4") == row.frames
    lines = packets_of(root, row.path)
    assert [one.packet_id for one in lines] == list(
        range(lines[0].packet_id, lines[0].packet_id + row.frames)
    )
    # Tracks belong to exactly the pictures that were recorded: the same media time.
    tracks = [
        decode_record(one.data) for one in read(root / f"{row.path}.mcap") if one.topic == "tracks"
    ]
    read_by_a_stranger(root / row.path, row.frames)
    times = {one.t_media_ns for one in lines}
    mine = [t for t in tracks if lines[0].t_media_ns <= t.stamp.t_media_ns <= lines[-1].t_media_ns]
    assert len(mine) > 60
    assert all(t.stamp.t_media_ns in times for t in mine)


@pytest.mark.timeout(240)
def test_a2_twenty_kills_of_the_recorder(home: Path) -> None:
    rng, camera = random.Random(5), {**synthetic(), **INSIDE, "record": {"clips": False}}
    with running(home, {"cameras": {"door": camera}}, "--without", "recorder") as line:
        line.wait_ready("tracking", "alert", "camera-door")
        root = line.folder / "footage"
        for n in range(21):
            before = {path.name.partition(".mp4")[0] for path in videos(root)}
            recorder = subprocess.Popen(
                command("stage", "recorder", "--run", line.name), env=environment()
            )
            wait_until(
                lambda before=before: any(
                    path.name.partition(".mp4")[0] not in before for path in videos(root)
                ),
                30,
                "a segment begins",
            )
            time.sleep(rng.uniform(0.0, 1.5))
            recorder.send_signal(signal.SIGKILL if n < 20 else signal.SIGINT)
            recorder.wait(20)
        line.stop()
    assert not list(root.rglob("*.part"))
    assert not list(root.rglob("*.torn"))
    catalog = Catalog(root, create=False)
    rows = catalog.segments("door")
    catalog.close()
    assert len(rows) == 21
    for row in rows:
        assert frames_in(root / f"{row.path}.mp4") == row.frames > 0
        lines = packets_of(root, row.path)
        # At 12 pictures a second: what is missing of the index is at most its last 1.1 s.
        assert row.frames - len(lines) <= 14
    before = json.loads(_dump(root))[0]
    assert "0 of them repaired" in perception_says("recordings", "rebuild", "--folder", root).stdout
    after = json.loads(_dump(root))[0]
    assert after == before
    assert perception_says("recordings", "verify", "--folder", root).returncode == 0


def _dump(root: Path) -> str:
    catalog = Catalog(root, create=False)
    try:
        return catalog.dump()
    finally:
        catalog.close()


@pytest.mark.fault("F07")
@pytest.mark.parametrize("after_s", [0.3, 1.7, 3.0])
def test_a2_a_kill_of_the_whole_line(after_s: float, home: Path) -> None:
    camera = {**synthetic(), **INSIDE, "record": {}}
    with running(home, {"cameras": {"door": camera}}) as line:
        line.wait_ready()
        root = line.folder / "footage"
        wait_until(lambda: videos(root), 20, "a segment begins")
        time.sleep(after_s)
        alive = line.note_pids()
        line.process.send_signal(signal.SIGKILL)
        line.process.wait(10)
        wait_until(lambda: not any(_lives(pid) for pid in alive.values()), 10, "all are gone")
    said = perception_says("recordings", "rebuild", "--folder", root)
    assert "1 segments listed, 1 of them repaired" in said.stdout, said.stdout + said.stderr
    (row,) = json.loads(_dump(root))[0]
    assert row["frames"] == frames_in(root / f"{row['path']}.mp4") > 0
    assert row["torn"]


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except OSError:
        return False


def test_a_source_without_packets_is_encoded_and_its_alert_has_a_clip(home: Path) -> None:
    huffyuv = home / "clip.avi"
    write_clip(home / "clip.mp4", frames=60, size=(96, 64))
    with av.open(str(home / "clip.mp4")) as source, av.open(str(huffyuv), "w") as out:
        stream: Any = out.add_stream("ffvhuff", rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in source.decode(video=0):
            frame.pts = None
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode(None):
            out.mux(packet)
    cameras = {
        "door": {**synthetic(frames=100), **INSIDE, "record": {"after_s": 1}},
        "old": {"source": str(huffyuv), "record": {}},
    }
    launch = {"cameras": cameras, "alerts": {"sinks": {"jsonl": {}}}}
    with running(home, launch) as line:
        line.wait_begun()
        assert line.process.wait(60) == 0, line.says
        root = line.folder / "footage"
    rows = {row["camera"]: row for row in json.loads(_dump(root))[0]}
    assert rows["door"]["frames"] > 80
    catalog = Catalog(root)
    tracks = find(catalog, parse("", {}, 0), 100)
    seen = [track for track in tracks if track.upper]
    assert seen, tracks
    assert all(track.upper == track.lower for track in seen if track.class_name != "person")
    catalog.close()
    assert rows["old"]["codec"] == "h264"
    assert rows["old"]["frames"] > 30
    raised = [json.loads(text) for text in (line.folder / "alerts.jsonl").read_text().splitlines()]
    clip = Path(next(alert for alert in raised if alert["state"] == "raised")["details"]["clip"])
    assert frames_in(clip) > 5
    listed = perception_says("recordings", "list", "--folder", root).stdout
    assert "door" in listed
    assert "alert" in listed
    out = home / "out.mp4"
    said = perception_says("recordings", "export", "door", out, "--folder", root)
    assert "pictures from" in said.stdout, said.stderr
    assert frames_in(out) == rows["door"]["frames"]


@pytest.mark.fault("F23")
def test_a5_a_full_disk_is_one_loss_and_one_alert_and_the_line_goes_on(home: Path) -> None:
    root = home / "footage"
    root.mkdir()
    launch = {
        "cameras": {"door": {**synthetic(frames=480), **INSIDE, "record": {"clips": False}}},
        "recordings": {"folder": str(root), "min_free_gb": 0.1},
        "alerts": {"sinks": {"jsonl": {}}},
    }
    disk = own_mounts(f"mount -t tmpfs -o size=300k none {root}")
    with running(home, launch, prefix=disk) as line:
        line.wait_begun()

        def raised() -> list[dict[str, Any]]:
            return [a for a in line.alerts() if a["kind"] == "recording"]

        wait_until(raised, 60, "an alert about the recording")
        assert line.wait_end(90) == 0
    (alert,) = [a for a in raised() if a["state"] == "raised"]
    assert "No space left" in alert["details"]["reason"]
    assert any(a["kind"] == "zone" for a in line.alerts())
    summary = line.summary()["cameras"]["door"]
    assert summary["frames_read"] == 480
    assert summary["frames_tracked"] >= 0.99 * 480


def test_check_says_how_long_there_is_room_and_names_wrong_keys(home: Path) -> None:
    launch = {"cameras": {"door": {**synthetic(frames=60), "record": {}}}}
    file = write_launch(home / "launch.yaml", {**launch, "output": {"folder": str(home / "out")}})
    said = perception_says("check", file)
    assert "nothing is recorded yet" in said.stdout, said.stderr
    assert perception_says("run", file).returncode == 0
    said = perception_says("check", file)
    assert "a day lately: room for" in said.stdout
    launch["cameras"]["door"]["record"] = {"clip": True}
    said = perception_says("check", write_launch(home / "bad.yaml", launch))
    assert said.returncode == 2
    assert "cameras.door.record" in said.stderr
    assert "clips" in said.stderr


def test_wrong_names_are_told(home: Path) -> None:
    said = perception_says("recordings", "list", "--folder", home / "none")
    assert said.returncode == 2
    assert "there is no such folder" in said.stderr
    said = perception_says("recordings", "list", "--folder", home)
    assert said.returncode == 2
    assert "recordings rebuild" in said.stderr
