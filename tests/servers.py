"""Real servers on loopback for tests: RTSP (GStreamer), MPEG-TS (ffmpeg), and bad sockets.

    with rtsp_server() as server: RtspSource.Options(url=server.url)

RTSP needs the system's python3 with gi and GStreamer's RTSP server, MPEG-TS the program ffmpeg;
a test that finds them missing is skipped with the reason. Every process is ended by its own pid.
"""

import contextlib
import functools
import itertools
import select
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
_RTSP = Path(__file__).with_name("rtsp_server.py")


@dataclass
class Server:
    """A server process that can be frozen, killed and started again on the same port."""

    url: str
    start: Callable[[], subprocess.Popen[str]]
    process: subprocess.Popen[str]

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout:
            self.process.stdout.close()

    def restart(self) -> None:
        self.kill()
        self.process = self.start()

    @property
    def port(self) -> int:
        """The port of its url."""
        return urlsplit(self.url).port or 0


def free_port() -> int:
    """Return a TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _running(url: str, start: Callable[[], subprocess.Popen[str]]) -> Iterator[Server]:
    server = Server(url, start, start())
    try:
        yield server
    finally:
        server.kill()


@functools.cache
def _rtsp_missing() -> str | None:
    probe = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); "
        "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
        "missing = [n for n in ('x264enc', 'rtph264pay', 'videotestsrc')"
        " if not Gst.ElementFactory.find(n)]; assert not missing, missing"
    )
    try:
        run = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return run.stderr.decode().strip().rpartition("\n")[2] if run.returncode else None


def rtsp_server(
    user: str = "", password: str = "", sizes: str = "320x240"
) -> contextlib.AbstractContextManager[Server]:
    """Serve rtsp://127.0.0.1:port/test, 30 fps; several sizes change every second.

    The url bears user and password where they are given.
    """
    reason = _rtsp_missing()
    if reason is not None:
        pytest.skip(f"no GStreamer RTSP server for {SYSTEM_PYTHON}: {reason}")
    port = free_port()
    login = [user, password] if user else []
    at = f"{user}:{password}@" if user else ""

    def start() -> subprocess.Popen[str]:
        arguments = [SYSTEM_PYTHON, str(_RTSP), str(port), *login, sizes]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    return _running(f"rtsp://{at}127.0.0.1:{port}/test", start)


def mpegts_server(clip: Path, scheme: str = "tcp") -> contextlib.AbstractContextManager[Server]:
    """Play a clip in real time, without end, to the first that connects to tcp:// or http://."""
    port = free_port()
    url = f"{scheme}://127.0.0.1:{port}"
    listen = f"{url}?listen=1" if scheme == "tcp" else url
    options = ["-listen", "1"] if scheme == "http" else []

    def start() -> subprocess.Popen[str]:
        arguments = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"]
        arguments += [str(clip), "-c", "copy", "-an", "-f", "mpegts", *options, listen]
        try:
            process = subprocess.Popen(arguments, text=True)
        except FileNotFoundError:
            pytest.skip("no program ffmpeg")
        _wait_listening(port, process)
        return process

    return _running(url, start)


def _wait_listening(port: int, process: subprocess.Popen[str]) -> None:
    """Wait until somebody listens, without connecting: ffmpeg serves only the first."""
    tick = threading.Event()
    for _ in range(500):
        rows = Path("/proc/net/tcp").read_text().splitlines()
        if any(_listens(row, port) for row in rows[1:]):
            return
        if process.poll() is not None:
            sys.exit(f"ffmpeg ended with {process.returncode}")
        tick.wait(0.02)
    raise TimeoutError(f"nobody listens on port {port}")


def _listens(row: str, port: int) -> bool:
    _, local, _, state, *_ = row.split()
    return state == "0A" and int(local.rpartition(":")[2], 16) == port


@contextlib.contextmanager
def counting_forwarder(to_port: int) -> Iterator[tuple[int, list[float]]]:
    """Pass connections on to a port of loopback; yield its own port and when each was made."""
    tries: list[float] = []

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            tries.append(time.monotonic())
            with socket.create_connection(("127.0.0.1", to_port)) as onward:
                pairs = {self.request: onward, onward: self.request}
                while True:
                    for end in select.select(list(pairs), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        pairs[end].sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1], tries
        finally:
            server.shutdown()
            thread.join(5)


@contextlib.contextmanager
def silent_server(reset: bool = False) -> Iterator[int]:
    """Accept connections on a port and never answer, or with `reset` cut each with a RST."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        stop = threading.Event()

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    peer, _ = listener.accept()
                    if reset:
                        peer.settimeout(0.2)
                        with contextlib.suppress(TimeoutError):
                            peer.recv(1)
                        linger = struct.pack("ii", 1, 0)
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        peer.close()
                    else:
                        kept.append(peer)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join()
            for peer in kept:
                peer.close()


@contextlib.contextmanager
def bytes_server(data: bytes, bytes_s: float) -> Iterator[int]:
    """Send the same bytes again and again, at a rate, to each that connects to a port."""
    stop = threading.Event()
    piece = 1316

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):
                peer, _ = listener.accept()
                with peer:
                    for n in itertools.count():
                        at = n * piece % len(data)
                        peer.sendall(data[at : at + piece])
                        if stop.wait(piece / bytes_s):
                            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            stop.set()
            thread.join()
