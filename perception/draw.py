"""Boxes, tracks, zones, lines and words on an image, readable from 480p to 4K.

Everything draws in place on uint8 (H, W, 3) BGR and takes plain values, so that the annotated
video, the window, snapshots and user code share it. Colours are those of Okabe and Ito, Color
Universal Design (2008), and Tol's bright scheme (2021): told apart by colour-blind eyes.
Imports wire and below.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.wire import (
    CONFIRMED,
    LOST,
    REMOVED,
    TENTATIVE,
    Alert,
    Stamp,
    TrackMessage,
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
_INK: Colour = (24, 24, 24)
_PAPER: Colour = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class _Pen:
    """Sizes that follow the image: stroke in px and font scale."""

    stroke: int
    font: float
    weight: int

    @classmethod
    def of(cls, image: Image) -> "_Pen":
        short = min(image.shape[:2])
        return cls(
            stroke=max(1, round(short / 360)),
            font=max(0.36, short / 1200),
            weight=max(1, round(short / 720)),
        )


def colour_of(track_id: int) -> Colour:
    """Return the BGR colour of a track: the same wherever it is drawn."""
    return PALETTE[short_id(track_id) % len(PALETTE)]


class Trails:
    """Where each track stood in the last `seconds` of media time, moved with the camera."""

    def __init__(self, seconds: float = 1.0) -> None:
        self._keep_ns = seconds * 1e9
        self._points: dict[int, deque[tuple[int, float, float]]] = {}

    def update(self, message: TrackMessage) -> dict[int, NDArray[np.float64]]:
        """Take the tracks of one frame; return float64 (n, 3) per track id: x, y px, freshness.

        A point is the bottom centre of the box; freshness falls from 1 (now) to 0. Tracks that are
        gone are forgotten.
        """
        now, tracks = message.stamp.t_media_ns, message.tracks
        warp = message.warp.astype(np.float64)
        moved = not np.array_equal(warp, np.eye(2, 3))
        kept: dict[int, deque[tuple[int, float, float]]] = {}
        for track_id, box in zip(tracks.track_ids.tolist(), tracks.boxes.tolist(), strict=True):
            points = self._points.get(track_id, deque())
            if moved:
                points = deque((t, *_warped(warp, x, y)) for t, x, y in points)
            points.append((now, (box[0] + box[2]) / 2, box[3]))
            while points and not 0 <= now - points[0][0] <= self._keep_ns:
                points.popleft()
            kept[track_id] = points
        self._points = kept
        return {
            track_id: np.array([(x, y, 1 - (now - t) / self._keep_ns) for t, x, y in points])
            for track_id, points in kept.items()
        }


def _warped(warp: NDArray[np.float64], x: float, y: float) -> Point:
    return (
        float(warp[0, 0] * x + warp[0, 1] * y + warp[0, 2]),
        float(warp[1, 0] * x + warp[1, 1] * y + warp[1, 2]),
    )


def tracks(
    image: Image,
    message: TrackMessage,
    trails: Mapping[int, NDArray[np.float64]] | None = None,
) -> None:
    """Draw each track's box in its own colour, labelled `car 12 0.87`.

    Lost tracks are dashed, tentative ones thin and without label, removed ones left out. trails:
    what Trails.update returned. Boxes are scaled where the image is not the message's size.
    """
    pen = _Pen.of(image)
    scale = _scale(image, message)
    rows = message.tracks
    boxes = rows.boxes * scale
    for track_id, points in (trails or {}).items():
        _trail(image, points * (*scale[:2], 1.0), colour_of(track_id), pen)
    order = np.argsort(boxes[:, 3], kind="stable")
    for i in order:
        state, colour = int(rows.states[i]), colour_of(int(rows.track_ids[i]))
        if state == LOST:
            _dashed(image, boxes[i], colour, pen)
        elif state != REMOVED:
            _box(image, boxes[i], colour, 1 if state == TENTATIVE else pen.stroke)
    for text, box, colour in reversed(_labels(image, message, boxes, order[::-1], pen)):
        _label(image, text, (box[0], box[1]), colour, pen)


def _labels(
    image: Image,
    message: TrackMessage,
    boxes: NDArray[np.float64],
    front_first: NDArray[np.intp],
    pen: _Pen,
) -> list[tuple[str, NDArray[np.float64], Colour]]:
    """Return the label of each confirmed track: its id alone where it would cover one in front."""
    rows = message.tracks
    labels: list[tuple[str, NDArray[np.float64], Colour]] = []
    taken: list[tuple[int, int, int, int]] = []
    for i in front_first:
        if rows.states[i] != CONFIRMED:
            continue
        class_id, number = int(rows.class_ids[i]), short_id(int(rows.track_ids[i]))
        name = message.names.get(class_id, str(class_id))
        text = f"{name} {number} {float(rows.scores[i]):.2f}"
        plate = _plate(image, text, (boxes[i, 0], boxes[i, 1]), pen)
        if any(_overlap(plate, other) for other in taken):
            text = str(number)
            plate = _plate(image, text, (boxes[i, 0], boxes[i, 1]), pen)
        taken.append(plate)
        labels.append((text, boxes[i], colour_of(number)))
    return labels


def boxes(
    image: Image, boxes: NDArray[np.float32], labels: Sequence[str], class_ids: Sequence[int]
) -> None:
    """Draw detections: boxes float32 (N, 4) xyxy px, one label a box, coloured by class id."""
    pen = _Pen.of(image)
    for box, text, class_id in zip(boxes, labels, class_ids, strict=True):
        colour = PALETTE[int(class_id) % len(PALETTE)]
        _box(image, box, colour, pen.stroke)
        _label(image, text, (float(box[0]), float(box[1])), colour, pen)


def zones(image: Image, zones: Mapping[str, Sequence[Point]]) -> None:
    """Draw polygons, points as fractions of the image: a translucent fill, an edge, the name."""
    pen = _Pen.of(image)
    for name, corners in zones.items():
        points = np.array([_pixel(image, corner) for corner in corners], np.int32)
        x, y, w, h = cv2.boundingRect(points)
        x2, y2 = min(x + w, image.shape[1]), min(y + h, image.shape[0])
        x, y = max(x, 0), max(y, 0)
        if x2 <= x or y2 <= y:
            continue
        part = image[y:y2, x:x2]
        filled = part.copy()
        cv2.fillPoly(filled, [points - (x, y)], ZONE, cv2.LINE_AA)
        cv2.addWeighted(filled, 0.18, part, 0.82, 0, dst=part)
        cv2.polylines(image, [points], True, ZONE, pen.stroke, cv2.LINE_AA)
        top = points[points[:, 1].argmin()]
        _label(image, name, (float(top[0]), float(top[1])), ZONE, pen)


def lines(
    image: Image, lines: Mapping[str, tuple[Point, Point]], names: Mapping[str, str] | None = None
) -> None:
    """Draw lines, ends as fractions of the image, each with an arrow to its forward side.

    Forward is from left to right of someone who looks from the first end to the second.
    names: what is written beside each line instead of its key, e.g. with its counts.
    """
    pen = _Pen.of(image)
    for name, (start, end) in lines.items():
        a, b = _pixel(image, start), _pixel(image, end)
        cv2.line(image, a, b, _INK, pen.stroke + 2, cv2.LINE_AA)
        cv2.line(image, a, b, LINE, pen.stroke, cv2.LINE_AA)
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        if length >= 1:
            reach = 16 * pen.stroke
            tip = (
                round(middle[0] - (b[1] - a[1]) / length * reach),
                round(middle[1] + (b[0] - a[0]) / length * reach),
            )
            root = (round(middle[0]), round(middle[1]))
            cv2.arrowedLine(image, root, tip, _INK, pen.stroke + 2, cv2.LINE_AA, tipLength=0.4)
            cv2.arrowedLine(image, root, tip, LINE, pen.stroke, cv2.LINE_AA, tipLength=0.4)
        for end_point in (a, b):
            cv2.circle(image, end_point, 2 * pen.stroke, LINE, cv2.FILLED, cv2.LINE_AA)
        left, right = sorted((a, b))
        under = right[1] < left[1]
        gap = 4 * pen.stroke if under else -4 * pen.stroke
        at = (float(left[0]), float(left[1] + gap))
        _label(image, (names or {}).get(name, name), at, LINE, pen, under=under)


def alerts(image: Image, alerts: Iterable[Alert], message: TrackMessage | None = None) -> None:
    """Draw the alerts that are not cleared: a red halo round the box, and a list of them.

    message: where the tracks stand now; without it, or for other tracks, the alert's own box.
    """
    pen = _Pen.of(image)
    now: dict[int, NDArray[np.float64]] = {}
    if message is not None:
        scaled = message.tracks.boxes * _scale(image, message)
        now = dict(zip(message.tracks.track_ids.tolist(), scaled, strict=True))
    texts: list[str] = []
    grow = 3 * pen.stroke
    for alert in alerts:
        if alert.state == "cleared":
            continue
        box = now.get(alert.track_id, np.asarray(alert.box))
        _box(image, np.add(box, (-grow, -grow, grow, grow)), ALERT, 2 * pen.stroke)
        who = alert.details.get("who")
        named = f", {who}".encode("ascii", "replace").decode() if who else ""
        texts.append(f"{alert.rule}: {alert.class_name} {short_id(alert.track_id)}{named}")
    if len(texts) > 6:
        texts = [*texts[:5], f"and {len(texts) - 5} more"]
    _corner(image, texts, ALERT, pen, right=True)


def overlay(
    image: Image, stamp: Stamp, age_ms: float | None = None, counts: Mapping[str, int] | None = None
) -> None:
    """Write camera, frame and media time, age and counts on the upper left of the image."""
    minutes, seconds = divmod(max(stamp.t_media_ns, 0) / 1e9, 60)
    head = f"{stamp.camera}  {int(minutes):02d}:{seconds:06.3f}  #{short_id(stamp.frame_id)}"
    if age_ms is not None:
        head += f"  age {age_ms:.0f} ms"
    texts = [head, *(f"{name}  {n}" for name, n in (counts or {}).items())]
    _corner(image, texts, _INK, _Pen.of(image), right=False)


class Painter:
    """All that is drawn on one camera's pictures: keeps zones, lines and trails between frames."""

    def __init__(
        self,
        zones: Mapping[str, Sequence[Point]] | None = None,
        lines: Mapping[str, tuple[Point, Point]] | None = None,
        trail_s: float = 1.0,
    ) -> None:
        """zones, lines: by name, points as fractions of the image. trail_s: 0 draws no trails."""
        self.zones, self.lines = zones or {}, lines or {}
        self._trails = Trails(trail_s) if trail_s > 0 else None

    def paint(
        self,
        image: Image,
        message: TrackMessage,
        current: Iterable[Alert] = (),
        counts: Mapping[str, int] | None = None,
        age_ms: float | None = None,
    ) -> None:
        """Draw one frame in place. current: alerts that hold now. counts: written line by line."""
        trails = self._trails.update(message) if self._trails else None
        zones(image, self.zones)
        lines(image, self.lines)
        alerts(image, current, message)
        tracks(image, message, trails)
        overlay(image, message.stamp, age_ms, counts)


