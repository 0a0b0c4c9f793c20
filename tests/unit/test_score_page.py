"""The score page: one file below 2 MB, no script, nothing from elsewhere (E4)."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from perception.commands.app import app
from perception.score.alerts import score_alerts
from perception.score.card import Card, score_boxes
from perception.score.formats import write_labels
from perception.score.page import page
from perception.score.pairing import pair
from perception.score.pictures import MAX_BYTES, pictures
from perception.score.results import Raised
from perception.score.visits import Visit, Visits
from perception.score.worst import KINDS, MOST, Case, worst
from tests.clips import write_clip
from tests.labelled import result_of, walkers

pytest.importorskip("faster_coco_eval", reason="extra: eval")
pytest.importorskip("trackeval", reason="extra: eval")
S = 1_000_000_000


def alert(n: int, seconds: float, **more: object) -> Raised:
    return Raised(
        key=str(n), camera="door", rule="visitor", kind="visit", t_media_ns=round(seconds * S),
        t_wall_ns=0, box=(100, 100, 200, 300), **more,
    )  # fmt: skip


def full_card() -> Card:
    """Return a card with faults of every kind, more than MOST of most."""
    truth = walkers(3, count=30)
    result = result_of(truth, 5, jitter=0.12, lost=0.3, false=0.9, swaps=25)
    card = Card("out/door", "labels.xml", "visits.csv")
    card.boxes = score_boxes(pair(truth, result))
    visits = [Visit(n * S // 10, (n + 4) * S // 10, "", "anna", "", n) for n in range(0, 120, 10)]
    told = [alert(0, 0.1, who="ben", known=True), alert(1, 3.9), alert(2, 4.0), alert(3, 90.0)]
    told += [alert(4, 14.6)]
    card.alerts = score_alerts(Visits(visits, False), told, hours=1)
    return card


def test_e4_the_page_is_small_and_stands_alone(tmp_path: Path) -> None:
    """Noise compresses worst: the pictures are limited, all else is a few kB."""
    card = full_card()
    cases = worst(card, False, 0)
    kinds = {kind: sum(case.kind == kind for case in cases) for kind in KINDS}
    assert all(kinds[k] == MOST for k in ("missed", "false", "poor")), kinds
    assert all(kinds[k] for k in ("switch", "visit", "alert", "late", "name")), kinds
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    clip = write_clip(
        tmp_path / "clip.mp4", frames=120, size=(1280, 720), fps=10, picture=noise,
        options={"preset": "ultrafast"},
    )  # fmt: skip
    urls = pictures(clip, cases)
    assert sum(map(len, urls)) <= MAX_BYTES
    assert sum(bool(url) for url in urls) >= 20
    text = page(card, cases, urls, False, 0)
    assert len(text.encode()) <= 2_000_000
    assert "<script" not in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in text
    for kind, title in KINDS.items():
        assert (title in text) == (kinds[kind] > 0)
    assert text.count("<svg") == text.count("</svg>") == 3


def test_a_picture_is_that_of_its_frame_or_time(tmp_path: Path) -> None:
    """Frame n of the clip is grey of level 4 n; the alert's picture is the one of its time."""
    clip = write_clip(tmp_path / "clip.mp4", frames=30, fps=10)
    cases = [
        Case("missed", "a", 1, frame=7, label=(100, 100, 140, 140)),
        Case("false", "b", 1, frame=21, box=(100, 100, 140, 140)),
        Case("alert", "c", 1, time_ns=round(1.5 * S), box=(100, 100, 140, 140)),
        Case("visit", "d", 1, time_ns=2 * S),
        Case("missed", "e", 1, frame=99, label=(1, 1, 9, 9)),
        Case("alert", "f", 1, time_ns=99 * S, box=(1, 1, 9, 9)),
        Case("missed", "g", 1, frame=3, label=(5000, 5000, 5100, 5100)),
    ]
    urls = pictures(clip, cases)
    levels: list[float] = []
    for url in urls[:4]:
        data = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        levels.append(float(np.median(image[:12, :12])))
    assert levels == pytest.approx([28, 84, 60, 80], abs=3)
    assert urls[4:] == ["", "", ""]


def test_names_are_escaped() -> None:
    truth = walkers(3)
    truth.names = ["<script>alert(1)</script>", 'x" onload="y']
    result = result_of(truth, 5)
    card = Card("<b>r</b>", "t&t")
    card.boxes = score_boxes(pair(truth, result))
    cases = worst(card, False, 0)
    text = page(card, cases, [""] * len(cases), False, 0)
    assert "<script" not in text
    assert "<b>r" not in text
    assert ' onload="' not in text


def test_the_worst_missed_object_stands_first() -> None:
    """One object is never found, another is missed in three pictures."""
    truth = walkers(3, count=4)
    result = result_of(truth, 5, jitter=0.0, lost=0.0, false=0.0, swaps=0)
    gone = (truth.tracks == 2) | ((truth.tracks == 0) & (truth.frames % 20 == 0))
    some = int((gone & (truth.tracks == 0)).sum())
    every = int((truth.tracks == 2).sum())
    kept = np.array([
        not gone[(truth.frames == f) & (truth.tracks == t)].any()
        for f, t in zip(result.frames, result.tracks, strict=True)
    ])  # fmt: skip
    for name in ("frames", "tracks", "class_ids", "boxes", "scores", "ignored"):
        setattr(result, name, getattr(result, name)[kept])
    card = Card("r", "t", boxes=score_boxes(pair(truth, result)))
    missed = [case.text for case in worst(card, False, 0) if case.kind == "missed"]
    name = truth.names[truth.class_ids[truth.tracks == 2][0]]
    assert some > 0
    assert len(missed) == 2
    assert missed[0] == f"{name}: missed in {every} of {every} pictures"
    assert f"missed in {some} of" in missed[1]


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    truth, result = walkers(3), result_of(walkers(3), 5)
    other = result_of(walkers(3), 6, jitter=0.2)
    write_labels(tmp_path / "labels.xml", truth, "cvat")
    write_labels(tmp_path / "a.json", result, "coco")
    write_labels(tmp_path / "b.json", other, "coco")
    clip = write_clip(tmp_path / "clip.mp4", frames=120, size=(1280, 720), fps=10)
    done = CliRunner().invoke(app, [
        "score", str(tmp_path / "a.json"), "--truth", str(tmp_path / "labels.xml"),
        "--against", str(tmp_path / "b.json"), "--html", str(tmp_path / "out" / "card.html"),
        "--footage", str(clip),
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    text = (tmp_path / "out" / "card.html").read_text()
    assert "Against the other result" in text
    assert text.count("data:image/jpeg") >= 5
