"""User code beside a running line: tracks, detections, alerts, pictures out; frames in."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import perception
from perception.errors import ConfigError
from perception.recording.video import VideoWriter
from perception.transport.ring_map import bytes_needed
from perception.wire import CONFIRMED
from tests.line import BACK_S, ROOT, environment, running, synthetic

GREY, RED = 90, (0, 0, 220)


def picture(x: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    image = np.full((240, 320, 3), GREY, np.uint8)
    image[100:140, x : x + 60] = RED
    return image


def test_what_a_listener_gets(home: Path) -> None:
    camera = {
        **synthetic(),
        "zones": {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]},
        "rules": {"inside": {"type": "zone", "zone": "all"}},
    }
    with running(home, {"cameras": {"front": camera}}) as line:
        line.wait_ready("detection-default", "tracking", "alert")
        run = perception.connect("line", timeout_s=5)
        assert (run.name, run.cameras) == ("line", ["front"])
        alert = next(run.alerts())
        assert (alert.camera, alert.rule, alert.state) == ("front", "inside", "raised")
        assert alert.class_name == "car"

        tracks = run.tracks("front")
        for message in tracks:
            if (message.tracks.states == CONFIRMED).sum() >= 2:
                break
        assert 0 < message.age_ms < 5000
        for track in message:
            assert track.class_name == "car"
            assert track.track_id >> 32 > 0
            x1, y1, x2, y2 = track.box
            assert -50 <= x1 < x2 <= 370
            assert -50 <= y1 < y2 <= 290
        image = run.picture(message)
        assert image is not None
        assert image.shape == (240, 320, 3)
        assert image.flags.writeable
        assert image.std() > 5

        found = next(run.detections("front"))
        assert found.width, found.height == (320, 240)
        assert len(found.detections) > 0

        ordered = run.tracks("front", every=True)
        ids = [next(ordered).stamp.frame_id for _ in range(6)]
        assert ids == list(range(ids[0], ids[0] + 6)) or ids == sorted(set(ids))

        with pytest.raises(ConfigError, match="did you mean 'front'"):
            run.tracks("fornt")
        with pytest.raises(ConfigError, match="synthetic, not push"):
            run.push("front")
        with pytest.raises(ConfigError, match=r"no run named 'lime' is alive; alive now: line"):
            perception.connect("lime")

        ended = threading.Event()

        def listen() -> None:
            for _ in run.tracks("front"):
                pass
            for _ in run.alerts("front"):
                pass
            ended.set()

        thread = threading.Thread(target=listen)
        thread.start()
        assert line.stop() == 0
        assert ended.wait(BACK_S), "iterators end with the run"
        thread.join()
        assert run.picture(message) is None
    with pytest.raises(ConfigError, match="alive now: none"):
        perception.connect("line")


def test_user_code_gets_bgr_of_an_h264_file(home: Path) -> None:
    """Such frames stand as planes; a detector of one's own and `picture` get BGR all the same."""
    with VideoWriter(home / "clip.mp4") as writer:
        for n in range(40):
            writer.add(picture(3 + 2 * n), n * 100_000_000)
    source = {"path": str(home / "clip.mp4"), "realtime": True, "loop": True}
    with running(home, {"cameras": {"front": {"source": source}}}) as line:
        line.wait_ready("detection-default", "tracking", "alert")
        run = line.connect()
        message = next(found for found in run.detections("front") if len(found.detections))
        assert (message.width, message.height) == (320, 240)
        x1, y1, x2, y2 = message.detections.boxes[0].tolist()
        assert (y1, y2, x2 - x1) == pytest.approx((100, 140, 60), abs=3)
        image = run.picture(message)
        assert image is not None
        assert image.shape == (240, 320, 3)
        assert np.abs(image[120, int(x1 + x2) // 2].astype(int) - RED).max() < 12
        assert np.abs(image[20, 20].astype(int) - GREY).max() < 4
        (shared,) = line.rings()
        assert shared.stat().st_size < 0.6 * bytes_needed(9, 240, 320)
        assert line.stop() == 0


def test_frames_of_ones_own_in_and_tracks_out(home: Path) -> None:
    with running(home, {"cameras": {"mine": {"source": "push"}}}) as line:
        line.wait_ready()
        run = line.connect()
        tracks = run.tracks("mine", every=True)
        with run.push("mine") as pusher:
            assert pusher.send(picture(3), 100_000_000, timeout_s=5)
            with line.health("tracking") as listen:
                listen(BACK_S, lambda health: health.counters.get("tracked.mine", 0) >= 1)
            last = next(tracks)
            assert last.stamp.t_media_ns == 100_000_000, "what was tracked before we looked"
            for n in range(2, 31):
                t_ns = n * 100_000_000
                assert pusher.send(picture(3 * n), t_ns, timeout_s=5)
                for message in tracks:
                    last = message
                    if message.stamp.t_media_ns >= t_ns:
                        break
        assert last.stamp.t_media_ns == 3_000_000_000
        (track,) = list(last)
        assert track.state == "confirmed"
        assert track.box == pytest.approx((90, 100, 150, 140), abs=3)
        assert track.velocity_px_s[0] == pytest.approx(30, abs=10)
        assert line.stop() == 0
    camera = line.summary()["cameras"]["mine"]
    assert camera["frames_read"] == 30 == camera["frames_tracked"]


SLOW_READER = """
import sys, threading
import perception
tracks = perception.connect("line").tracks("a", every=True)
next(tracks)
print("listening", flush=True)
threading.Event().wait()
"""


@pytest.mark.fault("F20")
def test_a_listener_that_hangs_slows_nobody(home: Path) -> None:
    with running(home, {"cameras": {"a": synthetic(fps=30)}}) as line:
        line.wait_ready()
        with subprocess.Popen(
            [sys.executable, "-c", SLOW_READER],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as hung:
            try:
                assert hung.stdout is not None
                assert hung.stdout.readline() == "listening\n"
                tracks = line.connect().tracks("a", every=True)
                ages = [next(tracks).age_ms for _ in range(60)]
            finally:
                hung.kill()
        assert sorted(ages)[30] < 100
        assert line.stop() == 0
    summary = line.summary()["cameras"]["a"]
    assert summary["frames_tracked"] > 0.8 * summary["frames_read"]