def _scale(image: Image, message: TrackMessage) -> NDArray[np.float64]:
    across, down = image.shape[1] / message.width, image.shape[0] / message.height
    return np.array((across, down, across, down))


def _pixel(image: Image, fraction: Point) -> tuple[int, int]:
    return (
        round(fraction[0] * (image.shape[1] - 1)),
        round(fraction[1] * (image.shape[0] - 1)),
    )


def _corners(box: NDArray[np.floating]) -> tuple[tuple[int, int], tuple[int, int]]:
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.nan_to_num(box), -1e5, 1e5).round())
    return (x1, y1), (x2, y2)


def _box(image: Image, box: NDArray[np.floating], colour: Colour, stroke: int) -> None:
    start, end = _corners(box)
    cv2.rectangle(image, start, end, _INK, stroke + 2, cv2.LINE_AA)
    cv2.rectangle(image, start, end, colour, stroke, cv2.LINE_AA)


def _dashed(image: Image, box: NDArray[np.floating], colour: Colour, pen: _Pen) -> None:
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


def _trail(image: Image, points: NDArray[np.float64], colour: Colour, pen: _Pen) -> None:
    """Draw a line that grows thinner and darker with age."""
    places = np.clip(np.nan_to_num(points[:, :2]), -1e5, 1e5)
    steps = (places * (1 << _SHIFT)).round().astype(int)
    for i in range(1, len(points)):
        fresh = float(points[i, 2])
        faded = tuple(round(c * (0.5 + 0.5 * fresh)) for c in colour)
        stroke = max(1, round(pen.stroke * (0.5 + fresh)))
        start, end = tuple(steps[i - 1].tolist()), tuple(steps[i].tolist())
        cv2.line(image, start, end, faded, stroke, cv2.LINE_AA, _SHIFT)


