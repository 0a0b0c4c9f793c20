"""Recordings without a line: fragments, segments, repair, catalog, chain, clips, retention."""

import hashlib
import io
import itertools
import json
import os
import shutil
import sqlite3
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.footage import chain, exporting, retention, thumbnail, writer
from perception.footage.annex_b import head_of
from perception.footage.camera import CameraRecorder, Options
from perception.footage.candidates import candidates
from perception.footage.catalog import Catalog
from perception.footage.chain import Chain
from perception.footage.clips import clip_path, places
from perception.footage.encoding import FrameEncoder
from perception.footage.fragments import Fragment, Fragmenter, UnsupportedCodec, split
from perception.footage.lock import FolderLock
from perception.footage.messages import PACKETS, LoggedMessage, read, read_row
from perception.footage.repair import list_again, rebuild, repair
from perception.footage.rows import SegmentRow, TrackRow
from perception.footage.segment import PacketStamp
from perception.footage.transport_stream import TransportStream
from perception.pixels import Pixels
from perception.sources.tap import PacketTap
from tests.line import wait_until
from tests.namespaces import own_mounts, says

S = 1_000_000_000
WALL = 1_795_780_000 * S


def table(topic: str) -> dict[str, Any]:
    return {"topic": topic}


def write_clip(
    path: Path, *, frames: int = 60, size: tuple[int, int] = (96, 64), codec: str = "libx264",
    b_frames: int = 0, uneven: bool = False, rate: int = 20,
) -> Path:  # fmt: skip
    """Write a clip of moving stripes, a key frame each second."""
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, (size[1], size[0] * 2, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            stream.gop_size = rate
            stream.max_b_frames = b_frames
            stream.options = {"preset": "ultrafast", "bf": str(b_frames), "sc_threshold": "0"}
        at = 0
        for n in range(frames):
            image = np.ascontiguousarray(noise[:, n % size[0] : n % size[0] + size[0]])
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            at += (30 if n % 3 else 90) if uneven else 1000 // rate
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def decoded(place: Any) -> list[tuple[Fraction, str]]:
    """Return time and hash of every picture that packets decode to."""
    found: list[tuple[Fraction, str]] = []
    with av.open(place) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            for frame in packet.decode():
                data = frame.to_ndarray().tobytes()
                base = stream.time_base or Fraction(1)
                found.append((frame.pts * base, hashlib.sha256(data).hexdigest()))
    return found


def fragments(path: Path) -> list[Fragment]:
    maker, found = Fragmenter(), list[Fragment]()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            if packet.size:
                found += maker.add(packet, stream, len(found))
    return found + maker.end()


KINDS = {
    "no B-frames": {},
    "B-frames": {"b_frames": 3},
    "variable rate": {"uneven": True},
    "variable rate with B-frames": {"uneven": True, "b_frames": 2},
    "MJPEG": {"codec": "mjpeg", "suffix": ".mkv"},
    "MPEG-TS": {"suffix": ".ts"},
    "MPEG-TS with B-frames": {"suffix": ".ts", "b_frames": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a3_segments_decode_to_the_same_pictures_at_the_same_times(kind, tmp_path):
    options = dict(KINDS[kind])
    clip = write_clip(tmp_path / f"clip{options.pop('suffix', '.mp4')}", **options)
    recorder, catalog = camera_recorder(tmp_path / "footage")
    whole = decoded(str(clip))
    for n, fragment in enumerate(fragments(clip)):
        # Each second is a new segment: 61 s of wall time pass between two key frames.
        wall = WALL + sum(61 * S for f in [fragment] if f.key) * n + n * S // 20
        recorder.packet(fragment, PacketStamp(n, n * S // 20, n, wall), n)
    recorder.close()
    got: list[tuple[Fraction, str]] = []
    for row in catalog.segments():
        shift = Fraction(row.base_pts, row.timescale)
        got += [(t + shift, h) for t, h in decoded(str(catalog.root / f"{row.path}.mp4"))]
    assert len(catalog.segments()) >= 3
    assert [h for _, h in got] == [h for _, h in whole]
    assert [float(t) for t, _ in got] == pytest.approx([float(t) for t, _ in whole], abs=2e-5)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": "repeat-headers=1"}),
        ("libx264", {"x264-params": "repeat-headers=1:open-gop=1", "bf": "2"}),
        ("libx265", {"x265-params": "repeat-headers=1:log-level=none"}),
    ],
)
def test_a3_key_frames_are_found_without_a_parser(codec, options, tmp_path):
    """Live MPEG-TS is read without FFmpeg's parser, which is who marks key frames."""
    path = tmp_path / "x.ts"
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream(codec, rate=20, options={"preset": "ultrafast", **options})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.gop_size = 10
        rng = np.random.default_rng(1)
        for n in range(45):
            image = rng.integers(0, 255, (64, 96, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    def keys(**more):
        with av.open(str(path), format="mpegts", **more) as container:
            stream = container.streams.video[0]
            name = stream.codec_context.name
            packets = [packet for packet in container.demux(stream) if packet.size]
            marked = [packet.is_keyframe for packet in packets]
            found = [head_of(bytes(packet), name).is_key for packet in packets]
        return marked, found

    marked, found = keys()
    assert sum(marked) >= 4
    assert found == marked
    unparsed, found = keys(options={"fflags": "+noparse"})
    assert not any(unparsed)
    assert found == marked


def test_a3_a_change_of_size_begins_a_new_stream(tmp_path):
    small = write_clip(tmp_path / "a.ts", size=(64, 48), frames=20)
    large = write_clip(tmp_path / "b.ts", size=(96, 64), frames=20)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    found = fragments(both)
    sizes = {f.stream: (f.width, f.height) for f in found}
    assert list(sizes.values()) == [(64, 48), (96, 64)]
    for number in sizes:
        mine = [f for f in found if f.stream == number]
        data = mine[0].header + b"".join(f.data for f in mine)
        assert len(decoded(io.BytesIO(data))) == len(mine) == 20


def test_a_codec_that_mp4_cannot_hold_is_named(tmp_path):
    clip = write_clip(tmp_path / "clip.avi", codec="mjpeg", frames=3)
    raw = tmp_path / "raw.avi"
    with av.open(str(clip)) as source, av.open(str(raw), "w") as out:
        stream: Any = out.add_stream("ffvhuff", rate=20)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for frame in source.decode(video=0):
            for packet in stream.encode(frame.reformat(format="yuv420p")):
                out.mux(packet)
    with pytest.raises(UnsupportedCodec, match="ffvhuff"):
        fragments(raw)


def camera_recorder(root: Path, **options: Any) -> tuple[CameraRecorder, Catalog]:
    catalog = Catalog(root)
    (root / "door").mkdir(parents=True, exist_ok=True)
    chained = Chain(root, "door")
    return CameraRecorder(catalog, chained, "door", "run", Options(**options), table), catalog


def record(recorder: CameraRecorder, clip: Path, *, seconds_each: float = 0.05) -> int:
    """Feed a clip; return how many packets it had."""
    found = fragments(clip)
    for n, fragment in enumerate(found):
        t = round(n * seconds_each * S)
        recorder.packet(fragment, PacketStamp(n, t, t, WALL + t), t)
        recorder.message(LoggedMessage("tracks", WALL + t, t, b"row %d" % n), t)
        recorder.turn(t)
    return len(found)


def test_a2_what_a_kill_leaves_is_repaired_and_listed_again(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=100), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip)
    shutil.copytree(root, tmp_path / "killed")  # as a kill leaves it
    recorder.close()
    catalog.close()
    root = tmp_path / "killed"
    video, messages = (next(root.rglob(f"*.{kind}.part")) for kind in ("mp4", "mcap"))
    os.truncate(video, video.stat().st_size - 100)
    rows = repair(root, table)
    assert len(rows) == 1
    (row,) = rows
    assert row.torn
    assert row.frames == 99
    assert not list(root.rglob("*.part"))
    assert not list(root.rglob("*.torn"))
    assert len(decoded(str(root / f"{row.path}.mp4"))) == 99
    said = list(read(root / f"{row.path}.mcap"))
    # Flushed each second: of 100 messages in 5 s at most the last 1.1 s are gone.
    assert sum(s.topic == "tracks" for s in said) >= 78
    assert read_row(root / f"{row.path}.mcap") is not None
    assert list(rebuild(root, table)) == rows
    assert not messages.exists()


def test_a2_the_catalog_made_again_is_the_same(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=80), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip, seconds_each=3.0)
    recorder.track(seen(1, WALL + 235 * S, WALL + 236 * S))
    recorder.lost("disk", 5, WALL)
    recorder.alert("abc", 0, 0)
    recorder.close()
    before = catalog.dump()
    assert len(catalog.segments()) >= 3
    catalog.close()
    (root / "catalog.sqlite").unlink()
    again = Catalog(root)
    assert again.is_new
    list_again(again, table)
    rows, losses = json.loads(again.dump())
    assert rows == json.loads(before)[0]
    assert losses == [] or losses == json.loads(before)[1]
    again.close()


@pytest.mark.fault("F24")
@pytest.mark.parametrize("fate", ["missing", "corrupt", "newer", "empty"])
def test_b4_no_state_of_the_catalog_deletes_a_file(fate, tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4"), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip)
    recorder.close()
    catalog.close()
    files = sorted(path for path in root.rglob("*.m*") if path.is_file())
    path = root / "catalog.sqlite"
    if fate == "missing":
        path.unlink()
    elif fate == "corrupt":
        path.write_bytes(b"no database " * 500)
    elif fate == "newer":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        path.write_bytes(b"")
    again = Catalog(root)
    list_again(again, table)
    assert len(again.segments()) == 1
    assert sorted(path for path in root.rglob("*.m*") if path.is_file()) == files
    again.close()


def test_the_chain_names_the_first_link_that_was_changed(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=80), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip, seconds_each=3.0)
    recorder.close()
    rows = catalog.segments()
    assert chain.verify(root, "door") == (len(rows), None)
    second = root / f"{rows[1].path}.mp4"
    data = bytearray(second.read_bytes())
    data[-20] ^= 1
    second.write_bytes(data)
    count, broken = chain.verify(root, "door")
    assert count == 1
    assert broken is not None
    assert broken.path == rows[1].path
    data[-20] ^= 1
    second.write_bytes(data)
    (root / f"{rows[0].path}.mp4").unlink()
    assert chain.verify(root, "door")[1] is not None
    Chain(root, "door").delete(rows[0].path, "space")
    assert chain.verify(root, "door") == (len(rows) - 1, None)
    lines = (root / "door" / chain.NAME).read_text().splitlines()
    (root / "door" / chain.NAME).write_text("\n".join(lines[1:]) + "\n")
    assert chain.verify(root, "door")[1] is not None
    catalog.close()


def test_a_torn_line_of_the_chain_is_cut(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4"), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip)
    recorder.close()
    with (root / "door" / chain.NAME).open("a") as file:
        file.write('{"path": "half')
    Chain(root, "door")
    assert chain.verify(root, "door") == (1, None)
    catalog.close()


def test_a_clip_begins_before_its_alert_and_ends_after_it(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=400), tmp_path / "footage"
    recorder, catalog = camera_recorder(root, before_s=3.0, after_s=2.0)
    for n, fragment in enumerate(fragments(clip)):
        t = n * S // 20
        recorder.packet(fragment, PacketStamp(n, t, t, WALL + t), t)
        if n == 200:
            recorder.alert("abcd", t, t)
    recorder.close()
    path = clip_path(root, "door", "abcd")
    found = decoded(str(path))
    # Key pictures stand each second: 7.0 s is one; 10 s + 2 s is the last.
    assert found[0][0] == 0
    assert len(found) == 101
    whole = [h for _, h in decoded(str(clip))]
    assert [h for _, h in found] == whole[140:241]
    assert places(path) == (0.0, 3.0)
    assert places(clip) is None
    assert places(root / "none.mp4") is None
    assert catalog.segments()[0].alerts == ["abcd"]
    catalog.close()


def test_a_clip_says_where_in_it_its_alert_is(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=200), tmp_path / "footage"
    recorder, catalog = camera_recorder(root, before_s=1.3, after_s=1.0)
    for n, fragment in enumerate(fragments(clip)):
        t = n * S // 20
        recorder.packet(fragment, PacketStamp(n, t, t, WALL + t), t)
        if n == 97:
            recorder.alert("abcd", t, t)
    recorder.close()
    # Key pictures stand each second: the alert is at 4.85 s, wanted is 3.55 s, so 3 s is the first.
    assert places(clip_path(root, "door", "abcd")) == pytest.approx((0.55, 1.85), abs=1e-6)
    catalog.close()


def test_what_did_not_come_is_one_loss(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4"), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    for n, fragment in enumerate(fragments(clip)):
        if not 25 <= n < 40:
            t = n * S // 20
            recorder.packet(fragment, PacketStamp(n, t, t, WALL + t), t)
    recorder.close()
    losses = [loss for loss in catalog.losses() if loss.cause == "not received"]
    assert [(loss.packets, loss.cause) for loss in losses] == [(15, "not received")]
    catalog.close()


def test_a5_a_disk_that_refuses_is_a_loss_and_recording_goes_on(tmp_path, monkeypatch):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=200), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    full = False

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if full:
                raise OSError(28, "No space left on device")
            return super().write(data)

    def opens(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if mode == "wb" and named.get("buffering") == 0:
            return Full(path, "wb")
        return open(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", opens)
    for n, fragment in enumerate(fragments(clip)):
        full = 60 <= n < 100
        t = n * S // 20
        recorder.packet(fragment, PacketStamp(n, t, t, WALL + t), t)
        assert bool(recorder.trouble) == (60 <= n < 140) or n >= 100
    recorder.close()
    rows = catalog.segments()
    disk = sum(loss.packets for loss in catalog.losses() if loss.cause == "disk")
    assert disk >= 40
    assert rows[-1].last_packet == 199
    assert len(list(root.rglob("*.mp4.part"))) >= 1  # what was written before is repaired
    (torn,) = repair(root, table)
    assert (torn.frames, torn.camera, torn.codec) == (60, "door", "h264")
    assert torn.start_wall_ns == WALL
    catalog.close()


def test_frames_are_encoded_where_there_are_no_packets(tmp_path):
    encoder, found = FrameEncoder(), list[Fragment]()
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (65, 97, 3), np.uint8)
    for n in range(50):
        found += encoder.add(Pixels(np.roll(picture, n, 1)), n * S // 10, n)
    found += encoder.end()
    assert [f.tag for f in found] == list(range(50))
    assert [n for n, f in enumerate(found) if f.key] == [0, 20, 40]
    data = found[0].header + b"".join(f.data for f in found)
    times = [float(t) for t, _ in decoded(io.BytesIO(data))]
    assert times == pytest.approx([n / 10 for n in range(50)], abs=1e-4)


def test_the_tap_dates_packets_by_their_pictures(tmp_path):
    clip, tap = write_clip(tmp_path / "clip.mp4", b_frames=2), PacketTap()
    taken: list[Fragment] = []
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            tap.packet(packet, stream, 1)
            for picture in packet.decode():
                tap.picture(picture.pts, round(picture.pts * picture.time_base * S) + 7 * S)
            taken += tap.take()
    tap.broken()
    taken += tap.take()
    assert len(taken) == 60
    for fragment in taken:
        t = Fraction(fragment.pts, fragment.timescale) + 7
        assert fragment.tag.t_media_ns == pytest.approx(float(t) * S, abs=1e6)


def test_a_tap_that_nobody_empties_drops_whole_groups(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=100)
    sizes = [len(f.data) for f in fragments(clip)]
    tap = PacketTap(max_bytes=sum(sizes[:30]))
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            tap.packet(packet, stream, 1)
            for picture in packet.decode():
                tap.picture(picture.pts, picture.pts)
        first = tap.take()
        tap.broken()
    assert len(first) == 30
    assert tap.lost == 69 + (0 if tap.take() else 1)


def test_an_export_holds_the_span_and_its_signature(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=200), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    for n, fragment in enumerate(fragments(clip)):
        t = n * S // 20
        late = 61 * S if n >= 100 else 0
        recorder.packet(fragment, PacketStamp(n, t + late, t, WALL + t + late), t)
    recorder.close()
    rows = catalog.segments("door", WALL, 1 << 62)
    assert len(rows) == 2
    out = tmp_path / "out.mp4"
    done = exporting.export_mp4(root, rows, out, WALL + S // 2, WALL + 67 * S)
    times = [float(t) for t, _ in decoded(str(out))]
    assert done[0].frames == len(times) == 120
    # 100 pictures of the first segment; the second begins 61 s later than without the gap.
    assert times[100] - times[99] == pytest.approx(61.05, abs=0.001)
    (manifest,) = exporting.sign(root, "door", done, tmp_path / "key" / "recordings.key")
    assert len(exporting.verify_manifest(manifest)) == 64
    assert (tmp_path / "key" / "recordings.key").stat().st_mode & 0o777 == 0o600
    text = manifest.read_text()
    manifest.write_text(text.replace('"frames": 120', '"frames": 121'))
    with pytest.raises(ConfigError, match="signature"):
        exporting.verify_manifest(manifest)
    manifest.write_text(text)
    with out.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    with pytest.raises(ConfigError, match="not the file"):
        exporting.verify_manifest(manifest)
    catalog.close()


def test_two_recorders_of_one_folder_are_refused(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(ConfigError, match="another run records there"):
        FolderLock(tmp_path)
    lock.close()
    FolderLock(tmp_path).close()


@pytest.mark.fault("H19")
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_h19_damaged_message_files_end_the_reading_and_nothing_else(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("mcap") / "x.mcap"
    from perception.footage.messages import MessageFile

    file = MessageFile(path, "door", table)
    for n in range(30):
        file.add(LoggedMessage("tracks", n, n, bytes(range(50))))
    file.add(LoggedMessage(PACKETS, 1, 1, bytes(53)))
    file.finish(None)
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    assert len(list(read(path))) <= 31
    read_row(path)


@settings(max_examples=200, deadline=None)
@given(junk=st.binary(max_size=300))
def test_h19_boxes_of_any_bytes_are_read_to_their_end(junk):
    split(junk)


def seen(track_id: int, start: int, end: int, kind: str = "person", **more: Any) -> TrackRow:
    return TrackRow(
        track_id=track_id, class_name=kind, start_wall_ns=start, end_wall_ns=end, **more
    )


def row(n: int, *, size: int = 100, alerts: int = 0, objects: int = 0, age_days: float = 0.0):
    end = WALL - round(age_days * 86_400 * S)
    return SegmentRow(
        path=f"door/{n}", camera="door", run="", stream=0, start_wall_ns=end - 60 * S,
        end_wall_ns=end, start_media_ns=0, end_media_ns=60 * S, first_packet=0, last_packet=0,
        frames=1, video_bytes=size, message_bytes=0, codec="h264", width=1, height=1, timescale=1,
        base_pts=0, alerts=["x"] * alerts, objects={"person": objects} if objects else {},
    )  # fmt: skip


@settings(max_examples=10_000, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 1000), st.integers(0, 1), st.integers(0, 2), st.floats(0, 60),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.integers(0, 5000),
)  # fmt: skip
def test_b1_lower_value_goes_first_and_what_is_protected_stays(made, max_bytes):
    kept = [
        retention.Kept(row(n, size=size, alerts=a, objects=o, age_days=age), protected)
        for n, (size, a, o, age, protected) in enumerate(made)
    ]
    used = sum(one.row.size_bytes for one in kept)
    limits = retention.Limits(max_bytes, 0, 7.0)
    gone = retention.plan(kept, used, 1 << 40, limits, WALL)
    paths = {victim.row.path for victim in gone}
    stay = [one for one in kept if one.row.path not in paths]
    assert all(one.row.path not in paths for one in kept if one.protected)
    left = used - sum(victim.row.size_bytes for victim in gone)
    assert left <= max_bytes or all(one.protected for one in stay)
    worth = [retention.value(victim.row, WALL, 7.0) for victim in gone]
    free = [retention.value(one.row, WALL, 7.0) for one in stay if not one.protected]
    assert worth == sorted(worth)
    assert not worth or not free or max(worth) <= min(free)
    # What was needed, and nothing more: without the last victim it was too much.
    assert not gone or left + gone[-1].row.size_bytes > max_bytes
    rest = [one for one in kept if one.row.path not in paths]
    assert not retention.plan(rest, left, 1 << 40, limits, WALL) or left > max_bytes


def test_b2_the_forecast_is_the_rate_of_the_last_days():
    rows = [row(n, size=1_000_000, age_days=n / 24) for n in range(48)]
    limits = retention.Limits(24_000_000 * 10, 0, 7.0)
    lately, used = retention.recent(rows, WALL), sum(row.size_bytes for row in rows)
    told = retention.forecast(lately, used, 10**9, limits, WALL)
    assert told.bytes_per_day == pytest.approx(24e6, rel=0.05)
    assert told.days == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("max_gb", [0.3, 0.6, 1.0])
def test_b2_the_forecast_of_two_days_holds_for_thirty(max_gb):
    """Three cameras with busy days and quiet nights: 40 MB an hour by day, 10 by night."""
    limits = retention.Limits(round(max_gb * 1e10), 0, 7.0)
    rng, kept, told = np.random.default_rng(3), list[SegmentRow](), 0.0
    start = WALL - 30 * 24 * 3600 * S
    ages = list[float]()
    for hour in range(30 * 24):
        now = start + (hour + 1) * 3600 * S
        busy = 7 <= hour % 24 < 22
        for n in range(3):
            size = round((40e6 if busy else 10e6) * rng.uniform(0.7, 1.3))
            one = msgspec.structs.replace(row(3 * hour + n, size=size), end_wall_ns=now)
            kept.append(msgspec.structs.replace(one, start_wall_ns=now - 3600 * S))
        used = sum(one.size_bytes for one in kept)
        rows = [retention.Kept(one, False) for one in kept]
        gone = {v.row.path for v in retention.plan(rows, used, 1 << 50, limits, now)}
        kept = [one for one in kept if one.path not in gone]
        if hour == 47:
            used = sum(one.size_bytes for one in kept)
            lately = retention.recent(kept, now)
            told = retention.forecast(lately, used, 1 << 50, limits, now).days or 0.0
        if hour >= 20 * 24:
            ages.append((now - kept[0].start_wall_ns) / (86_400 * S))
    assert told == pytest.approx(float(np.mean(ages)), rel=0.15)


def test_of_many_segments_only_those_are_read_that_may_go(tmp_path):
    catalog = Catalog(tmp_path)
    (tmp_path / "door").mkdir()
    rng = np.random.default_rng(5)
    rows = [
        row(
            n, size=int(rng.integers(1, 100)), alerts=int(rng.random() < 0.2),
            objects=int(rng.random() < 0.5), age_days=float(rng.uniform(0, 40)),
        )
        for n in range(300)
    ]  # fmt: skip
    for one in rows:
        catalog.add(one)
    for one in rows[:40]:
        catalog.protect(one)
    every = [retention.Kept(one, catalog.is_protected(one)) for one in rows]
    used = sum(one.size_bytes for one in rows)
    for needed in (1, 50, 500, 3000, used):
        limits = retention.Limits(used - needed, 0, 7.0)
        some = list(candidates(catalog, needed))
        plan = retention.plan(some, used, 1 << 40, limits, WALL)
        assert plan == retention.plan(every, used, 1 << 40, limits, WALL)
        assert needed > 500 or len(some) < 150
    catalog.close()


def test_b3_three_cameras_on_a_small_disk_lose_no_alert_and_nothing_protected(tmp_path):
    """A disk of 220 MB of which 100 stay free; 300 MB are recorded, 300 alerts committed."""
    clip, disk = write_clip(tmp_path / "clip.mp4", frames=60, size=(640, 480)), tmp_path / "disk"
    disk.mkdir()
    prefix = own_mounts(f"mount -t tmpfs -o size=220m none {disk}")
    said = json.loads(says(prefix, SMALL_DISK, clip, disk).splitlines()[-1])
    assert said["written"] > 250e6
    assert said["deleted"] > 10
    assert said["least"] >= retention.RESERVE_BYTES
    assert said["alerts"] == said["told"] == 300
    assert said["protected"] == [True, True, True]
    assert said["broken"] == []
    assert said["named"] == said["deleted"]


SMALL_DISK = """
import json, shutil, sys, threading, time
from pathlib import Path
import msgspec
from perception.alerts.store import AlertStore
from perception.footage import chain, retention
from perception.footage.camera import Options
from perception.footage.catalog import Catalog
from perception.footage.segment import PacketStamp
from perception.footage.writer import Writer
from tests.unit.test_erase import alert
from tests.unit.test_footage import S, WALL, fragments

found, disk = fragments(Path(sys.argv[1])), Path(sys.argv[2])
root, names = disk / "footage", ["a", "b", "c"]
limits = retention.Limits(None, 100_000_000, 7.0)
thread = Writer(root, "run", {n: Options(clips=False) for n in names}, limits, lambda topic: {})
least, over = [1 << 60], threading.Event()
def look():
    while not over.wait(0.005):
        least[0] = min(least[0], shutil.disk_usage(disk).free)
watch = threading.Thread(target=look, daemon=True)
watch.start()
thread.start()
store, told, written, sent, kept = AlertStore(disk / "alerts.sqlite"), 0, 0, 0, []
while written < 300_000_000:
    t = sent * S
    for name in names:
        one = found[sent % len(found)]
        thread.packet(name, one, PacketStamp(sent, t, t, WALL + t))
        written += len(one.data)
    if told < 300:
        one = msgspec.structs.replace(alert(told), key=f"{told:032x}")
        store.commit("a", told, [one], lambda: {}, now=True)
        told += 1
    sent += 1
    while sum(thread._bytes.values()) > 4_000_000:
        time.sleep(0.002)
    if sent == 70:
        while not all(list(root.glob(f"{n}/*/*/*.mcap")) for n in names):
            time.sleep(0.01)
        kept = [sorted(root.glob(f"{n}/*/*/*.mcap"))[0] for n in names]
        for path in kept:
            path.with_suffix(".keep").touch()
thread.end()
over.set()
watch.join()
catalog = Catalog(root)
said = {
    "written": written, "least": least[0], "deleted": thread.deleted, "told": told,
    "alerts": len(store.newest(1000)), "protected": [p.exists() for p in kept],
    "broken": [b for n in names if (b := chain.verify(root, n)[1])],
    "named": len(catalog.deleted()),
}
print(json.dumps(said))
"""


def test_a5_a_disk_that_hangs_holds_up_nobody(tmp_path, monkeypatch):
    hangs, goes_on = threading.Event(), threading.Event()
    clip, root = write_clip(tmp_path / "clip.mp4", frames=300, size=(640, 480)), tmp_path / "f"
    found = fragments(clip)

    def fdatasync(fd: int) -> None:
        hangs.set()
        assert goes_on.wait(30)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(writer, "MAX_QUEUE", sum(len(f.data) for f in found[:150]))
    thread = writer.Writer(root, "run", {"door": Options()}, retention.Limits(None, 0, 7.0), table)
    thread.start()
    t0 = time.time_ns()
    longest = 0.0

    def packet(n: int) -> None:
        t = n * S // 20
        thread.packet("door", found[n], PacketStamp(n, t, t, t0 + t))

    packet(0)
    assert hangs.wait(10)
    for n in range(1, 290):
        began = time.perf_counter()
        packet(n)
        longest = max(longest, time.perf_counter() - began)
    assert thread.busy_since_ns
    assert longest < 0.1
    goes_on.set()
    wait_until(lambda: thread.frames()["door"] > 140, 10, "it goes on")
    for n in range(290, 300):
        packet(n)
    time.sleep(0.3)
    assert thread.end()
    catalog = Catalog(root)
    losses = {loss.cause: loss.packets for loss in catalog.losses()}
    rows = catalog.segments()
    assert set(losses) == {"queue of the recorder"}
    assert sum(row.frames for row in rows) + losses["queue of the recorder"] == 300
    catalog.close()


def test_each_segment_has_its_first_picture_beside_it(tmp_path):
    clip = write_clip(tmp_path / "clip.mp4", frames=30, size=(640, 480))
    root = tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip)
    recorder.close()
    (row,) = catalog.segments()
    catalog.close()
    pictures: list[Any] = []
    for path in (root / f"{row.path}.jpg", clip):
        with av.open(str(path)) as opened:
            first = next(opened.decode(video=0))
            pictures.append(first.reformat(width=320, height=240, format="gray").to_ndarray())
    assert pictures[0].shape == (240, 320)
    difference = np.abs(pictures[0].astype(float) - pictures[1].astype(float)).mean()
    assert difference < 6, difference
    assert (root / f"{row.path}.jpg").stat().st_size < 60_000
    assert not list(root.rglob("*.part"))
    for cause in (b"", b"no video", clip.read_bytes()[:500]):
        assert thumbnail.make(cause) is None


def test_files_that_the_catalog_does_not_know_are_adopted(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4"), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip)
    recorder.close()
    (row,) = catalog.segments()
    catalog.close()
    with sqlite3.connect(root / "catalog.sqlite") as db:
        db.execute("DELETE FROM segment")
    db.close()
    thread = writer.Writer(root, "run", {"door": Options()}, retention.Limits(None, 0, 7.0), table)
    thread.start()
    assert thread.end()
    catalog = Catalog(root)
    assert catalog.segments() == [row]
    catalog.close()


def test_what_is_deleted_takes_its_clips_along_and_nothing_else(tmp_path):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=200), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    for n, fragment in enumerate(fragments(clip)):
        t = n * S // 20 + (61 * S if n >= 100 else 0)
        recorder.packet(fragment, PacketStamp(n, t, t, WALL + t), t)
        if n in (50, 150):
            recorder.alert(f"key{n}", t, t)
    recorder.close()
    first, second = catalog.segments()
    catalog.protect(second)
    catalog.close()
    strange = root / "door" / "holiday.mp4"
    strange.write_bytes(b"mine")
    limits = retention.Limits(0, 0, 7.0)
    thread = writer.Writer(root, "run", {"door": Options()}, limits, table)
    thread.start()
    wait_until(lambda: thread.deleted, 10, "one is deleted")
    assert thread.end()
    assert not (root / f"{first.path}.mp4").exists()
    assert not (root / f"{first.path}.jpg").exists()
    assert (root / f"{second.path}.jpg").exists()
    assert not clip_path(root, "door", "key50").exists()
    assert (root / f"{second.path}.mp4").exists()
    assert clip_path(root, "door", "key150").exists()
    assert strange.exists()
    catalog = Catalog(root)
    assert [row.path for row in catalog.segments()] == [second.path]
    assert list(catalog.deleted()) == [first.path]
    assert chain.verify(root, "door") == (1, None), "also where the catalog is lost"
    catalog.close()


def test_a_disk_that_refuses_at_the_start_is_tried_again(tmp_path, monkeypatch):
    root, refused = tmp_path / "footage", [3]
    begin = writer.Writer.begin

    def refusing(self: writer.Writer) -> Catalog:
        if refused[0]:
            refused[0] -= 1
            raise OSError(28, "No space left on device")
        return begin(self)

    monkeypatch.setattr(writer.Writer, "begin", refusing)
    monkeypatch.setattr(writer, "RETRY_S", 0.05)
    thread = writer.Writer(root, "run", {"door": Options()}, retention.Limits(None, 0, 7.0), table)
    thread.start()
    wait_until(lambda: "door" in thread.frames(), 10, "it has begun")
    assert thread.trouble == ""
    assert thread.end()
    refused[0] = 1 << 30
    thread = writer.Writer(root, "run", {"door": Options()}, retention.Limits(None, 0, 7.0), table)
    thread.start()
    wait_until(lambda: "No space" in thread.trouble, 10, "it says why")
    assert thread.end()


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory) -> tuple[bytes, bytes, str]:
    """Return video and messages of a segment that is being written, and its path."""
    folder = tmp_path_factory.mktemp("cut")
    clip, root = write_clip(folder / "clip.mp4", frames=45), folder / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip)
    video, messages = (next(root.rglob(f"*.{kind}.part")) for kind in ("mp4", "mcap"))
    found = video.read_bytes(), messages.read_bytes()
    path = str(video.relative_to(root)).removesuffix(".mp4.part")
    recorder.close()
    catalog.close()
    return (*found, path)


@pytest.mark.parametrize("step", ["messages set aside", "half rewritten", "rewritten"])
def test_a_repair_that_is_killed_loses_nothing(step, cut_off, tmp_path):
    video, messages, path = cut_off
    base = tmp_path / path
    base.parent.mkdir(parents=True)
    Path(f"{base}.mp4").write_bytes(video)
    Path(f"{base}.mcap.torn").write_bytes(messages)
    if step == "half rewritten":
        Path(f"{base}.mcap.part").write_bytes(messages[:100])
    elif step == "rewritten":
        Path(f"{base}.mcap").write_bytes(messages)
    before = [m.data for m in read(Path(f"{base}.mcap.torn"))]
    (row,) = repair(tmp_path, table)
    assert [m.data for m in read(Path(f"{base}.mcap"))] == before
    assert len(before) > 40
    assert row.frames == len(split(video))
    assert sorted(p.name.rpartition(".")[2] for p in base.parent.iterdir()) == ["mcap", "mp4"]


def test_a_chain_goes_on_after_a_disk_that_refused(tmp_path, monkeypatch):
    clip, root = write_clip(tmp_path / "clip.mp4", frames=80), tmp_path / "footage"
    recorder, catalog = camera_recorder(root)
    record(recorder, clip, seconds_each=3.0)
    recorder.close()
    rows = catalog.segments()
    (root / "door" / chain.NAME).unlink()
    chained = Chain(root, "door")
    chained.add(rows[0])
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        chained.add(rows[1])
    monkeypatch.setattr(os, "fsync", fsync)
    for one in rows[1:]:
        chained.add(one)
    assert chain.verify(root, "door")[1] is None
    catalog.close()


def refuse(fd: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.fault("F25")
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_f25_a_recording_cut_at_any_byte_is_repaired_or_left(data, cut_off, tmp_path_factory):
    video, messages, path = cut_off
    root = tmp_path_factory.mktemp("f25")
    base = root / path
    base.parent.mkdir(parents=True)
    cut = data.draw(st.integers(0, len(video))), data.draw(st.integers(0, len(messages)))
    Path(f"{base}.mp4.part").write_bytes(video[: cut[0]])
    Path(f"{base}.mcap.part").write_bytes(messages[: cut[1]])
    whole = len(split(video[: cut[0]]))
    rows = repair(root, table)
    assert len(rows) == bool(whole)
    if not rows:
        assert Path(f"{base}.mp4.part").exists(), "nothing is deleted"
        return
    assert rows[0].frames == whole
    assert len(decoded(f"{base}.mp4")) == whole
    assert repair(root, table) == []
    assert list(rebuild(root, table)) == rows


@pytest.mark.parametrize("b_frames", [0, 2])
def test_l2_a_transport_stream_holds_the_same_pictures(b_frames, tmp_path):
    path = write_clip(tmp_path / "x.mp4", b_frames=b_frames)
    stream = TransportStream()
    made = b""
    for one in fragments(path):
        made += stream.add(
            one.header if one.key else b"", one.data, stream=one.stream, key=one.key,
            pts=one.pts, timescale=one.timescale,
        )  # fmt: skip
    made += stream.close()
    here, there = decoded(io.BytesIO(made)), decoded(str(path))
    assert [sha for _, sha in here] == [sha for _, sha in there]
    steps = [float(b[0] - a[0]) for a, b in itertools.pairwise(here)]
    assert all(abs(step - 0.05) < 1e-3 for step in steps)
