"""Lane markings: the two lines of the own lane and the far lines of its neighbours, tracked.

Imports the rest of this room, geometry and wire.
"""

import math
from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.analysers.following import Follower, Lanes
from perception.analysers.paint import paint
from perception.analysers.road import Road
from perception.geometry.ahead import rays
from perception.geometry.calibration import Calibration, Lens
from perception.pixels import Pixels
from perception.wire import LaneLines, LaneMessage, Stamp

MAX_WIDTH = 1280
"""Wider pictures are scaled down to this, px, so that the time per frame is bounded."""
POINTS = 24
"""Number of points of a line."""


class LaneMarkings:
    """Finds light markings of lanes on a road."""

    topic = "lanes"

    class Options(BaseModel):
        """confidence: lines below it are left out. neighbours: also the far lines of the lanes
        beside the own lane."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
        neighbours: bool = True

    def __init__(self, options: Options, calibration: Calibration | None) -> None:
        self._options, self._calibration = options, calibration
        self._size = (0, 0)
        self._follower = Follower()

    def prepare(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Return the brightness of a picture, uint8 (H, W), at most MAX_WIDTH px wide."""
        self._size = pixels.width, pixels.height
        return paint(pixels, MAX_WIDTH)

    def analyse(self, prepared: NDArray[np.uint8], stamp: Stamp) -> LaneMessage:
        """Return the lines of one frame; frames come in the order of media time."""
        return self._message(self._follower.step(prepared, stamp.t_media_ns), prepared, stamp)

    def _message(self, lanes: Lanes | None, luma: NDArray[np.uint8], stamp: Stamp) -> LaneMessage:
        width, height = self._size
        scale = width / luma.shape[1]
        told = [
            (place, line)
            for place, line in sorted(lanes.lines.items() if lanes else ())
            if line.trust >= self._options.confidence
            and (self._options.neighbours or abs(place) == 1)
        ]
        message = LaneMessage(
            stamp=stamp,
            width=width,
            height=height,
            t_taken_ns=0,
            t_done_ns=0,
            lines=LaneLines.none(),
        )
        if lanes is None or not told:
            return message
        road = lanes.road
        curves = [curve(road, line.s, lanes.far, luma.shape) * scale for _, line in told]
        message.ahead_px, message.horizon_px = road.vx * scale, road.vy * scale
        lens = self._lens(message.horizon_px)
        metres = [on_road(points, lens) for points in curves]
        message.lines = LaneLines(
            places=np.array([place for place, _ in told], np.int8),
            confidences=np.array([line.trust for _, line in told], np.float32),
            offsets=np.array([line.s for _, line in told], np.float32),
            points=np.array(curves, np.float32),
            metres=np.array(metres, np.float32),
        )
        if lens is not None:
            message.height_m = lens.height_m
            bend = 2.0 * road.c * scale**2
            message.curvature_1_m = bend / (lens.focal**2 * lens.height_m)
        return message

    def _lens(self, horizon_px: float) -> Lens | None:
        """Return the calibrated camera with the pitch from the horizon row; None: not
        calibrated."""
        if self._calibration is None or self._calibration.points is not None:
            return None
        lens = self._calibration.lens(*self._size)
        return replace(lens, pitch=math.atan2(lens.v0 - horizon_px, lens.focal))


def curve(road: Road, s: float, far: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return points of the marking with offset s, float64 (POINTS, 2) px, nearest first.

    far: the row at which it ends, px. shape: of the picture. The rows are equally spaced in the
    logarithm of the px below the horizon.
    """
    height, width = shape
    rows = np.arange(math.ceil(far), height, dtype=np.float64)
    x = road.x(s, rows)
    inside = np.flatnonzero((x >= 0.0) & (x <= width - 1.0))
    last = float(rows[inside[-1]]) if len(inside) else far + 1.0
    y = road.vy + np.geomspace(max(last - road.vy, 1.0), max(far - road.vy, 1.0), POINTS)
    return np.column_stack([road.x(s, y), y])


def on_road(points: NDArray[np.float64], lens: Lens | None) -> NDArray[np.float64]:
    """Return points of the road in m to the right and ahead, float64 (P, 2); zeros without a
    lens."""
    if lens is None:
        return np.zeros((len(points), 2))
    right, down = rays(points, lens).T
    sin, cos = math.sin(lens.pitch), math.cos(lens.pitch)
    depth = lens.height_m / np.maximum(down * cos + sin, 1e-4)
    return np.column_stack([right * depth, (cos - down * sin) * depth])
