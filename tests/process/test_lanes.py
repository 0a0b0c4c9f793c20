"""Lanes of a real line: a rendered drive that leaves its lane, with metres, recording, alert."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests import roads
from tests.line import SLOW, running

FPS, SECONDS = 20, 8
LEFT_M, RIGHT_M = -1.75, 1.75
DRIFT_M_S = 0.4
"""To the right, from the middle of the lane on, after 3 s."""


def moved_m(t_s: float) -> float:
    return DRIFT_M_S * max(0.0, t_s - 3.0)


def drive(path: Path) -> Path:
    """Write the drive: 10 m/s ahead, then to the right."""
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = roads.W, roads.H, "yuv420p"
        for n in range(FPS * SECONDS):
            aside = moved_m(n / FPS)
            lines = {LEFT_M - aside: "solid", RIGHT_M - aside: "dashed"}
            grey = roads.road(lines, travelled=10.0 * n / FPS, seed=n)
            image = np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2))
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
        out.mux(stream.encode())
    return path


@pytest.mark.timeout(180 * SLOW)
def test_a_drive_that_leaves_its_lane(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    source = {"type": "video", "path": str(drive(home / "drive.mp4")), "realtime": True}
    camera = {
        "source": source,
        "lanes": {},
        "record": {},
        "calibration": {
            "focal_px": roads.FOCAL,
            "width_px": roads.W,
            "height_m": roads.HEIGHT_M,
            "horizon": 0.5,
        },
        "rules": {"drift": {"type": "departure", "seconds": 1.0, "width_m": 1.8}},
    }
    launch = {
        "cameras": {"ahead": camera},
        "detectors": {"default": {"type": "motion"}},
        "alerts": {"sinks": {"jsonl": {}}},
        "output": {"tracks": True},
    }
    with running(home, launch) as line:
        line.wait_ready()
        frames = line.connect().lanes("ahead")
        seen = next(frame for frame in frames if {one.place for one in frame} >= {-1, 1})
        frames.close()
        left = next(one for one in seen if one.place == -1)
        t_s = seen.stamp.t_media_ns / 1e9
        assert left.offset_m == pytest.approx(LEFT_M - moved_m(t_s), abs=0.15)
        assert line.wait_end(60 * SLOW) == 0
    summary = line.summary()
    assert not any(part["restarts"] for part in summary["processes"].values())
    assert summary["cameras"]["ahead"]["frames_tracked"] > FPS * SECONDS / 2
    rows = [
        json.loads(text) for text in (line.folder / "lanes-ahead.jsonl").read_text().splitlines()
    ]
    assert len(rows) > FPS * SECONDS / 2
    raised = [alert for alert in line.alerts() if alert["state"] == "raised"]
    (alert,) = [alert for alert in raised if alert["rule"] == "drift"]
    assert alert["details"]["side"] == "right"
    # The right side of the vehicle is .85 m from the line until 3 s, and over it at 5.1 s.
    over_s = 3.0 + (RIGHT_M - 0.9) / DRIFT_M_S
    assert over_s - 1.3 < alert["t_media_ns"] / 1e9 < over_s
