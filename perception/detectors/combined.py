"""Several detectors of one camera as one detector, for example a network and a motion detector.

Class ids of the n-th detector (from 0) are raised by n * ID_STEP. Where boxes of two detectors are
the same object, that of the earlier detector is kept. Imports kernels and wire.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.detectors import Detector, for_camera, looks, prepare
from perception.pixels import Pixels
from perception.wire import Detections

ID_STEP = 1000
SAME_IOU, SAME_SHARE = 0.3, 0.7
"""Two boxes are one object above this IoU, or above this share of the smaller box inside the
other."""


class Combined:
    """A Detector made of others."""

    Options: type[BaseModel] = BaseModel

    def __init__(self, options: Sequence[Detector], *, threads: int = 1) -> None:
        """options: the detectors, at least one, loaded."""
        del threads
        self._parts = list(options)
        self.counters: dict[str, int] = {}
        self.names: dict[int, str] = {
            n * ID_STEP + class_id: name
            for n, part in enumerate(self._parts)
            for class_id, name in part.names.items()
        }

    def for_camera(self) -> "Combined":
        """Return a new detector for one more camera: its parts share the models."""
        return Combined([for_camera(part) for part in self._parts])

    @property
    def first(self) -> Detector:
        """The first of the detectors. Where boxes are the same object, its box is kept."""
        return self._parts[0]

    @property
    def looks(self) -> dict[str, int]:
        """Number of network runs of the first detector; see detectors.looks."""
        return looks(self._parts[0])

    def with_first(self, first: Detector) -> "Combined":
        """Return the same detectors with another first one."""
        return Combined([first, *self._parts[1:]])

    def prepare(self, image: NDArray[np.uint8]) -> Any:
        """Return the inputs of all parts for a uint8 (H, W, 3) BGR image."""
        return [part.prepare(image) for part in self._parts]

    def prepare_at(self, pixels: Pixels, t_ns: int) -> Any:
        """Return the inputs of all parts for a picture at media time t_ns."""
        return [prepare(part, pixels, t_ns) for part in self._parts]

    def infer(self, prepared: Any) -> Detections:
        """Return the detections of all parts, one box for each object."""
        merged = Detections.none()
        for n, (part, ready) in enumerate(zip(self._parts, prepared, strict=True)):
            found = part.infer(ready)
            self.counters.update(part.counters)
            keep = ~_covered(found.boxes, merged.boxes)
            merged = Detections(
                np.concatenate((merged.boxes, found.boxes[keep])),
                np.concatenate((merged.scores, found.scores[keep])),
                np.concatenate((merged.class_ids, found.class_ids[keep] + np.int32(n * ID_STEP))),
            )
        return merged

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return detections of a uint8 (H, W, 3) BGR image."""
        return self.infer(self.prepare(image))


def _covered(boxes: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which boxes are the same object as one of the others: bool (N,)."""
    if not len(boxes) or not len(others):
        return np.zeros(len(boxes), np.bool_)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0.0), axis=2)
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[:, None]
    other = np.prod(others[:, 2:] - others[:, :2], axis=1)[None, :]
    iou = shared / np.maximum(own + other - shared, 1e-9)
    share = shared / np.maximum(np.minimum(own, other), 1e-9)
    return ((iou > SAME_IOU) | (share > SAME_SHARE)).any(axis=1)
