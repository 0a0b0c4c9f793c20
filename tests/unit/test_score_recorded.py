"""Recordings, runs and examinations as results: each picture is where the labels have it."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from perception.errors import ConfigError
from perception.recording.tracks import TracksWriter
from perception.score.recorded import read_recording
from perception.score.results import read_result
from perception.score.scoring import Asked, footage_hours, read_any
from perception.wire import CONFIRMED, TrackMessage
from tests.recordings import WALL, Maker, S, detections, plan
from tests.unit.test_footage import fragments, write_clip

FPS = 20
Row = tuple[int, int, list[float]]


def recording(root: Path, frames: int = 200) -> tuple[dict[int, TrackMessage], int]:
    """Record pictures of which live looks at two of three; return its tracks by picture."""
    packet = fragments(write_clip(root.parent / "clip.mp4", frames=2))[0]
    maker, said = Maker(root, plan()), dict[int, TrackMessage]()
    for n in range(frames):
        found = detections(n, 3, FPS)
        maker.packet(packet, n, found.stamp.t_media_ns)
        if n % 3:
            said[n] = maker.frame(found)
    maker.close()
    return said, maker.alerts


def wanted(said: dict[int, TrackMessage]) -> list[Row]:
    return [
        (n, int(one.tracks.track_ids[i]), one.tracks.boxes[i].tolist())
        for n, one in said.items()
        for i in np.flatnonzero(one.tracks.states == CONFIRMED)
    ]


def rows(boxes: Any) -> list[Row]:
    return [
        (frame, track, [x, y, x + w, y + h])
        for frame, track, (x, y, w, h) in zip(
            boxes.frames.tolist(), boxes.tracks.tolist(), boxes.boxes.tolist(), strict=True
        )
    ]


def same(one: list[Row], other: list[Row]) -> bool:
    a, b = sorted(one), sorted(other)
    return [r[:2] for r in a] == [r[:2] for r in b] and np.allclose(
        [r[2] for r in a], [r[2] for r in b], atol=0.011
    )


def test_what_was_said_live_stands_at_its_picture(tmp_path: Path) -> None:
    said, _ = recording(tmp_path / "footage")
    found = read_recording(tmp_path / "footage", None)
    assert found.boxes is not None
    assert found.boxes.looked.tolist() == [n for n in range(200) if n % 3]
    truth = wanted(said)
    assert len(truth) > 200
    assert same(rows(found.boxes), truth)
    assert found.camera == "door"
    assert len(found.alerts) > 0
    assert footage_hours(found) == pytest.approx((198 / FPS - 0.0) / 3600, rel=0.02)
    with pytest.raises(ConfigError, match="choose one with --camera: door"):
        read_recording(tmp_path / "footage", "gate")


def test_one_segment_is_a_result(tmp_path: Path) -> None:
    said, _ = recording(tmp_path / "footage", frames=60)
    (path,) = (tmp_path / "footage").rglob("*.mcap")
    found = read_any(path, Asked())
    assert found.boxes is not None
    assert same(rows(found.boxes), wanted(said))


def test_tracks_of_a_run_begin_above_after_a_new_start(tmp_path: Path) -> None:
    """A camera process that was started again counts from 0: its pictures come after the others."""
    said, _ = recording(tmp_path / "footage", frames=30)
    writer = TracksWriter(tmp_path / "run" / "tracks-door.jsonl")
    for lift in (3, 4):
        for one in said.values():
            epoch = one.stamp.frame_id & 0xFFFFFFFF | lift << 32
            writer.add(dataclasses.replace(
                one, stamp=msgspec.structs.replace(one.stamp, frame_id=epoch)
            ))  # fmt: skip
    writer.close()
    found = read_result(tmp_path / "run")
    assert found.boxes is not None
    first = [n for n in range(30) if n % 3]
    assert found.boxes.looked.tolist() == first + [30 + n - 1 for n in first]
    assert same([r for r in rows(found.boxes) if r[0] < 30], wanted(said))


def test_an_examination_is_a_result(tmp_path: Path) -> None:
    """Its visits are found at the pictures that were examined."""
    folder = tmp_path / "examined"
    packet = fragments(write_clip(tmp_path / "clip.mp4", frames=2))[0]
    maker = Maker(folder / "made", plan(rules={}))
    for n in range(40):
        found = detections(n, 2, FPS)
        maker.packet(packet, n, found.stamp.t_media_ns)
        maker.frame(found)
    maker.close()
    times = [WALL + n * S // FPS for n in range(5, 9)]
    line = {
        "track_id": 7, "class_name": "person", "t_wall_ns": times, "t_media_ns": [0] * 4,
        "boxes": [[10, 20, 30 + n, 60] for n in range(4)], "seen": [True] * 4,
        "scores": [0.5, 0.6, 0.0, 0.8],
    }  # fmt: skip
    (folder / "visits.jsonl").write_text(json.dumps(line) + "\n")
    found = read_any(folder, Asked())
    assert found.boxes is not None
    assert found.boxes.looked.tolist() == list(range(40))
    assert found.boxes.frames.tolist() == [5, 6, 7, 8]
    assert found.boxes.boxes[:, 2].tolist() == [20, 21, 22, 23]
    assert not found.has_alerts
    (folder / "visits.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match=r"visits.jsonl:1: not a visit"):
        read_any(folder, Asked())
