"""Line: a track crosses a line of the picture or of the map, and which way.

Imports wire, kernels and the rest of this room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from perception.kernels import polygons
from perception.rules import Event
from perception.rules.observed import (
    FORGET_NS,
    Filter,
    PictureSize,
    Timeline,
    TrackSelector,
    about_speed,
    feet,
    place,
    seen,
    track_at,
)
from perception.rules.on_map import Corners, File, MapLine, read_line
from perception.rules.zones import Line, Zone
from perception.wire import CONFIRMED, LOST, TrackMessage

Word = Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(slots=True)
class _Path:
    """A track's way: last point px or m, the side it was last clearly on (-1 left, 0 none yet, 1
    right), its net crossings since then, when it was last seen, if it ever passed the filter."""

    x: float
    y: float
    side: int
    net: int
    last_ns: int
    chosen: bool


class LineRule:
    """One event each time a track has gone from clearly on one side to clearly on the other.

    Clearly: its point is further from the line than margin x its box's height, on the map than
    margin_m. The way between, also over frames in which it was not seen or had no good place, has
    to cross the line itself: going round an end is none. counts: crossings so far by direction.
    """

    kind = "line"

    class Options(Filter):
        """line: its name. point: what of the box crosses. margin: fraction of the box's height.

        On the map instead: points, corners [longitude, latitude], or path, a GeoJSON file with one
        LineString. names: of the two ways across, for who goes along it: from his left to his
        right, and back. margin_m: m on the ground.
        """

        line: str | None = None
        points: Corners = ()
        path: File | None = None
        names: tuple[Word, Word] = ("left_to_right", "right_to_left")
        margin_m: Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)] = 1.0
        point: Literal["bottom", "centre"] = "bottom"
        margin: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = 0.1

        @model_validator(mode="after")
        def _one(self) -> Self:
            given = (self.line is not None, bool(self.points), self.path is not None)
            if sum(given) != 1:
                raise ValueError("needs one of line, points and path")
            if self.points and len(self.points) < 2:
                raise ValueError("points needs at least 2 corners, there is 1")
            if self.names[0] == self.names[1]:
                raise ValueError(f"both ways across are called {self.names[0]!r}")
            return self

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        self.name = name
        self._options: LineRule.Options = options
        self._line: Line | None = None
        self._map: MapLine | None = None
        if options.line is not None:
            self._line = place(options.line, lines, "line")
        else:
            self._map = MapLine(options.points or read_line(options.path))
        self._names: tuple[str, str] = options.names if self._line is None else self._line.names
        self.counts = dict.fromkeys(self._names, 0)
        self._paths: dict[int, _Path] = {}
        self._selector = TrackSelector(options, zones)
        self._time = Timeline()
        self._size = PictureSize()

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        resized = self._size.change(message)
        if resized is not None and self._map is None:
            for path in self._paths.values():
                path.x, path.y = (resized @ (path.x, path.y, 1.0)).tolist()
        points = self._points(message)
        events: list[Event] = []
        rows = np.flatnonzero(seen(message) & np.isfinite(points).all(axis=1))
        if len(rows):
            chosen = self._selector.rows(message, t_ns)
            moved, away = self._moves(message, rows, points, t_ns)
            for row, net, distance in zip(rows.tolist(), moved, away, strict=True):
                path = self._paths[int(message.tracks.track_ids[row])]
                path.chosen |= bool(chosen[row])
                crossed = self._step(message, path, row, net, distance)
                if crossed and path.chosen and self._selector.active(message):
                    events.append(self._event(message, row, crossed))
        self._forget(message, t_ns)
        return events

    def _points(self, message: TrackMessage) -> NDArray[np.float64]:
        """Return where tracks are: px, or m on the map; float64 (M, 2)."""
        if self._map is not None:
            return self._map.points(message)
        points = feet(message)
        if self._options.point == "centre":
            points[:, 1] = message.tracks.boxes[:, 1::2].mean(axis=1)
        return points

    def _moves(
        self,
        message: TrackMessage,
        rows: NDArray[np.intp],
        points: NDArray[np.float64],
        t_ns: int,
    ) -> tuple[list[int], list[float]]:
        """Move each path to its new point; return crossings and signed px or m from the line."""
        ends = points[rows]
        starts = ends.copy()
        for i, row in enumerate(rows.tolist()):
            track_id, (x, y) = int(message.tracks.track_ids[row]), ends[i].tolist()
            path = self._paths.setdefault(track_id, _Path(x, y, 0, 0, t_ns, False))
            starts[i] = path.x, path.y
            path.x, path.y, path.last_ns = x, y, t_ns
        if self._map is not None:
            net, away = self._map.crossings(starts, ends)
            return net.tolist(), away.tolist()
        assert self._line is not None
        line = self._line.pixels(message.width, message.height)
        along = line[1] - line[0]
        offsets = ends - line[0]
        away = (along[0] * offsets[:, 1] - along[1] * offsets[:, 0]) / np.hypot(*along)
        return polygons.crossings(starts, ends, line).tolist(), away.tolist()

    def _step(self, message: TrackMessage, path: _Path, row: int, net: int, distance: float) -> int:
        """Take one movement into account; return 1 or -1 where a crossing is now certain."""
        path.net += net
        y1, y2 = message.tracks.boxes[row, 1::2].tolist()
        margin = self._options.margin * (y2 - y1) if self._map is None else self._options.margin_m
        if abs(distance) < margin or distance == 0.0:
            return 0
        side = 1 if distance > 0.0 else -1
        if path.side and side != path.side and path.net:
            if message.tracks.states[row] != CONFIRMED:
                return 0
            crossed = side
        else:
            crossed = 0
        path.side, path.net = side, 0
        return crossed

    def _event(self, message: TrackMessage, row: int, crossed: int) -> Event:
        track = track_at(message, row)
        direction = self._names[0 if crossed > 0 else 1]
        self.counts[direction] += 1
        return Event(
            rule=self.name,
            kind=self.kind,
            phase="once",
            track_id=track.track_id,
            class_name=track.class_name,
            score=track.score,
            box=track.box,
            t_media_ns=message.stamp.t_media_ns,
            frame_id=message.stamp.frame_id,
            details={
                "line": self._options.line or "map",
                "direction": direction,
                "count": self.counts[direction],
                **about_speed(message, track.track_id),
            },
        )

    def _forget(self, message: TrackMessage, t_ns: int) -> None:
        tracks = message.tracks
        gone = {int(i) for i in tracks.track_ids[tracks.states > LOST]}
        limit_ns = t_ns - FORGET_NS
        for track_id, path in list(self._paths.items()):
            if track_id in gone or path.last_ns < limit_ns:
                del self._paths[track_id]

    def state(self) -> dict[str, Any]:
        return {
            "time": self._time.state(),
            "chooser": self._selector.state(),
            "counts": dict(self.counts),
            "paths": {
                str(i): [p.x, p.y, p.side, p.net, p.last_ns, p.chosen]
                for i, p in self._paths.items()
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        paths: dict[int, _Path] = {}
        for track_id, (x, y, side, net, last_ns, chosen) in state["paths"].items():
            paths[int(track_id)] = _Path(
                float(x), float(y), int(side), int(net), int(last_ns), bool(chosen)
            )
        self._paths = paths
        self.counts = {n: int(state["counts"].get(n, 0)) for n in self._names}
        self._selector.restore(state["chooser"])
        self._time.restore(state["time"])
