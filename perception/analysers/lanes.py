"""Lane markings: the two of the own lane and their neighbours, followed from picture to picture.

Imports the rest of this room and what it may.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.analysers.road import Marking, Road, evidence, find, markings, refine, vanishing
from perception.geometry.ahead import rays
from perception.geometry.calibration import Calibration, Lens
from perception.pixels import Pixels
from perception.wire import LaneLines, LaneMessage, Stamp

MAX_WIDTH = 1280
"""Wider pictures are made smaller: the time of a frame has a bound."""
POINTS = 24
"""Points of a line, nearest first."""

LEAST_COVER = 0.12
"""A broken line of 3 m in 12 m is seen on a quarter of the rows, some of them too far to see."""
LEAST_WIDTH, MOST_WIDTH = 1.5, 3.8
"""Width of the own lane in camera heights: 2.5 m at 1.65 m, 4.5 m at 1.2 m."""


class LaneMarkings:
    """Finds light markings of lanes on a road."""

    topic = "lanes"

    class Options(BaseModel):
        """confidence: lines that are less sure are not told. neighbours: lines beside the own
        lane's too."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.3
        neighbours: bool = True

    def __init__(self, options: Options, calibration: Calibration | None) -> None:
        self._options, self._calibration = options, calibration
        self._size = (0, 0)

    def prepare(self, pixels: Pixels) -> NDArray[np.uint8]:
        """Return the brightness of a picture, uint8 (H, W), at most MAX_WIDTH px wide."""
        if pixels.coding == "bgr":
            luma: Any = cv2.cvtColor(pixels.data, cv2.COLOR_BGR2GRAY)
        else:
            luma = pixels.planes()[0]
        self._size = pixels.width, pixels.height
        if pixels.width > MAX_WIDTH:
            size = MAX_WIDTH, round(pixels.height * MAX_WIDTH / pixels.width)
            return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.array(luma, np.uint8, order="C")

    def analyse(self, prepared: NDArray[np.uint8], stamp: Stamp) -> LaneMessage:
        """Return the lines of one frame."""
        return self._message(lanes_of(prepared), prepared, stamp)

    def _message(self, lanes: "Lanes | None", luma: NDArray[np.uint8], stamp: Stamp) -> LaneMessage:
        width, height = self._size
        scale = width / luma.shape[1]
        told = [
            (place, marking)
            for place, marking in sorted(lanes.lines.items() if lanes else ())
            if marking.confidence >= self._options.confidence
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
        curves = [curve(road, marking, luma.shape) * scale for _, marking in told]
        message.ahead_px, message.horizon_px = road.vx * scale, road.vy * scale
        lens = self._lens(message.horizon_px)
        metres = [on_road(points, lens) for points in curves]
        message.lines = LaneLines(
            places=np.array([place for place, _ in told], np.int8),
            confidences=np.array([marking.confidence for _, marking in told], np.float32),
            offsets=np.array([marking.s for _, marking in told], np.float32),
            points=np.array(curves, np.float32),
            metres=np.array(metres, np.float32),
        )
        if lens is not None:
            message.height_m = lens.height_m
            bend = 2.0 * road.c * scale**2
            message.curvature_1_m = bend / (lens.focal**2 * lens.height_m)
        return message

    def _lens(self, horizon_px: float) -> Lens | None:
        """Return the calibrated camera with the pitch that the road shows; None: not calibrated."""
        if self._calibration is None or self._calibration.points is not None:
            return None
        lens = self._calibration.lens(*self._size)
        return replace(lens, pitch=math.atan2(lens.v0 - horizon_px, lens.focal))


def curve(road: Road, marking: Marking, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return points of a marking that are in the picture, float64 (POINTS, 2) px, nearest first.

    Their rows are equally spaced in the logarithm of the px below the horizon.
    """
    height, width = shape
    rows = np.arange(math.ceil(marking.far), height, dtype=np.float64)
    x = road.x(marking.s, rows)
    inside = np.flatnonzero((x >= 0.0) & (x <= width - 1.0))
    last = float(rows[inside[-1]]) if len(inside) else marking.far + 1.0
    d = np.geomspace(max(last - road.vy, 1.0), max(marking.far - road.vy, 1.0), POINTS)
    y = road.vy + d
    return np.column_stack([road.x(marking.s, y), y])


def on_road(points: NDArray[np.float64], lens: Lens | None) -> NDArray[np.float64]:
    """Return points of the road in m to the right and ahead, float64 (P, 2); 0: not calibrated."""
    if lens is None:
        return np.zeros((len(points), 2))
    right, down = rays(points, lens).T
    sin, cos = math.sin(lens.pitch), math.cos(lens.pitch)
    depth = lens.height_m / np.maximum(down * cos + sin, 1e-4)
    return np.column_stack([right * depth, (cos - down * sin) * depth])


@dataclass(frozen=True, slots=True)
class Lanes:
    """The road, and markings by place: -2 and 2 of the neighbour lanes, -1 and 1 of the own."""

    road: Road
    lines: dict[int, Marking]


def lanes_of(luma: NDArray[np.uint8]) -> Lanes | None:
    """Return the lanes of one picture, uint8 (H, W); None where there are none."""
    height, width = luma.shape
    size = width, height
    met = vanishing(luma)
    if met is None:
        return None
    points = evidence(luma, met[0], met[1])
    road = find(points, size, Road(met[0], met[1]), known=False)
    seen = [one for one in markings(points, road, size) if one.cover >= LEAST_COVER]
    if not seen:
        return None
    road = refine(points, road, [one.s for one in seen], size)
    seen = markings(points, road, size)
    lines = choose(seen, (width / 2.0 - road.vx) / (height - road.vy))
    return Lanes(road, lines) if lines else None


def choose(seen: list[Marking], middle: float) -> dict[int, Marking]:
    """Return the own pair that is seen best and of a lane's width, and its neighbours.

    middle: of the vehicle, in camera heights from where the road runs to.
    """
    best, pair = 0.0, None
    for left in seen:
        for right in seen:
            wide = right.s - left.s
            if not left.s < middle < right.s or not LEAST_WIDTH <= wide <= MOST_WIDTH:
                continue
            if min(left.cover, right.cover) < LEAST_COVER:
                continue
            score = min(left.cover, 0.5) + min(right.cover, 0.5)
            if score > best:
                best, pair = score, (left, right)
    if pair is None:
        return {}
    out, wide = {-1: pair[0], 1: pair[1]}, pair[1].s - pair[0].s
    for side, own in ((-1, pair[0]), (1, pair[1])):
        beside = [m for m in seen if 0.75 <= side * (m.s - own.s) / wide <= 1.35]
        beside = [m for m in beside if m.cover >= 0.6 * LEAST_COVER]
        if beside:
            out[2 * side] = max(beside, key=lambda m: m.cover)
    return out
