"""Lane lines in a picture, and in metres if the camera is calibrated."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from perception.wire.fields import Finite, Natural, Side, Stamp, column, empty_columns

LANE_PLACES = {-2: "left neighbour", -1: "left", 1: "right", 2: "right neighbour"}
"""The own lane is between -1 and 1. -2 and 2 are the far lines of its neighbours."""


@dataclass(frozen=True, slots=True, eq=False)
class LaneLine:
    """One line. place: key of LANE_PLACES. confidence: 0 to 1.

    points: float32 (P, 2) px, nearest first. offset: distance of the line to the right of the
    camera, in heights of the camera above the road; offset_m: the same in m. metres: float32
    (P, 2) m to the right and ahead of the camera. offset_m, metres: None without `calibration:`.
    """

    place: int
    confidence: float
    points: NDArray[np.float32]
    offset: float
    offset_m: float | None
    metres: NDArray[np.float32] | None


@dataclass(slots=True, eq=False)
class LaneLines:
    """Lines of one frame, by rising place: L lines of P points each. Fields as in LaneLine."""

    places: NDArray[np.int8] = column("|i1", "L")
    confidences: NDArray[np.float32] = column("<f4", "L")
    offsets: NDArray[np.float32] = column("<f4", "L")
    points: NDArray[np.float32] = column("<f4", "L", "P", 2)
    metres: NDArray[np.float32] = column("<f4", "L", "P", 2)

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def none(cls) -> Self:
        """Return zero lines."""
        return cls(*empty_columns(cls))


class OwnLane(msgspec.Struct, frozen=True, kw_only=True):
    """The own lane at a media time: offsets of its lines, as in LaneLine; None: no such line.

    height_m: of the camera, 0: not known.
    """

    t_media_ns: int
    left: float | None
    right: float | None
    height_m: float = 0.0


@dataclass(slots=True, eq=False, kw_only=True)
class LaneMessage:
    """Lines of the lanes in one frame, sent also where there are none.

    ahead_px, horizon_px: x and y of the vanishing point of the road; both 0 without lines.
    curvature_1_m: of the road, positive to the right; None: unknown. height_m: height of the
    calibrated camera above the road; 0: not calibrated, and all `metres` are 0. message_id:
    epoch << 32 | n, as of tracks.
    """

    stamp: Stamp
    width: Side
    height: Side
    t_taken_ns: Natural
    t_done_ns: Natural
    lines: LaneLines
    ahead_px: Finite = 0.0
    horizon_px: Finite = 0.0
    curvature_1_m: Finite | None = None
    height_m: Finite = 0.0
    message_id: Natural = 0

    @property
    def age_ms(self) -> float:
        """Milliseconds since the frame came out of the decoder."""
        return self.stamp.age_ms

    def __iter__(self) -> Iterator[LaneLine]:
        for i in range(len(self.lines)):
            offset = float(self.lines.offsets[i])
            is_metric = self.height_m > 0.0
            yield LaneLine(
                place=int(self.lines.places[i]),
                confidence=float(self.lines.confidences[i]),
                points=self.lines.points[i],
                offset=offset,
                offset_m=offset * self.height_m if is_metric else None,
                metres=self.lines.metres[i] if is_metric else None,
            )

    def own(self) -> OwnLane:
        """Return where the own lane's lines are."""
        at = {line.place: line.offset for line in self}
        return OwnLane(
            t_media_ns=self.stamp.t_media_ns,
            left=at.get(-1),
            right=at.get(1),
            height_m=self.height_m,
        )
