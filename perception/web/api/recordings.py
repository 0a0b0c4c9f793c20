"""Recordings: how much there is, a segment's video and picture, its protection."""

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Literal

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from perception import clock
from perception.footage import timeline as times
from perception.footage.catalog import Catalog
from perception.footage.rows import SegmentRow
from perception.web.files import send_file
from perception.web.permissions import Routes, who_of
from perception.web.problems import Problem, not_found
from perception.web.site import Site

api = Routes("recordings")
_MS = 1_000_000


class Segment(BaseModel):
    """A recorded segment. objects: how many of each class came."""

    id: str
    camera: str
    from_ms: int
    to_ms: int
    bytes: int
    codec: str
    width: int
    height: int
    objects: dict[str, int]
    alerts: int
    protected: bool
    has_picture: bool
    offset_s: float = 0.0


class Stock(BaseModel):
    """How much is recorded."""

    state: Literal["none", "some"]
    bytes: int = 0
    segments: int = 0
    from_ms: int | None = None


class Protect(BaseModel):
    """Whether a segment must not be deleted."""

    on: bool


def camera_of_segment(site: Site, request: Request) -> str:
    """Return the camera of the segment that a path names."""
    with _found(site, str(request.path_params["segment"])) as (_, row):
        return row.camera


@api.add("GET", "/recordings", may="viewer", camera="filtered")
def stock(request: Request) -> Stock:
    """Say how much is recorded of the cameras that the caller sees."""
    site: Site = request.app.state.site
    who = who_of(request)
    with site.catalog() as catalog:
        totals = times.totals(catalog) if catalog is not None else []
    seen = [one for one in totals if who.sees(one.camera)]
    if not seen:
        return Stock(state="none")
    return Stock(
        state="some",
        bytes=sum(one.size_bytes for one in seen),
        segments=sum(one.segments for one in seen),
        from_ms=min(one.start_wall_ns for one in seen) // _MS,
    )


@api.add("GET", "/recordings/at", may="viewer", camera="filtered")
def at(request: Request, camera: str = Query(max_length=64),
       at_ms: int = Query(ge=0, lt=1 << 43)) -> Segment:  # fmt: skip
    """Return the segment of a time, or the next one; offset_s: where in it the time is."""
    site: Site = request.app.state.site
    if not who_of(request).sees(camera):
        raise not_found("this")
    with site.catalog() as catalog:
        found = times.at(catalog, camera, at_ms * _MS) if catalog is not None else None
        if catalog is None or found is None:
            raise Problem(404, "nothing is recorded at this time or later")
        offset = max(0.0, clock.seconds(at_ms * _MS - found.start_wall_ns))
        return _out(catalog, found, offset)


@api.add("GET", "/recordings/{segment}", may="viewer", camera=camera_of_segment)
def segment(request: Request, segment: str) -> Segment:
    """Return what is known of a segment."""
    site: Site = request.app.state.site
    with _found(site, segment) as (catalog, row):
        return _out(catalog, row)


@api.add(
    "GET",
    "/recordings/{segment}/video.mp4",
    may="viewer",
    camera=camera_of_segment,
    response_class=FileResponse,
)
def video(request: Request, segment: str) -> Response:
    """Return a segment's video."""
    site: Site = request.app.state.site
    return send_file(site, _file(site, segment, ".mp4"), "video/mp4")


@api.add(
    "GET",
    "/recordings/{segment}/picture.jpg",
    may="viewer",
    camera=camera_of_segment,
    response_class=FileResponse,
)
def picture(request: Request, segment: str) -> Response:
    """Return a segment's first picture, small."""
    site: Site = request.app.state.site
    return send_file(site, _file(site, segment, ".jpg"), "image/jpeg")


@api.add("POST", "/recordings/{segment}/protect", may="operator", camera=camera_of_segment)
def protect(request: Request, segment: str, given: Protect) -> Segment:
    """Protect a segment from deletion, or end that."""
    site: Site = request.app.state.site
    with _found(site, segment) as (catalog, row):
        try:
            catalog.protect(row, on=given.on)
        except OSError as error:
            raise Problem(409, f"the disk refuses: {error.strerror}") from None
        return _out(catalog, row)


@contextlib.contextmanager
def _found(site: Site, name: str) -> Generator[tuple[Catalog, SegmentRow]]:
    """Give the catalog and the segment of an id. Raises 404 where there is none."""
    with site.catalog() as catalog:
        row = times.segment(catalog, name.replace("~", "/")) if catalog is not None else None
        if catalog is None or row is None:
            raise not_found("this recording")
        yield catalog, row


def _file(site: Site, name: str, suffix: str) -> Path:
    with _found(site, name) as (catalog, row):
        return catalog.root / f"{row.path}{suffix}"


def segment_id(path: str) -> str:
    """Return the id of a segment in the API."""
    return path.replace("/", "~")


def _out(catalog: Catalog, row: SegmentRow, offset_s: float = 0.0) -> Segment:
    return Segment(
        id=segment_id(row.path),
        camera=row.camera,
        from_ms=row.start_wall_ns // _MS,
        to_ms=row.end_wall_ns // _MS,
        bytes=row.size_bytes,
        codec=row.codec,
        width=row.width,
        height=row.height,
        objects=row.objects,
        alerts=len(row.alerts),
        protected=catalog.is_protected(row),
        has_picture=(catalog.root / f"{row.path}.jpg").is_file(),
        offset_s=offset_s,
    )
