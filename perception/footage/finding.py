"""Searching the catalog's tracks: what a query of words fits."""

import json

from perception.footage.catalog import Catalog
from perception.footage.query import Query
from perception.footage.rows import FoundRow


def known(catalog: Catalog) -> dict[str, list[str]]:
    """Return the names in a catalog by kind: class, camera, zone, who."""
    found = {
        kind: [name for (name,) in catalog.read(f"SELECT DISTINCT {column} FROM track")]
        for kind, column in (("class", "class_name"), ("camera", "camera"), ("who", "who"))
    }
    found["who"] = [name for name in found["who"] if name]
    zones = catalog.read("SELECT DISTINCT value FROM track, json_each(track.zones)")
    found["zone"] = [name for (name,) in zones]
    return found


def find(catalog: Catalog, query: Query, limit: int) -> list[FoundRow]:
    """Return tracks that fit, the newest first."""
    where, values = ["1"], list[str | int]()
    for column, names in (
        ("class_name", query.classes),
        ("camera", query.cameras),
        ("who", query.who),
    ):
        if names:
            where.append(f"{column} IN ({', '.join('?' * len(names))})")
            values += sorted(names)
    if query.from_wall_ns is not None:
        where.append("end_wall_ns >= ?")
        values.append(query.from_wall_ns)
    if query.to_wall_ns is not None:
        where.append("start_wall_ns < ?")
        values.append(query.to_wall_ns)
    if query.alerts:
        where.append("alerts > 0")
    for zone in sorted(query.zones):
        where.append("EXISTS (SELECT 1 FROM json_each(track.zones) WHERE value = ?)")
        values.append(zone)
    rows = catalog.each(
        f"SELECT * FROM track WHERE {' AND '.join(where)} ORDER BY start_wall_ns DESC", *values
    )
    found: list[FoundRow] = []
    for row in rows:
        named = dict(zip(FoundRow.__struct_fields__, row, strict=True))
        named["zones"] = json.loads(named["zones"])
        one = FoundRow(**named)
        if query.fits_clock(one.start_wall_ns, one.end_wall_ns):
            found.append(one)
            if len(found) >= limit:
                break
    return found
