"""Cameras: a list, a picture, the live connection."""

import asyncio
import contextlib
from functools import partial
from typing import Any

import msgspec
from fastapi import FastAPI, Query, Request, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from perception import clock
from perception.web.encoding import packed
from perception.web.hub import KINDS, Viewer
from perception.web.permissions import PREFIX, Routes, identify, is_own_origin, who_of
from perception.web.problems import not_found
from perception.web.site import Site
from perception.web.users_file import Who
from perception.wire.plan import CameraPlan

api = Routes("cameras")
MAX_SOCKETS = 64
"""Live connections of one user."""
STUCK_S = 30.0
"""A connection that takes nothing for so long is cut."""
JPEG_S, JPEG_WIDTH = 0.1, 960
_CHECK_S = 10.0
_MAX_TEXT = 1000


class Camera(BaseModel):
    """A camera of the line. zones, lines: points in fractions of the picture, x right, y down.

    used: zones and lines that rules name. has_packets: its own packets can be sent, else JPEGs are.
    online: frames came in the last 2 s.
    """

    name: str
    source: str
    zones: dict[str, list[list[float]]]
    lines: dict[str, list[list[float]]]
    rules: dict[str, str]
    used: list[str]
    has_packets: bool
    records: bool
    online: bool
    width: int
    height: int


class Cameras(BaseModel):
    """Cameras that the caller may see."""

    items: list[Camera]


def camera_in_path(site: Site, request: Request) -> str:
    """Return the camera that a path names."""
    name = str(request.path_params["camera"])
    if name not in site.line.cameras:
        raise not_found("this")
    return name


def camera_in_query(site: Site, request: Request) -> str:
    """Return the camera that a query names."""
    name = request.query_params.get("camera", "")
    if name not in site.line.cameras:
        raise not_found("this")
    return name


@api.add("GET", "/cameras", may="viewer", camera="filtered")
def cameras(request: Request) -> Cameras:
    """List the cameras."""
    site: Site = request.app.state.site
    who = who_of(request)
    found = [plan for name, plan in site.line.cameras.items() if who.sees(name)]
    return Cameras(items=[_camera(site, plan) for plan in found])


@api.add(
    "GET",
    "/cameras/{camera}/picture.jpg",
    may="viewer",
    camera=camera_in_path,
    response_class=Response,
    responses={200: {"content": {"image/jpeg": {}}}, 404: {"description": "no picture now"}},
)
def picture(
    request: Request, camera: str, width: int = Query(JPEG_WIDTH, ge=64, le=4096)
) -> Response:
    """Return the newest picture of a camera."""
    found = request.app.state.pictures.newest(camera, width)
    if found is None:
        raise not_found(f"a picture of {camera}")
    return Response(found[0], media_type="image/jpeg")


def _camera(site: Site, plan: CameraPlan) -> Camera:
    feed = site.hub.feeds[plan.name]
    online = clock.monotonic_ns() - feed.seen_ns < 2 * clock.NS_PER_S and feed.seen_ns > 0
    return Camera(
        name=plan.name,
        source=plan.source.type,
        zones={name: zone["points"] for name, zone in plan.zones.items()},
        lines={name: line["points"] for name, line in plan.lines.items()},
        rules={name: rule.type for name, rule in plan.rules.items()},
        used=_used(plan),
        has_packets=plan.has_packets and not feed.unsupported,
        records=plan.record is not None,
        online=online,
        width=feed.frame.width if feed.frame else 0,
        height=feed.frame.height if feed.frame else 0,
    )


def _used(plan: CameraPlan) -> list[str]:
    named = [
        rule.options.get(key) for rule in plan.rules.values() for key in ("zone", "line", "to")
    ]
    return [name for name in named if isinstance(name, str)]


def install_live(app: FastAPI) -> None:
    """Add the live connection, a WebSocket at /live.

    The client sends JSON: {"watch": camera, "as": one of hub.KINDS} or {"unwatch": camera}. It gets
    binary messages (encoding.packed: packets and JPEGs) and text (tracks, alerts); with "tracks" or
    "detections" the line's own messages.
    """
    app.add_api_websocket_route(PREFIX + "/live", _live)


