import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import ValidationError

from perception.errors import SinkError
from perception.sinks import delivery_key, sink_class
from perception.sinks.webhook import signature
from tests.line import SLOW
from tests.namespaces import own_mounts, says
from tests.scenes import alert

SECRET = "a long enough secret"


def make(url, **options):
    cls = sink_class("webhook")
    return cls(cls.Options(url=url, **options), None)


class Server:
    """A receiver that answers as it is told and keeps what it got."""

    def __init__(self, status=200, headers=(), body=b"ok"):
        self.got = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                got.append((self.path, dict(self.headers), self.rfile.read(length)))
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook?x=1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class RawServer:
    """A receiver that writes `pieces` with a pause between them, after the request or at once."""

    def __init__(self, pieces, pause_s=0.0, reads=True):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.end = threading.Event()
        self.sent = 0
        self.thread = threading.Thread(target=self.work, args=(pieces, pause_s, reads))

    def work(self, pieces, pause_s, reads):
        client, _ = self.socket.accept()
        with client:
            if reads:
                self._read(client)
            try:
                for piece in pieces:
                    client.sendall(piece)
                    self.sent += len(piece)
                    if self.end.wait(pause_s):
                        return
            except OSError:
                return

    def _read(self, client):
        """Read the whole request: closed with some of it unread, the answer would be a reset."""
        with client.makefile("rb") as request:
            length = 0
            while (line := request.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            request.read(length)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.socket.close()
        self.thread.join()


def forever(piece):
    while True:
        yield piece


def test_an_alert_arrives_as_json_with_its_key_and_signature():
    with Server() as server:
        make(server.url, secret=SECRET, headers={"X-Room": "hall"}).send(alert(1), None)
    ((path, headers, body),) = server.got
    assert path == "/hook?x=1"
    assert json.loads(body)["track_id"] == 1
    assert headers["Idempotency-Key"] == delivery_key(alert(1))
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Room"] == "hall"
    t_s = int(headers["X-Perception-Signature"].partition(",")[0].removeprefix("t="))
    assert abs(t_s - time.time()) < 60
    assert headers["X-Perception-Signature"] == signature(SECRET, t_s, body)
    assert signature("another secret", t_s, body) != signature(SECRET, t_s, body)


@pytest.mark.fault("H17")
def test_a_signature_as_the_receiver_computes_it():
    expected = hmac.new(b"secret!!", b'7.{"a":1}', hashlib.sha256).hexdigest()
    assert signature("secret!!", 7, b'{"a":1}') == f"t=7,v1={expected}"


def test_user_and_password_of_the_url_are_basic_authentication():
    with Server() as server:
        make(server.url.replace("//", "//me:p%40ss@")).send(alert(1), None)
    authorization = server.got[0][1]["Authorization"]
    assert base64.b64decode(authorization.removeprefix("Basic ")) == b"me:p@ss"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_an_answer_that_is_no_success_is_named(status):
    with Server(status) as server, pytest.raises(SinkError, match=f"answered {status}"):
        make(server.url).send(alert(1), None)


@pytest.mark.parametrize("target", ["http://127.0.0.1:1/", "file:///etc/passwd", "//evil/"])
@pytest.mark.fault("H17")
def test_redirects_are_not_followed(target):
    with (
        Server(302, [("Location", target)]) as server,
        pytest.raises(SinkError, match="redirects are not followed"),
    ):
        make(server.url).send(alert(1), None)
    assert len(server.got) == 1


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("pieces", "pause_s"),
    [
        ([b""], 30.0),
        (forever(b"X: y\r\n"), 0.05),
        ([HEAD, *[b"X"] * 1000], 0.05),
        ([HEAD + b"Content-Length: 100000\r\n\r\n", *[b"x"] * 1000], 0.05),
        ([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000], 0.05),
    ],
    ids=["silent", "headers forever", "drips its headers", "drips its body", "drips chunks"],
)
@pytest.mark.fault("H17")
def test_whoever_takes_too_long_is_cut_off_at_the_deadline(pieces, pause_s):
    with RawServer(pieces, pause_s) as server:
        started = time.monotonic()
        with pytest.raises(SinkError, match=r"no answer in time|not a valid HTTP answer"):
            make(server.url, timeout_s=0.5).send(alert(1), None)
        assert time.monotonic() - started < 1.5 * SLOW


