"""Sinks and the store in trouble on a running line: detection goes on, every alert arrives."""

import json
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from perception.alerts.store import AlertStore
from tests.line import SLOW, RunningLine, running, synthetic, wait_until

FPS = 12


class Hook:
    """A webhook that is well, answers 500 or hangs; keeps the idempotency keys it said 200 to."""

    def __init__(self) -> None:
        self.mood, self.taken, self.asked = "well", [], 0
        self.end = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.asked += 1
                if hook.mood == "hangs":
                    hook.end.wait(3)
                    return
                self.send_response(200 if hook.mood == "well" else 500)
                self.end_headers()
                if hook.mood == "well":
                    assert json.loads(body)["key"] in self.headers["Idempotency-Key"]
                    hook.taken.append(self.headers["Idempotency-Key"])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))

    def __enter__(self) -> "Hook":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def launch(url: str) -> dict[str, object]:
    """A camera in which shapes cross a line in the middle again and again."""
    camera = {
        **synthetic(fps=FPS, objects=6),
        "lines": {"gate": {"points": [[0.5, 0.0], [0.5, 1.0]], "names": ["out", "in"]}},
        "rules": {"crossing": {"type": "line", "line": "gate"}},
    }
    hook = {"type": "webhook", "url": url, "timeout_s": 0.5}
    return {"cameras": {"a": camera}, "alerts": {"sinks": {"hook": hook, "jsonl": {}}}}


def tracked_rate(line: RunningLine, seconds: float) -> float:
    """Return frames tracked a second, as the tracking process says."""
    with line.health("tracking") as listen:
        first = listen(5 * SLOW, lambda m: True)
        wait_ns = first.t_monotonic_ns + int(seconds * 1e9)
        last = listen(seconds + 5 * SLOW, lambda m: m.t_monotonic_ns >= wait_ns)
    frames = last.counters["tracked.a"] - first.counters["tracked.a"]
    return frames / ((last.t_monotonic_ns - first.t_monotonic_ns) / 1e9)


def written_late(line: RunningLine, seconds: float) -> float:
    """Return how long, at most, an alert told in these seconds takes to stand in alerts.jsonl."""
    told, late = line.connect().alerts("a"), 0.0
    path, end = line.folder / "alerts.jsonl", time.monotonic() + seconds
    while time.monotonic() < end:
        alert, began = next(told), time.monotonic()
        wait_until(lambda key=alert.key: key in path.read_text(), 10, "it is written")
        late = max(late, time.monotonic() - began)
    return late


def keys(line: RunningLine) -> set[str]:
    with AlertStore(line.folder / "alerts.sqlite") as store:
        return {kept.alert.key for kept in store.newest(100_000)}


@pytest.mark.parametrize("mood", ["answers 500", "hangs"])
def test_a_webhook_in_trouble_delays_nothing_and_gets_all(home: Path, mood: str) -> None:
    with Hook() as hook, running(home, launch(hook.url)) as line:
        line.wait_ready()
        wait_until(lambda: hook.taken, 20 * SLOW, "a first alert arrives")
        hook.mood = mood
        asked, before = hook.asked, keys(line)
        assert tracked_rate(line, 4.0) > FPS * 0.7
        wait_until(lambda: len(keys(line) - before) >= 3, 20 * SLOW, "alerts go on being stored")
        wait_until(lambda: hook.asked > asked, 10 * SLOW, "it is tried")
        assert written_late(line, 4.0) < 0.4 * SLOW, "the other sink does not wait"
        assert hook.asked - asked < 30, "it is not hammered"
        hook.mood = "well"
        missed = keys(line)

        def arrived() -> bool:
            return missed <= {key.partition("-")[0] for key in hook.taken}

        wait_until(arrived, 10 * SLOW, "all that was missed arrives within 10 s")
        assert len(hook.taken) == len(set(hook.taken)) or mood == "hangs"
        line.stop()


def test_a_locked_store_delays_nothing_and_loses_nothing(home: Path) -> None:
    with Hook() as hook, running(home, launch(hook.url)) as line:
        line.wait_ready()
        wait_until(lambda: hook.taken, 20 * SLOW, "a first alert arrives")
        other = sqlite3.connect(line.folder / "alerts.sqlite", isolation_level=None, timeout=5)
        other.execute("BEGIN IMMEDIATE")
        connection = line.connect()
        told = connection.alerts("a")
        began = time.monotonic()
        seen = [next(told).key for _ in range(3)]
        assert tracked_rate(line, 4.0) > FPS * 0.7
        other.execute("ROLLBACK")
        other.close()
        assert time.monotonic() - began > 2.5, "longer than the store waits for a lock"
        wait_until(lambda: set(seen) <= keys(line), 15 * SLOW, "what was told is stored")

        def arrived() -> bool:
            return set(seen) <= {key.partition("-")[0] for key in hook.taken}

        wait_until(arrived, 15 * SLOW, "and delivered")
        line.stop()
