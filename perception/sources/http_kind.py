"""Why an HTTP address gives no picture: what it sends instead of MPEG-TS.

Imports the stdlib only.
"""

import base64
import contextlib
import http.client
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

_PACKET, _SYNC = 188, 0x47
_START = 3 * _PACKET
TIMEOUT_S = 2.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to another scheme: it is an error here, which tells nothing."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def explain(url: str) -> str:
    """Return what an http(s) address sends, as "text/html is not MPEG-TS"; "" where it may be one.

    Asks for its first bytes, each within TIMEOUT_S. "" too where it cannot be asked.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit((parts.scheme, host, parts.path, parts.query, "")))
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        encoded = base64.b64encode(pair.encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    opener = urllib.request.build_opener(_NoRedirect)
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            start = answer.read(_START)
        if not _is_mpegts(start):
            return f"{kind or 'what it sends'} is not MPEG-TS"
    return ""


def _is_mpegts(start: bytes) -> bool:
    """Whether bytes can be of a transport stream: two sync bytes a packet apart."""
    return any(
        start[at] == _SYNC and start[at + _PACKET] == _SYNC
        for at in range(min(_PACKET, len(start) - _PACKET))
    )
