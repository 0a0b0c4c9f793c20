"""The hand-made labels of benchmarks/whole_line.py, and how ignored places are left out."""

import json

import numpy as np
import pytest

from benchmarks import suites, whole_line
from benchmarks.whole_line import LABELS, Labelled

pytest.importorskip("trackeval")


def labelled(boxes, ignore):
    """Return a clip of one frame. boxes: id and xyxy px. ignore: frame from 1 and xyxy px."""
    rows = np.array(boxes, float).reshape(-1, 5)
    wide = np.hstack((rows[:, :3], rows[:, 3:5] - rows[:, 1:3]))
    sequence = suites.Sequence("made", 0, 0, 0.0, np.array([1]), [], [], suites.truth_of([wide]))
    return Labelled("made", LABELS, ["person"], sequence, np.array(ignore, float).reshape(-1, 5))


def test_labels_lie_in_their_pictures_and_ids_are_one_a_frame():
    said = json.loads(LABELS.read_text())["clips"]
    sizes = {"one_by_one": (768, 432), "person_bicycle": (768, 432), "solidWhite": (960, 540)}
    counts = {}
    for clip, part in said.items():
        width, height = next(size for name, size in sizes.items() if name in clip)
        for rows in part["frames"].values():
            ids = [row[0] for row in rows]
            assert len(ids) == len(set(ids))
            for _, x1, y1, x2, y2 in rows:
                assert 0 <= x1 < x2 <= width
                assert 0 <= y1 < y2 <= height
        counts[clip.split("/")[1].split("_")[1]] = sum(map(len, part["frames"].values()))
    assert counts == {"one": 105, "person": 16, "solidWhiteRight.mp4": 112}


def test_a_result_in_an_ignored_place_counts_only_as_a_labelled_object():
    clip = labelled([[1, 0, 0, 10, 20]], [[1, 0, 0, 50, 50]])
    rows = np.array([[1, 7, 0, 0, 10, 20], [1, 8, 30, 0, 40, 20]], float)
    assert whole_line.scores(rows, clip)["HOTA"] == pytest.approx(100.0)
    elsewhere = labelled([[1, 0, 0, 10, 20]], [[2, 0, 0, 50, 50]])
    assert whole_line.scores(rows, elsewhere)["MOTA"] == pytest.approx(0.0), "one of one is false"
    everywhere = labelled([[1, 0, 0, 10, 20]], [[0, 25, 0, 50, 50]])
    assert whole_line.scores(rows, everywhere)["HOTA"] == pytest.approx(100.0)
    outside = np.array([[1, 7, 0, 0, 10, 20], [1, 8, 60, 0, 70, 20]], float)
    assert whole_line.scores(outside, clip)["MOTA"] == pytest.approx(0.0)
