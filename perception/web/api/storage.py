"""Room for recordings: how long it lasts, what is deleted next; a span as one MP4 to keep."""

import shutil
import tempfile
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from perception import clock
from perception.footage import retention
from perception.footage import timeline as times
from perception.footage.catalog import Catalog
from perception.web.api.cameras import camera_in_query
from perception.web.command import answer_of
from perception.web.permissions import Routes, who_of
from perception.web.problems import Problem, not_found
from perception.web.site import Site

api = Routes("recordings")
MAX_EXPORT_BYTES = 2 << 30
_MS = 1_000_000
_NEXT, _LOOKED_AT = 5, 40
_EXPORT_S = 120
_ONE = threading.Lock()
"""One export is written at a time; who comes meanwhile is told to ask again."""
Seconds = Literal["60", "600", "3600"]


class Victim(BaseModel):
    """A segment that goes soon. reason: why it is worth least."""

    camera: str
    from_ms: int
    to_ms: int
    bytes: int
    reason: Literal["nobody in sight", "objects in sight", "alerts"]


class Forecast(BaseModel):
    """Room at the rate of the last 7 days. days: of recordings that there is room for in all;
    days_left: until something has to be deleted; null: nothing is recorded. max_bytes: of the
    launch file, null: no limit. next: what would be deleted first, of the caller's cameras."""

    bytes_per_day: float
    days: float | None
    days_left: float | None
    used_bytes: int
    free_bytes: int
    min_free_bytes: int
    max_bytes: int | None
    next: list[Victim]


class Export(BaseModel):
    """What an export would hold: recorded video between two times."""

    from_ms: int
    to_ms: int
    segments: int
    bytes: int


@api.add("GET", "/recordings/forecast", may="operator", camera="filtered")
def forecast(request: Request) -> Forecast:
    """Say how long the room for recordings lasts, and what is deleted first."""
    site: Site = request.app.state.site
    asked = site.line.recordings
    with site.catalog() as catalog:
        if asked is None or catalog is None:
            raise Problem(404, "nothing is recorded yet")
        now = clock.wall_ns()
        limits = retention.Limits(asked.max_bytes, asked.min_free_bytes, asked.half_life_days)
        used = sum(one.size_bytes for one in times.totals(catalog))
        free = shutil.disk_usage(catalog.root).free
        told = retention.forecast(times.recent(catalog, now), used, free, limits, now)
        rows = [
            row
            for row in times.cheapest(catalog, _LOOKED_AT)
            if who_of(request).sees(row.camera) and not catalog.is_protected(row)
        ]
    return Forecast(
        bytes_per_day=told.bytes_per_day,
        days=told.days,
        days_left=told.days_left,
        used_bytes=used,
        free_bytes=free,
        min_free_bytes=max(limits.min_free, retention.RESERVE_BYTES),
        max_bytes=limits.max_bytes,
        next=[
            Victim(
                camera=row.camera,
                from_ms=row.start_wall_ns // _MS,
                to_ms=row.end_wall_ns // _MS,
                bytes=row.size_bytes,
                reason="alerts"
                if row.alerts
                else "objects in sight"
                if row.objects
                else "nobody in sight",
            )
            for row in retention.ordered(rows, now, limits.half_life_days)[:_NEXT]
        ],
    )


@api.add("GET", "/recordings/export", may="operator", camera=camera_in_query)
def export(
    request: Request,
    camera: str = Query(max_length=64),
    from_ms: int = Query(ge=0, lt=1 << 43),
    seconds: Seconds = "60",
) -> Export:
    """Say what an export would hold. 404: nothing; 409: why it cannot be made."""
    with request.app.state.site.catalog() as catalog:
        return _planned(catalog, camera, from_ms, from_ms + int(seconds) * 1000)


@api.add(
    "GET",
    "/recordings/export.mp4",
    may="operator",
    camera=camera_in_query,
    response_class=FileResponse,
)
def export_file(
    request: Request,
    camera: str = Query(max_length=64),
    from_ms: int = Query(ge=0, lt=1 << 43),
    seconds: Seconds = "60",
) -> Response:
    """Return what was recorded of a camera in a span as one MP4, not encoded again.

    It begins at the last key frame before the span.
    """
    site: Site = request.app.state.site
    with site.catalog() as catalog:
        asked = _planned(catalog, camera, from_ms, from_ms + int(seconds) * 1000)
    assert site.line.recordings is not None
    if not _ONE.acquire(timeout=1):
        raise Problem(429, "another export is being written: try again", {"retry-after": "10"})
    folder = Path(tempfile.mkdtemp(prefix="export-", dir=site.line.folder))
    try:
        name = f"{camera}-{datetime.fromtimestamp(asked.from_ms / 1000, UTC):%Y%m%dT%H%M%SZ}.mp4"
        arguments = ["recordings", "export", camera, str(folder / name)]
        arguments += ["--from", _text(asked.from_ms), "--to", _text(asked.to_ms)]
        answer_of([*arguments, "--folder", site.line.recordings.folder], _EXPORT_S)
        return FileResponse(
            folder / name, media_type="video/mp4", filename=name,
            headers={"cache-control": "private"},
            background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
        )  # fmt: skip
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        _ONE.release()


def _planned(catalog: Catalog | None, camera: str, from_ms: int, to_ms: int) -> Export:
    found = times.segments(catalog, camera, from_ms * _MS, to_ms * _MS) if catalog else []
    if not found:
        raise not_found("a recording of this time")
    size = sum(row.size_bytes for row in found)
    if size > MAX_EXPORT_BYTES:
        raise Problem(409, f"{size} bytes: an export has at most {MAX_EXPORT_BYTES}")
    if len({(row.codec, row.width, row.height) for row in found}) > 1:
        raise Problem(409, "codec or size of the picture change in that span: take a shorter one")
    return Export(
        from_ms=max(from_ms, found[0].start_wall_ns // _MS),
        to_ms=min(to_ms, found[-1].end_wall_ns // _MS + 1),
        segments=len(found),
        bytes=size,
    )


def _text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
