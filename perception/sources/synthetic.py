"""A drawn scene with known boxes: a source for tests, demos and benchmarks.

The position of an object depends on the seed and the frame number only. So truth(n) needs no
drawing, and two runs are equal byte for byte. Pictures of objects are resized by OpenCV, whose
result may differ between kinds of CPU.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.clock import monotonic_ns, to_ns
from perception.errors import SourceEnded, SourceError
from perception.sources import Allocate, Frame, Image
from perception.sources.images import decode_image, find_images, read_file

Mask = NDArray[np.uint8]
_Sprite = tuple[Image, Mask]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The objects of a frame: ids int64 (N,), boxes float32 (N, 4) xyxy px, inside the picture.

    Later rows are drawn over earlier ones. Occluded objects are listed too.
    """

    ids: NDArray[np.int64]
    boxes: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Thing:
    """A moving object: start px, velocity px per frame, picture and mask."""

    x: float
    y: float
    dx: float
    dy: float
    sprite: Image
    mask: Mask


class SyntheticSource:
    """Objects that move in straight lines and bounce off the edges, on a textured background.

    Options: width, height: px. fps. frames: their number; None: endless. objects: their number.
    seed. speed_px_s: highest speed. pictures: a folder of images to use instead of drawn shapes;
    alpha is their mask. realtime: None: the run decides.
    """

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        width: int = Field(default=640, ge=16, le=7680)
        height: int = Field(default=360, ge=16, le=4320)
        fps: float = Field(default=30.0, gt=0, le=1000)
        frames: int | None = Field(default=None, ge=1)
        objects: int = Field(default=5, ge=0, le=1000)
        seed: int = 0
        speed_px_s: float = Field(default=120.0, ge=0, le=10_000)
        pictures: Path | None = None
        realtime: bool | None = None

    live = False

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        self.fps: float | None = options.fps
        self.counters: dict[str, int] = {}
        self._n: int | None = None
        self._background: Image = np.empty((0, 0, 3), np.uint8)
        self._things: list[_Thing] = []

    def open(self) -> None:
        """Draw the background and the objects. Raises SourceError where `pictures` has no image."""
        options = self._options
        random = Random(options.seed)
        self._background = _background(options.height, options.width, random)
        pictures = _pictures(options.pictures) if options.pictures else []
        self._things = [self._thing(random, pictures) for _ in range(options.objects)]
        self._n = 0

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame. Raises SourceEnded after `frames` frames."""
        if self._n is None:
            raise SourceError("synthetic: not open")
        if self._n == self._options.frames:
            raise SourceEnded(f"synthetic: {self._n} frames drawn")
        image = allocate(self._options.height, self._options.width)
        np.copyto(image, self._background)
        for thing, (x, y) in zip(self._things, self._places(self._n), strict=True):
            height, width = thing.mask.shape
            cv2.copyTo(thing.sprite, thing.mask, image[y : y + height, x : x + width])
        t_ns = to_ns(self._n / self._options.fps)
        self._n += 1
        return Frame(image, t_ns, monotonic_ns())

    def close(self) -> None:
        """Close the source."""
        self._n = None

    def truth(self, n: int) -> Truth:
        """Return the objects of frame n, from 0. The source must have been opened."""
        boxes = [
            (x, y, x + thing.mask.shape[1], y + thing.mask.shape[0])
            for thing, (x, y) in zip(self._things, self._places(n), strict=True)
        ]
        return Truth(
            np.arange(len(boxes), dtype=np.int64), np.array(boxes, np.float32).reshape(-1, 4)
        )

    def _places(self, n: int) -> list[tuple[int, int]]:
        """Return the upper left corner (x, y) of each object in frame n, px."""
        width, height = self._options.width, self._options.height
        return [
            (
                _bounce(t.x + t.dx * n, width - t.mask.shape[1]),
                _bounce(t.y + t.dy * n, height - t.mask.shape[0]),
            )
            for t in self._things
        ]

    def _thing(self, random: Random, pictures: list[_Sprite]) -> _Thing:
        options = self._options
        height = max(6, round(options.height * (0.1 + 0.15 * random.random())))
        if pictures:
            sprite, mask = _fit(
                *pictures[int(random.random() * len(pictures))], height, options.width
            )
        else:
            sprite, mask = _shape(height, min(options.width, _width(height, random)), random)
        angle, speed = (
            math.tau * random.random(),
            options.speed_px_s * (0.3 + 0.7 * random.random()),
        )
        return _Thing(
            random.random() * (options.width - mask.shape[1]),
            random.random() * (options.height - mask.shape[0]),
            speed * math.cos(angle) / options.fps,
            speed * math.sin(angle) / options.fps,
            sprite,
            mask,
        )


def _width(height: int, random: Random) -> int:
    return max(6, round(height * (0.5 + 1.5 * random.random())))


def _bounce(at: float, room: int) -> int:
    """Return a position on a line, reflected at 0 and at `room`, px."""
    if room <= 0:
        return 0
    at %= 2 * room
    return round(min(at, 2 * room - at))


def _background(height: int, width: int, random: Random) -> Image:
    """Return a grey gradient with coarse noise, so that camera motion can be estimated."""
    rows = np.linspace(170, 70, height, dtype=np.float32)[:, None, None]
    cells = [random.random() for _ in range(64 * 64)]
    grain = np.array(cells, np.float32).reshape(64, 64)
    grain = np.tile(grain.repeat(4, 0).repeat(4, 1), (height // 256 + 1, width // 256 + 1))
    picture = rows + 40 * (grain[:height, :width, None] - 0.5)
    return np.ascontiguousarray(np.broadcast_to(picture, (height, width, 3)).astype(np.uint8))


def _shape(height: int, width: int, random: Random) -> _Sprite:
    colour = tuple(int(40 + 215 * random.random()) for _ in range(3))
    sprite = np.empty((height, width, 3), np.uint8)
    sprite[:] = colour
    sprite[: height // 3] //= 2
    mask = np.full((height, width), 255, np.uint8)
    if random.random() < 0.5:
        y, x = np.ogrid[:height, :width]
        outside = ((2 * x + 1 - width) / width) ** 2 + ((2 * y + 1 - height) / height) ** 2 > 1
        mask[outside] = 0
    return sprite, mask


def _pictures(folder: Path) -> list[_Sprite]:
    """Return at most 64 images of a folder with their alpha as mask."""
    found: list[_Sprite] = []
    for path in find_images(folder)[0][:64]:
        pixels = decode_image(read_file(path), cv2.IMREAD_UNCHANGED)
        if isinstance(pixels, str) or pixels.dtype != np.uint8:
            continue
        image = np.atleast_3d(pixels).astype(np.uint8, copy=False)
        alpha = image.shape[2] == 4
        colour = image[:, :, :3] if image.shape[2] >= 3 else image.repeat(3, axis=2)
        mask = image[:, :, 3] if alpha else np.full(image.shape[:2], 255, np.uint8)
        found.append((np.ascontiguousarray(colour), np.ascontiguousarray(mask)))
    if not found:
        raise SourceError(f"{folder}: none of the pictures can be read")
    return found


def _fit(sprite: Image, mask: Mask, height: int, room: int) -> _Sprite:
    """Return an image and its mask scaled to a height, at most `room` px wide; mask 0 or 255."""
    width = min(room, max(6, round(sprite.shape[1] * height / sprite.shape[0])))
    size = (width, height)
    scaled = cv2.resize(sprite, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    outline = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    return scaled, np.where(outline > 127, 255, 0).astype(np.uint8)
