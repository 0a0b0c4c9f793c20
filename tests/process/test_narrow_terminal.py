"""A terminal of 40 columns: what each command shows fits, and no word of it is cut."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from pathlib import Path

import pytest
from rich.cells import cell_len

from perception.alerts.store import AlertStore
from tests.line import ROOT, START_S, command, environment, perception_says, synthetic, write_launch
from tests.scenes import alert

WIDTH = 40
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command on a terminal of WIDTH columns and 30 rows."""

    def __init__(self, *arguments: str | Path) -> None:
        own, its = pty.openpty()
        env = environment(TERM="xterm")
        env.pop("COLUMNS")
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 30, WIDTH, 0, 0))
        self.process = subprocess.Popen(
            command(*arguments), cwd=ROOT, env=env, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        self._own, self._data = own, bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._own, 65536):
                self._data += data
        except OSError:  # the other end is closed
            pass

    def end(self) -> int:
        """Wait for the end; return the exit code."""
        try:
            code = self.process.wait(START_S)
        finally:
            self.process.kill()
            self.process.wait(5)
        self._reader.join(5)
        os.close(self._own)
        return code

    @property
    def lines(self) -> list[str]:
        """Every line that was ever drawn."""
        text = CONTROL.sub("", self._data.decode(errors="replace"))
        return [line.rstrip() for line in re.split(r"[\r\n]+", text)]


def assert_fits(lines: list[str], *words: str) -> None:
    assert [line for line in lines if cell_len(line) > WIDTH] == []
    whole = {word for line in lines for word in line.split()}
    assert set(words) <= whole, set(words) - whole


def test_a_run_from_its_live_table_to_its_summary(home: Path) -> None:
    zone = {"zones": {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]}}
    rules = {"rules": {"inside": {"type": "zone", "zone": "all"}}}
    launch = write_launch(
        home / "launch.yaml",
        {
            "cameras": {"front": {**synthetic(), **zone, **rules}},
            "output": {"folder": str(home / "out")},
        },
    )
    terminal = Terminal("run", launch)
    tick = threading.Event()
    for _ in range(int(START_S * 10)):
        if any("tracked/s" in line for line in terminal.lines) and any(
            line.startswith("alert ") for line in terminal.lines
        ):
            break
        tick.wait(0.1)
    tick.wait(1.0)  # some pictures more of the live table
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 0, terminal.lines
    live = ("read/s", "detected/s", "tracked/s", "dropped", "tracks", "front")
    assert_fits(terminal.lines, *live, "restarts", "detection-default", "inside:", "Processes")


def test_check(home: Path) -> None:
    zones = {"zones": {"near_the_door": [[0, 0], [1, 0], [1, 1], [0, 1]]}}
    rules = {"rules": {"somebody_waits": {"type": "zone", "zone": "near_the_door"}}}
    cameras = {"front": {**synthetic(), **zones, **rules}, "gone": {"source": str(home / "no.mp4")}}
    launch = write_launch(home / "launch.yaml", {"cameras": cameras})
    terminal = Terminal("check", launch)
    assert terminal.end() == 3
    assert_fits(terminal.lines, "320x240", "somebody_waits", "detection-default", "licence", "free")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "alerts.sqlite"
    with AlertStore(path, ["webhook"]) as opened:
        for n in range(3):
            opened.put(alert(n, key=f"12345678{n:024x}", rule="somebody_waits"))
    return path


def test_alerts(store: Path) -> None:
    for asked in (("list",), ("show", f"12345678{1:024x}")):
        terminal = Terminal("alerts", *asked, "--store", store)
        assert terminal.end() == 0, terminal.lines
        assert_fits(terminal.lines, "somebody_waits" if asked[0] == "show" else "12345678")


def test_people_and_models(home: Path) -> None:
    launch = write_launch(
        home / "launch.yaml",
        {
            "cameras": {"front": synthetic()},
            "identity": {"gallery": str(home / "people"), "key": str(home / "key")},
        },
    )
    for asked in (("gallery", "list", "--launch", launch), ("models", "list")):
        terminal = Terminal(*asked)
        assert terminal.end() == 0, terminal.lines
        assert_fits(terminal.lines)


def test_a_pipe_with_columns_set(store: Path) -> None:
    said = perception_says("alerts", "list", "--store", store, COLUMNS=str(WIDTH))
    assert said.returncode == 0, said.stderr
    assert_fits(said.stdout.splitlines(), "12345678", "somebody_waits", "raised")
