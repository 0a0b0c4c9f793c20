"""The app: routes, guards, static files. Raises LookupError for a route without a permission.

Imports the API, guards, problems, permissions and site.
"""

import mimetypes
from pathlib import Path

from fastapi import FastAPI, Request, Response
from starlette.responses import FileResponse
from starlette.types import ASGIApp

from perception.recording.ledger import Ledger
from perception.web import VERSION, problems
from perception.web.api import ALL
from perception.web.api.cameras import install_live
from perception.web.certificate import host_names
from perception.web.guards import Guards
from perception.web.permissions import Permission, check_declared
from perception.web.pictures import Pictures
from perception.web.site import Site

STATIC = Path(__file__).parent / "static"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def make_app(site: Site, ledger: Ledger) -> ASGIApp:
    """Return the app of a site."""
    app = describe()
    app.state.site, app.state.ledger = site, ledger
    app.state.pictures = Pictures(site.run_dir)
    app.state.sockets = {}
    tls = site.plan.scheme == "https"
    return Guards(app, [*host_names(), *site.plan.names], tls=tls)


def describe() -> FastAPI:
    """Return the app without a site: its routes, and what OpenAPI says of them."""
    app = FastAPI(
        title="perception", version=VERSION, docs_url=None, redoc_url=None, openapi_url=None
    )
    known: dict[tuple[str, str], Permission] = {}
    for routes in ALL:
        routes.install(app, known)
    install_live(app)
    problems.install(app)
    app.state.permissions = known
    files = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*.*")}

    def static(request: Request) -> Response:
        name = str(request.path_params.get("name", "")) or "index.html"
        path = files.get(name)
        if path is None:
            raise problems.not_found("this page")
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0]
        return FileResponse(path, media_type=kind, headers={"cache-control": "no-cache"})

    app.add_route("/", static, methods=["GET"])
    app.add_route("/{name:path}", static, methods=["GET"])
    check_declared(app.routes, known)
    return app


def openapi() -> dict[str, object]:
    """Return the API as OpenAPI 3.1 says it. docs/openapi.json is this."""
    return describe().openapi()
