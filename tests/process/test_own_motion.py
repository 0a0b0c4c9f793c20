"""How a vehicle moves, said by user code to a real line: it comes back with the tracks."""

import json
import time
from pathlib import Path

import pytest

import perception
from tests.line import SLOW, running, synthetic
from tests.unit.test_sources_bag import Bag, as_bgr8


@pytest.mark.timeout(90 * SLOW)
def test_what_user_code_says_comes_with_the_next_frames(home: Path) -> None:
    camera = {**synthetic(), "calibration": {"fov_deg": 60, "height_m": 1.3}}
    with running(home, {"cameras": {"front": camera}}) as line:
        line.wait_ready()
        run = perception.connect(line.name, timeout_s=10)
        frames = run.tracks("front")
        first = next(frames)
        assert first.own_speed_m_s is None
        assert run.state(speed_m_s=13.5, yaw_rate=-0.1, timeout_s=5)
        deadline = time.monotonic() + 20 * SLOW
        for frame in frames:
            if frame.own_speed_m_s is not None:
                break
            assert time.monotonic() < deadline, "never heard of it"
        assert (frame.own_speed_m_s, frame.own_yaw_rate) == (13.5, -0.1)
        for frame in frames:
            if frame.own_speed_m_s is None:
                break
            assert time.monotonic() < deadline, "it should hold for 1 s only"
        with pytest.raises(ValueError, match="motion"):
            run.state(speed_m_s=float("nan"))
        frames.close()
        assert line.stop() == 0


@pytest.mark.timeout(90 * SLOW)
def test_what_a_bag_says_comes_with_its_frames(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with Bag(home / "drive", "mcap") as bag:
        for n in range(40):
            bag.odometry("Odometry", n, 10.0, 0.2)
            bag.image(n, as_bgr8(n % 10))
    source = {"type": "bag", "path": str(home / "drive"), "odometry": "/odom", "realtime": True}
    camera = {**synthetic(), "source": source}
    with running(home, {"cameras": {"front": camera}, "output": {"tracks": True}}) as line:
        assert line.wait_end(60 * SLOW) == 0
    rows = (line.folder / "tracks-front.jsonl").read_text().splitlines()
    own = [json.loads(row).get("own") for row in rows]
    assert own.count([10.0, 0.2]) >= 30, own
