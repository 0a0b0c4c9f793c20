"""Geometry of `detect: auto`: maps boxes of the small grey picture to the canvas, merges regions.

Rectangles are in px of the network's whole canvas. Imports the letterbox and the parts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception.detectors.change import Box
from perception.detectors.heads import Canvas
from perception.detectors.letterbox import STRIDE, Prepared
from perception.detectors.parts import Part, Rect


class CanvasScale:
    """Maps px of the small grey picture to px of the canvas and back."""

    def __init__(self, x: float, y: float, left: float, top: float) -> None:
        self._x, self._y, self._left, self._top = x, y, left, top

    @classmethod
    def of(cls, whole: Prepared, small_width: int) -> "CanvasScale":
        """Return the scale for a letterboxed picture. small_width: of its small picture, px."""
        ratio = whole.width / small_width
        return cls(whole.scale[0] * ratio, whole.scale[1] * ratio, *whole.offset)

    def up(self, box: Box) -> Rect:
        """Return the rectangle of the canvas that a box of the small picture covers."""
        x1, y1, x2, y2 = box
        return Rect(
            int(x1 * self._x + self._left),
            int(y1 * self._y + self._top),
            int(x2 * self._x + self._left + 1),
            int(y2 * self._y + self._top + 1),
        )

    def down(self, rect: Rect, shape: tuple[int, ...]) -> Box:
        """Return the box of the small picture, of shape (h, w), whose pixels lie wholly in rect."""
        x1, y1 = (rect.x1 - self._left) / self._x, (rect.y1 - self._top) / self._y
        x2, y2 = (rect.x2 - self._left) / self._x, (rect.y2 - self._top) / self._y
        return (
            max(0, int(np.ceil(x1))),
            max(0, int(np.ceil(y1))),
            shape[1] if x2 > shape[1] - 1 else max(0, int(x2)),
            shape[0] if y2 > shape[0] - 1 else max(0, int(y2)),
        )


def small_canvases(whole: Canvas) -> list[Canvas]:
    """Return the canvases for parts, by ascending area, each at most 0.65 of the whole area."""
    sides = ((0.375, 0.25), (0.625, 0.375), (1.0, 0.25), (1.0, 0.375), (1.0, 0.5), (1.0, 0.625))
    made = {(_multiple(whole[0] * a), _multiple(whole[1] * b)) for a, b in sides}
    small = [c for c in made if c[0] * c[1] <= 0.65 * whole[0] * whole[1]]
    return sorted(small, key=lambda c: c[0] * c[1])


def _multiple(side: float) -> int:
    return max(1, round(side / STRIDE)) * STRIDE


def merged_regions(
    rects: Sequence[Rect], known: Sequence[Rect], joined: Sequence[Rect] | None = None
) -> list[Rect]:
    """Return disjoint rectangles: overlapping ones are merged, each with the objects it overlaps.

    known: rectangles of objects. joined: two of `rects` that overlap the same one of these are
    merged too.
    """
    left, merged = list(rects), list[Rect]()
    while left:
        rect = left.pop()
        grown = rect
        for other in known:
            if grown.overlaps(other):
                grown = grown.union(other)
        for other in [m for m in merged if grown.overlaps(m) or _together(grown, m, joined)]:
            merged.remove(other)
            grown = grown.union(other)
        if grown == rect:
            merged.append(grown)
        else:
            left.append(grown)
    return merged


def _together(a: Rect, b: Rect, joined: Sequence[Rect] | None) -> bool:
    return any(j.overlaps(a) and j.overlaps(b) for j in joined or ())


def centred_in(boxes: NDArray[np.float32], parts: Sequence[Part]) -> NDArray[np.bool_]:
    """Return which boxes have their centre in one of the parts: bool (N,)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = np.zeros(len(boxes), np.bool_)
    for part in parts:
        low, high = part.source[:2], part.source[2:]
        inside |= ((centres >= low) & (centres < high)).all(axis=1)
    return inside


def overlapping(boxes: NDArray[np.float32], place: Rect) -> NDArray[np.bool_]:
    """Return which boxes, (N, 4) xyxy, overlap a rectangle: bool (N,)."""
    low = np.maximum(boxes[:, :2], place[:2])
    high = np.minimum(boxes[:, 2:], place[2:])
    return np.all(high > low, axis=1)
