"""One camera's files from one object: all there, each failing alone, equal runs equal."""

import json

import av
import numpy as np
import pytest

from perception import draw
from perception import wire as m
from perception.errors import SinkError
from perception.recording.mot import read_mot
from perception.recording.output import INSTANT_SHOWN_NS, CameraOutput, Shown
from perception.recording.tracks import read_tracks

ZONES = {"path": [(0.2, 0.4), (0.8, 0.4), (0.8, 0.9)]}
LINES = {"gate": ((0.1, 0.5), (0.9, 0.5))}


def message(n, run=1):
    return m.TrackMessage(
        stamp=m.Stamp(
            camera="front",
            frame_id=m.make_id(run, n),
            t_media_ns=n * 40_000_000,
            t_arrival_ns=run * 1_000_000,
            t_wall_ns=run,
        ),
        width=320,
        height=240,
        names={0: "person"},
        dropped={},
        t_detected_ns=run * 5_000_000,
        t_tracked_ns=run * 9_000_000,
        tracks=m.Tracks(
            track_ids=np.array([m.make_id(run, 1)]),
            boxes=np.array([[20 + n, 30, 90 + n, 200]], np.float32),
            rates=np.zeros((1, 4), np.float32),
            class_ids=np.zeros(1, np.int32),
            scores=np.array([0.8], np.float32),
            states=np.array([m.CONFIRMED], np.uint8),
            ages_s=np.ones(1, np.float32),
            unseen_s=np.zeros(1, np.float32),
            detection_rows=np.zeros(1, np.int32),
        ),
        warp=np.eye(2, 3, dtype=np.float32),
    )


IMAGE = np.full((240, 320, 3), 90, np.uint8)


def run_once(folder, run=1, **options):
    output = CameraOutput(folder, "front", ZONES, LINES, **options)
    for n in range(30):
        output.add(message(n, run), IMAGE if n % 3 else None, counts={"gate in": n})
    output.close()
    return output


def test_three_files_come_out_and_the_image_stays_as_it_was(tmp_path):
    output = run_once(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "annotated-front.mp4",
        "mot-front.txt",
        "tracks-front.jsonl",
    ]
    assert len(list(read_tracks(tmp_path / "run" / "tracks-front.jsonl"))) == 30
    assert len(read_mot(tmp_path / "run" / "mot-front.txt")) == 30
    with av.open(str(tmp_path / "run" / "annotated-front.mp4")) as video:
        frames = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    assert len(frames) == output.frames == 20
    assert np.abs(frames[0].astype(int) - IMAGE).max() > 60
    assert (IMAGE == 90).all()


def test_files_that_are_not_wanted_are_not_made(tmp_path):
    run_once(tmp_path / "text", video=False)
    run_once(tmp_path / "video", tracks=False)
    assert not list((tmp_path / "text").glob("*.mp4"))
    assert [path.name for path in (tmp_path / "video").iterdir()] == ["annotated-front.mp4"]


def test_deterministic_runs_are_byte_equal(tmp_path):
    for name, run in (("a", 1), ("b", 2)):
        run_once(tmp_path / name, run, deterministic=True)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_video_that_cannot_be_written_is_named_once_and_tracks_go_on(tmp_path):
    (tmp_path / "annotated-front.mp4").mkdir()
    output = CameraOutput(tmp_path, "front")
    with pytest.raises(SinkError, match=r"annotated-front\.mp4"):
        output.add(message(0), IMAGE)
    output.add(message(1), IMAGE)
    output.close()
    assert list(output.failed) == ["annotated-front.mp4"]
    assert len(list(read_tracks(tmp_path / "tracks-front.jsonl"))) == 2


def test_text_that_cannot_be_written_leaves_the_video(tmp_path):
    (tmp_path / "mot-front.txt").symlink_to("/dev/full")
    output = CameraOutput(tmp_path, "front")
    for n in range(10):
        output.add(message(n), IMAGE)
    with pytest.raises(SinkError, match=r"mot-front\.txt"):
        output.close()
    output.close()
    assert output.frames == 10
    assert len(list(read_tracks(tmp_path / "tracks-front.jsonl"))) == 10