def _plate(
    image: Image, text: str, at: Point, pen: _Pen, *, under: bool = False
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


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _label(
    image: Image, text: str, at: Point, colour: Colour, pen: _Pen, *, under: bool = False
) -> None:
    """Write text on a plate that stands on the point, or hangs from it, kept inside the image."""
    x, y, width, height = _plate(image, text, at, pen, under=under)
    (_, text_height), _ = cv2.getTextSize(text, _FONT, pen.font, pen.weight)
    pad = _pad(text_height)
    cv2.rectangle(image, (x, y), (x + width, y + height), colour, cv2.FILLED, cv2.LINE_AA)
    foot = (x + pad, y + height - pad)
    cv2.putText(image, text, foot, _FONT, pen.font, _ink_on(colour), pen.weight, cv2.LINE_AA)


def _ink_on(colour: Colour) -> Colour:
    """Return black or white, whichever is read better on the colour (Rec. 709 luma)."""
    blue, green, red = colour
    return _INK if 0.0722 * blue + 0.7152 * green + 0.2126 * red > 110 else _PAPER


def _corner(image: Image, texts: Sequence[str], colour: Colour, pen: _Pen, *, right: bool) -> None:
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
        cv2.putText(image, text, at, _FONT, pen.font, _PAPER, pen.weight, cv2.LINE_AA)
