"""The timeline: what is recorded, lost and alerted of a time, camera by camera."""

from typing import Any

import msgspec
from fastapi import Query, Request, Response
from pydantic import BaseModel

from perception import clock
from perception.footage import timeline as times
from perception.footage.catalog import Catalog
from perception.web.permissions import Routes, who_of
from perception.web.problems import Problem
from perception.web.site import Site

api = Routes("recordings")
_MS = 1_000_000
_JOIN_NS = 2 * clock.NS_PER_S
"""Segments that are no further apart are one span."""
MAX_DAYS = 32


class Span(BaseModel):
    """From when to when, ms UTC."""

    from_ms: int
    to_ms: int


class Loss(Span):
    """Packets that were not recorded."""

    cause: str


class Mark(BaseModel):
    """The first alert of a step of the timeline. count: of all in that step."""

    at_ms: int
    key: str
    rule: str
    kind: str
    count: int


class Row(BaseModel):
    """A camera's part of the timeline. busy: how many objects came in each step of the time."""

    camera: str
    recorded: list[Span]
    lost: list[Loss]
    alerts: list[Mark]
    busy: list[int]


class Timeline(BaseModel):
    """What there is of a time, camera by camera. step_ms: length of a step of `busy`."""

    from_ms: int
    to_ms: int
    step_ms: int
    rows: list[Row]


@api.add("GET", "/recordings/timeline", may="viewer", camera="filtered", response_model=Timeline)
def timeline(
    request: Request,
    from_ms: int = Query(ge=0, lt=1 << 43),
    to_ms: int = Query(ge=0, lt=1 << 43),
    steps: int = Query(288, ge=1, le=2000),
) -> Response:
    """Return what there is between two times, at most 32 days.

    Gaps that are shorter than a 16th of a step are not told.
    """
    if not from_ms < to_ms <= from_ms + MAX_DAYS * 86_400_000:
        raise Problem(422, f"from_ms before to_ms, and at most {MAX_DAYS} days")
    site: Site = request.app.state.site
    who = who_of(request)
    step_ms = max(1, -(-(to_ms - from_ms) // steps))
    with site.catalog() as catalog:
        rows = [
            _row(site, catalog, name, from_ms, to_ms, step_ms)
            for name in site.line.cameras
            if who.sees(name)
        ]
    whole = {"from_ms": from_ms, "to_ms": to_ms, "step_ms": step_ms, "rows": rows}
    # A month has thousands of spans: they are not checked once more by the models.
    return Response(msgspec.json.encode(whole), media_type="application/json")


def _row(
    site: Site, catalog: Catalog | None, camera: str, from_ms: int, to_ms: int, step_ms: int
) -> dict[str, Any]:
    """Return a camera's row as the fields of Row."""
    start, end, step = from_ms * _MS, to_ms * _MS, step_ms * _MS
    alerts = [
        {"at_ms": at_ns // _MS, "key": key, "rule": rule, "kind": kind, "count": count}
        for key, rule, kind, at_ns, count in site.alerts().marks(camera, start, end, step)
    ]
    row: dict[str, Any] = {"camera": camera, "recorded": [], "lost": [], "busy": []}
    row["alerts"] = alerts
    if catalog is None:
        return row
    join = max(_JOIN_NS, step // 16)
    row["recorded"] = [
        {"from_ms": begin // _MS, "to_ms": until // _MS}
        for begin, until in times.spans(catalog, camera, start, end, join)
    ]
    row["lost"] = [
        {"from_ms": one.from_wall_ns // _MS, "to_ms": one.to_wall_ns // _MS, "cause": one.cause}
        for one in times.losses(catalog, camera, start, end)
    ]
    row["busy"] = times.busy(catalog, camera, start, end, step)
    return row
