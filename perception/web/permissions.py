"""Who may call a route: each declares the role that it needs and the camera that it shows.

A camera that a user may not see is not found. An unsafe method by a browser needs a header of our
own, and an Origin of this page where the browser names one: a foreign page can send neither.
Imports site, problems and sessions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from perception.web.problems import Problem, not_found
from perception.web.site import Site
from perception.web.users_file import Role, Who

PREFIX = "/api/v1"
CSRF_HEADER = "x-perception"
May = Role | Literal["anyone"]
CameraOf = Callable[[Site, Request], str] | Literal["none", "filtered"]
"""Returns the camera whose data a route shows, of the row that is asked for. none: of no camera.
filtered: of several, the route leaves out those that the user may not see."""
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Permission:
    """What a route demands."""

    may: May
    camera: CameraOf


class Routes:
    """Routes of one kind, each with its permission."""

    def __init__(self, tag: str) -> None:
        self._router = APIRouter(tags=[tag])
        self.permissions: dict[tuple[str, str], Permission] = {}

    def add(self, method: str, path: str, *, may: May, camera: CameraOf, **more: Any) -> Any:
        """Return a decorator that adds a function as a route below PREFIX."""
        permission = Permission(may, camera)

        def register(function: Any) -> Any:
            self.permissions[method, PREFIX + path] = permission
            self._router.add_api_route(
                PREFIX + path,
                function,
                methods=[method],
                dependencies=[Depends(_guard(permission))],
                **more,
            )
            return function

        return register

    def install(self, app: FastAPI, known: dict[tuple[str, str], Permission]) -> None:
        """Add them to an app and to the table of what is known."""
        app.include_router(self._router)
        known.update(self.permissions)


def check_declared(routes: list[BaseRoute], known: dict[tuple[str, str], Permission]) -> None:
    """Raise LookupError where a route of the API has no permission."""
    for route in routes:
        path, methods = getattr(route, "path", ""), getattr(route, "methods", None) or ()
        for method in methods:
            if method != "HEAD" and path.startswith(PREFIX) and (method, path) not in known:
                raise LookupError(f"{method} {path} declares no permission")


def who_of(request: Request) -> Who:
    """Return who asks; only of routes that not anyone may call."""
    return request.state.who


def identify(site: Site, connection: HTTPConnection) -> Who | None:
    """Return who asks by token or by session cookie; None where that is not known."""
    given = connection.headers.get("authorization", "")
    if given:
        kind, _, secret = given.partition(" ")
        return site.sessions.find_token(secret) if kind.lower() == "bearer" else None
    secret = connection.cookies.get(site.cookie, "")
    return site.sessions.find(secret) if secret else None


def is_own_origin(site: Site, connection: HTTPConnection, *, needed: bool) -> bool:
    """Whether a browser says that this page asks. needed: it has to say so."""
    origin = connection.headers.get("origin")
    fetched = connection.headers.get("sec-fetch-site", "same-origin")
    if fetched not in ("same-origin", "none"):
        return False
    if origin is None:
        return not needed
    return origin == f"{site.plan.scheme}://{connection.headers.get('host', '')}"


def _guard(permission: Permission) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        site: Site = request.app.state.site
        unsafe = request.method in _UNSAFE
        has_token = bool(request.headers.get("authorization"))
        if unsafe and not has_token:
            own = is_own_origin(site, request, needed=False)
            if not own or CSRF_HEADER not in request.headers:
                raise Problem(403, f"a browser's request comes from this page ({CSRF_HEADER})")
        if permission.may == "anyone":
            return
        who = identify(site, request)
        if who is None:
            raise Problem(401, "log in first")
        if not who.may(permission.may):
            raise Problem(403, f"only for role {permission.may}; you are {who.role}")
        if callable(permission.camera):
            camera = permission.camera(site, request)
            if not who.sees(camera):
                raise not_found("this")
        request.state.who = who

    return check
