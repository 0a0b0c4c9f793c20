"""What is known of each track, for the search: class, time, zones, who, colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from perception.clock import NS_PER_S
from perception.footage.rows import TrackRow
from perception.wire import CONFIRMED, REMOVED, TrackMessage

_EVERY_NS = NS_PER_S
_MAX_KNOWN = 10_000


class SeenTracks:
    """Turns track messages of one camera into rows; a track's row is renewed once a second.

    zones: by name, as the plan has them: {"points": [[x, y], ...]} in fractions of the picture.
    """

    def __init__(self, zones: Mapping[str, Any]) -> None:
        self.zones = zones
        self._rows: dict[int, TrackRow] = {}
        self._told_ns: dict[int, int] = {}

    @property
    def zones(self) -> Mapping[str, Any]:
        """The zones as the plan has them."""
        return self._given

    @zones.setter
    def zones(self, zones: Mapping[str, Any]) -> None:
        self._given = zones
        self._zones = {
            name: [(float(x), float(y)) for x, y in zone["points"]] for name, zone in zones.items()
        }

    def take(self, message: TrackMessage) -> list[TrackRow]:
        """Return the rows that are new or due after a frame."""
        tracks, wall_ns = message.tracks, message.stamp.t_wall_ns
        due: list[TrackRow] = []
        for at in np.flatnonzero(tracks.states != REMOVED):
            track_id = int(tracks.track_ids[at])
            row = self._rows.get(track_id)
            if tracks.states[at] != CONFIRMED:
                continue
            if row is None:
                class_id = int(tracks.class_ids[at])
                row = TrackRow(
                    track_id=track_id,
                    class_name=message.names.get(class_id, str(class_id)),
                    start_wall_ns=wall_ns,
                    end_wall_ns=wall_ns,
                )
            zones = self._zones_of(tracks.boxes[at], message.width, message.height, row.zones)
            row = msgspec.structs.replace(row, end_wall_ns=wall_ns, zones=zones)
            self._rows[track_id] = row
            if wall_ns - self._told_ns.get(track_id, 0) >= _EVERY_NS:
                self._told_ns[track_id] = wall_ns
                due.append(row)
        while len(self._rows) > _MAX_KNOWN:
            oldest = next(iter(self._rows))
            del self._rows[oldest]
            self._told_ns.pop(oldest, None)
        for at in np.flatnonzero(tracks.states == REMOVED):
            gone = self._rows.get(int(tracks.track_ids[at]))
            if gone is not None and self._told_ns.pop(gone.track_id, None) is not None:
                due.append(gone)
        return due

    def identify(self, track_id: int, who: str) -> None:
        """Note who a track is."""
        self._change(track_id, who=who)

    def coloured(self, track_id: int, upper: str, lower: str) -> None:
        """Note the colours of a track."""
        self._change(track_id, upper=upper, lower=lower)

    def alerted(self, track_id: int) -> None:
        """Count an alert of a track."""
        row = self._rows.get(track_id)
        self._change(track_id, alerts=row.alerts + 1 if row is not None else 1)

    def _change(self, track_id: int, **values: Any) -> None:
        row = self._rows.get(track_id)
        if row is not None:
            self._rows[track_id] = msgspec.structs.replace(row, **values)
            self._told_ns[track_id] = 0

    def _zones_of(self, box: Any, width: int, height: int, known: list[str]) -> list[str]:
        if len(known) == len(self._zones):
            return known
        foot = float(box[0] + box[2]) / 2 / width, float(box[3]) / height
        more = [n for n, zone in self._zones.items() if n not in known and _inside(foot, zone)]
        return [*known, *more]


def _inside(point: tuple[float, float], polygon: Sequence[tuple[float, float]]) -> bool:
    """Whether a point is inside a polygon: an odd number of edges to its right.

    kernels.polygons would bring Numba into the recorder: 100 MB for a few points a second.
    """
    x, y = point
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside
