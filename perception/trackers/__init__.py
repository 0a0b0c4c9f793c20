"""From boxes of single frames to objects over time. A tracker is a plain object, one a camera.

To add one: a file with a class that fits Tracker, one row in TRACKERS. Imports wire and below.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.extensions import load
from perception.wire import Detections, Tracks


class Tracker(Protocol):
    """Joins detections over media time. counters: rejected things by name, rising only."""

    Options: type[BaseModel]
    counters: dict[str, int]

    def __init__(self, options: Any, *, epoch: int = 0) -> None:
        """epoch: the high half of every track id (see messages.make_id)."""
        ...

    def update(
        self,
        detections: Detections,
        t_ns: int,
        warp: NDArray[np.float32] | None = None,
        dropped: int = 0,
    ) -> Tracks:
        """Return all tracks after a frame at media time t_ns.

        warp: float32 (2, 3) affine px, from the last frame's picture to this one's; None: still.
        dropped: frames between the last update and this one that were not detected.
        """
        ...

    def carry(self, affine: NDArray[np.float64]) -> None:
        """Carry all tracks into a picture of another size.

        affine: float64 (2, 3), px of the old picture to px of the new one; it scales each axis,
        mirrors none, and may turn by a quarter.
        """
        ...

    def end_all(self) -> None:
        """End every track with the next update: its picture shows another scene."""
        ...


TRACKERS = {
    "two_stage": "perception.trackers.two_stage:TwoStageTracker",
    "none": "perception.trackers.none:NoTracker",
}


def tracker_class(name: str) -> Any:
    """Return the class of a tracker; ConfigError with the nearest name where there is none."""
    return load(TRACKERS, "perception.trackers", name)
