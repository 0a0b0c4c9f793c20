"""Why there was an alert at a moment of a recording, or none.

`perception why` answers, as a process of its own: it replays tracks and rules.
"""

import threading
from datetime import UTC, datetime

from fastapi import Query, Request
from pydantic import BaseModel

from perception.web.api.cameras import camera_in_query
from perception.web.command import answer_of
from perception.web.permissions import Routes
from perception.web.problems import Problem
from perception.web.site import Site

api = Routes("recordings")
_WAIT_S = 30
_ONE = threading.Lock()
_TURN_S = 5
"""One answer is worked on at a time; who waits longer is told to ask again."""


class Why(BaseModel):
    """The answer, line by line."""

    lines: list[str]


@api.add("GET", "/why", may="viewer", camera=camera_in_query)
def why(
    request: Request,
    camera: str = Query(max_length=64),
    at_ms: int = Query(ge=0, lt=1 << 43),
    x: float | None = Query(None, ge=0, le=1),
    y: float | None = Query(None, ge=0, le=1),
) -> Why:
    """Tell which condition of which rule was not met in a second, and by how much.

    x, y: of what is at that spot only, fractions of the picture.
    """
    site: Site = request.app.state.site
    if site.line.recordings is None:
        raise Problem(404, "nothing is recorded yet")
    moment = f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    arguments = ["why", camera, moment]
    arguments += ["--folder", site.line.recordings.folder, "--store", site.line.store]
    if x is not None and y is not None:
        arguments += ["--at", f"{x:.4f},{y:.4f}"]
    if not _ONE.acquire(timeout=_TURN_S):
        raise Problem(429, "others ask too: try again", {"retry-after": "5"})
    try:
        said = answer_of(arguments, _WAIT_S)
    finally:
        _ONE.release()
    return Why(lines=[line.rstrip() for line in said.splitlines() if line.strip()])
