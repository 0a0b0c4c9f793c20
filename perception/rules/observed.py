"""What rules share: which tracks of a message count, their position, and the time.

Imports wire, kernels, errors.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from perception import clock
from perception.errors import ConfigError, unknown
from perception.kernels import polygons
from perception.rules.hours import Hours
from perception.rules.zones import Zone
from perception.wire import CONFIRMED, Track, TrackMessage

Place = TypeVar("Place")
Fraction = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, le=86_400.0, allow_inf_nan=False)]

FORGET_NS = 30 * clock.NS_PER_S
"""How long a track that is no longer in the messages is remembered."""


class Filter(Hours):
    """Options of every rule: which tracks count, and when.

    objects: class names; none given: all. min_score: detection score. min_height, max_height: box
    height as a fraction of the picture's. min_km_h: speed over the ground, of cameras with a
    `calibration:`; a vehicle's own motion is taken off where it is known. required_zones: the track
    was in each of them before. A track that has passed once keeps counting, whatever its later
    scores. Outside the hours no event begins.
    """

    objects: tuple[str, ...] = ()
    min_score: Fraction = 0.0
    min_height: Fraction = 0.0
    max_height: Fraction = 1.0
    min_km_h: Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)] = 0.0
    required_zones: tuple[str, ...] = ()


class TrackSelector:
    """Applies a Filter; remembers which tracks were in the required zones."""

    def __init__(self, options: Filter, zones: Mapping[str, Zone]) -> None:
        self._options = options
        self._required = [place(name, zones, "zone") for name in options.required_zones]
        self._visited: dict[int, tuple[int, int]] = {}

    def rows(self, message: TrackMessage, t_ns: int) -> NDArray[np.bool_]:
        """Return which tracks were detected in this frame and pass the filter: bool (M,)."""
        tracks, options = message.tracks, self._options
        chosen = seen(message)
        heights = (tracks.boxes[:, 3] - tracks.boxes[:, 1]) / message.height
        chosen &= (tracks.scores >= options.min_score) & (heights >= options.min_height)
        if options.max_height < 1.0:
            chosen &= heights <= options.max_height
        if options.min_km_h > 0.0:
            chosen &= np.nan_to_num(km_h(message)) >= options.min_km_h
        if options.objects:
            names = {i for i, name in message.names.items() if name in options.objects}
            chosen &= np.isin(tracks.class_ids, sorted(names))
        if self._required:
            chosen &= self._has_visited(message, t_ns)
        return chosen if self.active(message) else np.zeros_like(chosen)

    def active(self, message: TrackMessage) -> bool:
        """Return whether the rule is active at the wall time of this frame."""
        return self._options.active(message.stamp.t_wall_ns)

    def _has_visited(self, message: TrackMessage, t_ns: int) -> NDArray[np.bool_]:
        """Note which tracks are in which required zone; return which were in all: bool (M,)."""
        points, visible = feet(message), seen(message)
        done = np.zeros(len(points), np.bool_)
        size = message.width, message.height
        inside = [polygons.inside(points, zone.pixels(*size)) for zone in self._required]
        for row, track_id in enumerate(message.tracks.track_ids.tolist()):
            bits = self._visited.get(track_id, (0, 0))[0]
            for bit, mask in enumerate(inside):
                bits |= bool(mask[row] and visible[row]) << bit
            self._visited[track_id] = bits, t_ns
            done[row] = bits == (1 << len(inside)) - 1
        limit_ns = t_ns - FORGET_NS
        self._visited = {i: v for i, v in self._visited.items() if v[1] >= limit_ns}
        return done

    def state(self) -> dict[str, list[int]]:
        """Return the state that `restore` takes, as JSON values."""
        return {str(i): list(v) for i, v in self._visited.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state that `state` returned. Raises ValueError where it is not such a state."""
        self._visited = {int(i): (int(bits), int(t)) for i, (bits, t) in state.items()}


def seen(message: TrackMessage) -> NDArray[np.bool_]:
    """Return which tracks were detected in this frame: bool (M,)."""
    return (message.tracks.states <= CONFIRMED) & (message.tracks.unseen_s <= 0.0)


def km_h(message: TrackMessage) -> NDArray[np.float64]:
    """Return the speed of every track over the ground in km/h: float64 (M,), NaN: not known.

    Of a camera that moves, its own motion is taken off where user code said it: a still object
    seen from a vehicle that turns left moves to the right by yaw rate times distance.
    """
    metres = message.tracks.metres.astype(np.float64)
    own, yaw = message.own_speed_m_s or 0.0, message.own_yaw_rate or 0.0
    right = metres[:, 2] - yaw * metres[:, 1]
    ahead = metres[:, 3] + own + yaw * metres[:, 0]
    known = (metres[:, 5] > 0.0) & (metres[:, 7] > 0.0)
    return np.where(known, np.hypot(right, ahead) * 3.6, np.nan)


def about_speed(message: TrackMessage, track_id: int) -> dict[str, float]:
    """Return `km_h` of a track for an event's details; nothing where it is not known."""
    rows = np.flatnonzero(message.tracks.track_ids == track_id)
    speed = float(km_h(message)[rows[0]]) if len(rows) else float("nan")
    return {} if np.isnan(speed) else {"km_h": round(speed, 1)}


def feet(message: TrackMessage) -> NDArray[np.float64]:
    """Return the bottom centre of every box: float64 (M, 2) px."""
    boxes = message.tracks.boxes.astype(np.float64)
    return np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]], axis=1)


def track_at(message: TrackMessage, row: int) -> Track:
    """Return one row as a Track."""
    return message.tracks.row(row, message.names)


def place(name: str, places: Mapping[str, Place], what: str) -> Place:
    """Return the zone or line of this name; ConfigError with the nearest where there is none."""
    if name not in places:
        raise ConfigError(unknown(name, places, f"{what}s of this camera"), key=what)
    return places[name]


class PictureSize:
    """Tells when a camera's picture changes its size: what a rule remembers in px has to follow."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def change(self, message: TrackMessage) -> NDArray[np.float64] | None:
        """Return the affine float64 (2, 3), px of the last picture to this one; None: same size."""
        last, self._size = self._size, (message.width, message.height)
        if last is None or last == self._size:
            return None
        return message.warp.astype(np.float64)


class Timeline:
    """A media time that never falls, also across restarts of the camera.

    A new camera epoch (high half of frame_id) can begin at any media time. Its first frame gets the
    time of the last frame before it.
    """

    def __init__(self) -> None:
        self._offset_ns = 0
        self._last: tuple[int, int] | None = None

    def advance(self, message: TrackMessage) -> int:
        """Return the time of this frame in ns."""
        t_ns, epoch = message.stamp.t_media_ns, message.stamp.frame_id >> 32
        if self._last is not None:
            last_ns, last_epoch = self._last
            if epoch != last_epoch or t_ns + self._offset_ns < last_ns:
                self._offset_ns = last_ns - t_ns
        self._last = t_ns + self._offset_ns, epoch
        return self._last[0]

    def state(self) -> list[int]:
        """Return offset, last time and epoch; empty before the first frame."""
        return [self._offset_ns, *self._last] if self._last is not None else []

    def restore(self, state: Any) -> None:
        """Set the state that `state` returned. Raises ValueError where it is not such a state."""
        if not state:
            self._offset_ns, self._last = 0, None
            return
        offset, t_ns, epoch = (int(part) for part in state)
        self._offset_ns, self._last = offset, (t_ns, epoch)
