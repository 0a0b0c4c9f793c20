"""A line joined from another host: over TLS, by a token, with the line's own certificate."""

import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from urllib.request import Request, urlopen

import av
import pytest

import perception
from perception.errors import ConfigError
from perception.wire import DetectionMessage, TrackMessage
from tests.line import INSIDE, ROOT, SLOW, perception_says, running, synthetic
from tests.page import PASSWORD
from tests.servers import free_port
from tests.unit.test_footage import write_clip


@pytest.mark.timeout(180)
def test_a_program_elsewhere_gets_the_same_messages(home: Path) -> None:
    port, users = free_port(), home / "users"
    cameras = {"front": {**synthetic(), **INSIDE}, "back": synthetic(seed=2)}
    web = {"port": port, "host": "127.0.0.1", "folder": str(users)}
    with running(home, {"cameras": cameras, "web": web}) as line:
        line.wait_ready()
        address, certificate = f"https://127.0.0.1:{port}", users / "certificate.pem"
        launch = ("--launch", line.file)
        perception_says("users", "add", "anna", "--role", "admin", *launch, typed=f"{PASSWORD}\n")
        made = perception_says("users", "token", "anna", "--cameras", "front", *launch)
        token = made.stdout.strip()
        assert token.startswith("pct_"), made
        with pytest.raises(ConfigError, match="certificate is not trusted here"):
            perception.connect(address, token=token)
        with pytest.raises(ConfigError, match="token is not valid"):
            perception.connect(address, token="pct_no", certificate=certificate)
        with pytest.raises(ConfigError, match="needs a token"):
            perception.connect(address)
        run = perception.connect(address, token=token, certificate=certificate)
        assert (run.name, run.cameras) == (line.name, ["front"])
        with pytest.raises(ConfigError, match="'back' is not one of the cameras"):
            next(run.tracks("back"))

        remote: list[TrackMessage] = []
        listening = threading.Thread(target=lambda: remote.extend(take(run.tracks("front"), 20)))
        listening.start()
        local = take(line.connect().tracks("front", every=True), 60)
        listening.join(20 * SLOW)
        assert all(isinstance(message, TrackMessage) for message in remote)
        same = {m.stamp.frame_id: m for m in local}
        both = [m for m in remote if m.stamp.frame_id in same]
        assert len(both) >= 10, "the same frames were seen from both sides"
        for message in both:
            own = same[message.stamp.frame_id]
            assert message.message_id == own.message_id
            assert message.tracks.boxes.tolist() == own.tracks.boxes.tolist()
            assert message.tracks.track_ids.tolist() == own.tracks.track_ids.tolist()
        assert isinstance(take(run.detections("front"), 1)[0], DetectionMessage)
        assert run.picture("front")[:2] == b"\xff\xd8"
        alert = take(run.alerts(), 1)[0]
        assert (alert.camera, alert.rule) == ("front", "inside")

        old = line.kill("web")
        line.wait_back("web", old)
        assert take(run.tracks("front"), 3), "the connection is opened again"
        ended = []
        waiting = threading.Thread(target=lambda: ended.append(len(list(run.tracks("front")))))
        waiting.start()
        time.sleep(1)
        line.stop()
        waiting.join(20 * SLOW)
        assert ended, "an iterator ends with the line"


def take(messages, count):
    found = [message for message, _ in zip(messages, range(count), strict=False)]
    messages.close()
    return found


@pytest.mark.timeout(180)
def test_l2_l3_a_stream_for_other_programs_and_metrics_for_the_dashboard(home: Path) -> None:
    """live.ts decodes by PyAV and by ffmpeg; the dashboard asks for metrics that there are."""
    clip = write_clip(home / "clip.mp4", frames=100, size=(320, 240))
    web_port, metrics_port = free_port(), free_port()
    camera = {"source": {"type": "video", "path": str(clip), "loop": True}, "record": {}, **INSIDE}
    launch = {
        "cameras": {"front": camera}, "metrics": {"port": metrics_port},
        "recordings": {"min_free_gb": 0.1},
        "web": {"port": web_port, "http": True, "folder": str(home / "users")},
    }  # fmt: skip
    with running(home, launch) as line:
        line.wait_ready()
        flags = ("--launch", line.file)
        perception_says("users", "add", "anna", "--role", "admin", *flags, typed=f"{PASSWORD}\n")
        token = perception_says("users", "token", "anna", *flags).stdout.strip()
        request = Request(
            f"http://127.0.0.1:{web_port}/api/v1/cameras/front/live.ts",
            headers={"Authorization": f"Bearer {token}"},
        )
        data = b""
        with urlopen(request, timeout=20) as answer:
            assert answer.headers["content-type"] == "video/mp2t"
            deadline = time.monotonic() + 4
            while time.monotonic() < deadline:
                data += answer.read1(65_536)
        text = urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10).read().decode()
        line.stop()
    stream = home / "live.ts"
    stream.write_bytes(data)
    with av.open(str(stream)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) >= 40, len(frames)
    assert (frames[0].width, frames[0].height) == (320, 240)
    if shutil.which("ffmpeg"):
        done = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", str(stream), "-frames:v", "40", "-f", "null", "-"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done
    exported = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    board = json.loads((ROOT / "launch" / "grafana" / "perception.json").read_text())
    asked = [t["expr"] for panel in board["panels"] for t in panel["targets"]]
    for name in {name for expr in asked for name in re.findall(r"perception_\w+", expr)}:
        base = name.removesuffix("_bucket")
        assert {base, base.removesuffix("_total")} & exported, f"{name} is not exported"
