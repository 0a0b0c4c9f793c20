"""The directory of a run: its lock, its plan and its sockets; found by name, swept when dead.

Mode 0700, so that only this user reaches the sockets in it. May be imported by stages and up.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from pathlib import Path

from perception.errors import ConfigError
from perception.transport import ring

LOCK = "lock"
PLAN = "plan.json"
STOPPING = "stopping"
"""A file that is there once the whole run stops, not one process of it."""
RELOAD = "reload"
"""A file that asks the supervisor to take the changed launch file."""
RELOADED = "reloaded"
"""A file with what came of it."""
MAX_SAME_NAME = 64


def base_dir() -> Path:
    """Return the directory of this user's runs, made 0700; short, as socket paths are limited."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        base = Path(runtime) / "perception"
    else:
        base = Path(tempfile.gettempdir()) / f"perception-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    status = base.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(f"{base} is not a directory of this user with mode 0700: remove it")
    return base


def ring_base(run_dir: Path, camera: str) -> str:
    """Return the name of a camera's ring in this run, without prefix and number."""
    token = hashlib.blake2b(str(run_dir).encode(), digest_size=5).hexdigest()
    return f"{token}-{camera}"


class RunDir:
    """A run's directory, held by a lock for as long as this object lives."""

    def __init__(self, name: str) -> None:
        """Take the directory `name`, or name-2, name-3, ... where a live run holds it."""
        base = base_dir()
        for n in range(1, MAX_SAME_NAME):
            path = base / (name if n == 1 else f"{name}-{n}")
            fd = _lock(path, create=True)
            if fd is not None:
                break
        else:
            raise ConfigError(f"{MAX_SAME_NAME} runs named {name!r} are alive: stop some")
        self.path, self.name, self._fd = path, path.name, fd
        _empty(path)

    def close(self) -> None:
        """Remove the directory and give the lock back."""
        if self._fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._fd)
            self._fd = -1


def find(name: str) -> Path:
    """Return the directory of a live run. Raises ConfigError, which names those that are alive."""
    path = base_dir() / name
    if re.fullmatch(r"[A-Za-z0-9_-]+", name) and path.is_dir() and is_live(path):
        return path
    alive = ", ".join(running()) or "none"
    raise ConfigError(f"no run named {name!r} is alive; alive now: {alive}")


def running() -> list[str]:
    """Return the names of this user's live runs."""
    return sorted(path.name for path in base_dir().iterdir() if path.is_dir() and is_live(path))


def hold(run_dir: Path, process: str, epoch: int) -> tuple[int, int, bool]:
    """Lock a process's place in a run; return what holds it, its epoch, and if it ran before.

    epoch: high half of the ids it will give; raised where an earlier start of it had the same or a
    higher one. Raises ConfigError where another process has the place.
    """
    fd = os.open(run_dir / f"{process}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise ConfigError(
            f"{process} of run {run_dir.name} is running already: "
            f"start the line with `--without {process}`, or end that one"
        ) from None
    before = os.pread(fd, 20, 0)
    epoch = max(epoch, int(before) + 1 if before else 1)
    os.pwrite(fd, b"%020d" % epoch, 0)
    return fd, epoch, bool(before)


def final_health(run_dir: Path, process: str) -> Path:
    """Return the file where a process that ends leaves its last health message."""
    return run_dir / f"{process}.last"


def ask_reload(run_dir: Path, timeout_s: float = 10.0) -> str:
    """Ask a run to take its changed launch file; return what came of it, empty: no answer."""
    answer = run_dir / RELOADED
    answer.unlink(missing_ok=True)
    (run_dir / RELOAD).touch(0o600)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            return answer.read_text()
        time.sleep(0.05)
    return ""


def sweep() -> list[str]:
    """Remove what killed runs left: directories that nobody holds, rings whose writer is gone."""
    removed: list[str] = []
    for path in base_dir().iterdir():
        fd = _lock(path, create=False) if path.is_dir() else None
        if fd is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(fd)
            removed.append(path.name)
    return removed + ring.sweep()


def wait_for_change() -> None:
    """Wait a moment, for those who look for a run that is about to begin."""
    time.sleep(0.1)


def is_live(path: Path) -> bool:
    """Whether the run of this directory is alive: somebody holds its lock."""
    fd = _lock(path, create=False)
    if fd is None:
        return (path / LOCK).exists()
    os.close(fd)
    return False


def _lock(path: Path, *, create: bool) -> int | None:
    """Return a locked descriptor of the directory's lock file, or None where another has it."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    while True:
        try:
            if create:
                path.mkdir(mode=0o700, exist_ok=True)
            fd = os.open(path / LOCK, flags, 0o600)
        except FileNotFoundError:
            if create:
                continue
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A sweep may have removed the file between open and lock.
            if os.fstat(fd).st_ino == os.stat(path / LOCK).st_ino:
                return fd
        except FileNotFoundError:
            pass
        except OSError:
            os.close(fd)
            return None
        os.close(fd)
        if not create:
            return None


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.name != LOCK:
            with contextlib.suppress(OSError):
                entry.unlink()
