"""Searching the catalog's tracks: what a query of words fits.

A search reads rows in the order of an index, newest first, until it has enough; where several parts
of an index fit (a class at each of 8 cameras) they are read side by side. So a rare thing is not
looked for among all others, and the hours of a day are looked up day by day.
"""

import heapq
import json
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

from perception.footage.catalog import Catalog
from perception.footage.query import Query
from perception.footage.rows import FoundRow
from perception.footage.track_table import LONG, LONG_NS, code, colour

_MANY_SPANS, _FEW = 20, 5_000
_MOST_PARTS = 200
"""Parts of an index that are read side by side; with more, all tracks are read by time."""
_LONG = LONG.replace("end_wall_ns", "t.end_wall_ns").replace("start_wall", "t.start_wall")
_COLUMNS = (
    "t.start_wall_ns, t.id, t.camera, t.track_id, t.class_name, t.end_wall_ns, t.zones, t.who, "
    "t.alerts, t.upper, t.lower, t.segment"
)


class _Part(NamedTuple):
    """A part of an index. place: tables in FROM. start: the column that it is ordered by.

    all_tracks, their: the same condition on the table `track` alone, without zones.
    """

    place: str
    start: str
    where: str
    values: list[Any]
    all_tracks: str
    their: list[Any]


class _Times(NamedTuple):
    """When tracks were seen, wall ns. starts: of all, in order; long: from and to of long ones."""

    starts: list[int]
    long: list[tuple[int, int]]

    def meets(self, start: int, end: int) -> bool:
        """Whether one may have been seen between two times."""
        at = bisect_left(self.starts, start - LONG_NS)
        near = at < len(self.starts) and self.starts[at] < end
        return near or any(a < end and b >= start for a, b in self.long)


def known(catalog: Catalog) -> dict[str, list[str]]:
    """Return the names in a catalog by kind: class, camera, zone, who."""
    classes = _distinct(catalog, "track", "class_name")
    cameras = {c for kind in classes for c in _distinct(catalog, "track", "camera", kind)}
    return {
        "class": classes,
        "camera": sorted(cameras),
        "who": _distinct(catalog, "track", "who", where="who <> ''"),
        "zone": _distinct(catalog, "track_zone", "zone"),
    }


def _distinct(
    catalog: Catalog, table: str, column: str, kind: str | None = None, where: str = "1"
) -> list[str]:
    """Return the values of a column one after the other from an index; kind: of that class."""
    found: list[str] = []
    last = ""
    while True:
        rows = catalog.read(
            f"SELECT min({column}) FROM {table} WHERE {column} > ?1 AND {where}"
            + (" AND class_name = ?2" if kind is not None else ""),
            *((last, kind) if kind is not None else (last,)),
        )
        if rows[0][0] is None:
            return found
        last = rows[0][0]
        found.append(last)


def find(catalog: Catalog, query: Query, limit: int) -> list[FoundRow]:
    """Return tracks that fit, the newest first."""
    ends = catalog.read("SELECT min(start_wall_ns) FROM track")[0][0]
    if ends is None:
        return []
    newest = catalog.read("SELECT max(start_wall_ns) FROM track")[0][0] + LONG_NS
    lasting = catalog.read(f"SELECT max(end_wall_ns) FROM track WHERE {LONG}")[0][0] or 0
    rest, values = _rest(query)
    parts = _parts(catalog, query)
    found: dict[int, tuple[Any, ...]] = {}
    spans = list(query.spans(ends, max(newest, lasting)))
    times = _times(catalog, parts) if len(spans) > _MANY_SPANS else None
    for start, end in spans:
        bounded = query.from_wall_ns is not None or start > ends
        rows = [
            stream
            for n, part in enumerate(parts)
            if times is None or times[n].meets(start, end)
            for stream in _streams(catalog, part, rest, values, start if bounded else None, end)
        ]
        for row in heapq.merge(*rows, reverse=True):
            found.setdefault(row[1], row)
            if len(found) >= limit:
                break
        if len(found) >= limit:
            break
    return [_found(catalog, row) for row in sorted(found.values(), reverse=True)]


def _times(catalog: Catalog, parts: list[_Part]) -> list[_Times] | None:
    """Return when the tracks of each part were seen.

    For few tracks, of which the index alone is read: a rare class is not looked for on each of a
    hundred days. None where there are many.
    """
    found: list[_Times] = []
    for part in parts:
        if "INDEXED BY track_kind" not in part.place:
            return None
        starts = catalog.read(
            f"SELECT {part.start} FROM {part.place} WHERE {part.where} LIMIT ?",
            *part.values, _FEW + 1,
        )  # fmt: skip
        long = catalog.read(
            "SELECT t.start_wall_ns, t.end_wall_ns FROM track t INDEXED BY track_long "
            f"WHERE {_LONG} AND {part.all_tracks} LIMIT ?",
            *part.their, _FEW + 1,
        )  # fmt: skip
        found.append(_Times(sorted(start for (start,) in starts), long))
        if sum(len(one.starts) + len(one.long) for one in found) > _FEW:
            return None
    return found


