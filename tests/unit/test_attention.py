"""`detect: auto` looks where the picture changed, and knows what it knew where it did not."""

from typing import Any

import av
import cv2
import numpy as np
import pytest
from pydantic import BaseModel

from perception.detectors.attention import AttentiveDetector
from perception.detectors.heads import HEADS
from perception.detectors.letterbox import Prepared, letterbox, rectangle
from perception.detectors.parts import Rect, copy_parts, pack, to_whole
from perception.detectors.regions import small_canvases
from perception.errors import ConfigError
from perception.kernels.boxes import to_image
from perception.kernels.change import NOISE_FLOOR, compare
from perception.pixels import Pixels
from perception.wire import Detections

PERIOD_NS = 100_000_000
HEIGHT, WIDTH = 432, 768


class Bright:
    """A network in miniature: each bright spot of a canvas is an object."""

    Options = BaseModel

    def __init__(self) -> None:
        self.names = {0: "person"}
        self.counters: dict[str, int] = {}
        self.canvases: list[tuple[int, int]] = []

    def canvas_for(self, height: int, width: int) -> tuple[tuple[int, int], bool]:
        return rectangle(height, width, 896), False

    def prepare(self, image: Any) -> Prepared:
        return letterbox(image, self.canvas_for(*image.shape[:2])[0], HEADS["yolo"])

    def look(self, canvas: Any) -> Detections:
        self.canvases.append(canvas.shape[:2])
        mask = (canvas.min(axis=2) > 180).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        boxes = [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:] if area > 40]
        return Detections.of(boxes, [0.9] * len(boxes), [0] * len(boxes))

    def on_image(self, found: Detections, prepared: Prepared) -> Detections:
        boxes, rows, _ = to_image(
            found.boxes,
            prepared.width,
            prepared.height,
            scale=prepared.scale,
            offset=prepared.offset,
        )
        return Detections(boxes, found.scores[rows], found.class_ids[rows])

    def infer(self, prepared: Prepared) -> Detections:
        return self.on_image(self.look(prepared.canvas), prepared)

    def detect(self, image: Any) -> Detections:
        return self.infer(self.prepare(image))


class Film:
    """A noisy room; `take` shows it with bright boxes in it and returns what is detected."""

    def __init__(self, noise: float = 2.0, dark: float = 1.0) -> None:
        self.network = Bright()
        self.detector = AttentiveDetector(self.network)
        self.rng = np.random.default_rng(0)
        self.noise, self.dark, self.n = noise, dark, 0
        gradient = np.linspace(40, 120, WIDTH, dtype=np.float32)
        self.room = np.repeat(np.tile(gradient, (HEIGHT, 1))[:, :, None], 3, axis=2)
        self.network.canvases.clear()

    def picture(self, *boxes: tuple[int, int, int, int], light: float = 0.0) -> Any:
        image = self.room + light
        for x1, y1, x2, y2 in boxes:
            image[max(0, y1) : y2, max(0, x1) : x2] = 230
        image = image * self.dark + self.rng.normal(0, self.noise, image.shape)
        return np.clip(image, 0, 255).astype(np.uint8)

    def take(self, *boxes: tuple[int, int, int, int], light: float = 0.0) -> Detections:
        image = self.picture(*boxes, light=light)
        look = self.detector.prepare_at(Pixels(image), self.n * PERIOD_NS)
        self.n += 1
        return self.detector.infer(look)


@pytest.mark.parametrize("noise", [0.0, 2.0, 6.0, 12.0])
def test_an_empty_room_is_looked_at_every_two_seconds_only(noise: float) -> None:
    film = Film(noise)
    for _ in range(200):
        assert len(film.take()) == 0
    looks = film.detector.looks
    assert looks["whole"] == 8 + 8  # every half second at first
    assert looks["parts"] <= 2


def test_what_walks_is_found_in_every_picture_and_seldom_costs_the_whole() -> None:
    film = Film()
    for _ in range(50):
        film.take()
    for n in range(60):
        box = (100 + 6 * n, 200, 130 + 6 * n, 280)
        found = film.take(box)
        assert len(found) == 1, n
        assert np.abs(found.boxes[0] - box).max() <= 3
    assert film.detector.looks["whole"] <= 9 + 5
    small = [c for c in film.network.canvases if c != (512, 896)]
    assert len(small) >= 55
    assert max(h * w for h, w in small) <= 0.65 * 512 * 896


def test_who_stands_still_stays_although_nobody_looks() -> None:
    film = Film()
    for _ in range(50):
        film.take()
    for _ in range(100):
        found = film.take((300, 200, 330, 280))
        assert len(found) == 1
    looks = film.detector.looks
    assert looks["still"] >= 80


def test_who_leaves_at_once_is_gone_at_once() -> None:
    film = Film()
    for _ in range(25):
        film.take((300, 200, 330, 280))
    assert len(film.take()) == 0


