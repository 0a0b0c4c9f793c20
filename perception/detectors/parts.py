"""Copies parts of a canvas to a smaller canvas, and maps the boxes back.

Corners of parts are multiples of the network's stride. So a part has the same position on the
network's grid as on the whole canvas, and gives the same result apart from its surroundings.
Imports the heads' constants.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception.detectors.heads import PAD, Canvas
from perception.detectors.letterbox import STRIDE
from perception.wire import Detections


class Rect(NamedTuple):
    """A rectangle in whole px. x2 and y2 are exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def width(self) -> int:
        """px."""
        return self.x2 - self.x1

    @property
    def height(self) -> int:
        """px."""
        return self.y2 - self.y1

    @property
    def area(self) -> int:
        """px^2."""
        return self.width * self.height

    def overlaps(self, other: "Rect") -> bool:
        """Return whether two rectangles share a pixel."""
        return (
            self.x1 < other.x2 and other.x1 < self.x2 and self.y1 < other.y2 and other.y1 < self.y2
        )

    def union(self, other: "Rect") -> "Rect":
        """Return the smallest rectangle around both."""
        return Rect(
            min(self.x1, other.x1),
            min(self.y1, other.y1),
            max(self.x2, other.x2),
            max(self.y2, other.y2),
        )

    def padded(self, x: float, y: float) -> "Rect":
        """Return the rectangle with x px added left and right, and y px above and below."""
        return Rect(
            int(np.floor(self.x1 - x)),
            int(np.floor(self.y1 - y)),
            int(np.ceil(self.x2 + x)),
            int(np.ceil(self.y2 + y)),
        )

    def on_grid(self, canvas: Canvas) -> "Rect":
        """Return the smallest rectangle around it with corners on multiples of STRIDE, clipped."""
        return Rect(
            max(0, self.x1) // STRIDE * STRIDE,
            max(0, self.y1) // STRIDE * STRIDE,
            min(canvas[1], -(-self.x2 // STRIDE) * STRIDE),
            min(canvas[0], -(-self.y2 // STRIDE) * STRIDE),
        )


class Part(NamedTuple):
    """source: rectangle of the whole canvas. x, y: its upper left corner on the smaller
    canvas, px.
    """

    source: Rect
    x: int
    y: int


def pack(sources: Sequence[Rect], canvas: Canvas) -> list[Part] | None:
    """Return parts placed in rows on a canvas, STRIDE px apart. None: they do not fit.

    The parts are placed by falling height.
    """
    placed: list[Part] = []
    left = top = row_height = 0
    for source in sorted(sources, key=lambda s: (-s.height, s.x1, s.y1)):
        if left and left + source.width > canvas[1]:
            left, top = 0, top + row_height + STRIDE
            row_height = 0
        if source.width > canvas[1] or top + source.height > canvas[0]:
            return None
        placed.append(Part(source, left, top))
        row_height = max(row_height, source.height)
        left += source.width + STRIDE
    return placed


def copy_parts(
    whole: NDArray[np.uint8], parts: Sequence[Part], canvas: Canvas
) -> NDArray[np.uint8]:
    """Return a grey canvas, uint8 (H, W, 3), with the parts of `whole` on it."""
    out = np.full((*canvas, 3), PAD, np.uint8)
    for (x1, y1, x2, y2), x, y in parts:
        out[y : y + y2 - y1, x : x + x2 - x1] = whole[y1:y2, x1:x2]
    return out


def to_whole(
    found: Detections, parts: Sequence[Part], canvas: Canvas
) -> tuple[Detections, NDArray[np.bool_]]:
    """Return detections on a canvas of parts as boxes in px of the whole canvas, and which are cut.

    canvas: size of the whole canvas. A box belongs to the part that contains its centre, and is
    clipped to it; a box without one is dropped. cut: bool (n,), the box reaches a border of its
    part that is not a border of the canvas.
    """
    boxes = found.boxes.copy()
    inside, cut = np.zeros(len(found), np.bool_), np.zeros(len(found), np.bool_)
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    for source, x, y in parts:
        low = np.array((x, y), np.float32)
        high = low + np.array((source.width, source.height), np.float32)
        rows = ((centres >= low) & (centres < high)).all(axis=1)
        if not rows.any():
            continue
        shift = np.array(source[:2], np.float32) - low
        boxes[rows, :2] = np.maximum(found.boxes[rows, :2], low) + shift
        boxes[rows, 2:] = np.minimum(found.boxes[rows, 2:], high) + shift
        inside |= rows
        open_low = np.array((source.x1 > 0, source.y1 > 0))
        open_high = np.array((source.x2 < canvas[1], source.y2 < canvas[0]))
        cut[rows] = ((boxes[rows, :2] < np.array(source[:2]) + 2) & open_low).any(axis=1) | (
            (boxes[rows, 2:] > np.array(source[2:]) - 2) & open_high
        ).any(axis=1)
    return (
        Detections(boxes[inside], found.scores[inside], found.class_ids[inside]),
        cut[inside],
    )
