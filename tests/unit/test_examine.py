"""A recording examined: what live missed is named with its cause; a kill costs no result (D, H)."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from perception.analysis import examining, missed
from perception.analysis.examining import JOBS, Spec
from perception.analysis.jobs import LEASE_S, MAX_TRIES, Jobs
from perception.analysis.recorded import parts
from perception.analysis.smoothing import Visit, collect, fill, smooth
from perception.commands import examine
from perception.errors import ConfigError
from perception.footage.catalog import Catalog
from perception.footage.messages import LoggedMessage, MessageFile
from perception.wire import DetectionMessage, Detections, TrackMessage, Tracks
from perception.wire.codec import encode_record, record_table
from tests.line import ROOT
from tests.recordings import Maker, S, detections, plan
from tests.unit.test_footage import fragments, write_clip

FPS = 20
HIDDEN = ("left out", "not detected", "below score", "other class")


def visitors(seed: int) -> list[tuple[int, int, str]]:
    """Return 24 visits: first frame, lane of 6, and what hides it from live, or `seen`."""
    rng = np.random.default_rng(seed)
    fates = [*HIDDEN * 3, *["seen"] * 12]
    rng.shuffle(fates)
    return [(60 * (i // 2), i % 6, fate) for i, fate in enumerate(fates)]


def frame(n: int, visits: list[tuple[int, int, str]], live: bool, lost: bool) -> DetectionMessage:
    """Return frame n: what is there, or what live found of it."""
    boxes, scores, ids = list[list[float]](), list[float](), list[int]()
    for start, lane, fate in visits:
        if not start <= n < start + 40:
            continue
        if live and (fate == "not detected" or lost):
            continue
        x, y = 80 + 190 * lane + 2.0 * (n - start), 200 + 60 * (lane % 3)
        boxes.append([x, y, x + 50, y + 120])
        scores.append(0.3 if live and fate == "below score" else 0.9)
        ids.append(1 if live and fate == "other class" else 0)
    found = detections(n, 0, FPS)
    seen = Detections.of(np.array(boxes).reshape(-1, 4), scores, ids)
    return dataclasses.replace(
        found, detections=seen, names={0: "person", 1: "dog"},
        grey=np.full((135, 240), 90, np.uint8),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_d2_what_live_missed_is_named_with_its_cause(tmp_path: Path, seed: int) -> None:
    """Half of the frames are dropped, a fifth of the detections of the rest are hidden."""
    rng = np.random.default_rng(seed)
    fates = visitors(seed)
    # A visit whose frames are all left out stands alone: nobody else is seen in these frames.
    out = [v for v in fates if v[2] == "left out"]
    fates = [v for v in fates if v[2] != "left out"]
    out = [(2000 + 60 * i, lane, fate) for i, (_, lane, fate) in enumerate(out)]
    every, frames = fates + out, 2000 + 60 * len(out)
    one = plan(rules={})
    packet = fragments(write_clip(tmp_path / "clip.mp4", frames=2))[0]
    root, folder = tmp_path / "footage", tmp_path / "examined"
    maker, left = Maker(root, one), 0
    truth: list[DetectionMessage] = []
    for n in range(frames):
        there = frame(n, every, False, False)
        truth.append(there)
        maker.packet(packet, n, there.stamp.t_media_ns)
        if rng.random() < 0.5 or any(v[0] <= n < v[0] + 40 for v in out):
            left += 1
            continue
        found = frame(n, every, True, rng.random() < 0.2)
        maker.frame(dataclasses.replace(found, dropped={"newer": left} if left else {}))
        left = 0
    maker.frame(dataclasses.replace(detections(frames, 0, FPS), dropped={"newer": left}))
    maker.close()
    catalog = Catalog(root, create=False)
    (part,) = parts(root, catalog.segments("door"))
    catalog.close()
    for row in part.rows:
        inside = range(row.start_media_ns, row.end_media_ns + 1)
        mine = [m for m in truth if m.stamp.t_media_ns in inside]
        _examined(folder / f"{row.path}.mcap", mine)
    report, (chain,) = missed.Report(), list(missed.chains(part.rows))
    missed.compare(folder, part, chain, one, report)
    told = [f for f in report.findings if f.cause not in ("late", "only live")]
    hidden = [v for v in every if v[2] != "seen"]
    right = 0
    for start, lane, fate in hidden:
        near = [
            f for f in told
            if abs(f.best_media_ns / S * FPS - start - 20) <= 25
            and abs(f.box[0] - 80 - 190 * lane - 40) <= 60
        ]  # fmt: skip
        right += any(f.cause == fate for f in near)
    assert right >= 0.95 * len(hidden), [f.cause for f in told]
    assert len(told) <= len(hidden) + 1
    assert report.frames == frames
    assert 0.3 < report.looked / report.frames < 0.55


def test_damaged_pictures_are_the_cause(tmp_path: Path) -> None:
    """A visit whose pictures were damaged on their way was left out for that."""
    one, packet = plan(rules={}), fragments(write_clip(tmp_path / "clip.mp4", frames=2))[0]
    root, folder = tmp_path / "footage", tmp_path / "examined"
    maker, visits = Maker(root, one), [(60, 2, "seen"), (200, 3, "damaged")]
    truth: list[DetectionMessage] = []
    for n in range(300):
        truth.append(frame(n, visits, False, False))
        maker.packet(packet, n, truth[-1].stamp.t_media_ns)
        hidden = 190 <= n < 250
        live = frame(n, [] if hidden else visits, True, False)
        maker.frame(dataclasses.replace(live, damage="direct" if hidden else "none"))
    maker.close()
    catalog = Catalog(root, create=False)
    (part,) = parts(root, catalog.segments("door"))
    catalog.close()
    for row in part.rows:
        inside = range(row.start_media_ns, row.end_media_ns + 1)
        mine = [m for m in truth if m.stamp.t_media_ns in inside]
        _examined(folder / f"{row.path}.mcap", mine)
    report, (chain,) = missed.Report(), list(missed.chains(part.rows))
    missed.compare(folder, part, chain, one, report)
    (told,) = report.findings
    assert told.cause == "left out"
    assert told.text.startswith("data of them was lost on the way from the camera")
    assert (report.frames, report.looked, report.damaged) == (300, 240, 60)


def _examined(path: Path, truth: list[DetectionMessage]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = MessageFile(path, "door", record_table)
    for found in truth:
        at = found.stamp
        moved = TrackMessage(
            stamp=at, width=found.width, height=found.height, names={}, dropped={},
            t_detected_ns=0, t_tracked_ns=0, tracks=Tracks.none(),
            warp=np.eye(2, 3, dtype=np.float32),
        )  # fmt: skip
        for topic, message in (("detections", found), ("tracks", moved)):
            data = encode_record(message)
            file.add(LoggedMessage(topic, at.t_wall_ns, at.t_media_ns, data))
    file.finish({})


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Three segments of a real clip; an alert in the second, so it is worth most."""
    clip = fragments(write_clip(tmp_path / "clip.mp4", frames=190, size=(640, 480)))
    root = tmp_path / "footage"
    maker = Maker(root, plan(rules={}))
    for n, fragment in enumerate(clip):
        maker.packet(fragment, n, n * S)
        maker.frame(dataclasses.replace(detections(n, 0, 1), width=640, height=480))
        if n == 80:
            maker.recorder.alert("key", n * S, n * S)
    maker.close()
    return root


