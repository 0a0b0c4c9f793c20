"""The page's certificate: changed on the disk while it serves, over real TLS."""

import asyncio
import hashlib
import shutil
import socket
import ssl
import threading
from pathlib import Path

from perception.web import certificate
from perception.web.server import make_server
from tests.line import SLOW, wait_until
from tests.page import make_page
from tests.servers import free_port


def shown(port: int) -> str:
    """Return the SHA-256 of the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 5 * SLOW) as raw,
        context.wrap_socket(raw) as secure,
    ):
        found = secure.getpeercert(binary_form=True)
    assert found is not None
    return hashlib.sha256(found).hexdigest()


def plain(fingerprint: str) -> str:
    return fingerprint.replace(":", "").lower()


def test_a_certificate_that_changes_is_taken_and_a_bad_one_is_not(memory):
    first, second = certificate.own(memory / "first"), certificate.own(memory / "second")
    files = memory / "certificate.pem", memory / "key.pem"
    for source, file in zip((first.certificate, first.key), files, strict=True):
        shutil.copy(source, file)
    port, said = free_port(), []
    page = make_page(memory, port=port, certificate=str(files[0]), key=str(files[1]))
    server = make_server(page.app, page.site, said.append)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 10 * SLOW, "the server")
        assert shown(port) == plain(first.fingerprint)
        context = ssl.create_default_context(cafile=str(first.certificate))
        with (
            socket.create_connection(("127.0.0.1", port)) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as open_before,
        ):
            files[0].write_text("no certificate")
            wait_until(lambda: said, 10 * SLOW, "it is told")
            assert "keeps its certificate" in said[0]
            assert shown(port) == plain(first.fingerprint)
            for source, file in zip((second.key, second.certificate), files[::-1], strict=True):
                part = Path(f"{file}.part")
                shutil.copy(source, part)
                part.replace(file)
            wait_until(lambda: shown(port) == plain(second.fingerprint), 10 * SLOW, "the new one")
            assert "took the changed certificate" in said[-1]
            open_before.sendall(b"GET /icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert open_before.recv(15) == b"HTTP/1.1 200 OK"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
