"""Boxes, dashes, trails and words in place on uint8 (H, W, 3) BGR; sizes follow the picture.

Colours are those of Okabe and Ito, Color Universal Design (2008), and Tol's bright scheme (2021):
told apart by colour-blind eyes. Imports wire.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.wire import (
    short_id,
)

Image = NDArray[np.uint8]

Colour = tuple[int, int, int]

Point = tuple[float, float]

PALETTE: tuple[Colour, ...] = (
    (0, 159, 230),
    (115, 158, 0),
    (167, 121, 204),
    (178, 114, 0),
    (0, 94, 213),
    (187, 187, 102),
    (153, 221, 170),
    (238, 170, 187),
)

ZONE: Colour = (233, 180, 86)

LINE: Colour = (66, 228, 240)

ALERT: Colour = (48, 48, 255)

INK: Colour = (24, 24, 24)

PAPER: Colour = (255, 255, 255)

_FONT = cv2.FONT_HERSHEY_SIMPLEX

_SHIFT = 4

SMALL_STROKES = 12
"""A box with a side of fewer strokes is drawn so that it does not hide what is in it."""


@dataclass(frozen=True, slots=True)
class Pen:
    """Sizes that follow the image: stroke in px and font scale."""

    stroke: int
    font: float
    weight: int

    @property
    def small(self) -> "Pen":
        """The pen for labels of boxes that are smaller than a label."""
        return Pen(self.stroke, max(0.34, 0.4 * self.font), 1)

    @classmethod
    def of(cls, image: Image) -> "Pen":
        short = min(image.shape[:2])
        return cls(
            stroke=max(1, round(short / 360)),
            font=max(0.36, short / 1200),
            weight=max(1, round(short / 720)),
        )


def colour_of(track_id: int) -> Colour:
    """Return the BGR colour of a track: the same wherever it is drawn."""
    return PALETTE[short_id(track_id) % len(PALETTE)]


def pixel_of(image: Image, fraction: Point) -> tuple[int, int]:
    return (
        round(fraction[0] * (image.shape[1] - 1)),
        round(fraction[1] * (image.shape[0] - 1)),
    )


def _corners(box: NDArray[np.floating]) -> tuple[tuple[int, int], tuple[int, int]]:
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.nan_to_num(box), -1e5, 1e5).round())
    return (x1, y1), (x2, y2)


def outline(image: Image, box: NDArray[np.floating], colour: Colour, stroke: int) -> None:
    """Draw a box on a dark edge; one of a few px is framed one px outside and without an edge."""
    start, end = _corners(box)
    if min(end[0] - start[0], end[1] - start[1]) < SMALL_STROKES * stroke:
        start, end = (start[0] - 2, start[1] - 2), (end[0] + 2, end[1] + 2)
        cv2.rectangle(image, start, end, colour, 1, cv2.LINE_AA)
        return
    cv2.rectangle(image, start, end, INK, stroke + 2, cv2.LINE_AA)
    cv2.rectangle(image, start, end, colour, stroke, cv2.LINE_AA)


def dashed_outline(image: Image, box: NDArray[np.floating], colour: Colour, pen: Pen) -> None:
    """Draw the box in dashes, at most some hundred of them whatever its size."""
    (x1, y1), (x2, y2) = _corners(box)
    for (ax, ay), (bx, by) in (
        ((x1, y1), (x2, y1)),
        ((x2, y1), (x2, y2)),
        ((x2, y2), (x1, y2)),
        ((x1, y2), (x1, y1)),
    ):
        dashes = min(64, max(1, round(math.hypot(bx - ax, by - ay) / (10 * pen.stroke))))
        for i in range(dashes):
            f, t = (i + 0.2) / dashes, (i + 0.7) / dashes
            start = (round(ax + (bx - ax) * f), round(ay + (by - ay) * f))
            end = (round(ax + (bx - ax) * t), round(ay + (by - ay) * t))
            cv2.line(image, start, end, colour, pen.stroke, cv2.LINE_AA)


def tint(image: Image, points: NDArray[np.int32], colour: Colour, share: float) -> None:
    """Mix a share of a colour, 0 to 1, into a polygon. points: int32 (P, 2) px."""
    x, y, w, h = cv2.boundingRect(points)
    x2, y2 = min(x + w, image.shape[1]), min(y + h, image.shape[0])
    x, y = max(x, 0), max(y, 0)
    if x2 <= x or y2 <= y:
        return
    part = image[y:y2, x:x2]
    filled = part.copy()
    cv2.fillPoly(filled, [points - (x, y)], colour, cv2.LINE_AA)
    cv2.addWeighted(filled, share, part, 1.0 - share, 0, dst=part)


def trail(image: Image, points: NDArray[np.float64], colour: Colour, pen: Pen) -> None:
    """Draw a line that grows thinner and darker with age."""
    places = np.clip(np.nan_to_num(points[:, :2]), -1e5, 1e5)
    steps = (places * (1 << _SHIFT)).round().astype(int)
    for i in range(1, len(points)):
        fresh = float(points[i, 2])
        faded = tuple(round(c * (0.5 + 0.5 * fresh)) for c in colour)
        stroke = max(1, round(pen.stroke * (0.5 + fresh)))
        start, end = tuple(steps[i - 1].tolist()), tuple(steps[i].tolist())
        cv2.line(image, start, end, faded, stroke, cv2.LINE_AA, _SHIFT)


def plate_of(
    image: Image, text: str, at: Point, pen: Pen, *, under: bool = False
) -> tuple[int, int, int, int]:
    """Return x, y, width, height of a text's plate that stands on the point or hangs from it."""
    (width, height), _ = cv2.getTextSize(text, _FONT, pen.font, pen.weight)
    pad = _pad(height)
    width, height = width + 2 * pad, height + 2 * pad
    x, y = (int(v) for v in np.clip(np.nan_to_num(np.array(at)), -1e5, 1e5).round())
    y = min(y + height if under else y, image.shape[0] - 1)
    return max(0, min(x, image.shape[1] - width)), max(0, y - height), width, height


