"""`perception analyze`: every frame of a recording, and the same result each time."""

import json
from concurrent.futures import ThreadPoolExecutor
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


def test_what_cannot_be_recorded_in_an_analysis_is_told(home: Path) -> None:
    clip, file = record(home / "scene.mp4"), launch(home)
    said = perception_says("analyze", clip, "--launch", file, "--output", home / "a", "--no-video")
    assert "record:" not in said.stdout
    text = file.read_text()
    file.write_text(text.replace("    lines:", "    record: {}\n    lines:", 1))
    said = perception_says("analyze", clip, "--launch", file, "--output", home / "b", "--no-video")
    assert said.returncode == 0, said.stderr
    assert "record: analyze records nothing, it reads recordings; left out" in said.stdout


def test_two_analyses_of_one_recording_are_equal(home: Path) -> None:
    clip, file = record(home / "scene.mp4"), launch(home)
    outs = [home / "out-0", home / "out-1"]
    commands = [("analyze", clip, "--launch", file, "--output", out, "--no-video") for out in outs]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda words: perception_says(*words), commands))
    results: list[dict[str, bytes]] = []
    for out, done in zip(outs, both, strict=True):
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
    assert results[0] == results[1]


@pytest.mark.footage
@pytest.mark.timeout(180 * SLOW)
def test_every_frame_of_real_footage_is_tracked(home: Path, footage: Path) -> None:
    clip = footage / "video" / "surveillance" / "intel_person_bicycle_car.mp4"
    if not clip.exists():
        pytest.skip(f"no {clip}")
    out = home / "out"
    done = perception_says("analyze", clip, "--output", out, "--no-video", timeout_s=150)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = out.iterdir()
    summary = json.loads((folder / "summary.json").read_bytes())
    (camera,) = summary["cameras"].values()
    assert camera["frames_read"] == camera["frames_tracked"] == 459, "8 fewer than its header says"
    assert camera["tracks_confirmed"] >= 3
