"""What a detector saw in a frame."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.wire.fields import Names, Natural, Side, Small, Stamp, column, own_array
from perception.wire.frames import Damage

GREY_LONG_SIDE = 240
"""Long side in px of the grey image that travels with detections (camera motion uses it)."""


@dataclass(slots=True, eq=False)
class Detections:
    """What a detector saw in one frame, one row a box, best score first where it came from NMS."""

    boxes: NDArray[np.float32] = column("<f4", "N", 4)
    scores: NDArray[np.float32] = column("<f4", "N")
    class_ids: NDArray[np.int32] = column("<i4", "N")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def of(cls, boxes: ArrayLike, scores: ArrayLike, class_ids: ArrayLike) -> Self:
        """Make detections of anything array-like: boxes (N, 4) px, scores (N,), class ids (N,)."""
        return cls(
            own_array(boxes, np.float32).reshape(-1, 4),
            own_array(scores, np.float32).reshape(-1),
            own_array(class_ids, np.int32).reshape(-1),
        )

    @classmethod
    def none(cls) -> Self:
        """Return zero detections."""
        return cls.of([], [], [])


@dataclass(slots=True, eq=False, kw_only=True)
class DetectionMessage:
    """Detections of one frame, sent also when there are none: trackers must age.

    names: class names by id, for the classes in this message. dropped: frames not detected since
    the last message, by cause. grey: uint8 (H, W), long side GREY_LONG_SIDE, of the whole frame.
    message_id: detector epoch << 32 | n, as of tracks. grey_crc: CRC-32 of the bytes of grey where
    that was left out (recordings). damage: of the frame; one that is `direct` is not looked at.
    """

    stamp: Stamp
    width: Side
    height: Side
    names: Names
    dropped: Small
    t_taken_ns: Natural
    t_detected_ns: Natural
    inference_ns: Natural
    detections: Detections
    grey: NDArray[np.uint8] = column("|u1", "H", "W")
    message_id: Natural = 0
    grey_crc: Natural = 0
    damage: Damage = "none"
