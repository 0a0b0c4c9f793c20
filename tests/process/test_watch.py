"""A camera that is cut, frozen or covered, on a running line: each is an alert in its seconds."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from perception.alerts.store import AlertStore
from tests.line import SLOW, running, wait_until
from tests.servers import rtsp_server

AFTER_S = 1.0 * SLOW  # a busy machine may give no picture for a second
WATCH = {"offline_s": AFTER_S, "frozen_s": AFTER_S, "dark_s": AFTER_S, "clear_s": 1}
RNG = np.random.default_rng(4)
SCENE = RNG.integers(40, 200, (240, 320, 1), np.uint8).repeat(3, axis=2)


class Camera:
    """Pushes 10 pictures a second of what `shows`: scene, still, dark or nothing."""

    def __init__(self, pusher):
        self.pusher, self.shows, self.end = pusher, "scene", threading.Event()
        self.well = time.monotonic()  # when the last picture of the scene was sent
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.end.wait(0.1):
            if self.shows == "scene":
                self.well = time.monotonic()
            if self.shows == "still":
                self.pusher.send(SCENE, time.monotonic_ns())
            elif self.shows != "nothing":
                base = SCENE if self.shows == "scene" else np.zeros_like(SCENE)
                noise = RNG.integers(0, 6, SCENE.shape, np.uint8)
                self.pusher.send(base + noise, time.monotonic_ns())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()
        self.pusher.close()


@pytest.mark.fault("F14", "F15")
def test_offline_frozen_and_dark_are_raised_and_cleared(home: Path) -> None:
    launch = {
        "cameras": {"door": {"source": "push", "watch": WATCH}},
        "alerts": {"sinks": {"jsonl": {}}},
    }
    with running(home, launch) as line:
        line.wait_ready()
        with (
            Camera(line.connect().push("door")) as camera,
            AlertStore(line.folder / "alerts.sqlite") as store,
        ):

            def states():
                kept = store.newest(camera="door")
                return [(k.alert.kind, k.alert.state) for k in reversed(kept)]

            seen = line.connect().tracks("door", every=True)
            for _ in range(15):  # well for longer than clear_s before anything is wrong
                next(seen)
            seen.close()
            wait_until(lambda: not store.open_alerts("door", "camera"), 10 * SLOW, "well at first")
            before = len(states())  # it may have been offline until the first picture
            for shows, kind in (("nothing", "offline"), ("still", "frozen"), ("dark", "dark")):
                camera.shows = shows
                wait_until(lambda k=kind: states()[-1:] == [(k, "raised")], 8 * SLOW, kind)
                assert AFTER_S - 0.1 < time.monotonic() - camera.well < AFTER_S + 3 * SLOW
                camera.shows = "scene"
                wait_until(lambda k=kind: states()[-1:] == [(k, "cleared")], 8 * SLOW, "cleared")
            assert [kind for kind, _ in states()[before:]] == ["offline", "frozen", "dark"]
            line.kill("alert")
            camera.shows = "nothing"
            wait_until(lambda: states()[-1:] == [("offline", "raised")], 20 * SLOW, "after a kill")
            assert line.process.poll() is None
        line.stop()


@pytest.mark.fault("F10")
def test_a_stream_that_stops_is_offline_until_it_is_back(home: Path) -> None:
    with rtsp_server() as server:
        camera = {"source": server.url, "watch": {**WATCH, "frozen_s": 600, "dark_s": 600}}
        launch = {"cameras": {"door": camera}, "alerts": {"sinks": {"jsonl": {}}}}
        with running(home, launch) as line:
            line.wait_ready()
            next(line.connect().tracks("door"))
            with AlertStore(line.folder / "alerts.sqlite") as store:

                def is_open() -> bool:
                    return [a.kind for a in store.open_alerts("door", "camera")] == ["offline"]

                wait_until(lambda: not is_open(), 10 * SLOW, "well at first")
                server.freeze()
                wait_until(is_open, 3 + 3 * SLOW, "it gives nothing")
                server.restart()
                wait_until(lambda: not is_open(), 30 * SLOW, "it is back")
            line.stop()
