"""Puts the tracks of one camera on the ground: `place` once a frame, after tracking.

Imports the rest of this room, kernels and wire.
"""

import math

import numpy as np
from numpy.typing import NDArray

from perception.geo.camera import Eye, Feed, eye_at
from perception.geo.options import MapOptions
from perception.geo.pose import angles_of
from perception.geo.terrain import Terrain, read_terrain
from perception.kernels import ground
from perception.kernels.ground_filter import (
    STATE,
    _update_tracks,  # pyright: ignore[reportPrivateUsage]
)
from perception.wire import REMOVED, TrackMessage, places

_CODE = np.zeros(6, np.uint8)
_CODE[ground.FOUND] = places.PLACE_GOOD
_CODE[ground.ABOVE_HORIZON] = places.ABOVE
_CODE[ground.OUTSIDE] = places.OUTSIDE
_CODE[ground.TOO_FAR] = places.FAR
_CODE[ground.BELOW_GROUND] = places.UNDER
_CODE[ground.NOT_FINITE] = places.INVALID


class Placer:
    """Keeps the places of one camera's tracks over time. reasons: frames by why nothing is placed.

    Raises ConfigError where the terrain cannot be read.
    """

    def __init__(self, feed: Feed, options: MapOptions) -> None:
        self._feed, self._options = feed, options
        path = options.ground.path
        self._terrain = read_terrain(path) if path is not None else None
        self._at = self._terrain.at(options.max_range_m) if self._terrain else None
        self._ids, self._states = np.empty(0, np.int64), np.empty((0, STATE))
        self.reasons: dict[str, int] = {}

    def place(self, message: TrackMessage) -> None:
        """Write places, place_codes and view of a message.

        Where the camera is not known its tracks have no place, never an old one.
        """
        t_ns = message.stamp.t_media_ns
        eye, why = eye_at(self._feed, self._options, t_ns, message.width, message.height)
        count = len(message.tracks)
        message.tracks.places = np.zeros((count, 9))
        message.tracks.place_codes = np.full(count, why, np.uint8)
        message.view = np.zeros(places.VIEW_WIDTH)
        message.view[0] = why
        if eye is None:
            name = places.REASONS[why]
            self.reasons[name] = self.reasons.get(name, 0) + 1
            return
        self._look(message, eye)
        self._tracks(message, eye, t_ns)

    def locate(self, eye: Eye, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows of kernels.ground for points (N, 2) px."""
        if self._terrain is not None and self._at is not None:
            grid, at = self._terrain.heights, self._at
        else:
            flat = Terrain.flat(eye.ground_m or 0.0)
            grid, at = flat.heights, flat.at(self._options.max_range_m)
        return ground.locate(points, eye.lens, eye.pose, eye.errors, eye.noise, grid, at)

    def _tracks(self, message: TrackMessage, eye: Eye, t_ns: int) -> None:
        tracks = message.tracks
        rows = self.locate(eye, feet_of(tracks.boxes, eye))
        codes = _CODE[rows[:, ground.CODE].astype(np.int64)]
        flat = rows[:, ground.DEPRESSION] < math.radians(self._options.min_depression_deg)
        codes[(codes == places.PLACE_GOOD) & flat] = places.PLACE_FLAT
        found = (codes == places.PLACE_GOOD) | (codes == places.PLACE_FLAT)
        taken = found & (tracks.detection_rows >= 0)
        ids = np.ascontiguousarray(tracks.track_ids, np.int64)
        states, out = np.zeros((len(ids), STATE)), np.zeros((len(ids), 9))
        seen = np.ascontiguousarray(rows[:, :9])
        _update_tracks(self._ids, self._states, ids, seen, taken, t_ns / 1e9, states, out)
        self._ids, self._states = ids, states
        told = (out[:, 8] > 0.0) & (tracks.states != REMOVED)
        out[:, :2] = np.degrees(out[:, :2])
        out[~told] = 0.0
        if self._feed.alone:
            out[:, 6:] = 0.0  # one picture says nothing of a velocity
        codes[~told & found] = places.UNSEEN
        codes[told & ~found] = places.PLACE_GOOD
        tracks.places, tracks.place_codes = out, codes

    def _look(self, message: TrackMessage, eye: Eye) -> None:
        width, height, state = message.width, message.height, eye.state
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
        middle = np.array([(width / 2, height / 2)])
        rows = self.locate(eye, np.vstack([corners, middle]))
        below = eye.ground_m if eye.ground_m is not None else float(rows[4, ground.HEIGHT])
        met = rows[:4, ground.CODE] == ground.FOUND
        edge = np.where(met[:, None], np.degrees(rows[:4, :2]), 0.0)
        utc_s = 0.0 if state.utc_ns is None else state.utc_ns / 1e9
        lat, lon = state.lat_deg or 0.0, state.lon_deg or 0.0
        head = (lat, lon, eye.height_m, eye.height_m - below, *angles_of(eye.body), utc_s)
        message.view[:] = (places.PLACE_GOOD, *head, eye.hfov_deg, *edge.ravel())


def feet_of(boxes: NDArray[np.float32], eye: Eye) -> NDArray[np.float64]:
    """Return where objects touch the ground: float64 (M, 2) px.

    The lower edge's middle for a camera that looks ahead, the box's middle for one that looks down.
    """
    level = math.sqrt(max(0.0, 1.0 - float(eye.body[2, 0]) ** 2))
    left, top, right, bottom = boxes.astype(np.float64).T
    feet = np.empty((len(boxes), 2))
    feet[:, 0] = (left + right) / 2.0
    feet[:, 1] = (top + bottom) / 2.0 + (bottom - top) / 2.0 * level
    return feet
