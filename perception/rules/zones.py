"""Places in a picture: zones (polygons) and lines, as a launch file gives them.

Points are fractions 0..1 of the picture, so they hold at every size. A box is in a zone by its
bottom centre: where a person stands, a car touches the road. Imports kernels only.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Point = tuple[Fraction, Fraction]

MAX_POINTS = 200
MIN_AREA = 1e-6
"""Smallest area of a zone as a fraction of the picture: about one pixel of 1280x720."""
MIN_LENGTH = 1e-3
"""Shortest line as a fraction of the picture: about one pixel."""


class Zone(BaseModel):
    """A polygon in the picture, given as `{points: [[x, y], ...]}` or as the bare list.

    points: 3 to MAX_POINTS corners, fractions 0..1, in order around it; the last joins the first.
    Refused with the reason: a corner outside the picture, edges that cross, no area.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: Annotated[tuple[Point, ...], Field(min_length=3, max_length=MAX_POINTS)]

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, data: Any) -> Any:
        return _with_hints(data, "a zone needs at least 3 corners", 3)

    @field_validator("points")
    @classmethod
    def _is_a_polygon(cls, points: tuple[Point, ...]) -> tuple[Point, ...]:
        if len(points) > 3 and points[0] == points[-1]:
            points = points[:-1]
        count = len(points)
        for i, point in enumerate(points):
            if point == points[(i + 1) % count]:
                raise ValueError(f"corner {i + 1} {point} stands twice in a row")
            if count > 3 and _folds(points[i - 1], point, points[(i + 1) % count]):
                raise ValueError(f"edges fold back on each other at corner {i + 1} {point}")
        for i in range(count):
            for j in range(i + 1, count):
                neighbours = j == i + 1 or (i == 0 and j == count - 1)
                if not neighbours and _meet(points, i, j):
                    raise ValueError(
                        f"edges {i + 1} and {j + 1} cross or touch: give the corners in order "
                        "around the zone"
                    )
        if abs(_area(points)) < MIN_AREA:
            raise ValueError("has no area: its corners lie on one line")
        return points

    def pixels(self, width: int, height: int) -> NDArray[np.float64]:
        """Return the corners in px of a picture of this size: float64 (P, 2)."""
        return np.array(self.points, np.float64) * (width, height)


class Line(BaseModel):
    """A line from its first point to its second, given as `{points: [[x, y], [x, y]]}` or bare.

    names: what to call the two ways across, seen by who stands on the first point and looks at the
    second in the picture: from the left side to the right side, and from the right to the left.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    points: tuple[Point, Point]
    names: tuple[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(min_length=1, max_length=64)],
    ] = ("left_to_right", "right_to_left")

    @model_validator(mode="before")
    @classmethod
    def _bare_list(cls, data: Any) -> Any:
        return _with_hints(data, "a line needs 2 points", 2)

    @field_validator("points")
    @classmethod
    def _has_length(cls, points: tuple[Point, Point]) -> tuple[Point, Point]:
        (ax, ay), (bx, by) = points
        if math.hypot(bx - ax, by - ay) < MIN_LENGTH:
            raise ValueError("has no length: its two points are the same")
        return points

    @field_validator("names")
    @classmethod
    def _differ(cls, names: tuple[str, str]) -> tuple[str, str]:
        if names[0] == names[1]:
            raise ValueError(f"both ways across are called {names[0]!r}")
        return names

    def pixels(self, width: int, height: int) -> NDArray[np.float64]:
        """Return the two points in px of a picture of this size: float64 (2, 2)."""
        return np.array(self.points, np.float64) * (width, height)


def _with_hints(data: Any, too_few: str, least: int) -> Any:
    """Return a zone or line with its points under `points`; say what users mistake."""
    whole: Any = {"points": data} if isinstance(data, list | tuple) else data
    points: Any = whole.get("points") if isinstance(whole, dict) else None
    if isinstance(points, list | tuple):
        pairs: list[Any] = list(points)
        if len(pairs) < least:
            raise ValueError(f"{too_few}, there are {len(pairs)}")
        numbers: list[Any] = [n for pair in pairs if isinstance(pair, list | tuple) for n in pair]
        if any(isinstance(n, int | float) and n > 1 for n in numbers):
            raise ValueError(
                "points are fractions of the picture, 0 to 1: divide x px by its width, y by its "
                "height"
            )
    return whole


def _area(points: Sequence[Point]) -> float:
    """Return the signed area of a polygon (shoelace)."""
    ends = (*points[1:], points[0])
    return sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(points, ends, strict=True)) / 2


def _meet(points: Sequence[Point], i: int, j: int) -> bool:
    """Say whether the edges that start at corners i and j share a point."""
    a, b = points[i], points[(i + 1) % len(points)]
    c, d = points[j], points[(j + 1) % len(points)]
    abc, abd, cda, cdb = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if abc != abd and cda != cdb:
        return True
    return (
        (abc == 0 and _between(a, b, c))
        or (abd == 0 and _between(a, b, d))
        or (cda == 0 and _between(c, d, a))
        or (cdb == 0 and _between(c, d, b))
    )


def _turn(a: Point, b: Point, c: Point) -> int:
    cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (cross > 0) - (cross < 0)


def _folds(a: Point, b: Point, c: Point) -> bool:
    """Say whether a path a -> b -> c goes straight back at b."""
    back = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return _turn(a, b, c) == 0 and back < 0


def _between(a: Point, b: Point, c: Point) -> bool:
    """Say whether c, known to lie on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])
