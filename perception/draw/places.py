"""Where on earth a picture looks: a north arrow, the camera's coordinates, those of its targets.

Imports wire and the rest of this room.
"""

import math

import cv2
import numpy as np

from perception.draw.strokes import INK, PAPER, Image, Pen, colour_of, label, overlap, plate_of
from perception.wire import CONFIRMED, TrackMessage, View

_LEAST = 0.02
"""Where north is shorter than this share in the picture, it is straight ahead or behind."""


def north_of(view: View) -> tuple[float, float] | None:
    """Return the way to true north in the picture's middle: right, down, of length 1.

    None where the camera looks level to the north or south: north is into the picture there.
    """
    yaw, pitch, roll = (math.radians(a) for a in (view.yaw_deg, view.pitch_deg, view.roll_deg))
    sy, cy, sp = math.sin(yaw), math.cos(yaw), math.sin(pitch)
    sr, cr = math.sin(roll), math.cos(roll)
    right, down = cy * sp * sr - sy * cr, cy * sp * cr + sy * sr
    length = math.hypot(right, down)
    return (right / length, down / length) if length > _LEAST else None


def view(image: Image, seen: View) -> None:
    """Draw the north arrow in the lower right corner, where the camera is in the lower left."""
    pen = Pen.of(image)
    where = f"{seen.lat_deg:.6f} {seen.lon_deg:.6f}  {seen.above_m:.0f} m above ground"
    looks = f"  looks {seen.yaw_deg % 360.0:.0f} deg, {seen.pitch_deg:+.0f} deg"
    label(image, where + looks, (0.0, float(image.shape[0])), INK, pen)
    way = north_of(seen)
    radius = min(26 * pen.stroke, min(image.shape[:2]) // 6)
    if way is None or radius < 8:
        return
    middle = image.shape[1] - radius - 4 * pen.stroke, image.shape[0] - radius - 4 * pen.stroke
    _disc(image, middle, radius)
    right, down = way
    ahead = 0.5 * radius
    tip = round(middle[0] + ahead * right), round(middle[1] + ahead * down)
    root = round(middle[0] - ahead * right), round(middle[1] - ahead * down)
    cv2.arrowedLine(image, root, tip, PAPER, pen.stroke + 1, cv2.LINE_AA, tipLength=0.45)
    (width, height), _ = cv2.getTextSize("N", cv2.FONT_HERSHEY_SIMPLEX, pen.font, pen.weight)
    at = (
        round(middle[0] + 0.76 * radius * right - width / 2),
        round(middle[1] + 0.76 * radius * down + height / 2),
    )
    cv2.putText(image, "N", at, cv2.FONT_HERSHEY_SIMPLEX, pen.font, PAPER, pen.weight, cv2.LINE_AA)


def targets(image: Image, message: TrackMessage) -> None:
    """Write the coordinates of each target and its error in m under its box, where room is."""
    pen, rows = Pen.of(image).small, message.tracks
    taken: list[tuple[int, int, int, int]] = []
    across, down = image.shape[1] / message.width, image.shape[0] / message.height
    for i in np.argsort(-rows.scores, kind="stable").tolist():
        if rows.states[i] != CONFIRMED:
            continue
        track = rows.row(i, message.names)
        if track.place is None:
            continue
        text = f"{track.place.lat_deg:.6f} {track.place.lon_deg:.6f} +-{track.place.major_m:.0f} m"
        at = float(rows.boxes[i, 0] * across), float(rows.boxes[i, 3] * down)
        plate = plate_of(image, text, at, pen, under=True)
        if not any(overlap(plate, other) for other in taken):
            taken.append(plate)
            label(image, text, at, colour_of(track.track_id), pen, under=True)


def _disc(image: Image, middle: tuple[int, int], radius: int) -> None:
    x, y = middle
    part = image[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
    filled = part.copy()
    at = x - max(0, x - radius), y - max(0, y - radius)
    cv2.circle(filled, at, radius, INK, cv2.FILLED, cv2.LINE_AA)
    cv2.addWeighted(filled, 0.6, part, 0.4, 0, dst=part)
