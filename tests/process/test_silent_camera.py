"""A camera that gives nothing says why: terminal, check, summary and health alert."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import cv2
import numpy as np
import pytest

from perception.errors import SourceLost
from perception.sources import allocate_new
from perception.sources.http_kind import explain
from perception.sources.stream import MpegTsSource
from tests.line import perception_says, running, wait_until, write_launch

WHY = "multipart/x-mixed-replace is not MPEG-TS"


class _Mjpeg(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        picture = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(1000):
                head = (
                    f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                )
                self.wfile.write(head.encode() + picture + b"\r\n")
                time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Mjpeg)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://user:secret@127.0.0.1:{server.server_port}/video"
    server.shutdown()
    server.server_close()


def _read(source: MpegTsSource, end: float) -> None:
    source.open()
    while time.monotonic() < end:
        source.read(allocate_new)


def test_the_source_says_what_it_is(camera):
    source = MpegTsSource(MpegTsSource.Options(url=camera), camera="door")
    started = time.monotonic()
    with pytest.raises(SourceLost, match=WHY) as caught:
        _read(source, started + 10)
    source.close()
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started < 10


def test_the_line_says_what_it_is(camera, tmp_path):
    launch = {
        "cameras": {"door": {"source": camera, "watch": {"offline_s": 5}}},
        "alerts": {"sinks": {"jsonl": {}}},
    }
    with running(tmp_path, launch) as line:
        wait_until(lambda: "run line:" in line.says, 60, "the line started")
        wait_until(lambda: WHY in line.says, 10, "the terminal names the reason")
        alerts = line.folder / "alerts.jsonl"
        wait_until(lambda: alerts.exists() and alerts.read_text(), 10, "a health alert")
        line.stop()
    raised = json.loads(alerts.read_text().splitlines()[0])
    assert raised["kind"] == "offline"
    assert WHY in raised["details"]["reason"]
    summary = json.loads((line.folder / "summary.json").read_text())
    problems = summary["cameras"]["door"]["problems"]
    assert any(WHY in problem for problem in problems), problems


def test_check_says_what_it_is(camera, tmp_path):
    file = write_launch(tmp_path / "launch.yaml", {"cameras": {"door": {"source": camera}}})
    said = perception_says("check", file)
    assert WHY in said.stdout


class _Refusing(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "ftp://127.0.0.1:1/x")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("status", [401, 403, 404])
def test_who_refuses_is_asked_once(status):
    """A second request with a wrong password could lock the account."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://user:secret@127.0.0.1:{server.server_port}/{status}"
        source = MpegTsSource(MpegTsSource.Options(url=url), camera="door")
        _Refusing.asked.clear()
        with pytest.raises(SourceLost):
            _read(source, time.monotonic() + 8)
        time.sleep(2.5)
        source.close()
        server.shutdown()
    assert len(_Refusing.asked) == 1


def test_a_redirect_tells_nothing():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert explain(f"http://127.0.0.1:{server.server_port}/302") == ""
        server.shutdown()
