"""Visit: someone is here, from coming to going, whatever the tracker calls them meanwhile.

Imports wire, kernels and the rest of this room.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from perception.clock import NS_PER_S
from perception.kernels import polygons
from perception.kernels.boxes import carry_boxes
from perception.rules import Event, Phase
from perception.rules.observed import (
    Filter,
    PictureSize,
    Seconds,
    Timeline,
    TrackSelector,
    feet,
    place,
    seen,
    track_at,
)
from perception.rules.zones import Line, Zone
from perception.wire import CONFIRMED, Track, TrackMessage

Box = tuple[float, float, float, float]

SAME_IOU = 0.6
"""Two tracks that overlap more than this are one person, seen twice."""
SAME_SIZE = 2.0
"""A track more than this many times as high as the one that went is somebody else."""

WAIT_NS = NS_PER_S
"""How long someone seen too shortly to be a visitor may be out of sight."""


@dataclass(slots=True)
class Visit:
    """One visit, under way or still too short to tell. tracks: ids that are part of it.

    best, best_ns: how good the look was that was told last, and when.
    """

    since_ns: int
    last_ns: int
    begun: bool
    tracks: list[int]
    class_name: str
    score: float
    box: Box
    best: float = 0.0
    best_ns: int = 0


class VisitRule:
    """Begins when someone has been seen in the zone for enter_s, ends when not for away_s.

    A track that appears within away_s, of the same class and about the same size, not further than
    `near` box heights from where a visitor was last seen, goes on with that visit: an update says
    so. Without appearance this cannot tell who came back from who came next, so away_s is short.
    A visit has the id of its first track. Where a visitor can be seen `better` times as well as
    when that was told last, an update says so (detail `better_look`): time for another picture.
    """

    kind = "visit"

    class Options(Filter):
        """zone: its name, none: the whole picture. enter_s, away_s: s of media time. near: box
        heights. better: times; how well is score x area of the box, half that at the edge."""

        zone: str | None = None
        enter_s: Seconds = 0.2
        away_s: Seconds = 3.0
        near: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 1.0
        better: Annotated[float, Field(ge=1.1, le=1e6, allow_inf_nan=False)] = 1.5

    def __init__(
        self, name: str, options: Any, zones: Mapping[str, Zone], lines: Mapping[str, Line]
    ) -> None:
        self.name = name
        self.counts: dict[str, int] = {}
        self._options: VisitRule.Options = options
        self._zone = place(options.zone, zones, "zone") if options.zone else None
        self._selector = TrackSelector(options, zones)
        self._time = Timeline()
        self._size = PictureSize()
        self._visits: dict[int, Visit] = {}

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        resized = self._size.change(message)
        if resized is not None:
            for visit in self._visits.values():
                x1, y1, x2, y2 = carry_boxes(visit.box, resized)[0].tolist()
                visit.box = x1, y1, x2, y2
        if message.cut:
            return self._end_all(message)
        inside = self._inside(message)
        chosen = self._selector.rows(message, t_ns)
        of_track = {track: visit for visit in self._visits.values() for track in visit.tracks}
        events: list[Event] = []
        strangers: list[int] = []
        for row in np.flatnonzero(inside).tolist():
            visit = of_track.get(int(message.tracks.track_ids[row]))
            if visit is not None:
                self._look(visit, track_at(message, row), t_ns)
            elif chosen[row]:
                strangers.append(row)
        for row in strangers:
            events += self._meet(message, track_at(message, row), t_ns)
        for key, visit in list(self._visits.items()):
            events += self._life(message, key, visit, t_ns)
        return events

    def _end_all(self, message: TrackMessage) -> list[Event]:
        """End every visit: nobody in another scene goes on with it. This frame begins none."""
        gone, self._visits = self._visits, {}
        return [self._event(message, "end", key, v) for key, v in gone.items() if v.begun]

    def visit_of(self, track_id: int) -> int:
        """Return the id of the visit that a track is part of; its own where it is of none."""
        for key, visit in self._visits.items():
            if track_id in visit.tracks:
                return key
        return track_id

    def _inside(self, message: TrackMessage) -> NDArray[np.bool_]:
        visible = seen(message)
        if self._zone is None:
            return visible
        polygon = self._zone.pixels(message.width, message.height)
        return visible & polygons.inside(feet(message), polygon)

    def _look(self, visit: Visit, track: Track, t_ns: int) -> None:
        visit.last_ns = t_ns
        visit.class_name, visit.score, visit.box = track.class_name, track.score, track.box

    def _meet(self, message: TrackMessage, track: Track, t_ns: int) -> list[Event]:
        """Take a new track into the visit it goes on with, or into one of its own."""
        fits = [
            (_distance(visit.box, track.box), key)
            for key, visit in self._visits.items()
            if self._goes_on(visit, track, t_ns)
        ]
        if not fits:
            visit = Visit(
                t_ns, t_ns, False, [track.track_id], track.class_name, track.score, track.box
            )
            self._visits[track.track_id] = visit
            return []
        key = min(fits)[1]
        visit = self._visits[key]
        visit.tracks.append(track.track_id)
        self._look(visit, track, t_ns)
        return [self._event(message, "update", key, visit)] if visit.begun else []

    def _goes_on(self, visit: Visit, track: Track, t_ns: int) -> bool:
        """Say whether a track may be the visitor: in the same place, or gone and near enough."""
        if visit.class_name != track.class_name:
            return False
        if visit.last_ns == t_ns:
            return _iou(visit.box, track.box) >= SAME_IOU
        was, now = visit.box[3] - visit.box[1], track.box[3] - track.box[1]
        return (
            max(was, now) <= SAME_SIZE * min(was, now)
            and _distance(visit.box, track.box) <= self._options.near * max(was, now)
            and t_ns - visit.last_ns <= round(self._options.away_s * 1e9)
        )

    def _life(self, message: TrackMessage, key: int, visit: Visit, t_ns: int) -> list[Event]:
        """Begin a visit that has lasted long enough, end one that is over."""
        away_ns = t_ns - visit.last_ns
        if visit.begun:
            if away_ns == 0 and self._better(message, visit, t_ns):
                return [self._event(message, "update", key, visit, better_look=True)]
            if away_ns <= round(self._options.away_s * 1e9):
                return []
            del self._visits[key]
            return [self._event(message, "end", key, visit)]
        if away_ns > WAIT_NS:
            del self._visits[key]
        elif away_ns == 0 and t_ns - visit.since_ns >= round(self._options.enter_s * 1e9):
            ids, states = message.tracks.track_ids, message.tracks.states
            visit.begun = bool((np.isin(ids, visit.tracks) & (states == CONFIRMED)).any())
            if visit.begun:
                visit.best, visit.best_ns = _look_quality(message, visit), t_ns
                return [self._event(message, "begin", key, visit)]
        return []

    def _better(self, message: TrackMessage, visit: Visit, t_ns: int) -> bool:
        """Say whether the visitor is seen so much better that it has to be told; at most each s."""
        quality = _look_quality(message, visit)
        if t_ns - visit.best_ns < NS_PER_S or quality < self._options.better * visit.best:
            return False
        visit.best, visit.best_ns = quality, t_ns
        return True

    def _event(
        self,
        message: TrackMessage,
        phase: Phase,
        key: int,
        visit: Visit,
        *,
        better_look: bool = False,
    ) -> Event:
        return Event(
            rule=self.name,
            kind=self.kind,
            phase=phase,
            track_id=key,
            class_name=visit.class_name,
            score=visit.score,
            box=visit.box,
            t_media_ns=message.stamp.t_media_ns,
            frame_id=message.stamp.frame_id,
            details={
                "zone": self._options.zone,
                "inside_s": round((visit.last_ns - visit.since_ns) / 1e9, 3),
                "tracks": len(visit.tracks),
                "better_look": better_look,
            },
        )

    def state(self) -> dict[str, Any]:
        return {
            "time": self._time.state(),
            "chooser": self._selector.state(),
            "visits": {str(key): list(astuple(v)) for key, v in self._visits.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        visits: dict[int, Visit] = {}
        for key, (since, last, begun, tracks, name, score, box, *best) in state["visits"].items():
            (x1, y1, x2, y2), (quality, best_ns) = box, best
            visits[int(key)] = Visit(
                int(since),
                int(last),
                bool(begun),
                [int(track) for track in tracks],
                str(name),
                float(score),
                (float(x1), float(y1), float(x2), float(y2)),
                float(quality),
                int(best_ns),
            )
        self._selector.restore(state["chooser"])
        self._time.restore(state["time"])
        self._visits = visits


def _distance(a: Box, b: Box) -> float:
    """Return the distance of two boxes' centres, px."""
    return float(np.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3])) / 2


def _iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0.0 or height <= 0.0:
        return 0.0
    shared = width * height
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / (areas - shared)


def _look_quality(message: TrackMessage, visit: Visit) -> float:
    """Return how well a visitor is seen now: score times area, half that where the edge cuts."""
    x1, y1, x2, y2 = visit.box
    cut = x1 <= 1 or y1 <= 1 or x2 >= message.width - 1 or y2 >= message.height - 1
    return visit.score * (x2 - x1) * (y2 - y1) * (0.5 if cut else 1.0)
