"""What a run has to itself while it lives: its output folder and its alert store.

Two runs that write one alert store would end each other's alerts and deliver them as their own.
Imported by the supervisor only.
"""

import fcntl
import os
from pathlib import Path
from typing import IO

import msgspec

from perception.errors import ConfigError
from perception.transport import rundir
from perception.wire.plan import Plan

LOG = "log.jsonl"


def take_folder(what: Plan) -> tuple[Plan, IO[bytes]]:
    """Return the plan with an output folder that no other run writes to, and its open log.

    That is its own folder, or folder-2, folder-3, ... where a live run holds it by its log's lock.
    Raises ConfigError where it cannot be written to.
    """
    first = Path(what.folder)
    for n in range(1, rundir.MAX_SAME_NAME):
        folder = first if n == 1 else first.with_name(f"{first.name}-{n}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            log = (folder / LOG).open("ab")
        except OSError as error:
            raise ConfigError(f"cannot write to {folder}: {error.strerror}") from None
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.close()
            continue
        store = Path(what.store)
        if n > 1 and store.is_relative_to(first):
            store = folder / store.relative_to(first)
        return msgspec.structs.replace(what, folder=str(folder), store=str(store)), log
    raise ConfigError(f"{rundir.MAX_SAME_NAME} runs write to {first}, {first}-2, ...: stop some")


class StoreLock:
    """Holds an alert store for one run by a lock on a file beside it, `.<store>.lock`.

    Where that file cannot be written the store cannot either: the alert process says so.
    """

    def __init__(self, store: Path, run: str) -> None:
        """run: name of the run, for others. Raises ConfigError that names the run that holds it."""
        store = store.resolve()
        self._path = store.with_name(f".{store.name}.lock")
        self._fd = -1
        try:
            store.parent.mkdir(parents=True, exist_ok=True)
            while self._fd < 0:
                self._lock(store)
        except OSError:
            return
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, run.encode(), 0)

    def _lock(self, store: Path) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held it may have removed the file between open and lock.
            if os.path.exists(self._path) and os.path.samestat(os.fstat(fd), os.stat(self._path)):
                self._fd = fd
        except BlockingIOError:
            run = os.pread(fd, 100, 0).decode(errors="replace") or "another"
            raise ConfigError(
                f"{store}: run {run} writes its alerts there: name another file under alerts.store"
            ) from None
        finally:
            if self._fd != fd:
                os.close(fd)

    def close(self) -> None:
        """Give the store back; safe to call twice."""
        if self._fd >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._fd)
            self._fd = -1
