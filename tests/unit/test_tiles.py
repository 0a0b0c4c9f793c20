"""Tiles under a budget: every place is looked at, an object is one box, the time is kept."""

import time
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from perception.detectors.heads import HEADS
from perception.detectors.letterbox import letterbox, rectangle
from perception.detectors.tile_grid import crop, grid
from perception.detectors.tiles import TiledDetector
from perception.errors import ConfigError
from perception.kernels.boxes import to_image
from perception.kernels.tiles import merge_tiles
from perception.pixels import Pixels
from perception.wire import Detections


class Bright:
    """A network in miniature: each bright spot of a canvas is an object; it takes `ms`."""

    Options = BaseModel

    def __init__(self, ms: float = 0.0, size: int = 320) -> None:
        self.names, self.counters = {0: "car"}, dict[str, int]()
        self.ms, self.size, self.calls = ms, size, 0

    def canvas_for(self, height: int, width: int) -> tuple[tuple[int, int], bool]:
        return rectangle(height, width, self.size), False

    def look(self, canvas: Any) -> Detections:
        self.calls += 1
        time.sleep(self.ms / 1e3)
        mask = (canvas.min(axis=2) > 180).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area > 12]
        return Detections.of(boxes, [0.9] * len(boxes), [0] * len(boxes))

    def on_image(self, found: Detections, prepared: Any) -> Detections:
        boxes, rows, _ = to_image(
            found.boxes,
            prepared.width,
            prepared.height,
            scale=prepared.scale,
            offset=prepared.offset,
        )
        return Detections(boxes, found.scores[rows], found.class_ids[rows])


def planes_of(image: Any) -> Pixels:
    """Return a picture as planes, BT.601 of limited range."""
    return Pixels(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), "bt601")


def scene(*boxes: tuple[int, int, int, int], shift: int = 0) -> Any:
    """Return a textured picture, 720 x 1280, with bright boxes; shift: of the camera, px."""
    rng = np.random.default_rng(0)
    rough = cv2.resize(rng.uniform(20, 130, (40, 80)), (1600, 720), interpolation=cv2.INTER_CUBIC)
    grey = np.clip(rough[:, shift : shift + 1280], 0, 150)
    image = np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1 - shift : x2 - shift] = 240
    return np.ascontiguousarray(image)


@given(st.integers(32, 1200), st.integers(32, 1200), st.integers(32, 400), st.floats(0, 0.5))
def test_tiles_cover_the_picture_and_overlap(height, width, side, overlap):
    side -= side % 2
    tiles = grid(height, width, side, overlap)
    covered = np.zeros((height, width), np.bool_)
    for tile in tiles:
        assert tile.x1 % 2 == 0
        assert tile.y1 % 2 == 0
        assert tile.width <= side
        assert tile.height <= side
        covered[tile.y1 : tile.y2, tile.x1 : tile.x2] = True
    # A corner is rounded down to an even px: at most one px at the far border is left.
    assert covered[: height - 1, : width - 1].all()


def test_a_tile_is_the_letterboxed_part_and_reads_no_more():
    image = scene((400, 300, 420, 312))
    tile = grid(720, 1280, 512, 0.2)[1]
    part = crop(Pixels(image), tile, (640, 640))
    view = np.ascontiguousarray(image[tile.y1 : tile.y2, tile.x1 : tile.x2])
    whole = letterbox(view, (640, 640), HEADS["yolo"])
    assert (part.canvas == whole.canvas).all()
    assert (part.scale, part.offset) == (whole.scale, whole.offset)


def test_planes_give_nearly_the_same_tile():
    image = scene((400, 300, 420, 312))
    tile = grid(720, 1280, 512, 0.2)[0]
    of_bgr = crop(Pixels(image), tile, (640, 640)).canvas.astype(int)
    of_planes = crop(planes_of(image), tile, (640, 640)).canvas.astype(int)
    assert np.abs(of_bgr - of_planes).mean() < 3


def test_all_tiles_find_each_object_once_wherever_borders_are():
    boxes = [(500, 340, 540, 380), (250, 100, 262, 110), (900, 400, 912, 410), (495, 350, 700, 372)]
    detector = TiledDetector(Bright(), budget_ms=None, size=320)
    for one in boxes:
        found = detector.detect(scene(one))
        assert len(found) == 1
        assert np.abs(found.boxes[0] - one).max() <= 6


