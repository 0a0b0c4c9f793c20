"""Colours of tracks: plain ones are named; labelled crops of real footage; when a track is seen."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from perception.footage.colours import votes, words
from perception.footage.looks import Looks
from perception.footage.rows import COLOURS
from perception.footage.seen import SeenTracks
from perception.wire import CONFIRMED, TrackMessage, Tracks
from tests.line import ROOT, perception_says
from tests.recordings import S, stamp
from tests.unit.test_footage import seen
from tests.unit.test_search import filled

LABELS = ROOT / "tests" / "golden" / "colours.jsonl"
PLAIN = {
    "black": (15, 15, 20), "white": (240, 240, 240), "grey": (128, 128, 128), "red": (200, 20, 30),
    "orange": (240, 130, 20), "yellow": (240, 220, 30), "green": (30, 140, 50),
    "blue": (30, 60, 190), "purple": (130, 40, 170), "pink": (250, 150, 190),
    "brown": (110, 65, 30),
}  # fmt: skip
"""RGB that everybody calls so."""


def dressed(upper: str, lower: str) -> Any:
    """Return a crop, BGR: a green wall, a head, two pieces of clothing."""
    crop = np.full((100, 40, 3), (60, 150, 60), np.uint8)
    crop[2:15, 14:26] = (130, 160, 210)
    crop[15:50, 8:32] = PLAIN[upper][::-1]
    crop[50:95, 10:30] = PLAIN[lower][::-1]
    return crop


@pytest.mark.parametrize("upper", COLOURS)
def test_a_plain_colour_is_named(upper: str) -> None:
    lower = COLOURS[COLOURS.index(upper) - 4]
    assert words(votes(dressed(upper, lower), "person")) == (upper, lower)
    car = np.full((30, 60, 3), PLAIN[upper][::-1], np.uint8)
    assert words(votes(car, "car")) == (upper, upper)


@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 1, 3), (0, 9, 3), (3, 1, 3), (900, 700, 3)])
def test_a_crop_of_any_size_is_taken(shape: tuple[int, ...]) -> None:
    shares = votes(np.full(shape, 250, np.uint8), "person")
    assert shares.shape == (2, 11)
    assert words(shares) == (("white", "white") if shape[0] and shape[1] else ("", ""))


@pytest.mark.footage
def test_f2_colours_of_labelled_crops(footage: Path) -> None:
    """Labels were made by eye; `|` stands between words that are both true."""
    labels = [json.loads(line) for line in LABELS.read_text().splitlines()]
    assert len(labels) >= 200
    wrong, parts = Counter[tuple[str, str]](), 0
    for label, crop in crops(footage, labels):
        found = words(votes(crop, label["class"]))
        for said, got in zip((label["upper"], label["lower"]), found, strict=True):
            parts += bool(said)
            if said and got not in said.split("|"):
                wrong[said, got] += 1
    print(wrong.most_common())
    assert parts >= 330
    assert 1 - wrong.total() / parts >= 0.85


def crops(footage: Path, labels: list[Any]) -> Any:
    for clip in sorted({label["clip"] for label in labels}):
        wanted = [label for label in labels if label["clip"] == clip]
        last = max(label["frame"] for label in wanted)
        with av.open(str(footage / clip)) as container:
            for n, frame in enumerate(container.decode(video=0)):
                here = [label for label in wanted if label["frame"] == n]
                picture = frame.to_ndarray(format="bgr24") if here else None
                for label in here:
                    x1, y1, x2, y2 = label["box"]
                    yield label, picture[y1:y2, x1:x2]
                if n >= last:
                    break


def message(n: int, *boxes: tuple[float, ...], score: float = 0.8) -> TrackMessage:
    count = len(boxes)
    return TrackMessage(
        stamp=stamp(n, n * S), width=200, height=200, names={0: "person"}, dropped={},
        t_detected_ns=0, t_tracked_ns=0, warp=np.eye(2, 3, dtype=np.float32),
        tracks=Tracks(
            track_ids=np.arange(1, count + 1), boxes=np.array(boxes, np.float32).reshape(-1, 4),
            rates=np.zeros((count, 4), np.float32), class_ids=np.zeros(count, np.int32),
            scores=np.full(count, score, np.float32), states=np.full(count, CONFIRMED, np.uint8),
            ages_s=np.ones(count, np.float32), unseen_s=np.zeros(count, np.float32),
            detection_rows=np.arange(count, dtype=np.int32),
        ),
    )  # fmt: skip


def test_a_track_is_looked_at_again_only_where_it_is_seen_much_better() -> None:
    looks = Looks()
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[20:120, 20:60] = dressed("red", "blue")
    box = (20.0, 20.0, 60.0, 120.0)
    assert looks.due(message(0, box, (1, 1, 9, 9)), 0) == [0], "the other is too small"
    assert looks.add(message(0, box), 0, picture) == (1, "red", "blue")
    looks.spent(0, 3_000_000)
    assert looks.due(message(1, (20, 20, 90, 190)), 250_000_000) == [], "it rests 100 times as long"
    now = 400_000_000
    assert looks.due(message(1, box, score=0.9), now) == [], "not much better"
    assert looks.due(message(1, (0, 20, 70, 150)), now) == [], "cut off by the edge"
    larger = (10.0, 10.0, 80.0, 180.0)
    assert looks.due(message(2, larger), now) == [0]
    picture[10:180, 10:80] = 0
    assert looks.add(message(2, larger), 0, picture)[1:] == ("black", "black")
    for n in range(2):
        looks.add(message(3, (5.0, 5.0, 180.0, 180.0 + n)), 0, picture)
    assert looks.due(message(4, (3.0, 3.0, 197.0, 197.0)), now) == [], "three looks are enough"


def test_colours_stand_in_the_row_of_a_track() -> None:
    tracks = SeenTracks({})
    tracks.take(message(0, (20.0, 20.0, 60.0, 120.0)))
    tracks.coloured(1, "red", "blue")
    tracks.coloured(2, "red", "blue")
    (found,) = tracks.take(message(1, (20.0, 20.0, 60.0, 120.0)))
    assert (found.upper, found.lower) == ("red", "blue")


def test_what_looks_alike_is_found_by_class_and_colours(tmp_path: Path) -> None:
    ids = [(217_957_583 << 32) + n for n in range(4)]
    tracks = [
        seen(ids[0], 100, 200, upper="red", lower="blue"),
        seen(ids[1], 300, 400, upper="red", lower="blue"),
        seen(ids[2], 500, 600, upper="red", lower="black"),
        seen(ids[3], 700, 800, "car", upper="red", lower="blue"),
    ]
    filled(tmp_path, tracks).close()
    said = perception_says("search", "--like", "217957583-0", "--folder", tmp_path, "--json")
    assert [json.loads(line)["track_id"] for line in said.stdout.splitlines()] == ids[1::-1]
    said = perception_says("search", "--like", "217957583-0", "--folder", tmp_path)
    assert "red/blue person (class and colours only)" in said.stdout
    said = perception_says("search", "black", "person", "--folder", tmp_path)
    assert "person, red/black" in said.stdout
    said = perception_says("search", "--like", str(ids[3]), "--folder", tmp_path)
    assert "red/blue car (class and colours only)" in said.stdout
    wrong = perception_says("search", "--like", "7", "--folder", tmp_path)
    assert wrong.returncode == 2
    assert "no track of this id" in wrong.stderr
