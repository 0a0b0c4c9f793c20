"""From an image to boxes. A detector is a plain object that holds its model.

To add one: a file with a class that fits Detector, one row in DETECTORS. Imports assets and below.
"""

from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.extensions import load
from perception.pixels import Pixels
from perception.wire import Detections


class Detector(Protocol):
    """A model that finds boxes.

    names: class names by class id. counters: rejected things by name, rising only.
    `prepare` is the only step that reads the image, so the caller's frame may be overwritten while
    `infer` runs; `detect` is both.
    """

    Options: type[BaseModel]
    names: dict[int, str]
    counters: dict[str, int]

    def __init__(self, options: Any, *, threads: int = 1) -> None:
        """Load and warm the model. Raises ModelError, which names the file and what is wrong."""
        ...

    def prepare(self, image: NDArray[np.uint8]) -> Any:
        """Return what `infer` needs of a uint8 (H, W, 3) BGR image, sharing no memory with it."""
        ...

    def infer(self, prepared: Any) -> Detections:
        """Return detections in pixels of the prepared image, best score first."""
        ...

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return detections of a uint8 (H, W, 3) BGR image."""
        ...


@runtime_checkable
class ReadsPlanes(Protocol):
    """A Detector that needs no full-size BGR where the camera gives planes."""

    def prepare_planes(self, pixels: Pixels) -> Any:
        """Return what `infer` needs of a picture that stands as planes, as `prepare` does."""
        ...


def prepare(detector: Detector, pixels: Pixels) -> Any:
    """Return what the detector's `infer` needs of a picture, sharing no memory with it."""
    if pixels.coding != "bgr" and isinstance(detector, ReadsPlanes):
        return detector.prepare_planes(pixels)
    return detector.prepare(pixels.bgr())


DETECTORS = {
    "onnx": "perception.detectors.model:OnnxDetector",
    "ultralytics": "perception.detectors.ultralytics:UltralyticsDetector",
}


def detector_class(name: str) -> Any:
    """Return the class of a backend; ConfigError with the nearest name where there is none."""
    return load(DETECTORS, "perception.detectors", name)