def spec(root: Path, folder: Path, **more: Any) -> Spec:
    catalog = Catalog(root, create=False)
    rows = catalog.segments("door")
    catalog.close()
    assert len(rows) >= 3
    folder.mkdir(parents=True, exist_ok=True)
    jobs = Jobs(folder / JOBS)
    jobs.add((row.path, 80.0 if row.alerts else 0.0) for row in rows)
    jobs.close()
    return Spec(
        root=str(root), folder=str(folder), camera="door", plan=plan(rules={}), rotate=None,
        segments=[row.path for row in rows], threads=1, **more,
    )  # fmt: skip


def start(one: Spec, file: Path) -> subprocess.Popen[str]:
    file.write_bytes(msgspec.json.encode(one))
    command = [sys.executable, "-m", "perception.analysis.examining", str(file)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def results(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.mcap"))}


def test_d4_h1_a_kill_and_more_workers_give_the_same_bytes(recorded: Path, tmp_path: Path) -> None:
    whole = spec(recorded, tmp_path / "whole")
    said: list[str] = []
    examining.work(whole, said.append)
    expected = results(tmp_path / "whole")
    assert len(expected) == len(whole.segments)
    assert said[-1].rpartition(" ")[2] != "0"
    killed = spec(recorded, tmp_path / "killed")
    first = start(killed, tmp_path / "spec.json")
    assert first.stdout is not None
    first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    before = results(tmp_path / "killed")
    assert len(before) < len(expected)
    jobs = Jobs(tmp_path / "killed" / JOBS)
    assert [job.state for job in jobs.all()].count("leased") == 1
    jobs.reclaim()
    assert [job.state for job in jobs.all()].count("leased") == 0
    jobs.close()
    both = [start(killed, tmp_path / f"{n}.json") for n in range(2)]
    for process in both:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert results(tmp_path / "killed") == expected


@pytest.mark.parametrize("seed", [4])
def test_h1_eight_recordings_and_workers_killed_at_random_give_the_same_bytes(
    tmp_path: Path, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clip = fragments(write_clip(tmp_path / "clip.mp4", frames=490, size=(320, 240)))
    maker = Maker(tmp_path / "footage", plan(rules={}))
    for n, fragment in enumerate(clip):
        maker.packet(fragment, n, n * S)
        maker.frame(dataclasses.replace(detections(n, 0, 1), width=320, height=240))
    maker.close()
    whole = spec(tmp_path / "footage", tmp_path / "whole")
    assert len(whole.segments) >= 8
    examining.work(whole, lambda said: None)
    expected = results(tmp_path / "whole")
    some = spec(tmp_path / "footage", tmp_path / "some")
    kills = 0  # a third one of the same job would make it a failed one
    for n in range(6):
        workers = [start(some, tmp_path / f"{n}-{k}.json") for k in range(2)]
        victim = workers[int(rng.integers(2))]
        assert victim.stdout is not None
        for _ in range(int(rng.integers(1, 8)) if kills < 2 else 10**6):
            if not victim.stdout.readline():
                break
        else:
            victim.kill()
            kills += 1
        for process in workers:
            process.communicate(timeout=100)
        jobs = Jobs(tmp_path / "some" / JOBS)
        jobs.reclaim()
        states = {job.state for job in jobs.all()}
        jobs.close()
        for name, data in results(tmp_path / "some").items():
            assert data == expected[name], "no half result is seen"
        if states == {"done"}:
            break
    assert kills
    assert results(tmp_path / "some") == expected
    assert not list((tmp_path / "some").rglob("*.tmp"))


def test_d5_the_most_valuable_segment_is_first_and_a_budget_ends(
    recorded: Path, tmp_path: Path
) -> None:
    one = spec(recorded, tmp_path / "out", until_ns=time.monotonic_ns() + S // 20)
    said: list[str] = []
    examining.work(one, said.append)
    done = {line.rpartition(" ")[0] for line in said}
    catalog = Catalog(recorded, create=False)
    (alerting,) = [row.path for row in catalog.segments("door") if row.alerts]
    catalog.close()
    assert done == {alerting}
    assert list(results(tmp_path / "out")) == [f"{alerting}.mcap"]
    with pytest.raises(ConfigError, match="expected a time as 90s, 30m or 2h"):
        examine.budget_ns("soon")


def test_the_command_writes_a_page_that_asks_for_nothing(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = examine.Asked((None, None), None, None, None, None, 1, tmp_path / "out", True)
    before = {p: p.read_bytes() for p in recorded.rglob("*.m*") if p.suffix in (".mp4", ".mcap")}
    assert examine.run(recorded, "door", asked) == 0
    values = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert values["examined"] == values["segments"] >= 3
    assert values["frames"] == 190
    (page,) = (tmp_path / "out").rglob("report.html")
    text = page.read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert "<script" not in text
    assert {p: p.read_bytes() for p in before} == before
    again = time.monotonic()
    assert examine.run(recorded, "door", asked) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == values
    assert time.monotonic() - again < 20


def test_h1_a_lease_that_ran_out_is_taken_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000 * S]
    monkeypatch.setattr("perception.clock.wall_ns", lambda: now[0])
    mine, other = Jobs(tmp_path / "j.sqlite"), Jobs(tmp_path / "j.sqlite")
    mine.add([("a", 1.0), ("b", 9.0)])
    assert mine.take("1") == "b"
    assert other.take("2") == "a"
    assert other.take("2") is None
    now[0] += round(LEASE_S * S) - 1
    assert mine.renew("b", "1")
    now[0] += 2
    assert other.take("3") == "a"
    assert not mine.finish("a", "2"), "the one that was too slow has no say"
    assert other.finish("a", "3")
    for _ in range(MAX_TRIES):
        now[0] += round(LEASE_S * S) + 1
        mine.take("4")
    now[0] += round(LEASE_S * S) + 1
    assert {job.name: job.state for job in mine.all()} == {"a": "done", "b": "failed"}
    mine.close()
    other.close()


def walk(gap: range, noise: float, seed: int = 0) -> tuple[Visit, np.ndarray, np.ndarray]:
    n, rng = np.arange(60), np.random.default_rng(seed)
    times = n * (S // 30)
    true = np.stack((100 + 3 * n, 50 + n, 140 + 3 * n, 150 + n), 1).astype(float)
    kept = ~np.isin(n, list(gap))
    boxes = (true + rng.normal(0, noise, true.shape))[kept].astype(np.float32)
    count = int(kept.sum())
    visit = Visit(
        1, "person", times[kept], times[kept], boxes, np.full(count, 0.9, np.float32),
        np.ones(count, np.bool_), 0,
    )  # fmt: skip
    return visit, times, true


def test_gaps_are_filled_on_a_line_and_long_ones_stay_open() -> None:
    visit, times, true = walk(range(20, 35), 0.0)
    full = fill(visit, times, times)
    assert full.t_ns.tolist() == times.tolist()
    np.testing.assert_allclose(full.boxes, true, atol=1e-3)
    assert full.seen.sum() == 45
    long, times, _ = walk(range(10, 40), 0.0)
    assert fill(long, times, times).t_ns.tolist() == long.t_ns.tolist()


def test_smoothing_brings_boxes_nearer_to_the_truth() -> None:
    for seed in range(5):
        visit, _, true = walk(range(0), 3.0, seed)
        moved = smooth(visit)
        assert np.abs(moved.boxes - true).mean() < 0.75 * np.abs(visit.boxes - true).mean()
    short = dataclasses.replace(
        visit, **{k: getattr(visit, k)[:2] for k in ("t_ns", "wall_ns", "boxes", "scores", "seen")}
    )
    assert smooth(short) is short
    assert collect([]) == []
