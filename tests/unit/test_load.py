"""What `perception check` says of the processor: measured, summed, a warning where it is short."""

import os

from benchmarks.lines import make_plan
from perception.commands import load
from perception.commands.load import Load


def test_a_trial_gives_a_load_to_each_camera(tmp_path):
    launch = {
        "cameras": {
            "slow": {"source": "push", "detect": {"rate_hz": 5}},
            "quiet": {"source": "push", "detect": {"mode": "auto"}},
        },
        "detectors": {"default": {"type": "onnx", "model": "yolo11n", "size": 320}},
    }
    found = load.expected(make_plan(launch, tmp_path), {"slow": (240, 320, 25.0)})
    assert found["slow"].rate_hz == 5
    assert found["quiet"].rate_hz == 30
    assert found["slow"].frame_ms > load.REST_MS
    assert found["slow"].quiet is None
    assert found["quiet"].quiet is not None
    assert found["quiet"].quiet < found["quiet"].cores


def test_cameras_that_do_not_fit_are_told_with_what_helps():
    cores = len(os.sched_getaffinity(0))
    assert load.warning({"a": Load(10, 40, 0.4)}) == ""
    said = load.warning({"a": Load(30, 40, 1.0 * cores), "b": Load(30, 40, 1.0 * cores)})
    assert "50 % of the frames" in said
    assert "rate_hz" in said
