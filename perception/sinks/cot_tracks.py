"""Tracks with a place as Cursor-on-Target events while a line runs: at a rate, never a queue.

Each turn has the newest place of every confirmed track; what could not be sent is replaced by the
next turn. Imports wire, errors, clock and this room.
"""

import threading
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from perception import clock
from perception.errors import SinkError
from perception.sinks.cot import Mark, written
from perception.sinks.cot_link import CotLink, CotType, LinkOptions, Stale
from perception.wire import CONFIRMED, REMOVED, Stamp, Track, TrackMessage, places, short_id

_RETRY_S = (1.0, 30.0)
"""Waits after a failure: the first, doubled each time, and the longest."""


class TrackOptions(LinkOptions):
    """Of `output: {cot: ...}`. every_s: time between two events of a track. most: events a turn and
    camera; the tracks with the best scores.

    types: CoT type by class name; cot_type for the others. stale_s: after its event.
    """

    every_s: Annotated[float, Field(ge=0.1, le=60.0)] = 1.0
    most: Annotated[int, Field(ge=1, le=1000)] = 100
    cot_type: CotType = "a-u-G"
    types: dict[str, CotType] = Field(default_factory=dict[str, CotType])
    stale_s: Stale = 10.0


class CotTracks:
    """Sends tracks in a thread. counters: events sent, left_out, replaced, failed."""

    def __init__(self, options: TrackOptions) -> None:
        self._options = options
        self._link = CotLink(options)
        self._begun: dict[str, dict[int, int]] = {}
        self._last: dict[str, int] = {}
        self._shown: dict[str, dict[int, Mark]] = {}
        self._waiting: dict[tuple[str, int], Mark] = {}
        self._lock, self._wake, self._end = threading.Lock(), threading.Event(), threading.Event()
        self.counters = {"sent": 0, "left_out": 0, "replaced": 0, "failed": 0}
        self.why = ""
        self._thread = threading.Thread(target=self._work, name="cot", daemon=True)
        self._thread.start()

    def take(self, message: TrackMessage) -> None:
        """Take one frame; its tracks are sent where the last turn of its camera is long enough ago.

        Tracks that have ended since are said to be stale at once.
        """
        camera, t_ns = message.stamp.camera, message.stamp.t_arrival_ns
        last = self._last.get(camera)
        if last is not None and 0 <= t_ns - last < clock.to_ns(self._options.every_s):
            return
        self._last[camera] = t_ns
        marks = self._marks(message)
        shown = self._shown.get(camera, {})
        alive = set(message.tracks.track_ids[message.tracks.states != REMOVED].tolist())
        ended = [_over(mark, message.stamp) for i, mark in shown.items() if i not in alive]
        kept = {i: mark for i, mark in shown.items() if i in alive}
        self._shown[camera] = {**kept, **{mark.track_id: mark for mark in marks}}
        begun = self._begun.get(camera, {})
        self._begun[camera] = {i: at for i, at in begun.items() if i in alive}
        with self._lock:
            for mark in (*marks, *ended):
                key = camera, mark.track_id
                self.counters["replaced"] += key in self._waiting
                self._waiting[key] = mark
        self._wake.set()

    def close(self) -> None:
        """Send what waits, within 1 s, and end."""
        self._end.set()
        self._wake.set()
        self._thread.join(1.0)

    def _marks(self, message: TrackMessage) -> list[Mark]:
        tracks, stamp = message.tracks, message.stamp
        known = np.isin(tracks.place_codes, (places.PLACE_GOOD, places.PLACE_FLAT))
        rows = np.flatnonzero((tracks.states == CONFIRMED) & known)
        rows = rows[np.argsort(-tracks.scores[rows], kind="stable")]
        self.counters["left_out"] += max(0, len(rows) - self._options.most)
        begun = self._begun.setdefault(stamp.camera, {})
        found: list[Mark] = []
        for row in rows[: self._options.most].tolist():
            track = tracks.row(row, message.names)
            first = begun.setdefault(track.track_id, stamp.t_wall_ns)
            if (mark := self._mark(track, stamp, first)) is not None:
                found.append(mark)
        return found

    def _mark(self, track: Track, stamp: Stamp, begun_ns: int) -> Mark | None:
        place, options = track.place, self._options
        if place is None:
            return None
        going = None
        if place.speed_m_s is not None and place.course_deg is not None:
            going = place.speed_m_s, place.course_deg
        note = f"; {place.reason}" if place.reason else ""
        return Mark(
            camera=stamp.camera,
            track_id=track.track_id,
            cot_type=options.types.get(track.class_name, options.cot_type),
            lat_deg=place.lat_deg,
            lon_deg=place.lon_deg,
            error_m=None if place.reason else place.major_m,
            seen_ns=stamp.t_wall_ns,
            begun_ns=begun_ns,
            stale_ns=stamp.t_wall_ns + clock.to_ns(options.stale_s),
            callsign=f"{track.class_name} {short_id(track.track_id)}",
            remarks=f"{stamp.camera}: score {track.score:.2f}{note}",
            going=going,
        )

    def _work(self) -> None:
        wait_s = _RETRY_S[0]
        while True:
            self._wake.wait()
            self._wake.clear()
            try:
                while (mark := self._next()) is not None:
                    self._link.send(written(mark))
                    self.counters["sent"] += 1
                self.why, wait_s = "", _RETRY_S[0]
            except SinkError as error:
                self.why = f"cot: {error}"
                self.counters["failed"] += 1
                self._end.wait(wait_s)
                wait_s = min(_RETRY_S[1], 2.0 * wait_s)
            if self._end.is_set():
                self._link.close()
                return

    def _next(self) -> Mark | None:
        with self._lock:
            if not self._waiting:
                return None
            return self._waiting.pop(next(iter(self._waiting)))


def _over(mark: Mark, stamp: Stamp) -> Mark:
    """Return the last event of a track: stale as it comes."""
    return replace(mark, seen_ns=stamp.t_wall_ns, stale_ns=stamp.t_wall_ns, going=None)
