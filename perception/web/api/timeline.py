"""The timeline: what is recorded, lost and alerted of a time, camera by camera."""

from fastapi import Query, Request
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
    """An alert on the timeline."""

    at_ms: int
    key: str
    rule: str
    kind: str


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


@api.add("GET", "/recordings/timeline", may="viewer", camera="filtered")
def timeline(
    request: Request,
    from_ms: int = Query(ge=0, lt=1 << 43),
    to_ms: int = Query(ge=0, lt=1 << 43),
    steps: int = Query(288, ge=1, le=2000),
) -> Timeline:
    """Return what there is between two times, at most 32 days."""
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
    return Timeline(from_ms=from_ms, to_ms=to_ms, step_ms=step_ms, rows=rows)


def _row(
    site: Site, catalog: Catalog | None, camera: str, from_ms: int, to_ms: int, step_ms: int
) -> Row:
    row = Row(camera=camera, recorded=[], lost=[], alerts=[], busy=[])
    start, end = from_ms * _MS, to_ms * _MS
    for alert in site.alerts().between(camera, start, end):
        begun = alert.start_t_wall_ns // _MS
        row.alerts.append(Mark(at_ms=begun, key=alert.key, rule=alert.rule, kind=alert.kind))
    if catalog is None:
        return row
    for from_ns, to_ns in times.spans(catalog, camera, start, end, _JOIN_NS):
        row.recorded.append(Span(from_ms=from_ns // _MS, to_ms=to_ns // _MS))
    for loss in catalog.losses(camera):
        if loss.to_wall_ns >= start and loss.from_wall_ns < end:
            row.lost.append(
                Loss(
                    from_ms=loss.from_wall_ns // _MS,
                    to_ms=loss.to_wall_ns // _MS,
                    cause=loss.cause,
                )
            )
    row.busy = times.busy(catalog, camera, start, end, step_ms * _MS)
    return row