async def _live(socket: WebSocket) -> None:
    site: Site = socket.app.state.site
    own = is_own_origin(site, socket, needed="authorization" not in socket.headers)
    who = await run_in_threadpool(identify, site, socket) if own else None
    if who is None:
        await socket.close(1008)
        return
    counts: dict[str, int] = socket.app.state.sockets
    if counts.get(who.name, 0) >= MAX_SOCKETS:
        await socket.close(1013)
        return
    counts[who.name] = counts.get(who.name, 0) + 1
    viewer = Viewer()
    site.hub.viewers.add(viewer)
    try:
        await socket.accept()
        await _serve(socket, site, who, viewer)
    finally:
        site.hub.viewers.discard(viewer)
        counts[who.name] -= 1


async def _serve(socket: WebSocket, site: Site, who: Who, viewer: Viewer) -> None:
    """Run until one of its tasks ends: the client left, is stuck, or may not see any more."""
    tasks = [
        asyncio.create_task(work)
        for work in (
            _receive(socket, site, who, viewer),
            _send(socket, viewer),
            _jpegs(socket.app, site, viewer),
            _alerts(site, who, viewer),
            _still_valid(socket, site, who),
        )
    ]
    _, open_ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in open_:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        lost = (WebSocketDisconnect, RuntimeError, TimeoutError, asyncio.CancelledError)
        if isinstance(result, BaseException) and not isinstance(result, lost):
            raise result
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        await asyncio.wait_for(socket.close(1001), 1.0)


async def _receive(socket: WebSocket, site: Site, who: Who, viewer: Viewer) -> None:
    while True:
        text = await socket.receive_text()
        try:
            asked: Any = msgspec.json.decode(text) if len(text) <= _MAX_TEXT else None
        except msgspec.DecodeError:
            asked = None
        if not isinstance(asked, dict):
            return
        camera = asked.get("watch")
        if isinstance(camera, str) and camera in site.hub.feeds and who.sees(camera):
            kind = asked.get("as", "packets")
            if kind not in KINDS:
                return
            site.hub.watch(viewer, camera, kind)
        elif isinstance(gone := asked.get("unwatch"), str):
            viewer.unwatch(gone)


async def _send(socket: WebSocket, viewer: Viewer) -> None:
    while True:
        data = await viewer.next()
        sending = socket.send_text(data) if isinstance(data, str) else socket.send_bytes(data)
        await asyncio.wait_for(sending, STUCK_S)


async def _jpegs(app: FastAPI, site: Site, viewer: Viewer) -> None:
    """Send JPEGs of the cameras that are watched so; none before the last one has gone out."""
    sent: dict[str, int] = {}
    while True:
        await asyncio.sleep(JPEG_S)
        for camera, kind in tuple(viewer.wants.items()):
            frame = site.hub.feeds[camera].frame
            if kind != "jpeg" or frame is None or viewer.has_jpeg_waiting(camera):
                continue
            if sent.get(camera) == frame.stamp.frame_id:
                continue
            sent[camera] = frame.stamp.frame_id
            made = await run_in_threadpool(app.state.pictures.newest, camera, JPEG_WIDTH)
            if made is not None and viewer.wants.get(camera) == "jpeg":
                head = {"kind": "jpeg", "camera": camera, "t": made[1] // 1000}
                viewer.put(camera, "jpeg", packed(head, made[0]))


async def _alerts(site: Site, who: Who, viewer: Viewer) -> None:
    """Send alerts of the cameras that may be seen, as they come."""
    hub = site.hub
    last = hub.last_event
    while True:
        async with hub.changed:
            await hub.changed.wait_for(partial(hub.has_after, last))
        for event in [event for event in hub.events if event.number > last]:
            last = event.number
            if who.sees(event.alert.camera):
                viewer.put_event(event, hub.boot)


async def _still_valid(socket: WebSocket, site: Site, who: Who) -> None:
    """End where the session or token has ended, or may see other cameras now."""
    while True:
        await asyncio.sleep(_CHECK_S)
        now = await run_in_threadpool(identify, site, socket)
        if now is None or now.cameras != who.cameras:
            return
