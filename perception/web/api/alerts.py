"""Alerts: pages, one, its picture and clip, seen or wrong; a stream of what changes."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

from fastapi import Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel

from perception import clock
from perception.alerts.rows import Kept
from perception.errors import ConfigError
from perception.footage.clips import places
from perception.sinks import document
from perception.web.encoding import encoded_alert
from perception.web.files import send_file
from perception.web.hub import Event, Hub
from perception.web.permissions import Routes, who_of
from perception.web.problems import Problem, not_found
from perception.web.site import Site
from perception.web.users_file import Who
from perception.wire import Alert

api = Routes("alerts")
_BEAT_S = 15.0


class WrongOut(BaseModel):
    """A user says that an alert should not have been."""

    user: str
    at_ms: int


class AlertOut(BaseModel):
    """An alert. Times in ms UTC. track: its id as text, null where no single track is to blame.

    has_clip: there is one, or will be some seconds after the alert. clip_from_s, clip_alert_s:
    where in it what was asked for begins, and the alert; null until it is written, and clip_alert_s
    also where the clip does not say so. wrong: null where nobody says so.
    """

    key: str
    camera: str
    rule: str
    kind: str
    state: str
    class_name: str
    track: str | None
    start_ms: int
    end_ms: int
    details: dict[str, Any]
    seen_ms: int | None
    wrong: WrongOut | None
    has_picture: bool
    has_clip: bool
    clip_from_s: float | None
    clip_alert_s: float | None


class AlertPage(BaseModel):
    """Alerts, newest first. next: the `after` of the next page, null: there is none."""

    items: list[AlertOut]
    next: str | None


def camera_of_alert(site: Site, request: Request) -> str:
    """Return the camera of the alert that a path names."""
    return _kept(site, str(request.path_params["key"])).alert.camera


@api.add("GET", "/alerts", may="viewer", camera="filtered")
def alerts(
    request: Request,
    limit: int = Query(50, ge=1, le=200),
    after: str | None = Query(None, max_length=100),
    camera: str | None = Query(None, max_length=64),
    wrong: bool = Query(False),
) -> AlertPage:
    """List alerts, newest first. A page stays the same while new ones come.

    wrong: only those that somebody says were wrong.
    """
    site: Site = request.app.state.site
    who = who_of(request)
    if camera is not None and not who.sees(camera):
        raise not_found("this")
    seen = [camera] if camera is not None else _seen(who)
    kept = site.alerts().page(limit, seen, _place(after), wrong=wrong)
    last = kept[-1].alert if len(kept) == limit else None
    following = None if last is None else f"{last.start_t_wall_ns}-{last.key}"
    return AlertPage(items=[_out(one) for one in kept], next=following)


@api.add("GET", "/alerts/{key}", may="viewer", camera=camera_of_alert)
def alert(request: Request, key: str) -> AlertOut:
    """Return one alert."""
    return _out(_kept(request.app.state.site, key))


@api.add("POST", "/alerts/{key}/seen", may="operator", camera=camera_of_alert)
def seen(request: Request, key: str) -> AlertOut:
    """Note that a person has seen an alert."""
    site: Site = request.app.state.site
    site.alerts().acknowledge(_kept(site, key).alert.key, clock.wall_ns())
    return _out(_kept(site, key))


@api.add("POST", "/alerts/{key}/wrong", may="operator", camera=camera_of_alert)
def wrong(request: Request, key: str) -> AlertOut:
    """Note that an alert was wrong, by the user who asks and now."""
    site: Site = request.app.state.site
    site.alerts().mark_wrong(_kept(site, key).alert.key, who_of(request).name, clock.wall_ns())
    return _out(_kept(site, key))


@api.add("DELETE", "/alerts/{key}/wrong", may="operator", camera=camera_of_alert)
def not_wrong(request: Request, key: str) -> AlertOut:
    """Take back that an alert was wrong, whoever said so."""
    site: Site = request.app.state.site
    site.alerts().unmark_wrong(_kept(site, key).alert.key)
    return _out(_kept(site, key))


@api.add(
    "GET",
    "/alerts/{key}/picture.jpg",
    may="viewer",
    camera=camera_of_alert,
    response_class=FileResponse,
)
def picture(request: Request, key: str) -> Response:
    """Return the picture of an alert."""
    site: Site = request.app.state.site
    return send_file(site, _kept(site, key).alert.snapshot, "image/jpeg")


@api.add(
    "GET",
    "/alerts/{key}/clip.mp4",
    may="viewer",
    camera=camera_of_alert,
    response_class=FileResponse,
)
def clip(request: Request, key: str) -> Response:
    """Return the clip of an alert; 404 until it is written, some seconds after the alert."""
    site: Site = request.app.state.site
    return send_file(site, _clip(_kept(site, key).alert), "video/mp4")


@api.add("GET", "/events", may="viewer", camera="filtered", response_class=StreamingResponse)
async def events(request: Request, after: str | None = Query(None, max_length=64)) -> Response:
    """Stream changes of alerts as server-sent events (`text/event-stream`).

    Last-Event-ID, or after: what came later is sent first. `event: reset` says that this is not
    known any more: read the list again.
    """
    site: Site = request.app.state.site
    last = request.headers.get("last-event-id", after)
    return StreamingResponse(
        _stream(site.hub, who_of(request), last, request), media_type="text/event-stream"
    )


async def _stream(hub: Hub, who: Who, after: str | None, request: Request) -> AsyncIterator[str]:
    last = hub.last_event
    if after is not None:
        boot, _, number = after.rpartition("-")
        known = boot == hub.boot and number.isdigit() and int(number) <= hub.last_event
        oldest = hub.events[0].number if hub.events else hub.last_event + 1
        if known and int(number) >= oldest - 1:
            last = int(number)
        else:
            yield f"event: reset\nid: {hub.boot}-{last}\ndata: {{}}\n\n"
    yield ": open\n\n"
    while not await request.is_disconnected():
        for event in [event for event in hub.events if event.number > last]:
            last = event.number
            if who.sees(event.alert.camera):
                yield _as_event(event, hub.boot)
        try:
            async with asyncio.timeout(_BEAT_S), hub.changed:
                await hub.changed.wait_for(partial(hub.has_after, last))
        except TimeoutError:
            yield ": beat\n\n"


def _as_event(event: Event, boot: str) -> str:
    number = f"{boot}-{event.number}"
    data = encoded_alert(event.alert, number).decode()
    return f"event: alert\nid: {number}\ndata: {data}\n\n"


def _seen(who: Who) -> list[str] | None:
    return None if who.cameras is None else sorted(who.cameras)


def _place(after: str | None) -> tuple[int, str] | None:
    if after is None:
        return None
    start, _, key = after.partition("-")
    if not start.isdigit() or not key.isalnum() or len(start) > 19:
        raise Problem(422, "after: expected the `next` of a page")
    return int(start), key


def _kept(site: Site, key: str) -> Kept:
    try:
        return site.alerts().show(key)
    except ConfigError:
        raise not_found("this alert") from None


def _clip(alert: Alert) -> Path | None:
    path = alert.details.get("clip")
    return Path(path) if isinstance(path, str) else None


def _out(kept: Kept) -> AlertOut:
    one = kept.alert
    clip = _clip(one)
    found = places(clip) if clip is not None else None
    written = found is not None or (clip is not None and clip.is_file())
    details = {name: value for name, value in one.details.items() if name != "clip"}
    return AlertOut(
        key=one.key,
        camera=one.camera,
        rule=one.rule,
        kind=one.kind,
        state=one.state,
        class_name=one.class_name,
        track=document(one)["track"],
        start_ms=one.start_t_wall_ns // 1_000_000,
        end_ms=one.t_wall_ns // 1_000_000,
        details=details,
        seen_ms=kept.t_acked_wall_ns and kept.t_acked_wall_ns // 1_000_000,
        wrong=kept.wrong
        and WrongOut(user=kept.wrong.user, at_ms=kept.wrong.t_wall_ns // 1_000_000),
        has_picture=one.snapshot is not None,
        has_clip=clip is not None,
        clip_from_s=(found.from_s if found is not None else 0.0) if written else None,
        clip_alert_s=found and found.alert_s,
    )
