"""Tracks as text: what is written is what is read, and equal runs are equal bytes."""

import json
import os

import numpy as np
import pytest

from perception import wire as m
from perception.errors import SinkError, SourceError
from perception.recording.mot import MotWriter, read_mot
from perception.recording.tracks import TracksWriter, read_tracks
from perception.wire import codec


def message(n=0, rows=4, *, epoch=1, run=7, warp=None, camera="front"):
    rng = np.random.default_rng(n)
    boxes = rng.uniform(-5, 300, (rows, 4)).astype(np.float32)
    boxes[:, 2:] = boxes[:, :2] + 20.004
    states = np.array([m.CONFIRMED, m.LOST, m.TENTATIVE, m.CONFIRMED, m.REMOVED] * rows, np.uint8)
    return m.TrackMessage(
        stamp=m.Stamp(
            camera=camera,
            frame_id=m.make_id(epoch, n),
            t_media_ns=n * 40_000_000,
            t_arrival_ns=run * 1000,
            t_wall_ns=run * 2000,
        ),
        width=320,
        height=240,
        names={0: "person"},
        dropped={"newest_wins": 1} if n % 2 else {},
        t_detected_ns=run * 3000,
        t_tracked_ns=run * 4000,
        tracks=m.Tracks(
            track_ids=np.array([m.make_id(epoch, i + 1) for i in range(rows)], np.int64),
            boxes=boxes,
            rates=rng.normal(0, 50, (rows, 4)).astype(np.float32),
            class_ids=np.zeros(rows, np.int32),
            scores=rng.uniform(0, 1, rows).astype(np.float32),
            states=states[:rows],
            ages_s=np.full(rows, 1.23456, np.float32),
            unseen_s=np.zeros(rows, np.float32),
            detection_rows=np.array([0, -1, 2, -1, -1] * rows, np.int32)[:rows],
        ),
        warp=np.eye(2, 3, dtype=np.float32) if warp is None else warp,
    )


def write(writer, sent):
    for one in sent:
        writer.add(one)
    writer.close()


WARP = np.array([[1.001, 0, -2.5], [0, 0.999, 3.25]], np.float32)


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_what_is_read_is_what_was_written(tmp_path, rows):
    path = tmp_path / "runs" / "tracks-front.jsonl"
    sent = [message(0, rows), message(1, rows, warp=WARP)]
    write(TracksWriter(path), sent)
    for one, back in zip(sent, read_tracks(path), strict=True):
        if rows:
            assert back.stamp == one.stamp
        assert (back.width, back.height, back.names, back.dropped) == (
            320,
            240,
            one.names,
            one.dropped,
        )
        np.testing.assert_array_equal(back.tracks.track_ids, one.tracks.track_ids)
        np.testing.assert_allclose(back.tracks.boxes, one.tracks.boxes, atol=0.0051)
        np.testing.assert_allclose(back.tracks.rates, one.tracks.rates, atol=0.0051)
        np.testing.assert_allclose(back.tracks.scores, one.tracks.scores, atol=5.1e-5)
        np.testing.assert_array_equal(back.tracks.states, one.tracks.states)
        np.testing.assert_array_equal(back.tracks.detection_rows, one.tracks.detection_rows)
        np.testing.assert_allclose(back.warp, one.warp, atol=1e-6)
        codec.decode(codec.encode(back))