@pytest.mark.parametrize("px_a_frame", [0.25, 1.0])
def test_a_crawl_is_followed(px_a_frame: float) -> None:
    film = Film()
    for _ in range(30):
        film.take((300, 200, 330, 280))
    for n in range(80):
        x = round(300 + px_a_frame * n)
        found = film.take((x, 200, x + 30, 280))
        assert len(found) == 1
        assert abs(float(found.boxes[0, 0]) - x) <= 6, n


@pytest.mark.parametrize("place", [(0, 200), (WIDTH - 6, 200), (400, 0), (400, HEIGHT - 6)])
def test_at_the_border_it_is_found_within_a_second(place: tuple[int, int]) -> None:
    film = Film()
    for _ in range(45):
        film.take()
    x, y = place
    assert any(len(film.take((x, y, x + 20, y + 20))) for _ in range(10))


@pytest.mark.parametrize("step", [12, 40])
def test_light_that_changes_everywhere_is_not_taken_for_motion(step: int) -> None:
    film = Film()
    for _ in range(50):
        film.take()
    before = dict(film.detector.looks)
    for _ in range(30):
        film.take(light=step)
    assert film.detector.looks["parts"] - before["parts"] <= 1
    assert film.detector.looks["whole"] - before["whole"] <= 3


def test_leaves_that_go_on_moving_are_looked_at_less_and_less() -> None:
    film = Film()
    counts: list[int] = []
    for n in range(300):
        if n % 100 == 0:
            counts.append(film.detector.looks["parts"])
        shake = 8 * np.sin(n * 1.7)
        film.room[100:200, 100:200] += shake
        film.take()
        film.room[100:200, 100:200] -= shake
    counts.append(film.detector.looks["parts"])
    first, _, last = np.diff(counts)
    assert last <= max(5, first // 3)


def test_what_is_unknown_is_not_asked_for() -> None:
    film = Film()
    film.detector = AttentiveDetector(
        film.network, keep=lambda found: Detections.none() if len(found) else found
    )
    for n in range(30):
        assert len(film.take((100 + 6 * n, 200, 130 + 6 * n, 280))) == 0


def test_time_that_goes_back_and_another_size_begin_anew() -> None:
    film = Film()
    for _ in range(30):
        film.take((300, 200, 330, 280))
    film.n = 0
    assert len(film.take((300, 200, 330, 280))) == 1
    assert film.detector.looks["whole"] >= 3
    small = cv2.resize(film.picture((300, 200, 330, 280)), (384, 216))
    look = film.detector.prepare_at(Pixels(np.asarray(small)), PERIOD_NS)
    assert look.kind == "whole"
    assert np.abs(film.detector.infer(look).boxes[0] - (150, 100, 165, 140)).max() <= 3


def test_a_picture_that_was_lost_after_it_was_prepared_is_made_up_for() -> None:
    film = Film()
    for _ in range(30):
        film.take()
    film.detector.prepare_at(Pixels(film.picture((300, 200, 330, 280))), film.n * PERIOD_NS)
    film.n += 1
    assert len(film.take((300, 200, 330, 280))) == 1


def test_a_detector_that_cannot_look_at_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="onnx"):
        AttentiveDetector(object())  # type: ignore[arg-type]


def test_canvases_rise_and_are_smaller_than_the_whole() -> None:
    canvases = small_canvases((512, 896))
    areas = [h * w for h, w in canvases]
    assert areas == sorted(areas)
    assert areas[-1] <= 0.65 * 512 * 896
    assert all(h % 32 == 0 and w % 32 == 0 for h, w in canvases)


def test_boxes_come_back_from_the_parts_that_they_stand_in() -> None:
    rng = np.random.default_rng(1)
    whole = rng.integers(0, 256, (512, 896, 3), np.uint8)
    sources = [Rect(64, 96, 192, 320), Rect(640, 32, 736, 96), Rect(0, 384, 96, 512)]
    parts = pack(sources, (320, 320))
    assert parts is not None
    canvas = copy_parts(whole, parts, (320, 320))
    for source, x, y in parts:
        part = canvas[y : y + source.height, x : x + source.width]
        assert (part == whole[source.y1 : source.y2, source.x1 : source.x2]).all()
        low = np.array((x, y, x, y), np.float32)
        inner = low + np.array((10, 12, 40, 50), np.float32)
        edge = low + np.array((0, 12, 40, 50), np.float32)
        found = Detections.of([inner, edge], [0.9, 0.8], [0, 0])
        back, cut = to_whole(found, parts, (512, 896))
        corner = np.array((source.x1, source.y1) * 2, np.float32)
        assert np.allclose(back.boxes[0], corner + np.array((10, 12, 40, 50)))
        assert cut.tolist() == [False, source.x1 > 0]


def test_parts_that_do_not_fit_are_refused() -> None:
    assert pack([Rect(0, 0, 320, 96), Rect(0, 96, 320, 320)], (320, 320)) is None
    assert pack([Rect(0, 0, 352, 64)], (320, 320)) is None


