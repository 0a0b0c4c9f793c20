"""Collects the data of a flight frame by frame: path of the camera, footprints, targets.

Memory is bounded: of a path that becomes too long, every second point is dropped. Imports wire.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from perception.wire import CONFIRMED, Alert, Place, TrackMessage, View, short_id

STEP_NS = 200_000_000
FOOTPRINT_NS = 2_000_000_000
MAX_POINTS, MAX_TARGETS, MAX_FOOTPRINTS = 4_000, 20_000, 400
WALL_BEGINS_NS = 1_000_000_000_000_000_000
"""An earlier wall time (before 2001) means unknown: analysis has no wall clock."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A point of a path. t_s: media time. utc_ns: None: unknown. picture: file name of a still."""

    t_s: float
    utc_ns: int | None
    lat_deg: float
    lon_deg: float
    height_m: float
    picture: str = ""


@dataclass(slots=True)
class Target:
    """One track on the map.

    place: newest position. best: that with the smallest ellipse. seen: number of frames with a
    detection. step_ns: media time between two points of the path.
    """

    track_id: int
    class_name: str
    score: float
    first: Fix
    last: Fix
    place: Place
    best: Place
    path: list[Fix] = field(default_factory=list[Fix])
    seen: int = 0
    step_ns: int = STEP_NS
    last_ns: int = -(1 << 62)


@dataclass(slots=True)
class Mark:
    """An alert on the map."""

    kind: str
    rule: str
    class_name: str
    track: int
    fix: Fix


class Flight:
    """The flight of one camera. stills: the frames are independent pictures: all are kept, and no
    line joins them. left_out: frames of targets beyond MAX_TARGETS.
    """

    def __init__(self, camera: str, *, stills: bool = False) -> None:
        self.camera, self.stills = camera, stills
        self.path: list[Fix] = []
        self.views: list[tuple[Fix, View]] = []
        self.view: View | None = None
        self.newest: Fix | None = None
        self.targets: dict[int, Target] = {}
        self.marks: list[Mark] = []
        self.frames = self.frames_placed = self.left_out = 0
        self._path_ns = self._view_ns = -(1 << 62)
        self._path_step, self._view_step = (0, 0) if stills else (STEP_NS, FOOTPRINT_NS)
        self._most_views = MAX_POINTS if stills else MAX_FOOTPRINTS

    def add(self, message: TrackMessage, alerts: Iterable[Alert] = (), picture: str = "") -> None:
        """Add one frame and the alerts raised with it. picture: file name of a still."""
        self.frames += 1
        stamp = message.stamp
        view = self.view = View.of(message.view.tolist())
        if view is None:
            self.newest = None
            return
        self.frames_placed += 1
        wall = stamp.t_wall_ns if stamp.t_wall_ns > WALL_BEGINS_NS else None
        utc_ns = view.utc_ns or wall
        t_ns, t_s = stamp.t_media_ns, stamp.t_media_ns / 1e9
        self.newest = Fix(t_s, utc_ns, view.lat_deg, view.lon_deg, view.height_m, picture)
        if t_ns - self._path_ns >= self._path_step:
            self._path_ns = t_ns
            self.path.append(self.newest)
            if len(self.path) > MAX_POINTS:
                del self.path[1::2]
                self._path_step = max(STEP_NS, 2 * self._path_step)
        if t_ns - self._view_ns >= self._view_step and (self.stills or view.corners is not None):
            self._view_ns = t_ns
            self.views.append((self.newest, view))
            if len(self.views) > self._most_views:
                del self.views[1::2]
                self._view_step = max(STEP_NS, 2 * self._view_step)
        for row in (message.tracks.states == CONFIRMED).nonzero()[0].tolist():
            self._target(message, row, t_ns, utc_ns, picture)
        self._mark(alerts, t_s, utc_ns)

    def _target(
        self, message: TrackMessage, row: int, t_ns: int, utc_ns: int | None, picture: str
    ) -> None:
        track = message.tracks.row(row, message.names)
        place = track.place
        if place is None:
            return
        fix = Fix(t_ns / 1e9, utc_ns, place.lat_deg, place.lon_deg, place.height_m, picture)
        target = self.targets.get(track.track_id)
        if target is None:
            if len(self.targets) >= MAX_TARGETS:
                self.left_out += 1
                return
            target = Target(track.track_id, track.class_name, track.score, fix, fix, place, place)
            self.targets[track.track_id] = target
        target.class_name, target.score = track.class_name, max(target.score, track.score)
        target.last, target.place = fix, place
        target.seen += int(message.tracks.detection_rows[row] >= 0)
        if place.major_m <= target.best.major_m:
            target.best = place
        if t_ns - target.last_ns >= target.step_ns:
            target.last_ns = t_ns
            target.path.append(fix)
            if len(target.path) > MAX_POINTS // 4:
                del target.path[1::2]
                target.step_ns *= 2

    def _mark(self, alerts: Iterable[Alert], t_s: float, utc_ns: int | None) -> None:
        for alert in alerts:
            lat, lon = alert.details.get("lat"), alert.details.get("lon")
            if isinstance(lat, float) and isinstance(lon, float) and len(self.marks) < MAX_TARGETS:
                fix = Fix(t_s, utc_ns, lat, lon, 0.0)
                track = short_id(alert.track_id)
                self.marks.append(Mark(alert.kind, alert.rule, alert.class_name, track, fix))


def ring(place: Place, corners: int = 36) -> list[tuple[float, float]]:
    """Return the 95 % ellipse as a closed, counter-clockwise polygon of (lon, lat), degrees."""
    turn = math.radians(place.bearing_deg)
    per_lat = 111_320.0
    per_lon = max(per_lat * math.cos(math.radians(place.lat_deg)), 1.0)
    points: list[tuple[float, float]] = []
    for k in range(corners + 1):
        angle = 2.0 * math.pi * (k % corners) / corners
        along, across = place.major_m * math.cos(angle), place.minor_m * math.sin(angle)
        east = along * math.sin(turn) - across * math.cos(turn)
        north = along * math.cos(turn) + across * math.sin(turn)
        points.append((place.lon_deg + east / per_lon, place.lat_deg + north / per_lat))
    return points


def parts(points: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Return a line of (lon, lat) split at the antimeridian, as RFC 7946, 3.1.9 requires."""
    found: list[list[tuple[float, float]]] = []
    for lon, lat in points:
        lon = (lon + 180.0) % 360.0 - 180.0
        if found and abs(lon - found[-1][-1][0]) > 180.0:
            last_lon, last_lat = found[-1][-1]
            edge = 180.0 if last_lon > 0 else -180.0
            span = 360.0 - abs(lon - last_lon)
            share = abs(edge - last_lon) / span if span else 0.0
            at = last_lat + share * (lat - last_lat)
            found[-1].append((edge, at))
            found.append([(-edge, at)])
        elif not found:
            found.append([])
        found[-1].append((lon, lat))
    return found
