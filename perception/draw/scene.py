"""Tracks, zones, lines, alerts and a headline on one picture.

Imports the rest of this room and wire.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.draw import places
from perception.draw.lanes import lanes
from perception.draw.strokes import (
    ALERT,
    INK,
    LINE,
    PALETTE,
    ZONE,
    Colour,
    Image,
    Pen,
    Point,
    colour_of,
    corner_text,
    dashed_outline,
    label,
    outline,
    overlap,
    pixel_of,
    plate_of,
    tint,
    trail,
)
from perception.draw.trails import Trails
from perception.wire import (
    CONFIRMED,
    LOST,
    REMOVED,
    TENTATIVE,
    Alert,
    Damage,
    LaneMessage,
    Stamp,
    TrackMessage,
    View,
    short_id,
    time_to_collision,
)

TTC_SHOWN_S = 6.0
"""Times to collision below this are written beside a track."""


def tracks(
    image: Image,
    message: TrackMessage,
    trails: Mapping[int, NDArray[np.float64]] | None = None,
) -> None:
    """Draw each track's box in its own colour, labelled `car 12 0.87`.

    Lost tracks are dashed, tentative ones thin and without label, removed ones left out. trails:
    what Trails.update returned. Boxes are scaled where the image is not the message's size.
    """
    pen = Pen.of(image)
    scale = _scale(image, message)
    rows = message.tracks
    boxes = rows.boxes * scale
    for track_id, points in (trails or {}).items():
        trail(image, points * (*scale[:2], 1.0), colour_of(track_id), pen)
    order = np.argsort(boxes[:, 3], kind="stable")
    for i in order:
        state, colour = int(rows.states[i]), colour_of(int(rows.track_ids[i]))
        if state == LOST:
            dashed_outline(image, boxes[i], colour, pen)
        elif state != REMOVED:
            outline(image, boxes[i], colour, 1 if state == TENTATIVE else pen.stroke)
    for text, box, colour, own in reversed(_labels(image, message, boxes, order[::-1], pen)):
        label(image, text, (box[0], box[1]), colour, own)


def _seconds(closing: NDArray[np.float32]) -> str:
    """Return the time to collision for a label where it is short and known to a third."""
    rate, sigma = closing.tolist()
    ttc_s, _ = time_to_collision(rate, sigma)
    is_shown = ttc_s is not None and ttc_s < TTC_SHOWN_S and sigma < rate / 3
    return f"  {ttc_s:.1f} s" if is_shown else ""


def _metres(place: NDArray[np.float32]) -> str:
    """Return how far ahead a track is for a label, where that is known to a third."""
    ahead, sigma = float(place[1]), float(place[5])
    if not 0.0 < sigma < abs(ahead) / 3:
        return ""
    return f"  {ahead:.1f} m" if abs(ahead) < 9.95 else f"  {ahead:.0f} m"


def _labels(
    image: Image,
    message: TrackMessage,
    boxes: NDArray[np.float64],
    front_first: NDArray[np.intp],
    pen: Pen,
) -> list[tuple[str, NDArray[np.float64], Colour, Pen]]:
    """Return the label of each confirmed track and its pen.

    The id alone where the label would cover one in front; small where the box is smaller.
    """
    rows = message.tracks
    labels: list[tuple[str, NDArray[np.float64], Colour, Pen]] = []
    taken: list[tuple[int, int, int, int]] = []
    for i in front_first:
        if rows.states[i] != CONFIRMED:
            continue
        class_id, number = int(rows.class_ids[i]), short_id(int(rows.track_ids[i]))
        name = message.names.get(class_id, str(class_id))
        text = f"{name} {number} {float(rows.scores[i]):.2f}"
        text += _metres(rows.metres[i]) + _seconds(rows.closings[i])
        at, own = (boxes[i, 0], boxes[i, 1]), pen
        plate = plate_of(image, text, at, own)
        if boxes[i, 3] < boxes[i, 1] + plate[3]:
            own, text = pen.small, str(number)
            plate = plate_of(image, text, at, own)
        elif any(overlap(plate, other) for other in taken):
            text = str(number)
            plate = plate_of(image, text, at, own)
        taken.append(plate)
        labels.append((text, boxes[i], colour_of(number), own))
    return labels


def boxes(
    image: Image, boxes: NDArray[np.float32], labels: Sequence[str], class_ids: Sequence[int]
) -> None:
    """Draw detections: boxes float32 (N, 4) xyxy px, one label a box, coloured by class id."""
    pen = Pen.of(image)
    for box, text, class_id in zip(boxes, labels, class_ids, strict=True):
        colour = PALETTE[int(class_id) % len(PALETTE)]
        outline(image, box, colour, pen.stroke)
        label(image, text, (float(box[0]), float(box[1])), colour, pen)


def zones(image: Image, zones: Mapping[str, Sequence[Point]]) -> None:
    """Draw polygons, points as fractions of the image: a translucent fill, an edge, the name."""
    pen = Pen.of(image)
    for name, corners in zones.items():
        points = np.array([pixel_of(image, corner) for corner in corners], np.int32)
        tint(image, points, ZONE, 0.18)
        cv2.polylines(image, [points], True, ZONE, pen.stroke, cv2.LINE_AA)
        top = points[points[:, 1].argmin()]
        label(image, name, (float(top[0]), float(top[1])), ZONE, pen)


def lines(
    image: Image, lines: Mapping[str, tuple[Point, Point]], names: Mapping[str, str] | None = None
) -> None:
    """Draw lines, ends as fractions of the image, each with an arrow to its forward side.

    Forward is from left to right of someone who looks from the first end to the second.
    names: what is written beside each line instead of its key, e.g. with its counts.
    """
    pen = Pen.of(image)
    for name, (start, end) in lines.items():
        a, b = pixel_of(image, start), pixel_of(image, end)
        cv2.line(image, a, b, INK, pen.stroke + 2, cv2.LINE_AA)
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
            cv2.arrowedLine(image, root, tip, INK, pen.stroke + 2, cv2.LINE_AA, tipLength=0.4)
            cv2.arrowedLine(image, root, tip, LINE, pen.stroke, cv2.LINE_AA, tipLength=0.4)
        for end_point in (a, b):
            cv2.circle(image, end_point, 2 * pen.stroke, LINE, cv2.FILLED, cv2.LINE_AA)
        left, right = sorted((a, b))
        under = right[1] < left[1]
        gap = 4 * pen.stroke if under else -4 * pen.stroke
        at = (float(left[0]), float(left[1] + gap))
        label(image, (names or {}).get(name, name), at, LINE, pen, under=under)


def alerts(image: Image, alerts: Iterable[Alert], message: TrackMessage | None = None) -> None:
    """Draw the alerts that are not cleared: a red halo round the box, and a list of them.

    message: where the tracks stand now; without it, or for other tracks, the alert's own box.
    """
    pen = Pen.of(image)
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
        outline(image, np.add(box, (-grow, -grow, grow, grow)), ALERT, 2 * pen.stroke)
        who = alert.details.get("who")
        named = f", {who}".encode("ascii", "replace").decode() if who else ""
        texts.append(f"{alert.rule}: {alert.class_name} {short_id(alert.track_id)}{named}")
    if len(texts) > 6:
        texts = [*texts[:5], f"and {len(texts) - 5} more"]
    corner_text(image, texts, ALERT, pen, right=True)


def overlay(
    image: Image,
    stamp: Stamp,
    age_ms: float | None = None,
    counts: Mapping[str, int] | None = None,
    damage: Damage = "none",
) -> None:
    """Write camera, frame and media time, age and counts on the upper left of the image."""
    minutes, seconds = divmod(max(stamp.t_media_ns, 0) / 1e9, 60)
    head = f"{stamp.camera}  {int(minutes):02d}:{seconds:06.3f}  #{short_id(stamp.frame_id)}"
    if damage != "none":
        head += "  DAMAGED" if damage == "direct" else "  damaged before"
    if age_ms is not None:
        head += f"  age {age_ms:.0f} ms"
    texts = [head, *(f"{name}  {n}" for name, n in (counts or {}).items())]
    corner_text(image, texts, INK, Pen.of(image), right=False)


class Painter:
    """All that is drawn on one camera's pictures: keeps zones, lines and trails between frames."""

    def __init__(
        self,
        zones: Mapping[str, Sequence[Point]] | None = None,
        lines: Mapping[str, tuple[Point, Point]] | None = None,
        trail_s: float = 1.0,
        *,
        coordinates: bool = False,
    ) -> None:
        """zones, lines: by name, points as fractions of the image. trail_s: 0 draws no trails.

        coordinates: of each target with a place, under its box.
        """
        self._coordinates = coordinates
        self.zones, self.lines = zones or {}, lines or {}
        self._trails = Trails(trail_s) if trail_s > 0 else None
        self.lanes: LaneMessage | None = None
        """The lanes of the picture that is painted next."""

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
        if self.lanes is not None:
            lanes(image, self.lanes)
        zones(image, self.zones)
        lines(image, self.lines)
        alerts(image, current, message)
        tracks(image, message, trails)
        overlay(image, message.stamp, age_ms, counts, message.damage)
        if (view := View.of(message.view.tolist())) is not None:
            places.view(image, view)
            if self._coordinates:
                places.targets(image, message)


def _scale(image: Image, message: TrackMessage) -> NDArray[np.float64]:
    across, down = image.shape[1] / message.width, image.shape[0] / message.height
    return np.array((across, down, across, down))
