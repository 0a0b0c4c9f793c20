"""Detectors: they find boxes in pictures. A detector is an object that holds its model.

To add one: a file with a class that fits Detector, and one row in DETECTORS. Imports assets and
below.
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

    names: class names by class id. counters: rejected boxes and pictures by name; they never
    decrease. Only `prepare` reads the image: the caller may overwrite it while `infer` runs.
    """

    Options: type[BaseModel]
    names: dict[int, str]
    counters: dict[str, int]

    def __init__(self, options: Any, *, threads: int = 1) -> None:
        """Load the model and run it once. Raises ModelError that names the file and the fault."""
        ...

    def prepare(self, image: NDArray[np.uint8]) -> Any:
        """Return the input of `infer` for a uint8 (H, W, 3) BGR image. It shares no
        memory with it.
        """
        ...

    def infer(self, prepared: Any) -> Detections:
        """Return the detections of a prepared image, boxes in its px, best score first."""
        ...

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return the detections of a uint8 (H, W, 3) BGR image: `prepare`, then `infer`."""
        ...


@runtime_checkable
class ReadsPlanes(Protocol):
    """A Detector that reads YUV planes, so no BGR picture of full size is made."""

    def prepare_planes(self, pixels: Pixels) -> Any:
        """As `prepare`, for a picture in YUV planes."""
        ...


@runtime_checkable
class ReadsTime(Protocol):
    """A Detector that compares pictures over time and needs the media time of each."""

    def prepare_at(self, pixels: Pixels, t_ns: int) -> Any:
        """As `prepare`, for a picture at media time t_ns."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A Detector that stores earlier pictures. Each camera needs its own object."""

    def for_camera(self) -> Detector:
        """Return a new detector for one more camera. It shares the model with this one."""
        ...


def for_camera(detector: Detector) -> Detector:
    """Return the detector for one camera: a new one if it stores pictures, else the given one."""
    return detector.for_camera() if isinstance(detector, Remembers) else detector


def looks(detector: Detector) -> dict[str, int]:
    """Return a detector's number of network runs by kind; {}: it does not count them.

    Kinds of `detect: auto`: whole, parts, still. Kinds of tiles: tiles, tiles_later.
    """
    return getattr(detector, "looks", {})


def prepare(detector: Detector, pixels: Pixels, t_ns: int = 0) -> Any:
    """Return the input of the detector's `infer` for a picture. It shares no memory with it.

    t_ns: media time of the picture, for a detector that compares pictures over time.
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
    """Return the class of a detector. Raises ConfigError with the nearest name for an
    unknown one.
    """
    return load(DETECTORS, "perception.detectors", name)
