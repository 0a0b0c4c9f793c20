"""Real senders on loopback for tests: ffmpeg to udp, rtp and rtmp; HTTP for MJPEG, HLS and stills.

Every process is ended by its own pid; a test that finds no ffmpeg is skipped with the reason.
"""

import contextlib
import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest


@contextlib.contextmanager
def ffmpeg_sends(clip: Path, *output: str) -> Iterator[None]:
    """Play a clip in real time, without end, to an output of ffmpeg; again where that ends."""
    stop, arguments = threading.Event(), ["ffmpeg", "-v", "error", "-nostdin", "-re"]
    arguments += ["-stream_loop", "-1", "-i", str(clip), "-c", "copy", "-an", *output]
    held: list[subprocess.Popen[bytes]] = []

    def play() -> None:
        while not stop.is_set():
            held.append(
                subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            held[-1].wait()
            stop.wait(0.2)

    try:
        subprocess.run(["ffmpeg", "-version"], stdout=subprocess.DEVNULL, check=True)
    except FileNotFoundError:
        pytest.skip("no program ffmpeg")
    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        for process in held:
            process.kill()
        thread.join(10)


class _Pictures(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        if self.path.startswith("/away"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path.startswith("/page"):
            self._send(b"<html>no picture</html>", "text/html")
        elif self.path.startswith("/still"):
            self._send(self.server.picture(), "image/jpeg")
        else:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.server.over.wait(0.05):
                    data = self.server.picture()
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n"
                    self.wfile.write(head.encode() + b"\r\n" + data + b"\r\n")

    def _send(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _PictureServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pictures)
        self.over, self._n = threading.Event(), 0

    def picture(self) -> bytes:
        """Return another JPEG each time."""
        self._n += 1
        image = np.full((120, 160, 3), self._n * 7 % 250, np.uint8)
        return cv2.imencode(".jpg", image)[1].tobytes()


@contextlib.contextmanager
def picture_server() -> Iterator[str]:
    """Yield a camera: /still is a JPEG, /film motion JPEG, /page HTML, /away has moved."""
    server = _PictureServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def folder_server(folder: Path) -> Iterator[str]:
    """Yield the address of a folder's files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def hls_server(folder: Path) -> Iterator[str]:
    """Yield the address of a live playlist of a test picture, 160x120 at 25 frames/s."""
    folder.mkdir(exist_ok=True)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi"]
    command += ["-i", "testsrc=size=160x120:rate=25", "-pix_fmt", "yuv420p", "-c:v", "libx264"]
    command += ["-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-f", "hls"]
    playlist = folder / "live.m3u8"
    try:
        process = subprocess.Popen([*command, "-hls_time", "1", str(playlist)])
    except FileNotFoundError:
        pytest.skip("no program ffmpeg")
    tick = threading.Event()
    try:
        with folder_server(folder) as address:
            for _ in range(300):
                if playlist.is_file():
                    break
                tick.wait(0.05)
            yield f"{address}/live.m3u8"
    finally:
        process.kill()
        process.wait(10)
