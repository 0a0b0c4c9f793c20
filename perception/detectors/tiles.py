"""Tiled detection: the network runs on tiles of a large picture, within a time budget per frame.

Small objects would be lost if the whole picture was scaled to one canvas. The tiles of a frame are
chosen by age, known objects and motion. Objects in other tiles are moved by the camera motion and
their velocity. Each camera has its own object.

Source of the tiling: Akyon et al., Slicing Aided Hyper Inference (arXiv 2202.06934).
"""

import time
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.detectors import Detector
from perception.detectors.attention import LooksAtParts
from perception.detectors.heads import Canvas
from perception.detectors.letterbox import Prepared
from perception.detectors.parts import Rect
from perception.detectors.tile_grid import crop, grid
from perception.detectors.tile_memory import TileMemory
from perception.errors import ConfigError
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey
from perception.kernels.tiles import merge_tiles
from perception.pixels import Pixels
from perception.wire import Detections

NS_PER_MS = 1_000_000


@dataclass(slots=True)
class TileLook:
    """The tiles of one picture for the network, the most urgent first.

    t_ns: media time. started_ns: monotonic time. tiles: number of the tile, and its canvas.
    """

    t_ns: int
    started_ns: int
    tiles: list[tuple[int, Prepared]]


class TiledDetector:
    """A Detector that runs on tiles of a picture, and on the whole picture as one more tile.

    looks: number of tiles that the network saw, and of tiles that were left for a later frame.
    """

    Options: type[BaseModel] = BaseModel

    cut_px: Final = 2.0
    first_ms: Final = 60.0
    learn: Final = 0.1
    reserve: Final = 0.97

    def __init__(
        self,
        options: Detector,
        *,
        threads: int = 1,
        budget_ms: float | None = 80.0,
        size: int = 512,
        overlap: float = 0.2,
        sweep_s: float = 1.0,
    ) -> None:
        """options: the wrapped detector. budget_ms: of one frame; None: all tiles in every frame.

        size: side of a tile in px of the picture. overlap: share of it that neighbours share.
        sweep_s: a tile that was not seen for so long comes before all others. Raises ConfigError
        where the detector cannot run on parts.
        """
        del threads
        if not hasattr(options, "look"):
            raise ConfigError("tiles need a detector of type onnx")
        self._base, self._network = options, cast("LooksAtParts", options)
        self._budget_ns = None if budget_ms is None else round(budget_ms * NS_PER_MS)
        self._side, self._overlap, self._sweep_ns = size, overlap, round(sweep_s * 1e9)
        self.names, self.counters = options.names, options.counters
        self.looks = {"tiles": 0, "tiles_later": 0}
        self._size: tuple[int, int] = (0, 0)
        self._tiles: list[Rect] = []
        self._canvas: Canvas = (0, 0)
        self._motion = CameraMotion()
        self._memory = TileMemory([], self._sweep_ns)
        self._tile_ns = self.first_ms * NS_PER_MS

    def prepare(self, image: NDArray[np.uint8]) -> TileLook:
        """Return all tiles of a uint8 (H, W, 3) BGR image whose time is unknown."""
        self._set_size(Pixels(image))
        every = range(len(self._tiles))
        return TileLook(0, time.monotonic_ns(), [(k, self._crop(Pixels(image), k)) for k in every])

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return the detections of a uint8 (H, W, 3) BGR image: all tiles, no stored objects."""
        looks = self.prepare(image)
        return self._merged([self._look(k, part) for k, part in looks.tiles], Detections.none())

    def prepare_at(self, pixels: Pixels, t_ns: int) -> TileLook:
        """Return the tiles for the network of a picture at media time t_ns."""
        started_ns = time.monotonic_ns()
        self._set_size(pixels)
        if self._budget_ns is None:
            order = list(range(len(self._tiles)))
        else:
            grey = small_grey(pixels)
            known = self._memory.boxes(t_ns)
            warp = self._motion.estimate(grey, known, pixels.width, pixels.height)
            self._memory.carry(warp, t_ns)
            order = self._memory.most_urgent(grey, warp, t_ns)[: self._count()]
        look = TileLook(t_ns, started_ns, [(k, self._crop(pixels, k)) for k in order])
        self.looks["tiles_later"] += len(self._tiles) - len(order)
        return look

    def infer(self, prepared: TileLook) -> Detections:
        """Return the detections of the tiles and the known objects elsewhere, px of the picture.

        It stops before a tile that would exceed the budget; one tile always runs.
        """
        look = prepared
        spent_ns = 0
        found: list[tuple[int, Detections, NDArray[np.bool_]]] = []
        begun = time.monotonic_ns()
        for k, part in look.tiles:
            spent_ns = time.monotonic_ns() - begun
            is_over = (
                self._budget_ns is not None
                and found
                and spent_ns + self._tile_ns > self.reserve * self._budget_ns
            )
            if is_over:
                break
            found.append(self._look(k, part))
            took_ns = time.monotonic_ns() - begun - spent_ns
            self._tile_ns += self.learn * (took_ns - self._tile_ns)
        self.looks["tiles"] += len(found)
        self.looks["tiles_later"] += len(look.tiles) - len(found)
        if self._budget_ns is None:
            return self._merged(found, Detections.none())
        looked = [k for k, *_ in found]
        merged = self._merged(found, self._memory.elsewhere(looked))
        return self._memory.update(looked, merged, look.t_ns)

    def _set_size(self, pixels: Pixels) -> None:
        """At a new picture size, compute the tiles. The last tile is the whole picture."""
        if self._size == (pixels.height, pixels.width):
            return
        self._size = pixels.height, pixels.width
        self._tiles = [*grid(*self._size, self._side, self._overlap), Rect(0, 0, *self._size[::-1])]
        self._canvas = self._network.canvas_for(self._side, self._side)[0]
        self._memory = TileMemory(self._tiles, self._sweep_ns)
        self._motion = CameraMotion()
        self._network.look(np.zeros((*self._canvas, 3), np.uint8))

    def _count(self) -> int:
        """Return how many tiles to prepare: one more than the budget is expected to allow."""
        assert self._budget_ns is not None
        return max(1, int(self._budget_ns / self._tile_ns) + 1)

    def _crop(self, pixels: Pixels, k: int) -> Prepared:
        rect = self._tiles[k]
        height, width = min(self._side, rect.height), min(self._side, rect.width)
        is_whole = k == len(self._tiles) - 1
        shape = (rect.height, rect.width) if is_whole else (height, width)
        return crop(pixels, rect, self._network.canvas_for(*shape)[0])

    def _look(self, k: int, part: Prepared) -> tuple[int, Detections, NDArray[np.bool_]]:
        """Return tile k, its detections in px of the picture, and which its border cuts:
        bool (N,).
        """
        rect = self._tiles[k]
        found = self._network.on_image(self._network.look(part.canvas), part)
        height, width = self._size
        low = found.boxes[:, :2] < self.cut_px
        high = found.boxes[:, 2:] > np.array((rect.width, rect.height)) - self.cut_px
        open_low = np.array((rect.x1 > 0, rect.y1 > 0))
        open_high = np.array((rect.x2 < width, rect.y2 < height))
        cut = np.any(low & open_low, axis=1) | np.any(high & open_high, axis=1)
        corner = np.array((rect.x1, rect.y1) * 2, np.float32)
        return k, Detections(found.boxes + corner, found.scores, found.class_ids), cut

    @staticmethod
    def _merged(
        found: list[tuple[int, Detections, NDArray[np.bool_]]], known: Detections
    ) -> Detections:
        parts = [f for _, f, _ in found] + [known]
        cuts = [cut for *_, cut in found] + [np.zeros(len(known), np.bool_)]
        boxes = np.concatenate([part.boxes for part in parts])
        scores = np.concatenate([part.scores for part in parts])
        kinds = np.concatenate([part.class_ids for part in parts])
        merged, rows = merge_tiles(boxes, scores, kinds, np.concatenate(cuts))
        order = np.argsort(-scores[rows], kind="stable")
        return Detections(merged[order], scores[rows[order]], kinds[rows[order]])