def test_a_folder_that_cannot_be_made_fails_each_file(tmp_path):
    (tmp_path / "file").write_text("")
    output = CameraOutput(tmp_path / "file", "front")
    with pytest.raises(SinkError, match="tracks-front"):
        output.add(message(0), IMAGE)
    assert len(output.failed) == 3
    output.add(message(1), IMAGE)
    output.close()


def alert(key, kind, state, **details):
    return m.Alert(
        key=key, camera="front", rule="r", kind=kind, state=state, track_id=1, class_name="car",
        score=0.9, box=(0, 0, 1, 1), frame_id=1, start_t_media_ns=0, t_media_ns=0,
        start_t_wall_ns=0, t_wall_ns=0, details=details,
    )  # fmt: skip


def test_alerts_are_shown_while_they_last_and_instants_a_moment():
    shown = Shown()
    shown.note(alert("a", "zone", "raised"))
    shown.note(alert("b", "line", "raised", direction="in"))
    shown.note(alert("c", "line", "raised", direction="in"))
    assert [a.key for a in shown.at(INSTANT_SHOWN_NS)] == ["a", "b", "c"]
    assert [a.key for a in shown.at(INSTANT_SHOWN_NS + 1)] == ["a"]
    shown.note(alert("a", "zone", "cleared"))
    assert shown.at(0) == []
    assert shown.counts == {"in": 2}


def lanes_of(t_ms, n=0):
    points = np.array([[[20, 90], [40, 60]], [[100, 90], [70, 60]]], np.float32)
    return m.LaneMessage(
        stamp=m.Stamp(
            camera="front",
            frame_id=n,
            t_media_ns=t_ms * 1_000_000,
            t_arrival_ns=1,
            t_wall_ns=1,
        ),
        width=120,
        height=100,
        t_taken_ns=1,
        t_done_ns=2,
        lines=m.LaneLines(
            places=np.array([-1, 1], np.int8),
            confidences=np.array([0.9, 0.25], np.float32),
            offsets=np.array([-1.25, 1.5], np.float32),
            points=points,
            metres=points / 10,
        ),
        ahead_px=60.0,
        horizon_px=40.0,
        curvature_1_m=-0.002,
        height_m=1.2,
    )


def test_lanes_are_json_lines(tmp_path):
    output = CameraOutput(tmp_path, "front", video=False, tracks=False, lanes=True)
    output.see(lanes_of(0))
    output.see(
        m.LaneMessage(
            stamp=lanes_of(40, 1).stamp,
            width=120,
            height=100,
            t_taken_ns=1,
            t_done_ns=1,
            lines=m.LaneLines.none(),
        )
    )
    output.close()
    written = (tmp_path / "lanes-front.jsonl").read_text()
    one, none = (json.loads(text) for text in written.splitlines())
    assert one == {
        "camera": "front",
        "frame": 0,
        "t_media_ns": 0,
        "width": 120,
        "height": 100,
        "ahead": [60.0, 40.0],
        "curvature_1_m": -0.002,
        "lines": [
            {
                "place": -1,
                "confidence": 0.9,
                "offset": -1.25,
                "points": [[20.0, 90.0], [40.0, 60.0]],
                "offset_m": -1.5,
                "metres": [[2.0, 9.0], [4.0, 6.0]],
            },
            {
                "place": 1,
                "confidence": 0.25,
                "offset": 1.5,
                "points": [[100.0, 90.0], [70.0, 60.0]],
                "offset_m": 1.8,
                "metres": [[10.0, 9.0], [7.0, 6.0]],
            },
        ],
    }
    assert (none["frame"], none["lines"]) == (1, [])
    assert "ahead" not in none


def test_lanes_are_drawn_where_they_are():
    image = np.full((200, 240, 3), 128, np.uint8)  # twice the message's size
    draw.lanes(image, lanes_of(0))
    changed = (image != 128).any(axis=2)
    assert changed[150, 60]  # the left line, half way
    assert changed[150, 110]  # the own lane is tinted
    assert not changed[150, 20]
    assert not changed[90].any()
