"""`perception analyze`: every frame of a recording, and the same result each time."""

import json
import shutil
from pathlib import Path

import pytest

from perception.recording.video import VideoWriter
from perception.sources import allocate_new
from perception.sources.synthetic import SyntheticSource
from tests.line import SLOW, perception_says, write_launch

FRAMES = 60


def record(path: Path) -> Path:
    """Write a seeded scene of moving shapes as a video."""
    options = SyntheticSource.Options(width=320, height=240, fps=15, objects=4, seed=7)
    source = SyntheticSource(options, camera="scene")
    source.open()
    with VideoWriter(path) as video:
        for _ in range(FRAMES):
            frame = source.read(allocate_new)
            assert frame is not None
            video.add(frame.image, frame.t_media_ns)
    source.close()
    return path


def launch(folder: Path, **changes: object) -> Path:
    camera = {
        "source": {"path": "recording.mp4", **changes},
        "lines": {"middle": {"points": [[0.5, 0], [0.5, 1]]}},
        "rules": {"crossed": {"type": "line", "line": "middle"}},
    }
    return write_launch(folder / "analyze.yaml", {"cameras": {"scene": camera}})


def test_two_analyses_of_one_recording_are_equal(home: Path) -> None:
    clip, file = record(home / "scene.mp4"), launch(home)
    results: list[dict[str, bytes]] = []
    for n in range(2):
        out = home / f"out-{n}"
        done = perception_says("analyze", clip, "--launch", file, "--output", out, "--no-video")
        assert done.returncode == 0, done.stdout + done.stderr
        summary = json.loads((out / "scene" / "summary.json").read_bytes())
        camera = summary["cameras"]["scene"]
        assert camera["frames_read"] == camera["frames_tracked"] == FRAMES
        assert camera["dropped"] == {}
        assert camera["tracks_confirmed"] >= 3
        names = ("tracks-scene.jsonl", "mot-scene.txt")
        results.append({name: (out / "scene" / name).read_bytes() for name in names})
        rows = results[-1]["tracks-scene.jsonl"].splitlines()
        assert len(rows) == FRAMES
        shutil.rmtree(out)
    assert results[0] == results[1]


@pytest.mark.footage
@pytest.mark.timeout(180 * SLOW)
def test_every_frame_of_real_footage_is_tracked(home: Path, footage: Path) -> None:
    clip = next(footage.rglob("vtest_PETS09-S2L1.avi"), None)
    if clip is None:
        pytest.skip(f"no vtest_PETS09-S2L1.avi in {footage}")
    out = home / "out"
    done = perception_says("analyze", clip, "--output", out, "--no-video", timeout_s=150)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = out.iterdir()
    summary = json.loads((folder / "summary.json").read_bytes())
    (camera,) = summary["cameras"].values()
    assert camera["frames_read"] == camera["frames_tracked"] == 795
    assert camera["tracks_confirmed"] >= 5
