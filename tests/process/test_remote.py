"""A line joined from another host: over TLS, by a token, with the line's own certificate."""

import threading
import time
from pathlib import Path

import pytest

import perception
from perception.errors import ConfigError
from perception.wire import DetectionMessage, TrackMessage
from tests.line import INSIDE, SLOW, perception_says, running, synthetic
from tests.page import PASSWORD
from tests.servers import free_port


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

        here = {m.stamp.frame_id: m for m in take(line.connect().tracks("front", every=True), 40)}
        far = take(run.tracks("front"), 1)  # the iterator of `here` has ended: begin again together
        local, remote = [], []
        listening = threading.Thread(target=lambda: remote.extend(take(run.tracks("front"), 20)))
        listening.start()
        local = take(line.connect().tracks("front", every=True), 60)
        listening.join(20 * SLOW)
        assert isinstance(far[0], TrackMessage)
        same = {m.stamp.frame_id: m for m in local}
        both = [m for m in remote if m.stamp.frame_id in same]
        assert len(both) >= 10, "the same frames were seen from both sides"
        for message in both:
            own = same[message.stamp.frame_id]
            assert message.message_id == own.message_id
            assert message.tracks.boxes.tolist() == own.tracks.boxes.tolist()
            assert message.tracks.track_ids.tolist() == own.tracks.track_ids.tolist()
        assert here
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