def test_a_third_of_the_time_keeps_what_all_tiles_know():
    network = Bright(ms=4)
    detector = TiledDetector(network, budget_ms=24, size=320, sweep_s=0.6)
    corners = [(200 + 150 * k, 100 + 100 * (k % 5)) for k in range(6)]
    cars = [(x, y, x + 24, y + 12) for x, y in corners]
    missed, took = 0, list[float]()
    for n in range(40):
        moved = [(x1 + 2 * n, y1, x2 + 2 * n, y2) for x1, y1, x2, y2 in cars]
        image = scene(*moved, shift=n)
        started = time.perf_counter()
        found = detector.infer(detector.prepare_at(Pixels(image), n * 40_000_000))
        took.append(1e3 * (time.perf_counter() - started))
        if n < 12:
            continue
        middle = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
        for x1, y1, x2, y2 in moved:
            true = ((x1 + x2) / 2 - n, (y1 + y2) / 2)
            missed += not len(middle) or np.hypot(*(middle - true).T).min() > 8
    assert missed <= 0.1 * 28 * len(cars)
    assert network.calls / 40 < 0.7 * len(detector._tiles)
    looks = detector.looks
    assert looks["tiles"] + looks["tiles_later"] == 40 * len(detector._tiles)


def test_every_tile_is_looked_at_within_a_sweep_where_the_budget_allows_it():
    network = Bright(ms=1)
    detector = TiledDetector(network, budget_ms=8, size=320, sweep_s=0.5)
    seen: dict[int, list[int]] = {}
    inner = detector._look

    def noted(k: int, part: Any) -> Any:
        seen.setdefault(k, []).append(n)
        return inner(k, part)

    detector._look = noted
    for n in range(60):
        detector.infer(detector.prepare_at(Pixels(scene((300, 300, 320, 312))), n * 40_000_000))
    assert len(seen) == len(detector._tiles)
    for frames in seen.values():
        gaps = np.diff([*frames, 60])
        assert gaps.max() * 0.04 <= 0.5 * 2


def test_what_leaves_is_forgotten_after_its_tile_was_looked_at():
    detector = TiledDetector(Bright(), budget_ms=1000, size=320)
    for n in range(4):
        found = detector.infer(detector.prepare_at(Pixels(scene((300, 300, 320, 312))), n * 10**8))
        assert len(found) == 1
    assert len(detector.infer(detector.prepare_at(Pixels(scene()), 4 * 10**8))) == 0


def test_a_detector_that_cannot_look_at_parts_is_refused():
    with pytest.raises(ConfigError, match="onnx"):
        TiledDetector(object())


def slow_merge(boxes, scores, class_ids, cut, iou, inside):
    """Merge as kernels.tiles says it, one pair at a time."""
    kept: list[list[Any]] = []
    for i in sorted(range(len(boxes)), key=lambda i: (cut[i], -scores[i])):
        a = np.array(boxes[i], np.float32)
        for one in kept:
            b, row, is_cut = one
            low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
            w, h = (high - low).tolist()
            if class_ids[row] != class_ids[i] or w <= 0 or h <= 0:
                continue
            sides = [box[2:] - box[:2] for box in (a, b)]
            areas = [float(s[0] * s[1]) for s in sides]
            overlaps = w * h > iou * (sum(areas) - w * h)
            within = (cut[i] or is_cut) and w * h > inside * min(areas)
            tallest, widest = max(sides[0][1], sides[1][1]), max(sides[0][0], sides[1][0])
            seam = (h > 0.7 * tallest and w < h) or (w > 0.7 * widest and h <= w)
            if overlaps or within or (cut[i] and is_cut and seam):
                if cut[i] and is_cut:
                    b[:2], b[2:] = np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])
                break
        else:
            kept.append([a, i, cut[i]])
    return [one[0].tolist() for one in kept], [one[1] for one in kept]


rows = st.tuples(
    *(st.integers(0, 60),) * 2, *(st.integers(1, 30),) * 2,
    st.integers(1, 99), st.integers(0, 1), st.booleans(),
)  # fmt: skip


@given(st.lists(rows, max_size=14, unique_by=lambda row: row[4]))
def test_merged_as_by_the_slow_twin(given_rows):
    boxes = [(x, y, x + w, y + h) for x, y, w, h, *_ in given_rows]
    scores = [row[4] / 100 for row in given_rows]
    kinds, cut = [row[5] for row in given_rows], [row[6] for row in given_rows]
    fast = merge_tiles(boxes, scores, kinds, cut, iou=0.5, inside=0.75)
    slow = slow_merge(boxes, scores, kinds, cut, 0.5, 0.75)
    assert fast[0].tolist() == slow[0]
    assert fast[1].tolist() == slow[1]


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 scores"):
        merge_tiles([[0, 0, 1, 1]], [0.1, 0.2], [0], [False])
