"""uvicorn with TLS or on loopback. Imports site, certificate and errors."""

import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Generator
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from perception.errors import ConfigError
from perception.web import certificate
from perception.web.site import Site

_MAX_CONNECTIONS = 512
_MAX_HEADERS = 16 << 10


class Server(uvicorn.Server):
    """uvicorn that leaves signals to the process, and listens on a socket that is open already.

    files: certificate and key; where they change, new connections get the new ones. tell: called
    with what became of that.
    """

    def __init__(
        self, config: uvicorn.Config, listening: socket.socket, files: tuple[str, str] | None,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        super().__init__(config)
        self._listening, self._files, self._tell = listening, files, tell
        self._stamp = _stamp(files)

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate each second."""
        if counter % 10 == 0 and (stamp := _stamp(self._files)) != self._stamp:
            self._stamp = stamp
            self._renew()
        return await super().on_tick(counter)

    def _renew(self) -> None:
        """Take the certificate as it is now; one that is no good changes nothing."""
        if self._files is None or self.config.ssl is None:
            return
        try:
            _check_pair(*self._files)
            self.config.ssl.load_cert_chain(*self._files)
        except (ConfigError, OSError, ssl.SSLError) as error:
            self._tell(f"the page keeps its certificate: {error}")
        else:
            self._tell(f"the page took the changed certificate {self._files[0]}")

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`."""
        await super().serve(sockets or [self._listening])

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them as they are."""
        yield


def make_server(
    app: ASGIApp, site: Site, tell: Callable[[str], None] = lambda text: None
) -> Server:
    """Return the server of an app. Raises ConfigError: the port is taken, the certificate bad.

    tell: see Server.
    """
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
    return Server(config, listening, files, tell)


def _stamp(files: tuple[str, str] | None) -> tuple[tuple[int, int, int], ...]:
    """Return what changes when one of the files does; those that are missing are left out."""
    found: list[tuple[int, int, int]] = []
    for name in files or ():
        with contextlib.suppress(OSError):
            stat = Path(name).stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


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
