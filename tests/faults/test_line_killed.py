"""kill -9 and SIGSTOP of each process of a running line: the others go on, it comes back."""

import itertools
import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from perception.client import Run
from perception.transport import rundir
from perception.transport.bus import Inbox
from perception.wire import HealthMessage, TrackMessage
from tests.line import BACK_S, SLOW, START_S, RunningLine, running, synthetic, wait_until

FPS = 12
STAGES = ("camera-a", "detection-default", "tracking", "alert", "output")
WITNESS = {
    "camera-a": ["read.b", "tracked.b"],
    "detection-default": ["read.a", "read.b"],
    "tracking": ["read.a", "detected.a", "detected.b"],
    "alert": ["tracked.a", "tracked.b"],
    "output": ["tracked.a", "tracked.b"],
}
"""What has to go on counting while a process is down."""


class Listener:
    """Notes every track message and the newest health of a line, in a thread."""

    def __init__(self, line: RunningLine, cameras: list[str], processes: tuple[str, ...]) -> None:
        self.tracks: dict[str, list[TrackMessage]] = {name: [] for name in cameras}
        self.health: dict[str, HealthMessage] = {}
        self._inboxes = (
            Inbox(line.run_dir, "tracks", cameras),
            Inbox(line.run_dir, "health", processes),
        )
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        tracks, health = self._inboxes
        while not self._end.is_set():
            for message in tracks.poll(20):
                self.tracks[message.stamp.camera].append(message)
            for message in health.poll(0):
                self.health[message.process] = message
        tracks.close()
        health.close()

    def counter(self, name: str) -> int:
        return sum(message.counters.get(name, 0) for message in tuple(self.health.values()))

    def close(self) -> None:
        self._end.set()
        self._thread.join()


def fault(line: RunningLine, listener: Listener, name: str, number: int) -> None:
    """Hurt one process; it comes back in time and the others have not noticed."""
    before = {what: listener.counter(what) for what in WITNESS[name]}
    began = time.monotonic()
    old = line.kill(name, number)
    limit_s = BACK_S + (3.0 if number == signal.SIGSTOP else 0.0)
    line.wait_back(name, old, limit_s)
    outage_s = time.monotonic() - began
    for what, count in before.items():
        # Health comes four times a second: a count is up to 0.25 s old at either end.
        least = 0.6 * FPS * (outage_s - 0.6)
        went_on = listener.counter(what) - count
        assert went_on >= least, f"{what}: {went_on} in {outage_s:.1f} s while {name} was down"
    seen = {camera: len(messages) for camera, messages in listener.tracks.items()}
    for camera, n in seen.items():
        wait_until(
            lambda camera=camera, n=n: len(listener.tracks[camera]) > n,
            BACK_S,
            f"{camera} is tracked again after {name}",
        )


def assert_ids_rise(messages: list[TrackMessage]) -> None:
    frames = [message.stamp.frame_id for message in messages]
    assert all(a < b for a, b in itertools.pairwise(frames))
    epochs: list[int] = []
    for message in messages:
        own = {int(i) >> 32 for i in message.tracks.track_ids}
        assert len(own) <= 1, "ids of two starts in one message"
        epochs += own
    assert epochs == sorted(epochs)
    assert len(set(epochs)) >= 3, "the tracker was started three times"


@pytest.mark.timeout(240)
@pytest.mark.fault("F01", "F02", "F03", "F05")
def test_each_process_in_turn(home: Path) -> None:
    launch = {
        "cameras": {"a": synthetic(fps=FPS), "b": synthetic(fps=FPS, seed=2)},
        "output": {"tracks": True},
    }
    with running(home, launch) as line:
        line.wait_ready()
        listener = Listener(line, ["a", "b"], ("camera-b", *STAGES))
        try:
            wait_until(lambda: all(map(len, listener.tracks.values())), START_S, "tracks")
            for name in STAGES:
                fault(line, listener, name, signal.SIGKILL)
            for name in STAGES:
                fault(line, listener, name, signal.SIGSTOP)
        finally:
            listener.close()
        assert line.stop() == 0
    for messages in listener.tracks.values():
        assert_ids_rise(messages)
    summary = line.summary()
    for name, process in summary["processes"].items():
        assert process["restarts"] == (0 if name == "camera-b" else 2), (name, process)
        assert len(process["pids"]) == process["restarts"] + 1
    for camera in summary["cameras"].values():
        assert camera["frames_read"] == camera["frames_tracked"] + sum(camera["dropped"].values())
        assert camera["frames_tracked"] > 0.3 * camera["frames_read"]
    assert len(list(line.folder.glob("mot-b*.txt"))) == 3, "one for each start of output"
    rows = [
        json.loads(row)["frame"]
        for path in line.folder.glob("tracks-b*.jsonl")
        for row in path.read_text().splitlines(keepends=True)
        if row.endswith("\n")
    ]
    tracked = summary["cameras"]["b"]["frames_tracked"]
    assert 0.4 * tracked < len(set(rows)) == len(rows) <= tracked + FPS
    missed = summary["cameras"]["b"]["missed"]
    assert set(missed) <= {"output_away", "output_lost"}, "the alert process caught up with all"
    # What a killed output had written within its last second is not all on the disk.
    assert sum(missed.values()) == pytest.approx(tracked - len(rows), abs=3 * FPS)


WIDTH, HEIGHT = 320, 240


