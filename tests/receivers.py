"""Real receivers of alerts on loopback: a webhook with moods, a mosquitto and its subscriber.

Every process is ended by its own pid. A test that finds no mosquitto is skipped with the reason.
"""

import contextlib
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest

Mood = Literal["well", "answers 500", "hangs", "redirects", "sends without end", "picky"]


class Hook:
    """A webhook that is well or in some trouble.

    taken: idempotency keys it said 200 to, in order. asked: how many requests came. refused: the
    alert that the picky one does not take, and since when (monotonic). wrong: requests that are
    not as they have to be; none, or leaving it fails.
    """

    def __init__(self) -> None:
        self.mood: Mood = "well"
        self.taken: list[str] = []
        self.wrong: list[str] = []
        self.asked, self.refused, self.since = 0, "", 0.0
        self.end = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                with contextlib.suppress(OSError):  # who asked was cut off
                    hook._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        size = int(request.headers["Content-Length"] or 0)
        body = request.rfile.read(size)
        if len(body) < size:
            return  # who asked was cut off
        self.asked += 1
        name = request.headers["Idempotency-Key"] or ""
        try:
            key = json.loads(body)["key"]
        except (ValueError, TypeError, KeyError):
            key = ""
        if not key or key not in name:
            self.wrong.append(f"{name}: {body[:200]!r}")
            return
        mood = self.mood
        if mood == "picky" and not self.refused:
            self.refused, self.since = key, time.monotonic()
        if mood == "hangs":
            self.end.wait(3)
            return
        if mood == "redirects":
            request.send_response(307)
            request.send_header("Location", self.url)
            request.end_headers()
            return
        failed = mood == "answers 500" or (mood == "picky" and key == self.refused)
        request.send_response(500 if failed else 200)
        while mood == "sends without end" and not self.end.wait(0.01):
            request.wfile.write(b"X-More: of it\r\n")
        request.end_headers()
        if not failed:
            self.taken.append(name)

    def __enter__(self) -> "Hook":
        self.thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.end.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        assert kind is not None or not self.wrong, self.wrong


class Broker:
    """A real mosquitto on a free port; may be stopped, killed and started again.

    lines: of its configuration, by default anybody may connect.
    """

    def __init__(self, folder: Path, *lines: str) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip("no mosquitto (Debian package)")
        self.program: str = program
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        folder.mkdir(exist_ok=True)
        self.config = folder / "mosquitto.conf"
        text = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",  # so that one that is killed knows its subscribers
            "autosave_on_changes true",
            "max_inflight_messages 0",
            "max_queued_messages 0",
            f"user {getpass.getuser()}",
        ]
        self.config.write_text("\n".join([*text, *(lines or ["allow_anonymous true"]), ""]))
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [self.program, "-c", str(self.config)], stderr=subprocess.DEVNULL, text=True
        )
        until(lambda: socket.create_connection(("127.0.0.1", self.port), 0.2).close() or True)

    def say(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.send_signal(signal.SIGCONT)
            self.process.wait(10)
            self.process = None

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Listener:
    """A subscriber to everything, also to what came while it was away. got: topic, payload,
    whether it was retained."""

    def __init__(self, port: int, name: str = "listener") -> None:
        mqtt: Any = pytest.importorskip("paho.mqtt.client")
        self.got: list[tuple[str, bytes, bool]] = []
        self.ready = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False
        )
        self.client.on_connect = lambda c, *_: c.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self.ready.set()
        self.client.on_message = lambda c, u, m: self.got.append((m.topic, m.payload, m.retain))
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self.ready.wait(10)

    def payloads(self, topic: str) -> list[bytes]:
        """Return what came under a topic, oldest first."""
        return [payload for t, payload, _ in self.got if t == topic]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that came as events, oldest first."""
        return [json.loads(p)["after"] for p in self.payloads("perception/events")]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def until(true: Callable[[], Any], wait_s: float = 15.0) -> None:
    """Wait until `true()` holds; OSError counts as not yet."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if true():
                return
        time.sleep(0.02)
    raise AssertionError("waited in vain")
