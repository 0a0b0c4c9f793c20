"""The alert store of a running line: a full disk, a file that is corrupt, newer, foreign.

Detection goes on, nothing that happened is lost, and no file is ever deleted.
"""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from perception.alerts.database import MIGRATIONS
from perception.alerts.store import AlertStore
from tests.crowd import CAMERA, Crowd, Stored, name_of
from tests.line import SLOW, START_S, RunningLine, running, wait_until
from tests.namespaces import own_mounts
from tests.scenes import alert

LAUNCH: dict[str, Any] = {"cameras": {"door": CAMERA}, "alerts": {"sinks": {"jsonl": {}}}}


def fill(ballast: Path) -> None:
    """Write until there is no room."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096) == 4096:
                pass
        except OSError as error:
            assert error.errno == 28  # noqa: PT017


def stored(line: RunningLine) -> Stored | None:
    """Return what is in the store, from a copy: SQLite opens none in another's mounts; None where
    it was written to meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for end in ("", "-wal"):
                shutil.copy(line.folder / f"alerts.sqlite{end}", folder)
            return Stored(Path(folder) / "alerts.sqlite")
        except (OSError, sqlite3.Error, AssertionError):
            return None


def all_delivered(line: RunningLine, crowd: Crowd) -> bool:
    """Whether all there has to be is stored and stands in the file, each once or repeated."""
    kept = stored(line)
    return (
        kept is not None
        and len(kept.of("crossed")) == crowd.crossings
        and len(kept.of("inside")) == crowd.visits
        and not kept.undelivered()
        and {name_of(alert) for alert in line.alerts()} == set(kept.due("jsonl"))
    )


@pytest.mark.timeout(120)
@pytest.mark.fault("F23")
def test_a_full_disk_and_a_file_in_the_place_of_the_store(home: Path) -> None:
    disk = home / "disk"
    disk.mkdir()
    prefix = own_mounts(f"mount -t tmpfs -o size=4m none {disk}")
    launch = {**LAUNCH, "output": {"folder": str(disk / "out")}}
    with running(home, launch, prefix=prefix) as line:
        line.wait_ready()
        disk = Path(f"/proc/{line.process.pid}/root{disk}")  # as the line sees it
        line.folder = disk / "out"
        with closing(Crowd(line, cars=2)) as crowd:
            in_trouble(line, crowd, disk / "ballast")
            replace_store(line, crowd)
        line.note_pids()
        starts = {name: len(pids) for name, pids in line.pids.items()}
        assert starts.pop("alert") == 2, "killed by the test"
        assert set(starts.values()) == {1}
        assert line.stop() == 0


def in_trouble(line: RunningLine, crowd: Crowd, ballast: Path) -> None:
    """Fill the disk while the alert process works, then while it is killed."""
    crowd.drive()
    wait_until(lambda: all_delivered(line, crowd), 5 * SLOW, "a first crossing")
    fill(ballast)
    with line.health("alert", "tracking") as listen:
        for _ in range(200):
            crowd.drive()
            if listen(5, lambda m: m.process == "alert").counters.get("sink_errors.store"):
                break
        old = line.pid("alert")
        for _ in range(5):
            crowd.drive()  # each waits until its last frame is tracked
        ballast.unlink()
        wait_until(lambda: all_delivered(line, crowd), 10 * SLOW, "nothing is lost")
        listen(5 * SLOW, lambda m: m.process == "alert" and m.note == "")
    fill(ballast)
    line.kill("alert")
    with line.health("alert") as listen:
        waits = listen(5 * SLOW, lambda m: m.pid != old and "store" in m.note)
        crowd.drive()
        ballast.unlink()
        listen(5 * SLOW, lambda m: m.pid == waits.pid and m.state == "ready")
    wait_until(lambda: all_delivered(line, crowd), 10 * SLOW, "that neither")


def replace_store(line: RunningLine, crowd: Crowd) -> None:
    """Somebody puts another file in the place of the store: it is kept, and so is the store."""
    path, other = line.folder / "alerts.sqlite", line.file.with_name("other.sqlite")
    with AlertStore(other) as store:
        store.put(alert(7))
    content = other.read_bytes()
    path.with_name("other").write_bytes(content)
    path.with_name("other").replace(path)
    crowd.drive()
    wait_until(lambda: all_delivered(line, crowd), 10 * SLOW, "alerts go on, with all before")
    assert path.with_name("alerts.sqlite.replaced-1").read_bytes() == content


@pytest.mark.fault("F24")
def test_a_store_that_is_corrupt_is_set_aside_and_the_line_runs(home: Path) -> None:
    path = home / "out" / "alerts.sqlite"
    path.parent.mkdir()
    content = b"this is no database, it is a letter\n" * 200
    path.write_bytes(content)
    with running(home, LAUNCH) as line:
        line.wait_ready()
        with closing(Crowd(line, cars=2)) as crowd:
            crowd.drive()
            wait_until(lambda: all_delivered(line, crowd), 5 * SLOW, "alerts are stored")
        assert line.stop() == 0
    assert path.with_name("alerts.sqlite.corrupt-1").read_bytes() == content
    (said,) = [entry for entry in line.log() if "corrupt" in entry["event"]]
    assert said["moved_to"] == str(path.with_name("alerts.sqlite.corrupt-1"))


@pytest.mark.fault("F24")
def test_a_store_of_a_newer_version_is_left_alone_and_alerts_go_on(home: Path) -> None:
    path = home / "out" / "alerts.sqlite"
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    own = f"alerts.v{len(MIGRATIONS)}.sqlite"
    with running(home, LAUNCH) as line:
        line.wait_ready()
        with closing(Crowd(line, cars=2)) as crowd:
            crowd.drive()
            wait_until(lambda: len(line.alerts()) >= crowd.crossings, START_S, "alerts arrive")
        assert line.stop() == 0
    (said,) = [entry for entry in line.log() if "newer version" in entry["event"]]
    assert own in said["event"]
    assert path.read_bytes() == before
    assert {p.name for p in path.parent.glob("alerts*sqlite*")} == {own, "alerts.sqlite"}
    with AlertStore(path) as store:
        assert len(store.newest(100)) == crowd.crossings + crowd.visits
