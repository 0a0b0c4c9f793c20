"""A line as a user starts it: `perception run` in a process of its own, watched from outside.

    with running(home, {"cameras": {"front": {"source": "push"}}}) as line:
        line.wait_ready()

Every wait is for a condition, with a deadline; deadlines that measure this machine's own speed are
stretched by PERCEPTION_TEST_SLOW (1 where it is not set). `stop` asserts that nothing is left.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

import perception
from perception.client import Run
from perception.transport import ring_map, rundir
from perception.transport.bus import Inbox
from perception.wire import HealthMessage

ROOT = Path(__file__).parent.parent
EXTENSION = Path(__file__).with_name("extension")
SLOW = float(os.environ.get("PERCEPTION_TEST_SLOW", "1"))
START_S = 30 * SLOW
STOP_S = 5.0 * SLOW
BACK_S = 5.0 * SLOW


INSIDE: dict[str, Any] = {
    "zones": {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]},
    "rules": {"inside": {"type": "zone", "zone": "all"}},
}
"""Of a camera: all of the picture as a zone, an alert for each object in it."""


def synthetic(**changes: Any) -> dict[str, Any]:
    """Return a camera with coloured shapes that move: 320x240, 12 a second."""
    source = {"type": "synthetic", "width": 320, "height": 240, "fps": 12, "objects": 3}
    return {"source": {**source, "seed": 1, **changes}}


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Return the first true value of a condition; AssertionError after timeout_s."""
    tick, deadline = threading.Event(), time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s:.1f} s: {what}"
        tick.wait(0.02)


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `perception ...`."""
    return [sys.executable, "-m", "perception", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """Return an environment with the test's own stages."""
    return {**os.environ, "PYTHONPATH": f"{EXTENSION}", "COLUMNS": "160", **changes}


def perception_says(
    *arguments: str | Path,
    cwd: Path = ROOT,
    timeout_s: float = 60.0,
    typed: str | None = None,
    **changes: str,
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end and return what it said. typed: its standard input."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        input=typed,
        timeout=timeout_s * SLOW,
    )


def write_launch(path: Path, launch: dict[str, Any]) -> Path:
    """Write a launch file; without `detectors` the blobs detector, without `name` line."""
    whole = {"name": "line", "detectors": {"default": {"type": "blobs"}}, **launch}
    path.parent.mkdir(parents=True, exist_ok=True)
    unshared = json.loads(json.dumps(whole))  # YAML aliases are refused in launch files
    path.write_text(yaml.safe_dump(unshared, sort_keys=False))
    return path


