"""A camera's own packets as one endless stream, for other programs (go2rtc, VLC)."""

import struct
from collections.abc import AsyncIterator

import msgspec
from fastapi import Request
from fastapi.responses import StreamingResponse

from perception.footage.transport_stream import TransportStream
from perception.web.api.cameras import camera_in_path
from perception.web.hub import Hub, Viewer
from perception.web.permissions import Routes
from perception.web.problems import Problem
from perception.web.site import Site

api = Routes("cameras")


@api.add(
    "GET",
    "/cameras/{camera}/live.ts",
    may="viewer",
    camera=camera_in_path,
    response_class=StreamingResponse,
    responses={200: {"content": {"video/mp2t": {}}}, 409: {"description": "has no packets"}},
)
async def live(request: Request, camera: str) -> StreamingResponse:
    """Stream a camera as MPEG-TS, not encoded again; it begins at the last key frame."""
    site: Site = request.app.state.site
    if not site.line.cameras[camera].has_packets or site.hub.feeds[camera].unsupported:
        raise Problem(409, f"{camera} has no packets of its own")
    return StreamingResponse(_packets(site.hub, camera), media_type="video/mp2t")


async def _packets(hub: Hub, camera: str) -> AsyncIterator[bytes]:
    viewer, stream = Viewer(), TransportStream()
    hub.viewers.add(viewer)
    try:
        hub.watch(viewer, camera, "video")
        while True:
            data = await viewer.next()
            if isinstance(data, str):
                continue
            size = struct.unpack_from("<I", data)[0]
            head = msgspec.json.decode(data[4 : 4 + size])
            body = data[4 + size :]
            made = stream.add(
                body[: head["header"]],
                body[head["header"] :],
                stream=head["stream"],
                key=head["key"],
                pts=round(head["pts"] * head["timescale"]),
                timescale=head["timescale"],
            )
            if made:
                yield made
    finally:
        hub.viewers.discard(viewer)
        stream.close()