def test_two_runs_that_differ_in_time_and_epoch_are_byte_equal(tmp_path):
    for name, epoch, run in (("a", 1, 7), ("b", 9, 99)):
        path = tmp_path / name
        write(
            TracksWriter(path, deterministic=True),
            [message(n, epoch=epoch, run=run) for n in range(9)],
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert [one.stamp.t_arrival_ns for one in read_tracks(tmp_path / "a")] == [0] * 9


def test_a_line_is_plain_rounded_json(tmp_path):
    write(TracksWriter(tmp_path / "a", deterministic=True), [message(3, 1)])
    line = json.loads((tmp_path / "a").read_text())
    assert line["camera"] == "front"
    assert line["frame"] == 3
    assert line["t_media_ns"] == 120_000_000
    assert line["dropped"] == {"newest_wins": 1}
    assert "run" not in line
    assert "warp" not in line
    assert line["tracks"][0]["id"] == 1
    assert line["tracks"][0]["state"] == "confirmed"
    assert line["tracks"][0]["age_s"] == 1.235
    assert all(len(str(abs(v)).partition(".")[2]) <= 2 for v in line["tracks"][0]["box"])


def test_a_line_cut_short_at_the_end_is_left_out_and_elsewhere_named(tmp_path):
    path = tmp_path / "a"
    write(TracksWriter(path), [message(n) for n in range(3)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert len(list(read_tracks(path))) == 2
    path.write_bytes(whole.replace(b'"camera"', b'"kamera"', 1))
    with pytest.raises(SourceError, match=r"a:1: .*camera"):
        list(read_tracks(path))
    path.write_bytes(whole.replace(b"confirmed", b"konfirmed", 1))
    with pytest.raises(SourceError, match="a:1: "):
        list(read_tracks(path))
    with pytest.raises(SourceError, match="none"):
        list(read_tracks(tmp_path / "none"))


def confirmed(sent):
    """Return frame from 1 and low part of the id of each confirmed track."""
    return [
        [m.short_id(one.stamp.frame_id) + 1, m.short_id(int(i))]
        for one in sent
        for i, state in zip(one.tracks.track_ids, one.tracks.states, strict=True)
        if state == m.CONFIRMED
    ]


def test_mot_holds_what_the_tracker_confirms(tmp_path):
    path = tmp_path / "mot-front.txt"
    sent = [message(0), message(4)]
    write(MotWriter(path), sent)
    rows = read_mot(path)
    assert rows[:, :2].tolist() == confirmed(sent)
    assert len(rows) < sum(len(one.tracks) for one in sent), "others are left out"
    x1, y1 = sent[0].tracks.boxes[0, :2]
    np.testing.assert_allclose(rows[0, 2:6], [x1, y1, 20.004, 20.004], atol=0.0051)
    assert path.read_text().splitlines()[0].endswith(",-1,-1,-1")


def test_mot_numbers_go_on_where_a_process_was_started_again(tmp_path):
    path = tmp_path / "mot.txt"
    write(MotWriter(path), [message(7), message(0, epoch=2), message(1, epoch=2)])
    rows = read_mot(path)
    assert sorted(set(rows[:, 0].tolist())) == [8, 9, 10]
    first, rest = (set(rows[at, 1].tolist()) for at in (rows[:, 0] == 8, rows[:, 0] > 8))
    assert not first & rest
    assert all(set(rows[rows[:, 0] == n, 1].tolist()) == rest for n in (9, 10))


def test_mot_reader_names_what_is_no_number(tmp_path):
    path = tmp_path / "mot.txt"
    path.write_text("")
    assert read_mot(path).shape == (0, 7)
    path.write_text("1,1,0,0,5,5,0.5,-1,-1,-1\n\n2,1,zero,0,5,5,1\n")
    with pytest.raises(SourceError, match=r"mot.txt:3: .*zero"):
        read_mot(path)
    with pytest.raises(SourceError, match="none"):
        read_mot(tmp_path / "none")


@pytest.mark.parametrize("writer", [TracksWriter, MotWriter])
def test_full_disk_and_unwritable_place_are_sink_errors(tmp_path, writer):
    full = writer("/dev/full")
    with pytest.raises(SinkError, match=r"/dev/full.*No space"):
        write(full, [message(n) for n in range(2000)])
    with pytest.raises(SinkError, match="/dev/full"):
        full.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="file"):
        writer(tmp_path / "file" / "a").add(message())


def test_lines_reach_the_disk_within_a_second(tmp_path, monkeypatch):
    now = [0]
    monkeypatch.setattr("perception.clock.monotonic_ns", lambda: now[0])
    writer = TracksWriter(tmp_path / "a")
    writer.add(message(0))
    assert os.path.getsize(tmp_path / "a") == 0
    now[0] = 1_000_000_000
    writer.add(message(1))
    assert len(list(read_tracks(tmp_path / "a"))) == 2
    writer.close()