def with_id(catalog: Catalog, track_id: int) -> FoundRow | None:
    """Return a track by its id, of any camera; None where there is none."""
    rows = [
        row
        for camera in known(catalog)["camera"]
        for row in catalog.read(
            f"SELECT {_COLUMNS} FROM track t WHERE camera = ? AND track_id = ?", camera, track_id
        )
    ]
    return _found(catalog, rows[0]) if rows else None


def _streams(
    catalog: Catalog, part: _Part, rest: str, values: list[Any], start: int | None, end: int
) -> Iterator[Iterator[tuple[Any, ...]]]:
    """Yield the rows of a part that were seen between two times, newest first.

    start None: from the first on. Those that last long are a stream of their own.
    """
    select = f"SELECT {_COLUMNS} FROM {part.place} WHERE {part.where} AND {rest}"
    order = f"ORDER BY {part.start} DESC"
    given = [*part.values, *values]
    if start is None:
        yield catalog.each(f"{select} AND {part.start} < ? {order}", *given, end)
        return
    yield catalog.each(
        f"{select} AND {part.start} >= ? AND {part.start} < ? AND t.end_wall_ns >= ? {order}",
        *given, start - LONG_NS, end, start,
    )  # fmt: skip
    yield catalog.each(
        f"SELECT {_COLUMNS} FROM track t INDEXED BY track_long WHERE {_LONG} AND "
        f"{part.all_tracks} AND {rest} AND t.start_wall_ns < ? AND t.end_wall_ns >= ? "
        "ORDER BY t.start_wall_ns DESC",
        *part.their, *values, min(start - LONG_NS, end), start,
    )  # fmt: skip


def _rest(query: Query) -> tuple[str, list[Any]]:
    """Return the conditions of a query besides time, and their values."""
    where, values = ["1"], list[Any]()
    for column, names in (
        ("class_name", query.classes),
        ("camera", query.cameras),
        ("who", query.who),
    ):
        if names:
            where.append(f"t.{column} IN ({', '.join('?' * len(names))})")
            values += sorted(names)
    if query.alerts:
        where.append("t.alerts > 0")
    for zone in sorted(query.zones):
        where.append(
            "EXISTS (SELECT 1 FROM track_zone o WHERE o.zone = ? AND o.class_name = t.class_name "
            "AND o.start_wall_ns = t.start_wall_ns AND o.track = t.id)"
        )
        values.append(zone)
    for name in sorted(query.colours):
        where.append("? IN (t.upper, t.lower)")
        values.append(code(name))
    return " AND ".join(where), values


def _parts(catalog: Catalog, query: Query) -> list[_Part]:
    """Return the parts of that index which is likely to have the fewest rows of a query."""
    if query.who:
        place, where = "track t INDEXED BY track_who", "t.who = ? AND t.who <> ''"
        return [
            _Part(place, "t.start_wall_ns", where, [who], where, [who]) for who in sorted(query.who)
        ]
    classes = sorted(query.classes)
    if query.zones:
        zone = min(query.zones)
        kinds = classes or _distinct(catalog, "track", "class_name")
        return [
            _Part(
                "track_zone z CROSS JOIN track t ON t.id = z.track", "z.start_wall_ns",
                "z.zone = ? AND z.class_name = ?", [zone, kind], "t.class_name = ?", [kind],
            )
            for kind in kinds
        ]  # fmt: skip
    index = "track_alert" if query.alerts else "track_kind"
    if classes or query.cameras or query.alerts:
        pairs = [
            (kind, camera)
            for kind in classes or _distinct(catalog, "track", "class_name")
            for camera in sorted(query.cameras) or _distinct(catalog, "track", "camera", kind)
        ]
        where = "t.class_name = ? AND t.camera = ?" + (" AND t.alerts > 0" * query.alerts)
        if len(pairs) <= _MOST_PARTS:
            place = f"track t INDEXED BY {index}"
            return [
                _Part(place, "t.start_wall_ns", where, [*pair], where, [*pair]) for pair in pairs
            ]
    return [_Part("track t INDEXED BY track_time", "t.start_wall_ns", "1", [], "1", [])]


def _found(catalog: Catalog, row: tuple[Any, ...]) -> FoundRow:
    start, _, camera, track_id, class_name, end, zones, who, alerts, upper, lower, segment = row
    places = catalog.read("SELECT path, start_wall_ns FROM segment WHERE id = ?", segment)
    path, segment_wall_ns = places[0] if places else ("", start)
    return FoundRow(
        camera=camera, track_id=track_id, class_name=class_name, start_wall_ns=start,
        end_wall_ns=end, zones=json.loads(zones or "[]"), who=who, alerts=alerts,
        upper=colour(upper), lower=colour(lower), segment=path, segment_wall_ns=segment_wall_ns,
    )  # fmt: skip
