"""uvicorn with TLS or on loopback. Imports site, certificate and errors."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from perception.errors import ConfigError
from perception.web import certificate
from perception.web.site import Site

_MAX_CONNECTIONS = 512
_MAX_HEADERS = 16 << 10


class Server(uvicorn.Server):
    """uvicorn that leaves signals to the process, and listens on a socket that is open already."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        super().__init__(config)
        self._listening = listening

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`."""
        await super().serve(sockets or [self._listening])

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them as they are."""
        yield


def make_server(app: ASGIApp, site: Site) -> Server:
    """Return the server of an app. Raises ConfigError: the port is taken, the certificate bad."""
    plan = site.plan
    listening = _listen(plan.host, plan.port)
    files: tuple[str, str] | None = None
    if plan.scheme == "https" and not plan.proxied:
        if plan.certificate and plan.key:
            files = plan.certificate, plan.key
        else:
            own = certificate.own(site.users.folder, plan.names)
            files = str(own.certificate), str(own.key)
        _check_pair(*files)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_max_size=4096,
        server_header=False,
        date_header=False,
        proxy_headers=plan.proxied,
        forwarded_allow_ips="127.0.0.1,::1",
        limit_concurrency=_MAX_CONNECTIONS,
        h11_max_incomplete_event_size=_MAX_HEADERS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
        ssl_certfile=files and files[0],
        ssl_keyfile=files and files[1],
    )
    return Server(config, listening)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise ConfigError(f"web: {host} port {port}: {error.strerror}: give another") from None
    made.set_inheritable(True)
    return made


def _check_pair(certificate_file: str, key_file: str) -> None:
    """Raise ConfigError where certificate and key are no pair."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        where = f"{certificate_file}, {key_file}"
        raise ConfigError(f"web: {where}: no certificate with its key: {error}") from None
