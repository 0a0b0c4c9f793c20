"""Boxes, tracks, zones, lines and words on an image, readable from 480p to 4K.

Everything draws in place on uint8 (H, W, 3) BGR and takes plain values: the annotated video, the
window, snapshots and user code share it. Imports wire and below.
"""

from perception.draw.ground import curves
from perception.draw.lanes import lanes
from perception.draw.scene import Painter, alerts, boxes, lines, overlay, tracks, zones
from perception.draw.strokes import ALERT, LINE, PALETTE, ZONE, Colour, Image, Point, colour_of
from perception.draw.trails import Trails

__all__ = [
    "ALERT",
    "LINE",
    "PALETTE",
    "ZONE",
    "Colour",
    "Image",
    "Painter",
    "Point",
    "Trails",
    "alerts",
    "boxes",
    "colour_of",
    "curves",
    "lanes",
    "lines",
    "overlay",
    "tracks",
    "zones",
]
