"""The offset between the clocks of gyro and video as analysis and check find it and say it."""

import json

import cv2
import numpy as np
import pytest

from perception.analysis.offset import MAX_FRAMES, OffsetWatch
from perception.recording.summary_table import offset_text
from tests.line import perception_says, write_launch


class Gyro:
    """A feed as far as the watch knows it."""

    def __init__(self, gyro):
        self.gyro = gyro


def pan(offset_s, seconds=14.0, fps=20):
    """Return a feed and frames of a camera that pans unevenly; its gyro's clock is behind."""
    rng = np.random.default_rng(4)
    scene = cv2.GaussianBlur(rng.integers(0, 255, (200, 3000), np.uint8), (0, 0), 1.5)
    at = np.arange(0, seconds + 2, 0.005)
    rates = np.interp(at, np.linspace(0, seconds + 2, 50), rng.normal(0, 0.4, 50))
    shift = np.concatenate([[0.0], np.cumsum(rates)[:-1] * 0.005]) * 300 + 1300
    gyro = [(t - offset_s, (0.0, float(r), 0.0)) for t, r in zip(at, rates, strict=True)]
    frames = []
    for n in range(round(seconds * fps)):
        t_s = 1.0 + n / fps
        move = np.array([[1.0, 0.0, -np.interp(t_s, at, shift)], [0.0, 1.0, 0.0]])
        frames.append((round(t_s * 1e9), cv2.warpAffine(scene, move, (320, 200))))
    return Gyro(gyro), frames


@pytest.mark.parametrize("offset_s", [-0.3, 0.2])
def test_the_offset_of_a_pan_is_found(offset_s):
    feed, frames = pan(offset_s)
    watch = OffsetWatch(feed)
    for t_ns, grey in frames:
        watch.see(t_ns, grey)
    found = watch.find()
    assert found.seconds == pytest.approx(offset_s, abs=0.03)
    assert found.sigma_s < 0.05
    said = offset_text({"seconds": found.seconds, "sigma_s": found.sigma_s})
    assert f"offset_s: {found.seconds:.3f}" in said
    assert "not applied" in said


def test_without_a_gyro_or_a_turn_nothing_is_said():
    watch = OffsetWatch(Gyro([]))
    watch.see(0, np.zeros((10, 10), np.uint8))
    assert not watch.has_gyro
    assert watch.find() is None
    feed, frames = pan(0.0)
    still = OffsetWatch(feed)
    for n in range(MAX_FRAMES + 5):
        still.see(n * 10**7, frames[0][1])
    assert still.has_gyro
    assert still.find() is None


@pytest.mark.timeout(240)
def test_check_tells_of_telemetry(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("t_s,lat,lon\n0,46.5,6.6\n1,46.6,6.6\nx,1,2\n")
    cameras = {
        "log": {"source": "synthetic", "telemetry": {"type": "csv", "path": str(log)}},
        "sky": {"source": "synthetic", "telemetry": {"type": "mavlink"}},
        "none": {"source": "synthetic", "telemetry": {"type": "csv", "path": "/nowhere.csv"}},
    }
    launch = write_launch(tmp_path / "a.yaml", {"cameras": cameras})
    said = perception_says("check", launch, timeout_s=200)
    assert said.returncode == 0, said.stdout + said.stderr
    text = " ".join(said.stdout.split())
    assert "log: telemetry csv: rows 3, rows unreadable 1, refused: position jumped 1" in text
    assert "sky: telemetry mavlink, inside the stream: listened to" not in text
    assert "sky: telemetry mavlink, udp://127.0.0.1:14550: listened to while" in text
    assert "none: telemetry: /nowhere.csv: cannot be read" in text


@pytest.mark.footage
@pytest.mark.timeout(400)
def test_check_and_analyze_tell_the_offset_of_a_real_clip(footage, tmp_path):
    clip = footage / "video" / "aerial" / "gopro_karma_drone_gpmf.mp4"
    cameras = {"down": {"source": str(clip), "telemetry": {"type": "gpmf"}}}
    launch = write_launch(tmp_path / "a.yaml", {"cameras": cameras})
    said = perception_says("check", launch, timeout_s=200)
    assert said.returncode == 0, said.stdout + said.stderr
    text = " ".join(said.stdout.split())
    told = text.split("down: clock offset of gyro and video ")[1].split()
    offset_s, sigma_s = float(told[0]), float(told[3])
    assert sigma_s < 0.2
    done = perception_says(
        "analyze", clip, "--launch", launch, "--output", tmp_path, "--no-video", timeout_s=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = tmp_path.glob("*/summary.json")
    (camera,) = json.loads(file.read_bytes())["cameras"].values()
    assert camera["clock_offset"]["seconds"] == pytest.approx(offset_s, abs=0.01)
    assert camera["clock_offset"]["explained"] > 0.3