class RunningLine:
    """A started line. pids: every process id ever seen, by process name."""

    def __init__(
        self,
        folder: Path,
        launch: dict[str, Any],
        arguments: tuple[str, ...],
        prefix: tuple[str, ...] = (),
        **env: str,
    ) -> None:
        launch = {**launch, "output": {"folder": str(folder / "out"), **launch.get("output", {})}}
        self.folder = Path(launch["output"]["folder"])
        self.file = write_launch(folder / "launch.yaml", launch)
        self.says_path = folder / "says.txt"
        self.pids: dict[str, list[int]] = {}
        self._before = set(rundir.running())
        with self.says_path.open("wb") as says:
            self.process = subprocess.Popen(
                [*prefix, *command("run", self.file, *arguments)],
                cwd=ROOT,
                env=environment(**env),
                stdin=subprocess.DEVNULL,
                stdout=says,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.run_dir = Path()

    @property
    def says(self) -> str:
        """What it printed so far."""
        return self.says_path.read_text()

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.run_dir.name

    def wait_begun(self) -> None:
        """Wait until it has its directory with its plan."""

        def begun() -> bool:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.says}"
            found = [n for n in rundir.running() if n not in self._before]
            said = [n for n in found if f"run {n}:" in self.says]
            if said:
                self.run_dir = rundir.base_dir() / said[0]
            return bool(said) and (self.run_dir / rundir.PLAN).exists()

        wait_until(begun, START_S, f"a run begins; it says: {self.says}")

    def connect(self) -> Run:
        """Return the run as user code sees it."""
        return perception.connect(self.name)

    def wait_ready(self, *names: str) -> None:
        """Wait until all processes, or the named ones, say that they are ready."""
        self.wait_begun()
        plan = json.loads((self.run_dir / rundir.PLAN).read_bytes())
        wanted = set(names or [process["name"] for process in plan["processes"]])
        with self.health(*wanted) as listen:
            while wanted:
                message = listen(START_S, lambda m: m.state == "ready" and m.process in wanted)
                wanted.discard(message.process)
        self.note_pids()

    @contextlib.contextmanager
    def health(
        self, *names: str
    ) -> Iterator[Callable[[float, Callable[[HealthMessage], bool]], HealthMessage]]:
        """Give a function that waits for a health message which fits."""
        inbox = Inbox(self.run_dir, "health", names)

        def listen(timeout_s: float, fits: Callable[[HealthMessage], bool]) -> HealthMessage:
            deadline = time.monotonic() + timeout_s
            last: dict[str, HealthMessage] = {}
            while time.monotonic() < deadline:
                assert self.process.poll() is None, f"{self.process.returncode}: {self.says}"
                for message in inbox.poll(100):
                    last[message.process] = message
                    if fits(message):
                        return message
            raise AssertionError(f"no such health within {timeout_s} s; last: {last}; {self.says}")

        try:
            yield listen
        finally:
            inbox.close()

    def note_pids(self) -> dict[str, int]:
        """Return the processes that live now, by name."""
        alive: dict[str, int] = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                words = child.cmdline()
                if "perception.processes" in words:
                    alive[words[words.index("perception.processes") + 1]] = child.pid
        for name, pid in alive.items():
            if pid not in self.pids.setdefault(name, []):
                self.pids[name].append(pid)
        return alive

    def pid(self, name: str) -> int:
        """Return the process id of a process that lives."""
        return wait_until(lambda: self.note_pids().get(name), BACK_S, f"{name} lives")

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to a process; return its process id."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def wait_back(self, name: str, old: int, timeout_s: float = BACK_S) -> None:
        """Wait until a process has another process id than `old` and says that it is ready."""
        with self.health(name) as listen:
            listen(timeout_s, lambda m: m.pid != old and m.state == "ready")
        self.note_pids()

    def wait_end(self, timeout_s: float) -> int:
        """Wait until it has ended by itself; return the exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s: {self.says}") from None

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it, assert that nothing is left, return the exit code."""
        if self.process.poll() is None:
            self.note_pids()
            self.process.send_signal(number)
        code = self.wait_end(STOP_S)
        self.assert_nothing_left()
        return code

    def summary(self) -> dict[str, Any]:
        """Return summary.json."""
        return json.loads((self.folder / "summary.json").read_bytes())

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]

    def alerts(self) -> list[dict[str, Any]]:
        """Return what alerts.jsonl holds so far, whole lines only."""
        path = self.folder / "alerts.jsonl"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1] == "\n"]

    def rings(self) -> list[Path]:
        """Return the shared memory of this run."""
        token = rundir.ring_base(self.run_dir, "")
        return list(ring_map.SHM_DIR.glob(f"{ring_map.PREFIX}{token}*"))

    def is_gone(self, pid: int) -> bool:
        """Whether a process of this line has ended and was reaped."""
        try:
            return "perception.processes" not in psutil.Process(pid).cmdline()
        except psutil.ZombieProcess:
            return False
        except psutil.NoSuchProcess:
            return True

    def assert_children_gone(self, within_s: float) -> None:
        """Assert that every process ever seen has ended."""
        pids = [pid for started in self.pids.values() for pid in started]
        wait_until(lambda: all(map(self.is_gone, pids)), within_s, f"{self.pids} have ended")

    def assert_nothing_left(self) -> None:
        """Assert that no process, zombie, socket, directory or shared memory of it is left."""
        assert self.process.poll() is not None
        self.assert_children_gone(0.0)
        if self.run_dir != Path():
            assert not self.run_dir.exists(), list(self.run_dir.iterdir())
            assert self.rings() == []

    def abandon(self) -> None:
        """End whatever still lives, whatever state it is in (the test failed or is over)."""
        if self.process.poll() is None:
            with contextlib.suppress(psutil.Error):
                self.note_pids()
            self.process.kill()
            self.process.wait(10)


@contextlib.contextmanager
def running(
    folder: Path,
    launch: dict[str, Any],
    *arguments: str,
    prefix: tuple[str, ...] = (),
    **env: str,
) -> Iterator[RunningLine]:
    """Start a line; it is killed at the end where the test did not stop it."""
    line = RunningLine(folder, launch, arguments, prefix, **env)
    try:
        yield line
    finally:
        line.abandon()
