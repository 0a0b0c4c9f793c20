"""Trackers: they join the detections of single frames to tracks. Each camera has its own tracker.

To add one: a file with a class that fits Tracker, and one row in TRACKERS. Imports wire and below.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.extensions import load
from perception.wire import Detections, Tracks


class Tracker(Protocol):
    """Joins detections over media time. counters: rejected inputs by name; they never decrease."""

    Options: type[BaseModel]
    counters: dict[str, int]

    def __init__(self, options: Any, *, epoch: int = 0) -> None:
        """epoch: high 32 bits of every track id (see wire.make_id)."""
        ...

    def update(
        self,
        detections: Detections,
        t_ns: int,
        warp: NDArray[np.float32] | None = None,
        dropped: int = 0,
    ) -> Tracks:
        """Return all tracks after a frame at media time t_ns.

        warp: float32 (2, 3) affine of the camera motion, px of the last picture to px of this one;
        None: no motion. dropped: frames between the last update and this one that no detector saw.
        """
        ...

    def carry(self, affine: NDArray[np.float64]) -> None:
        """Map all tracks to a picture of another size.

        affine: float64 (2, 3), px of the old picture to px of the new one. It scales each axis and
        may rotate by 90 degrees; it does not mirror.
        """
        ...

    def end_all(self) -> None:
        """Remove every track at the next update, because its picture shows another scene."""
        ...


TRACKERS = {
    "two_stage": "perception.trackers.two_stage:TwoStageTracker",
    "none": "perception.trackers.none:NoTracker",
}


def tracker_class(name: str) -> Any:
    """Return the class of a tracker. Raises ConfigError with the nearest name for an
    unknown one.
    """
    return load(TRACKERS, "perception.trackers", name)
