"""A folder of stills: each picture alone, its objects in COCO's form, unless it is a film."""

import json

import cv2
import numpy as np
import pytest

from perception.sources.synthetic import SyntheticSource
from tests import stills as drone_stills
from tests.clips import play
from tests.flight import apart
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


def test_stills_of_a_drone_are_placed_by_their_xmp(tmp_path):
    """Two stills over known points, one without a place: GeoJSON, KML, GPX, page, annotations."""
    folder = tmp_path / "stills"
    folder.mkdir()
    south, east = (46.51, 6.62, 500.0), drone_stills.away((46.51, 6.62, 500.0), 80.0, 40.0, 500.0)
    points = [drone_stills.away(south, e, n, 400.0) for e, n in ((0, 60), (-20, 85), (15, 70))]
    other = drone_stills.away(east, 30.0, -30.0, 400.0)
    one = drone_stills.still(
        south, (0.0, -55.0), points, UTCAtExposure="2026-05-01T10:00:00", RtkFlag="50",
        RtkStdLat="0.02", RtkStdLon="0.02", RtkStdHgt="0.05",
    )  # fmt: skip
    (folder / "DJI_1.JPG").write_bytes(one)
    (folder / "DJI_2.JPG").write_bytes(drone_stills.still(east, (135.0, -70.0), [other]))
    cv2.imwrite(str(folder / "phone.jpg"), cv2.imread(str(folder / "DJI_1.JPG")))
    _, out = _analyze(tmp_path, folder)
    found = json.loads((out / "map-stills.geojson").read_text())["features"]
    targets = [f for f in found if f["properties"]["kind"] == "target"]
    assert [f["properties"]["picture"] for f in targets] == ["DJI_1.JPG"] * 3 + ["DJI_2.JPG"]
    for place in points:
        near = [
            np.linalg.norm(apart(place, f["geometry"]["coordinates"][::-1])) for f in targets[:3]
        ]
        assert min(near) < 1.0
    assert np.linalg.norm(apart(other, targets[3]["geometry"]["coordinates"][::-1])) < 1.0
    for target in targets:
        about = target["properties"]
        assert (about["speed_m_s"], about["course_deg"]) == (None, None)
        assert about["ellipse_major_m"] > about["ellipse_minor_m"] > 0.5
    assert targets[0]["properties"]["time"] == "2026-05-01T10:00:00.000Z"
    pictures = [f["properties"] for f in found if f["properties"]["kind"] == "picture"]
    assert [(p["picture"], p["yaw_deg"], p["pitch_deg"]) for p in pictures] == [
        ("DJI_1.JPG", 0.0, -55.0),
        ("DJI_2.JPG", 135.0, -70.0),
    ]
    assert not [f for f in found if f["properties"]["kind"] == "flight"]
    assert (out / "map-stills.kml").read_text().count("<name>DJI_") == 2
    assert (out / "map-stills.gpx").read_text().count("<wpt ") == 2
    assert '"stills": true' in (out / "map.html").read_text()
    (camera,) = json.loads((out / "summary.json").read_bytes())["cameras"].values()
    assert camera["unplaced"] == {"position missing": 1}
    for name, is_placed in (("DJI_1", True), ("DJI_2", True), ("phone", False)):
        drawn = cv2.imread(str(out / "annotated-stills" / f"{name}.jpg")).astype(int)
        bare = cv2.imread(str(folder / f"{name}.jpg".replace("I_1.jpg", "I_1.JPG").replace(
            "I_2.jpg", "I_2.JPG"))).astype(int)  # fmt: skip
        corner = np.abs(drawn - bare)[-110:, -110:]
        assert (corner.max() > 100) == is_placed, name
