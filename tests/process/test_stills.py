"""A folder of stills: each picture alone, its objects in COCO's form, unless it is a film."""

import json

import cv2
import numpy as np
import pytest

from perception.sources.synthetic import SyntheticSource
from tests.clips import play
from tests.line import perception_says, write_launch


@pytest.fixture
def folder(tmp_path):
    """Return a folder with three pictures of two sizes and one file that is not read."""
    folder = tmp_path / "stills"
    folder.mkdir()
    options = SyntheticSource.Options(width=320, height=240, objects=3, seed=1, frames=3)
    frames = [frame.image for frame in play(SyntheticSource(options, camera="a"))]
    for n, image in enumerate(frames[:3]):
        cv2.imwrite(str(folder / f"p{n}.png"), image if n != 1 else image[:200, :300])
    (folder / "raw.dng").write_bytes(b"x")
    return folder


def _analyze(tmp_path, folder, *arguments):
    launch = write_launch(tmp_path / "launch.yaml", {"cameras": {"a": {"source": "push"}}})
    said = perception_says(
        "analyze", folder, "--launch", launch, "--output", tmp_path / "out", *arguments
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout, tmp_path / "out" / "stills"


def test_each_picture_stands_alone(tmp_path, folder):
    said, out = _analyze(tmp_path, folder)
    coco = json.loads((out / "coco-stills.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["p0.png", "p1.png", "p2.png"]
    shapes = [(i["width"], i["height"]) for i in coco["images"]]
    assert shapes == [(320, 240), (300, 200), (320, 240)]
    assert {a["image_id"] for a in coco["annotations"]} == {1, 2, 3}
    sizes = {i["id"]: (i["width"], i["height"]) for i in coco["images"]}
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        width, height = sizes[annotation["image_id"]]
        assert x + w <= width + 1
        assert y + h <= height + 1
    known = {category["id"] for category in coco["categories"]}
    assert {a["category_id"] for a in coco["annotations"]} <= known
    assert not list(out.glob("tracks-*"))
    assert not list(out.glob("*.mp4"))
    drawn = cv2.imread(str(out / "annotated-stills" / "p1.jpg"))
    assert drawn.shape == (200, 300, 3)
    assert np.abs(drawn.astype(int) - cv2.imread(str(folder / "p1.png"))).max() > 50
    assert "left out: raw.dng" in said


def test_with_fps_they_are_a_film(tmp_path, folder):
    _, out = _analyze(tmp_path, folder, "--fps", "10")
    assert (out / "tracks-stills.jsonl").exists()
    assert (out / "annotated-stills.mp4").exists()
    assert not list(out.glob("coco-*"))


def test_a_drive_with_times_is_tracked_and_has_kitti_labels(tmp_path):
    drive = tmp_path / "image_02"
    (drive / "data").mkdir(parents=True)
    options = SyntheticSource.Options(width=320, height=240, objects=3, seed=1, frames=20)
    frames = [frame.image for frame in play(SyntheticSource(options, camera="a"))]
    for n, image in enumerate(frames):
        cv2.imwrite(str(drive / "data" / f"{n:010d}.png"), image)
    moments = [f"2011-09-26 13:02:{25 + n * 0.1:06.3f}000000" for n in range(len(frames))]
    (drive / "timestamps.txt").write_text("\n".join(moments) + "\n")
    launch = write_launch(
        tmp_path / "launch.yaml",
        {"cameras": {"a": {"source": "push"}}, "output": {"kitti": True}},
    )
    said = perception_says(
        "analyze", drive, "--launch", launch, "--output", tmp_path / "out", "--no-video"
    )
    assert said.returncode == 0, said.stdout + said.stderr
    (labels,), (mot,) = ([*tmp_path.rglob(name)] for name in ("kitti-*.txt", "mot-*.txt"))
    rows = [line.split() for line in labels.read_text().splitlines()]
    assert rows
    assert {len(row) for row in rows} == {18}
    for row, line in zip(rows, mot.read_text().splitlines(), strict=True):
        frame, track, x, y, w, h, score = (float(part) for part in line.split(",")[:7])
        assert (int(row[0]), int(row[1])) == (frame - 1, track)
        np.testing.assert_allclose([float(v) for v in row[6:10]], [x, y, x + w, y + h], atol=0.02)
        assert float(row[17]) == score
    (tracks,) = tmp_path.rglob("tracks-*.jsonl")
    assert str(1_317_042_145) in tracks.read_text()