def _pad(text_height: int) -> int:
    return max(2, round(text_height * 0.35))


def overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def label(
    image: Image, text: str, at: Point, colour: Colour, pen: Pen, *, under: bool = False
) -> None:
    """Write text on a plate that stands on the point, or hangs from it, kept inside the image."""
    x, y, width, height = plate_of(image, text, at, pen, under=under)
    (_, text_height), _ = cv2.getTextSize(text, _FONT, pen.font, pen.weight)
    pad = _pad(text_height)
    cv2.rectangle(image, (x, y), (x + width, y + height), colour, cv2.FILLED, cv2.LINE_AA)
    foot = (x + pad, y + height - pad)
    cv2.putText(image, text, foot, _FONT, pen.font, _ink_on(colour), pen.weight, cv2.LINE_AA)


def _ink_on(colour: Colour) -> Colour:
    """Return black or white, whichever is read better on the colour (Rec. 709 luma)."""
    blue, green, red = colour
    return INK if 0.0722 * blue + 0.7152 * green + 0.2126 * red > 110 else PAPER


def corner_text(
    image: Image, texts: Sequence[str], colour: Colour, pen: Pen, *, right: bool
) -> None:
    """Write lines of text on one translucent plate in an upper corner."""
    if not texts:
        return
    sizes = [cv2.getTextSize(text, _FONT, pen.font, pen.weight)[0] for text in texts]
    height = max(size[1] for size in sizes)
    pad, step = round(height * 0.6), round(height * 1.9)
    width = max(size[0] for size in sizes) + 2 * pad
    x = max(0, image.shape[1] - width) if right else 0
    plate = image[: step * len(texts) + pad, x : x + width]
    plate[:] = cv2.addWeighted(plate, 0.35, np.full_like(plate, colour), 0.65, 0)
    for i, text in enumerate(texts):
        at = (x + pad, pad + height + i * step)
        cv2.putText(image, text, at, _FONT, pen.font, PAPER, pen.weight, cv2.LINE_AA)
