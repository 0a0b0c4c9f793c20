"""What is erased on request leaves no byte: files, rows, freed pages, messages, faces (F4)."""

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from perception.alerts.store import AlertStore
from perception.analysis.jobs import Jobs
from perception.commands import erase, recordings
from perception.errors import ConfigError
from perception.footage import chain, erasing, retention, writer
from perception.footage.camera import Options
from perception.footage.catalog import Catalog
from perception.footage.clips import clip_path
from perception.footage.finding import find
from perception.footage.lock import FolderLock
from perception.footage.messages import LoggedMessage, MessageFile, read
from perception.footage.query import Query
from perception.footage.repair import repair
from perception.footage.rows import SegmentRow, TrackRow, to_file
from perception.identity.gallery import Gallery, Portrait
from perception.sinks import document
from perception.sinks.snapshot import file_name
from perception.wire import Alert, IdentityMessage
from perception.wire.codec import encode_record, record_table
from tests.line import wait_until
from tests.recordings import WALL, Maker, S, detections, plan
from tests.unit.test_footage import fragments, table, write_clip

NAME = "Zoë Quillfeather"
PICTURE = bytes(range(200, 250)) * 40
GROUP = 100
"""Pictures a segment; 61 s of wall time pass between two."""


def wall(segment: int, n: int = 0) -> int:
    return WALL + (segment * 61 + n // 20) * S


def alert(segment: int, **details: Any) -> Alert:
    one = Alert(
        key=f"{segment:02d}fe77ab19c0de", camera="door", rule="visit", kind="visit",
        state="cleared", track_id=segment, class_name="person", score=0.9, box=(1, 2, 3, 4),
        frame_id=segment, start_t_media_ns=0, t_media_ns=S, start_t_wall_ns=wall(segment, 40),
        t_wall_ns=wall(segment, 60), details=details,
    )  # fmt: skip
    return one


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run: five segments, an alert in each; `NAME` in the second and third."""
    folder = tmp_path / "run"
    root, clip = folder / "footage", write_clip(tmp_path / "clip.mp4", frames=5 * GROUP)
    maker = Maker(root, plan(rules={}), clips=True)
    for n, fragment in enumerate(fragments(clip)):
        segment, within = divmod(n, GROUP)
        t = wall(segment, within) - WALL + within % 20 * S // 20
        maker.packet(fragment, n, t)
        found = detections(n, 0, 20)
        at = msgspec.structs.replace(found.stamp, t_media_ns=t, t_wall_ns=WALL + t)
        named = NAME if segment in (1, 2) else ""
        if within == 10:
            maker.recorder.track(
                TrackRow(
                    track_id=segment, class_name="person", start_wall_ns=WALL + t,
                    end_wall_ns=WALL + t + S, who=named, zones=[f"zone-of-{segment}"],
                )
            )  # fmt: skip
            said = IdentityMessage(
                stamp=at, track_id=segment, state="known" if named else "unknown", who=named,
                confidence=0.9, faces=3,
            )  # fmt: skip
            logged = LoggedMessage("identities", at.t_wall_ns, t, encode_record(said))
            maker.recorder.message(logged, t)
        if within == 40:
            maker.recorder.alert(alert(segment).key, t, t)
    maker.close()
    (tmp_path / "clip.mp4").unlink()
    fill(folder)
    return folder


def fill(folder: Path) -> None:
    """Add what a run keeps beside its recordings: alerts, pictures, examined results, a gallery."""
    root = folder / "footage"
    rows = segments(root)
    assert len(rows) == 5
    examined = folder / "examined" / "door-0123456789ab"
    jobs = Jobs(examined / "jobs.sqlite")
    jobs.add((row.path, 1.0) for row in rows)
    jobs.close()
    for row in rows:
        file = examined / f"{row.path}.mcap"
        file.parent.mkdir(parents=True, exist_ok=True)
        made = MessageFile(file, "door", record_table)
        made.add(LoggedMessage("detections", WALL, 0, f"seen in {row.path}".encode()))
        made.finish({})
    for name in erasing.REPORTS:
        (examined / name).write_text(f"of {[row.path for row in rows]}")
    pictures = folder / "snapshots"
    pictures.mkdir()
    store = AlertStore(folder / "alerts.sqlite", ["jsonl"])
    with (folder / "alerts.jsonl").open("wb") as lines:
        for segment in range(5):
            details = {"who": NAME} if segment in (1, 2) else {"seen": f"visit-{segment}"}
            one = alert(segment, **details)
            path = pictures / file_name(one)
            path.write_bytes(PICTURE + bytes([segment]) * 64)
            one = msgspec.structs.replace(one, snapshot=str(path))
            state = {"open": [one.key]} if segment == 2 else {}
            store.commit(f"camera-{segment}", 1, [one], lambda said=state: said, now=True)
            lines.write(msgspec.json.encode(document(one)) + b"\n")
    store.close()
    vector = np.random.default_rng(5).normal(size=128).astype(np.float32).tobytes()
    face = Portrait(vector=vector, picture=PICTURE[::-1], eyes_px=50.0, t_wall_ns=WALL)
    gallery = Gallery(folder / "gallery", folder / "gallery.key")
    gallery.enroll(NAME, "sface", [face])
    gallery.enroll("Bob", "sface", [face])
    launch = {"identity": {"gallery": str(folder / "gallery"), "key": str(folder / "gallery.key")}}
    launch["cameras"] = {"door": {"source": "push"}}
    launch["output"] = {"folder": str(folder)}
    (folder / "launch.yaml").write_text(json.dumps(launch))


def segments(root: Path) -> list[SegmentRow]:
    catalog = Catalog(root, create=False)
    rows = catalog.segments()
    catalog.close()
    return rows


def secrets(folder: Path, row: SegmentRow, segment: int) -> dict[str, bytes]:
    """Return bytes that only a segment's own files and rows have."""
    root = folder / "footage"
    video, clip = (root / f"{row.path}.mp4"), clip_path(root, "door", row.alerts[0])
    half = video.stat().st_size // 2
    return {
        "video": video.read_bytes()[half : half + 48],
        "thumbnail": (root / f"{row.path}.jpg").read_bytes()[-48:],
        "clip": clip.read_bytes()[-48:],
        "row of the track": f'"zone-of-{segment}"'.encode(),
        "alert": alert(segment).key.encode(),
        "examined": f"seen in {row.path}".encode(),
        "picture": bytes([segment]) * 64,
    }


def everything(folder: Path) -> bytes:
    """Return the bytes of all files, and those of compressed messages."""
    said = list[bytes]()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            said.append(path.read_bytes())
        if path.suffix in (".mcap", ".part", ".torn") and path.is_file():
            said += [one.data for one in read(path)]
    return b"\n".join(said)


def left(folder: Path, wanted: dict[str, bytes]) -> list[str]:
    there = everything(folder)
    return [name for name, data in wanted.items() if data in there]


def asked(**changes: Any) -> erase.Asked:
    given: dict[str, Any] = {
        "segment": None, "camera": None, "span": (None, None), "person": None, "store": None,
        "launch": None, "yes": True,
    }  # fmt: skip
    return erase.Asked(**{**given, **changes})


def changed_often(root: Path, rows: list[SegmentRow]) -> None:
    """Leave old copies of rows in freed pages, as a catalog of another program version might."""
    db = sqlite3.connect(root / "catalog.sqlite", isolation_level=None)
    db.execute("PRAGMA secure_delete=OFF")
    for row in rows * 3:
        body = msgspec.json.encode(row).decode()
        db.execute("UPDATE segment SET row = ?||'' WHERE path = ?", (body + " " * 3000, row.path))
        db.execute("UPDATE segment SET row = ? WHERE path = ?", (body, row.path))
    db.close()


def test_f4_a_segment_that_is_erased_leaves_no_byte(run: Path, capsys: Any) -> None:
    root = run / "footage"
    rows = segments(root)
    changed_often(root, rows)
    gone, stays = secrets(run, rows[1], 1), secrets(run, rows[3], 3)
    assert left(run, gone) == list(gone), "each can be found before"
    erase.run(root, asked(segment=Path(rows[1].path).name))
    assert left(run, gone) == []
    assert left(run, stays) == list(stays)
    assert [row.path for row in segments(root)] == [r.path for r in rows if r != rows[1]]
    assert "erased: 1 segments" in capsys.readouterr().out


def test_f4_the_chain_says_that_it_was_erased_and_verify_stays_honest(
    run: Path, capsys: Any
) -> None:
    root = run / "footage"
    rows = segments(root)
    video = (root / f"{rows[2].path}.mp4").read_bytes()
    erase.run(root, asked(segment=rows[2].path))
    capsys.readouterr()
    assert recordings.verify(root, None) == 0
    said = capsys.readouterr().out
    assert "4 segments unchanged; 1 erased on request, the last at" in said
    assert list(chain.gone(root, "door")) == [rows[2].path]
    (root / f"{rows[2].path}.mp4").parent.mkdir(parents=True, exist_ok=True)
    (root / f"{rows[2].path}.mp4").write_bytes(video)
    _, broken = chain.verify(root, "door")
    assert broken is not None
    assert "noted as erased, but" in broken.why
    (root / f"{rows[2].path}.mp4").unlink()
    lines = (root / "door" / chain.NAME).read_text().splitlines(keepends=True)
    (root / "door" / chain.NAME).write_text("".join(lines[:-1]))
    _, broken = chain.verify(root, "door")
    assert broken is not None, "without the note the segment is missing"


def test_f4_a_person_who_is_erased_leaves_no_byte(run: Path, capsys: Any) -> None:
    root = run / "footage"
    rows = segments(root)
    changed_often(root, rows)
    one, two, stays = (secrets(run, rows[n], n) for n in (1, 2, 4))
    names = {"name": NAME.encode(), "name, escaped": json.dumps(NAME).encode()[1:-1]}
    assert left(run, names | one | two) == [*names, *one, *two][: len(names | one | two)]
    erase.run(root, asked(person=NAME.upper(), launch=run / "launch.yaml"))
    assert left(run, names | one) == []
    assert left(run, two) == []
    assert left(run, stays) == list(stays)
    assert [r.path for r in segments(root)] == [rows[n].path for n in (0, 3, 4)]
    assert [p.name for p in Gallery(run / "gallery", run / "gallery.key").people()] == ["Bob"]
    store = AlertStore(run / "alerts.sqlite")
    assert [kept.alert.key for kept in store.newest()] == [alert(n).key for n in (4, 3, 0)]
    assert store.progress("camera-2") is None, "its rules knew the alert"
    assert store.progress("camera-3") is not None
    store.close()
    assert "1 enrolled faces" in capsys.readouterr().out
    assert recordings.verify(root, None) == 0


def test_f4_a_name_that_rules_remember_later_is_found(tmp_path: Path) -> None:
    """The person is in the first segment; a journal of the next has the name; then nobody has."""
    root, clip = tmp_path / "footage", write_clip(tmp_path / "clip.mp4", frames=600)
    maker = Maker(root, plan(rules={}))
    for n, fragment in enumerate(fragments(clip)):
        segment, within = divmod(n, GROUP)
        t = wall(segment, within) - WALL
        maker.packet(fragment, n, t)
        if n == 10:
            row = TrackRow(
                track_id=1, class_name="person", start_wall_ns=WALL, end_wall_ns=WALL, who=NAME
            )
            maker.recorder.track(row)
        data = b'{"names":{"1":{"who":"' + NAME.encode() + b'"}}}' if n == GROUP + 50 else b"{}"
        maker.recorder.message(LoggedMessage("journal", WALL + t, t, data), t)
    catalog = maker.catalog
    maker.recorder.close()
    rows = catalog.segments()
    assert len(rows) == 6
    assert erasing.of_person(catalog, NAME) == rows[:2]
    assert erasing.of_person(catalog, "Bob") == []
    catalog.close()


def test_f4_a_kill_in_the_middle_is_mended_by_the_same_command(run: Path, monkeypatch: Any) -> None:
    root = run / "footage"
    rows = segments(root)
    gone = secrets(run, rows[1], 1) | secrets(run, rows[2], 2)
    unlink, count = Path.unlink, [6]

    def killed(self: Path, missing_ok: bool = False) -> None:
        count[0] -= 1
        if count[0] < 0:
            raise KeyboardInterrupt
        unlink(self, missing_ok)

    what = asked(camera="door", span=(utc(rows[1]), utc(rows[2])))
    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        erase.run(root, what)
    monkeypatch.undo()
    erase.run(root, what)
    assert left(run, gone) == []
    assert len(segments(root)) == 3
    assert chain.verify(root, "door")[1] is None


def utc(row: SegmentRow) -> str:
    seconds = row.start_wall_ns // S + 3
    return str(np.datetime64(seconds, "s"))


def test_f4_what_is_protected_or_being_recorded_is_not_erased(run: Path) -> None:
    root = run / "footage"
    rows = segments(root)
    catalog = Catalog(root)
    catalog.protect(rows[2])
    catalog.close()
    with pytest.raises(ConfigError, match="is protected"):
        erase.run(root, asked(person=NAME, launch=run / "launch.yaml"))
    lock = FolderLock(root)
    with pytest.raises(ConfigError, match="another run records there: stop it"):
        erase.run(root, asked(segment=rows[0].path))
    lock.close()
    assert segments(root) == rows
    with pytest.raises(ConfigError, match="nothing is recorded in that span"):
        erase.run(root, asked(camera="yard"))


def test_f4_a_segment_that_a_kill_left_is_erased_with_the_person(run: Path) -> None:
    root = run / "footage"
    rows = segments(root)
    base = root / rows[1].path
    os.rename(f"{base}.mp4", f"{base}.mp4.part")
    data = Path(f"{base}.mcap").read_bytes()
    Path(f"{base}.mcap").unlink()
    Path(f"{base}.mcap.part").write_bytes(data)
    for suffix in ("", "-wal", "-shm"):
        (root / f"catalog.sqlite{suffix}").unlink(missing_ok=True)
    catalog = Catalog(root)
    (repaired,) = repair(root, record_table)
    catalog.close()
    assert repaired.torn
    (root / "catalog.sqlite").rename(root / "catalog.sqlite.damaged-1")
    erase.run(root, asked(person=NAME, launch=run / "launch.yaml"))
    assert left(run, {"name": NAME.encode()}) == []
    assert not (root / "catalog.sqlite.damaged-1").exists()


def test_f4_a_track_goes_on_in_the_segments_that_stay(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    (tmp_path / "door").mkdir()
    base: dict[str, Any] = {
        "camera": "door", "run": "r", "stream": 0, "start_media_ns": 0, "end_media_ns": 0,
        "first_packet": 0, "last_packet": 0, "frames": 1, "video_bytes": 1, "message_bytes": 1,
        "codec": "h264", "width": 1, "height": 1, "timescale": 1, "base_pts": 0,
    }  # fmt: skip
    rows = [
        SegmentRow(
            path=f"door/{n}", start_wall_ns=n * 60 * S, end_wall_ns=(n + 1) * 60 * S,
            tracks=[
                TrackRow(
                    track_id=7, class_name="dog", start_wall_ns=30 * S,
                    end_wall_ns=(n * 60 + 40) * S, zones=zones,
                )
            ],
            **base,
        )
        for n, zones in enumerate((["porch"], ["porch", "path"]))
    ]  # fmt: skip
    for row in rows:
        catalog.add(row)
        MessageFile(tmp_path / f"{row.path}.mcap", "door", record_table).finish(to_file(row))
    erasing.erase(catalog, rows[1:], 0)
    (found,) = find(catalog, Query(), 10)
    assert (found.end_wall_ns, found.zones, found.segment) == (40 * S, ["porch"], "door/0")
    catalog.add(rows[1])
    MessageFile(tmp_path / f"{rows[1].path}.mcap", "door", record_table).finish(to_file(rows[1]))
    erasing.erase(catalog, rows[:1], 0)
    (found,) = find(catalog, Query(), 10)
    assert (found.end_wall_ns, found.segment) == (100 * S, "door/1")
    catalog.close()


def test_what_is_deleted_to_make_room_takes_its_examined_results_along(run: Path) -> None:
    root = run / "footage"
    rows = segments(root)
    places = [run / "examined" / "door-0123456789ab" / f"{row.path}.mcap" for row in rows]
    assert all(place.exists() for place in places)
    room = sum(row.size_bytes for row in rows[1:])
    limits = retention.Limits(room, 0, 7.0)
    thread = writer.Writer(root, "run", {"door": Options()}, limits, table)
    thread.start()
    wait_until(lambda: thread.deleted, 10, "one is deleted")
    with contextlib.suppress(RuntimeError):
        assert thread.end()
    there = {row.path for row in segments(root)}
    assert 0 < len(there) < 5
    assert [place.exists() for place in places] == [row.path in there for row in rows]


def test_the_command_asks_for_one_thing_only() -> None:
    from tests.line import perception_says

    said = perception_says("recordings", "erase", "--folder", ".")
    assert said.returncode == 2
    assert "give the name of a segment, or --camera, --from, --to, or --person" in said.stderr
