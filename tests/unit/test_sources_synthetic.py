"""Drawn scenes: known to the pixel, equal byte for byte."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from perception.errors import SourceEnded, SourceError
from perception.sources import Image, allocate_new
from perception.sources.synthetic import SyntheticSource


def scene(**options: Any) -> SyntheticSource:
    source = SyntheticSource(SyntheticSource.Options(**options), camera="front")
    source.open()
    return source


def draw(source: SyntheticSource, count: int) -> list[Image]:
    got: list[Image] = []
    for _ in range(count):
        frame = source.read(allocate_new)
        assert frame is not None
        got.append(frame.image)
    return got


def test_two_runs_are_equal_and_seeds_differ() -> None:
    one, two, other = (draw(scene(seed=seed), 40) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], other[0])
    assert not np.array_equal(one[0], one[-1])


@pytest.mark.parametrize("pictures", [False, True])
def test_boxes_are_tight_around_what_is_drawn(pictures: bool, tmp_path: Path) -> None:
    options: dict[str, Any] = {"objects": 1, "width": 321, "height": 203, "speed_px_s": 900}
    if pictures:
        cut = np.full((40, 30, 4), 255, np.uint8)
        cut[:, :, :3] = (0, 0, 255)
        cv2.imwrite(str(tmp_path / "a.png"), cut)
        options["pictures"] = tmp_path
    for seed in range(6):
        source = scene(seed=seed, **options)
        empty = scene(seed=seed, **options | {"objects": 0, "pictures": None})
        background = draw(empty, 1)[0]
        for n, image in enumerate(draw(source, 50)):
            rows, columns = np.nonzero((image != background).any(axis=2))
            seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            truth = source.truth(n)
            assert truth.ids.tolist() == [0]
            # A pixel of the outline may happen to have the colour that is behind it.
            assert np.abs(truth.boxes[0] - seen).max() <= 1


def test_outlines_of_cut_outs_are_kept(tmp_path: Path) -> None:
    cut = np.zeros((60, 60, 4), np.uint8)
    cut[20:40, :] = cut[:, 20:40] = (0, 0, 255, 255)
    cv2.imwrite(str(tmp_path / "cross.png"), cut)
    source = scene(objects=1, pictures=tmp_path)
    image = draw(source, 1)[0]
    x1, y1, x2, y2 = source.truth(0).boxes[0].astype(int)
    inside = image[y1:y2, x1:x2]
    assert (inside[len(inside) // 2] == (0, 0, 255)).all()
    assert not (inside[0, 0] == (0, 0, 255)).all()


def test_truth_stays_inside_and_moves_smoothly() -> None:
    source = scene(objects=30, width=200, height=100, speed_px_s=300)
    boxes = np.stack([source.truth(n).boxes for n in range(500)])
    assert boxes.min() >= 0
    assert (boxes[..., 2] <= 200).all()
    assert (boxes[..., 3] <= 100).all()
    assert boxes.dtype == np.float32
    assert np.abs(np.diff(boxes[..., :2], axis=0)).max() <= 300 / 30 + 1
    assert (source.truth(77).boxes == boxes[77]).all()


def test_length_size_and_rate() -> None:
    source = scene(width=50, height=40, fps=7, frames=3)
    frames = [source.read(allocate_new) for _ in range(3)]
    assert [frame.t_media_ns for frame in frames if frame] == [0, 142857143, 285714286]
    assert {frame.image.shape for frame in frames if frame} == {(40, 50, 3)}
    with pytest.raises(SourceEnded):
        source.read(allocate_new)


def test_no_objects_is_an_empty_truth() -> None:
    truth = scene(objects=0).truth(5)
    assert truth.ids.shape == (0,)
    assert truth.boxes.shape == (0, 4)


def test_the_smallest_and_odd_scenes_are_drawn() -> None:
    for size in ((16, 16), (17, 4320), (7680, 16)):
        draw(scene(width=size[0], height=size[1], objects=20), 2)


def test_pictures_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(SourceError, match="none of the pictures"):
        scene(pictures=tmp_path)


def test_real_cut_outs(footage: Path) -> None:
    source = scene(pictures=footage / "images" / "fruit", width=640, height=360)
    assert all(image.std() > 10 for image in draw(source, 3))