def scene(x: float) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a grey picture with a red car whose bottom centre is at (x, 150)."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    left = round(x * WIDTH) - 25
    image[110:150, max(0, left) : left + 50] = (0, 0, 220)
    return image


class Driver:
    """Pushes a car to and fro, each frame after the one before was tracked."""

    def __init__(self, run: Run) -> None:
        self._tracks: Iterator[TrackMessage] = run.tracks("door", every=True)
        self._pusher = run.push("door")
        self._n, self.x = 0, 0.2
        self.crossings = 0

    def step(self, x: float) -> None:
        """Show the car at x; return when that frame was tracked."""
        self._n += 1
        self.crossings += (self.x < 0.5) != (x < 0.5)
        self.x = x
        t_ns = self._n * 50_000_000
        tick = threading.Event()
        for _ in range(100):
            if self._pusher.send(scene(x), t_ns, timeout_s=5):
                break
            tick.wait(0.05)
        for message in self._tracks:
            if message.stamp.t_media_ns >= t_ns:
                return

    def drive(self, to: float) -> None:
        """Drive there in steps of 2 % of the picture."""
        way = np.linspace(self.x, to, max(2, round(abs(to - self.x) / 0.02)))[1:]
        for x in way:
            self.step(float(x))

    def close(self) -> None:
        self._pusher.close()


def door_launch() -> dict[str, Any]:
    return {
        "cameras": {
            "door": {
                "source": "push",
                "lines": {"gate": {"points": [[0.5, 0.0], [0.5, 1.0]], "names": ["in", "out"]}},
                "rules": {"crossed": {"type": "line", "line": "gate"}},
            }
        }
    }


def raised(line: RunningLine) -> list[str]:
    return [alert["key"] for alert in line.alerts() if alert["state"] == "raised"]


def break_alert(line: RunningLine, number: int) -> Callable[[], None]:
    """Kill or freeze the alert process; return what waits until it is back."""
    old = line.kill("alert", number)
    return lambda: line.wait_back("alert", old, BACK_S + 3)


@pytest.mark.timeout(240)
@pytest.mark.fault("F02", "F04")
def test_a_line_crossed_while_the_alert_process_is_down(home: Path) -> None:
    with running(home, door_launch()) as line:
        line.wait_ready()
        driver = Driver(line.connect())
        try:
            # The first frame after start may find no listener: a publisher drops what nobody hears.
            for _ in range(5):
                driver.step(0.2)
            driver.drive(0.8)
            wait_until(lambda: len(raised(line)) == 1, BACK_S, "the first crossing")
            for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL):
                back = break_alert(line, number)
                driver.drive(0.2 if driver.x > 0.5 else 0.8)
                back()
                wait_until(
                    lambda: len(raised(line)) == driver.crossings,
                    BACK_S,
                    f"{driver.crossings} crossings in alerts.jsonl",
                )
            for _ in range(2):
                driver.drive(0.2 if driver.x > 0.5 else 0.8)
                break_alert(line, signal.SIGKILL)()
        finally:
            driver.close()
        wait_until(lambda: len(raised(line)) >= driver.crossings, BACK_S, "all crossings")
        assert line.stop() == 0
    keys = raised(line)
    assert driver.crossings == 6
    assert len(keys) == len(set(keys)) == driver.crossings
    with sqlite3.connect(line.folder / "alerts.sqlite") as db:
        stored = [key for (key,) in db.execute("SELECT key FROM alerts")]
    db.close()
    assert sorted(stored) == sorted(keys)
    summary = line.summary()["cameras"]["door"]
    assert summary["alerts"] == {"crossed": 6}
    assert sum(summary["crossings"]["crossed"].values()) == 6
    assert len(list((line.folder / "snapshots").glob("*.jpg"))) > 0


@pytest.mark.fault("F06")
def test_kill_9_of_the_supervisor(home: Path) -> None:
    launch = {"cameras": {"a": synthetic()}}
    with running(home, launch) as line:
        line.wait_ready()
        next(line.connect().tracks("a"))
        line.process.kill()
        line.process.wait(5)
        line.assert_children_gone(2.0 * SLOW)
        assert line.run_dir.exists()
    with running(home, launch) as again:
        again.wait_ready()
        assert again.name == line.name, "the name is free again"
        assert [path for path in again.rings() if path in line.rings()] == again.rings()
        next(again.connect().tracks("a"))
        assert len(again.rings()) == 1, "what the killed run left is swept"
        assert again.stop() == 0
    assert rundir.running() == []


@pytest.mark.fault("F07")
def test_kill_9_of_everything_at_once_and_another_start(home: Path) -> None:
    launch = {"cameras": {"a": synthetic()}, "output": {"video": True}}
    before = set(psutil.Process().children())  # helpers of other tests of this worker
    with running(home, launch) as line:
        line.wait_ready()
        next(line.connect().tracks("a"))
        pids = [*line.note_pids().values()]
        for pid in (line.process.pid, *pids):
            os.kill(pid, signal.SIGKILL)
        line.process.wait(5)
        line.assert_children_gone(2.0 * SLOW)
    assert set(psutil.Process().children()) <= before
    with running(home, launch) as again:
        again.wait_ready()
        next(again.connect().tracks("a"))
        assert again.stop() == 0
    db = sqlite3.connect(again.folder / "alerts.sqlite")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
