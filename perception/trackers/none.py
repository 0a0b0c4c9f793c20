"""No tracking: every detection becomes a track of one frame.

For a folder of stills, whose pictures are independent. Imports wire and below.
"""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.wire import CONFIRMED, Detections, Tracks


class NoTracker:
    """Gives a new id to each detection with a score of at least `score`. Ids are never reused."""

    kept = ("_next",)

    class Options(BaseModel):
        """score: lowest score of a track, 0..1. `perception run` sets it to the level `new` of the
        detector where the launch file does not."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        score: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25

    def __init__(self, options: Options | None = None, *, epoch: int = 0) -> None:
        self.options = options or self.Options()
        self.counters: dict[str, int] = {"not_finite": 0}
        self._next = (epoch << 32) + 1

    def update(
        self,
        detections: Detections,
        t_ns: int,
        warp: NDArray[np.float32] | None = None,
        dropped: int = 0,
    ) -> Tracks:
        """Return one confirmed track for each detection. The other arguments are ignored.

        Detections that are not finite are dropped and counted. See Tracker.update.
        """
        del t_ns, warp, dropped
        boxes = np.asarray(detections.boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(detections.scores, np.float32)
        finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        self.counters["not_finite"] += int((~finite).sum())
        rows = np.flatnonzero(finite & (scores >= self.options.score)).astype(np.int32)
        count = len(rows)
        ids = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        return Tracks(
            track_ids=ids,
            boxes=boxes[rows],
            rates=np.zeros((count, 4), np.float32),
            class_ids=np.asarray(detections.class_ids, np.int32)[rows],
            scores=scores[rows].clip(0.0, 1.0),
            states=np.full(count, CONFIRMED, np.uint8),
            ages_s=np.zeros(count, np.float32),
            unseen_s=np.zeros(count, np.float32),
            detection_rows=rows,
        )

    def carry(self, affine: NDArray[np.float64]) -> None:
        """Do nothing: no state is kept in px."""

    def end_all(self) -> None:
        """Do nothing: no track lasts beyond its frame."""