def test_a_handshake_that_drips_is_cut_off_at_the_deadline_too():
    record = b"\x16\x03\x03\x40\x00"  # TLS says: 16384 bytes of handshake follow
    with RawServer([record, *[b"x"] * 1000], 0.05, reads=False) as server:
        sink = make(server.url.replace("http:", "https:"), timeout_s=0.5)
        started = time.monotonic()
        with pytest.raises(SinkError, match="no answer in time"):
            sink.send(alert(1), None)
        assert time.monotonic() - started < 1.5 * SLOW
        for thread in threading.enumerate():
            if thread.name == "webhook":
                thread.join(1.0)
                assert not thread.is_alive(), "nor does its thread go on"


@pytest.mark.fault("H17")
def test_an_endless_answer_is_not_read_to_its_end():
    with RawServer(forever(HEAD + b"\r\n" + b"x" * 65536)) as server:
        make(server.url, timeout_s=5).send(alert(1), None)
    assert server.sent < 32 << 20


@pytest.mark.parametrize(
    "answer",
    [b"", b"hello\r\n\r\n", b"HTTP/9.9 zzz\r\n\r\n", b"HTTP/1.1 200\r\nX: " + b"y" * 70_000],
)
def test_what_is_no_answer_is_named(answer):
    with (
        RawServer([answer]) as server,
        pytest.raises(SinkError, match=r"http://127\.0\.0\.1: no"),
    ):
        make(server.url, timeout_s=1).send(alert(1), None)


def test_nobody_there_is_named_without_what_is_secret_in_the_url():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sink = make(f"http://me:hush@127.0.0.1:{port}/token123")
    with pytest.raises(SinkError) as caught:
        sink.send(alert(1), None)
    assert str(caught.value) == "http://127.0.0.1: Connection refused"
    assert "hush" not in repr(sink.when)
    assert "token123" not in repr(sink.when)


def test_a_name_that_does_not_resolve_is_named():
    with pytest.raises(SinkError, match=r"nowhere\.invalid: "):
        make("http://nowhere.invalid/").send(alert(1), None)


RESOLVER = """
import fcntl, socket, struct, sys, time
from perception.errors import SinkError
from perception.sinks import sink_class
from tests.scenes import alert

up = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(up, 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: up, running
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
cls = sink_class("webhook")
sink = cls(cls.Options(url="http://hook.example/", timeout_s=0.5), None)
for _ in range(2):
    began = time.monotonic()
    try:
        sink.send(alert(1), None)
    except SinkError as error:
        print(f"{time.monotonic() - began:.2f} {error}")
assert silent.recv(512), "the name was looked up"
"""


def test_a_name_server_that_never_answers_is_not_waited_for(tmp_path):
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    prefix = own_mounts(f"mount --bind {resolver} /etc/resolv.conf", network=True)
    said = [line.partition(" ") for line in says(prefix, RESOLVER).splitlines()]
    assert [why for _, _, why in said] == ["http://hook.example: no answer in time"] * 2
    assert all(0.4 < float(seconds) < 1.0 * SLOW for seconds, _, _ in said)


@pytest.mark.fault("H17")
def test_a_certificate_nobody_knows_is_refused(tmp_path):
    files = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    try:
        subprocess.run(
            [*command.split(), "-keyout", files[0], "-out", files[1]],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("no openssl: a certificate cannot be made")
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files[1], files[0])
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.http.handle_error = lambda *_: None
    with server, pytest.raises(SinkError, match="certificate not trusted"):
        make(server.url.replace("http:", "https:").replace("127.0.0.1", "localhost")).send(
            alert(1), None
        )
    assert server.got == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hook",
        "ftp://host/",
        "file:///etc/passwd",
        "http://",
        "http://host:99999/",
        "http://host/a b",
        "http://host/\r\nX: y",
        "http://hoſt/",
    ],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ValidationError, match="is no URL"):
        make(url)


def test_a_header_that_would_be_two_is_refused():
    with (
        Server() as server,
        pytest.raises(SinkError, match="not a valid HTTP answer"),
    ):
        make(server.url, headers={"X": "y\r\nZ: w"}).send(alert(1), None)
    assert server.got == []


def test_a_secret_that_is_short_is_refused_and_never_shown():
    with pytest.raises(ValidationError, match="at least 8"):
        make("http://host/", secret="short")
    assert SECRET not in repr(make("http://host/", secret=SECRET).when)
