"""`detect: auto` on a real line: a still view costs few looks, and every frame is answered."""

import numpy as np

from benchmarks.lines import make_plan
from perception.recording.video import VideoWriter
from perception.supervision.supervisor import Supervisor


def test_a_still_view_is_looked_at_seldom_and_every_frame_is_tracked(tmp_path):
    clip = tmp_path / "still.mp4"
    picture = np.random.default_rng(0).integers(0, 256, (180, 320, 3), np.uint8)
    with VideoWriter(clip) as writer:
        for n in range(80):
            writer.add(picture, n * 100_000_000)
    launch = {
        "cameras": {
            "door": {"source": {"type": "video", "path": str(clip)}, "detect": "auto"},
        },
        "detectors": {"default": {"type": "onnx", "model": "yolo11n", "size": 320}},
    }
    supervisor = Supervisor(make_plan(launch, tmp_path / "run"))
    assert supervisor.run() == 0
    camera = supervisor.summary(0).cameras["door"]
    assert camera.frames_read == 80
    assert camera.frames_tracked + sum(camera.dropped.values()) == 80
    assert camera.frames_tracked >= 70
    assert sum(camera.looks.values()) == camera.frames_detected
    assert camera.looks["still"] >= 50
    assert camera.looks["whole"] <= 14  # twice a second at first, then every two seconds
