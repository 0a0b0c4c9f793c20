"""Stages of another package, found by their entry points: PYTHONPATH names this folder.

blobs: a detector that boxes whatever is coloured: exact, 1 ms a picture, as slow as it is told.
aborts: a source that takes its process down, as a broken decoder does.
"""

import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict

from perception.sources import Frame
from perception.wire import Detections

COLOURED = 40
SMALLEST_PX = 5


class Blobs:
    """Every patch of colour on grey is a car; seconds: how long it thinks about a picture."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        seconds: float = 0.0

    def __init__(self, options: Options, *, threads: int = 1) -> None:
        self._seconds = options.seconds
        self.names = {0: "person", 2: "car"}
        self.counters: dict[str, int] = {}

    def prepare(self, image: Any) -> Any:
        return (image.max(axis=2) - image.min(axis=2) > COLOURED).astype(np.uint8)

    def infer(self, prepared: Any) -> Detections:
        if self._seconds:
            time.sleep(self._seconds)
        _, _, found, _ = cv2.connectedComponentsWithStats(prepared)
        boxes = [
            (x, y, x + w, y + h) for x, y, w, h, _ in found[1:].tolist() if min(w, h) >= SMALLEST_PX
        ]
        return Detections.of(boxes, [0.9] * len(boxes), [2] * len(boxes))

    def detect(self, image: Any) -> Detections:
        return self.infer(self.prepare(image))


class Aborts:
    """Gives a few grey frames, then ends its process by SIGABRT."""

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        frames: int = 3

    live = True
    fps = 10.0

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._frames, self._n = options.frames, 0
        self.counters: dict[str, int] = {}

    def open(self) -> None:
        self._n = 0

    def read(self, allocate: Any) -> Frame | None:
        if self._n == self._frames:
            os.abort()
        self._n += 1
        image = allocate(48, 64)
        image[:] = 90
        return Frame(image, self._n * 100_000_000, time.monotonic_ns())

    def close(self) -> None:
        self._n = 0