def test_the_change_kernel_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(2)
    now, reference = (rng.uniform(0, 255, (17, 31)).astype(np.float32) for _ in range(2))
    reference = (0.9 * now + 0.1 * reference).astype(np.float32)
    noise = rng.uniform(0.2, 3, now.shape).astype(np.float32)
    lit = reference + np.float32(1.5)
    size = np.abs(now - lit)
    changed = size > np.maximum(noise * np.float32(4), np.float32(2))
    expected_noise = np.where(
        changed, noise, np.maximum(noise + 0.1 * (size * 1.25 - noise), NOISE_FLOOR)
    )
    expected_reference = np.where(changed, lit, lit + 0.05 * (now - lit))
    got = compare(
        now,
        reference,
        noise,
        brightness=1.5,
        sigmas=4,
        min_change=2,
        noise_share=0.1,
        reference_share=0.05,
    )
    assert np.allclose(got[0], size, atol=1e-4)
    assert (got[1] == np.where(changed, 255, 0)).all()
    assert got[2] == changed.sum()
    assert np.allclose(noise, expected_noise, atol=1e-4)
    assert np.allclose(reference, expected_reference, atol=1e-4)
    with pytest.raises(ValueError, match="shapes"):
        compare(
            now,
            reference[1:],
            noise,
            brightness=0,
            sigmas=4,
            min_change=2,
            noise_share=0.1,
            reference_share=0.1,
        )


# A person of the labelled footage, put into an empty picture of it.
CLIP = "doorway/intel_one_by_one_person.mp4"


@pytest.fixture(scope="module")
def scene(footage: Any) -> tuple[Any, Any, Any]:
    """An empty room, a person (h, w, 3) and where they differ (h, w, 1)."""
    from perception.detectors.model import OnnxDetector, OnnxOptions

    path = footage / "video" / CLIP
    if not path.exists():
        pytest.skip(f"no video/{CLIP}")
    detector = OnnxDetector(OnnxOptions(size=896, classes=["person"]))
    with av.open(str(path)) as container:
        frames = [
            frame.to_ndarray(format="bgr24")
            for n, frame in zip(range(140), container.decode(video=0), strict=False)
        ]
    empty = frames[30]
    for frame in frames[80:]:
        found = detector.detect(frame)
        if len(found) and found.scores[0] > 0.8:
            x1, y1, x2, y2 = found.boxes[0].astype(int).tolist()
            if x1 > 5 and x2 < frame.shape[1] - 5:
                crop, room = frame[y1:y2, x1:x2], empty[y1:y2, x1:x2]
                apart = np.abs(crop.astype(int) - room).max(axis=2).astype(np.uint8)
                mask = cv2.GaussianBlur(np.asarray(cv2.threshold(apart, 25, 1, 0)[1]), (7, 7), 0)
                return empty, crop, np.asarray(mask, np.float32)[:, :, None], detector
    pytest.fail("nobody in the first frames")


@pytest.mark.footage
@pytest.mark.parametrize("case", ["crawl", "camouflaged", "dusk", "border"])
def test_a_person_is_found_within_a_second(scene: Any, case: str) -> None:
    empty, crop, mask, detector = scene
    small = cv2.resize(crop, None, fx=0.5, fy=0.5)
    thin = np.asarray(cv2.resize(mask, None, fx=0.5, fy=0.5))[:, :, None]
    h, w = small.shape[:2]
    height, width = empty.shape[:2]
    rng = np.random.default_rng(3)
    attentive = AttentiveDetector(detector)

    def picture(x: int | None) -> Any:
        image = empty.astype(np.float32)
        if x is not None:
            y = height - h - 60
            left, right = max(0, x), min(width, x + w)
            place = image[y : y + h, left:right]
            share = thin[:, left - x : right - x] * (0.35 if case == "camouflaged" else 1.0)
            image[y : y + h, left:right] = (
                share * small[:, left - x : right - x] + (1 - share) * place
            )
        if case == "dusk":
            image *= 0.15
        return np.clip(image + rng.normal(0, 1.0, image.shape), 0, 255).astype(np.uint8)

    def found(n: int, image: Any) -> bool:
        known = attentive.infer(attentive.prepare_at(Pixels(image), n * PERIOD_NS))
        return bool((known.scores > 0.3).any())

    for n in range(41):  # the last whole look is at frame 40
        assert not found(n, picture(None))
    start, step = {"border": (width - w // 2, 0), "crawl": (300, 1)}.get(case, (300, 4))
    whole_first = next(
        (n for n in range(20) if (detector.detect(picture(start + step * n)).scores > 0.3).any()),
        None,
    )
    if whole_first is None:
        pytest.skip("the network does not see this person in the whole picture either")
    seen = [found(41 + n, picture(start + step * n)) for n in range(20)]
    assert any(seen[: whole_first + 10]), f"whole picture: from frame {whole_first}"
