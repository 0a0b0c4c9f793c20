"""Search recordings by words."""

from fastapi import Query, Request
from pydantic import BaseModel

from perception import clock
from perception.footage.catalog import Catalog
from perception.footage.finding import find, known
from perception.footage.query import parse
from perception.web.api.recordings import segment_id
from perception.web.permissions import Routes, who_of
from perception.web.site import Site
from perception.web.users_file import Who

api = Routes("search")
_MS = 1_000_000


class Found(BaseModel):
    """A track that a search found. segment, offset_s: where to see it."""

    camera: str
    what: str
    who: str
    zones: list[str]
    alert: bool
    from_ms: int
    to_ms: int
    segment: str
    offset_s: float


class Answer(BaseModel):
    """A search: how each word was understood, what was not, what fits (newest first)."""

    understood: list[tuple[str, str]]
    ignored: list[str]
    items: list[Found]


@api.add("GET", "/search", may="viewer", camera="filtered")
def search(
    request: Request,
    words: str = Query(max_length=300),
    limit: int = Query(50, ge=1, le=200),
) -> Answer:
    """Search who and what was recorded by words, as `perception search` does."""
    site: Site = request.app.state.site
    who = who_of(request)
    with site.catalog() as catalog:
        if catalog is None:
            return Answer(understood=[], ignored=[], items=[])
        query = parse(words, _known(site, who, catalog), clock.wall_ns())
        if who.cameras is not None and not query.cameras:
            query.cameras = set(who.cameras)
        found = find(catalog, query, limit)
    return Answer(
        understood=query.understood,
        ignored=query.ignored,
        items=[
            Found(
                camera=row.camera,
                what=row.class_name,
                who=row.who,
                zones=row.zones,
                alert=row.alerts > 0,
                from_ms=row.start_wall_ns // _MS,
                to_ms=row.end_wall_ns // _MS,
                segment=segment_id(row.segment),
                offset_s=max(0.0, clock.seconds(row.start_wall_ns - row.segment_wall_ns)),
            )
            for row in found
        ],
    )


def _known(site: Site, who: Who, catalog: Catalog) -> dict[str, list[str]]:
    """Return the names that a word may be: of the catalog, and of this line's cameras."""
    names = known(catalog)
    plans = [plan for name, plan in site.line.cameras.items() if who.sees(name)]
    names["class"] += [name for plan in plans for name in plan.objects or ()]
    names["zone"] += [name for plan in plans for name in plan.zones]
    names["camera"] = [name for name in names["camera"] if who.sees(name)]
    names["camera"] += [plan.name for plan in plans]
    return {kind: list(dict.fromkeys(found)) for kind, found in names.items()}
