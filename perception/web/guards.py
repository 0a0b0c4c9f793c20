"""What every request meets before a route: the host's name, limits, headers of every answer.

Plain ASGI, so that it costs streams nothing. Imports problems.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from perception.web.problems import answer

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
MAX_BODY_BYTES = 1 << 20
_TOO_LARGE = f"a request's body has at most {MAX_BODY_BYTES} bytes"


class Guards:
    """hosts: names by which this host is reached, besides any address: a foreign name is refused,
    so that no page of another name can read this one (DNS rebinding)."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], *, tls: bool) -> None:
        self._app = app
        self._hosts = {host.lower() for host in hosts}
        self._headers = dict(HEADERS)
        if tls:
            self._headers["strict-transport-security"] = "max-age=31536000"
            self._headers["cross-origin-opener-policy"] = "same-origin"  # browsers want TLS for it

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not self.knows(host):
            await self._refuse(scope, receive, send, 421, "this host has no such name: `web.names`")
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            await self._refuse(scope, receive, send, 413, _TOO_LARGE)
            return
        await self._app(scope, _limited(receive), self._with_headers(send))

    def knows(self, host: str) -> bool:
        """Whether a Host header names this host."""
        name = host.lower()
        name = name[1 : name.find("]")] if name.startswith("[") else name.split(":")[0]
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _with_headers(self, send: Send) -> Callable[[Message], Awaitable[None]]:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                names = {name for name, _ in given}
                for name, value in self._headers.items():
                    if name.encode() not in names:
                        given.append((name.encode(), value.encode()))
                if b"cache-control" not in names:
                    given.append((b"cache-control", b"private, no-store"))
                message = {**message, "headers": given}
            await send(message)

        return sending

    async def _refuse(
        self, scope: Scope, receive: Receive, send: Send, status: int, why: str
    ) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await answer(status, why)(scope, receive, self._with_headers(send))


def _limited(receive: Receive) -> Receive:
    """Return a receive that ends a body which is longer than it may be."""
    seen = 0

    async def receiving() -> Any:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return receiving
