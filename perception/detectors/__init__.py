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


@runtime_checkable
class ReadsTime(Protocol):
    """A Detector that compares pictures over time: it needs the media time of each."""

    def prepare_at(self, pixels: Pixels, t_ns: int) -> Any:
        """Return what `infer` needs of a picture at media time t_ns, as `prepare` does."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A Detector that remembers earlier pictures: each camera needs one of its own."""

    def for_camera(self) -> Detector:
        """Return a detector of its own for one more camera; what is large is shared."""
        ...


def for_camera(detector: Detector) -> Detector:
    """Return the detector for one camera: its own where it remembers, else the given one."""
    return detector.for_camera() if isinstance(detector, Remembers) else detector


def looks(detector: Detector) -> dict[str, int]:
    """Return how many pictures a detector looked at as a whole, in parts, not at all; or {}."""
    return getattr(detector, "looks", {})


def prepare(detector: Detector, pixels: Pixels, t_ns: int = 0) -> Any:
    """Return what the detector's `infer` needs of a picture, sharing no memory with it.

    t_ns: its media time, for a detector that compares pictures over time.
    """
    if isinstance(detector, ReadsTime):
        return detector.prepare_at(pixels, t_ns)
    if pixels.coding != "bgr" and isinstance(detector, ReadsPlanes):
        return detector.prepare_planes(pixels)
    return detector.prepare(pixels.bgr())


DETECTORS = {
    "onnx": "perception.detectors.model:OnnxDetector",
    "ultralytics": "perception.detectors.ultralytics:UltralyticsDetector",
    "motion": "perception.detectors.motion:MotionDetector",
}


def detector_class(name: str) -> Any:
    """Return the class of a backend; ConfigError with the nearest name where there is none."""
    return load(DETECTORS, "perception.detectors", name)
