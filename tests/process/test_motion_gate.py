"""A camera with a motion gate on a real line: what rests is dropped as `still`, nothing else is."""

import numpy as np

from benchmarks.lines import make_plan
from perception.recording.video import VideoWriter
from perception.supervision.supervisor import Supervisor


def test_a_still_view_is_looked_at_at_the_floor_rate_and_counted(tmp_path):
    clip = tmp_path / "still.mp4"
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    with VideoWriter(clip) as writer:
        for n in range(60):
            writer.add(picture, n * 100_000_000)
    launch = {
        "cameras": {
            "door": {
                "source": {"type": "video", "path": str(clip)},
                "detect": {"motion_gate": 1},
            }
        },
        "detectors": {"default": {"type": "onnx", "model": "yolo11n", "size": 320}},
    }
    supervisor = Supervisor(make_plan(launch, tmp_path / "run"))
    assert supervisor.run() == 0
    camera = supervisor.summary(0).cameras["door"]
    assert camera.frames_read == 60
    assert camera.frames_detected <= 20  # a second is held at the start, then 1 a second
    assert camera.dropped["still"] >= 35
    assert camera.frames_tracked + sum(camera.dropped.values()) == 60
