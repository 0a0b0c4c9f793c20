"""Finds out what an HTTP address sends instead of MPEG-TS. Imports the stdlib only."""

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
    """Does not follow redirects: they could lead to another scheme."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def explain(url: str) -> str:
    """Return why an http(s) address is no MPEG-TS stream, such as "text/html is not MPEG-TS".

    Reads its first bytes, with a time-out of TIMEOUT_S for each read. "": they may be MPEG-TS, or
    the address cannot be read.
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
    """Return whether bytes may be MPEG-TS: they have two sync bytes one packet apart."""
    return any(
        start[at] == _SYNC and start[at + _PACKET] == _SYNC
        for at in range(min(_PACKET, len(start) - _PACKET))
    )
