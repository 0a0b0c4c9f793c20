"""Compile every kernel once, so that no stage has to: `python -m perception.warm`.

Prints one line `done of all module` for each kernel module. Several processes that fill Numba's
cache at once can crash (numba#10128), so one compiles and the others wait for it.
"""

import fcntl
import importlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_dir

from perception import kernels


def compile_all(progress: Callable[[int, int, str], None]) -> float:
    """Compile or load all kernels in this process; return seconds taken.

    progress: called with modules done, modules in all, and the name of the next one.
    """
    started = time.monotonic()
    lock = Path(user_cache_dir("perception")) / "warm.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        total = len(kernels.MODULES)
        for done, name in enumerate(kernels.MODULES):
            progress(done, total, name)
            importlib.import_module(name)
        progress(total, total, "")
    return time.monotonic() - started


def compile_apart(progress: Callable[[int, int, str], None]) -> int:
    """Do the same in a process of its own, so that this one stays small; return its exit code."""
    command = [sys.executable, "-m", "perception.warm"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            done, _, rest = line.strip().partition(" of ")
            total, _, name = rest.partition(" ")
            progress(int(done), int(total), name)
    return process.returncode


def _print(done: int, total: int, name: str) -> None:
    print(f"{done} of {total} {name}", flush=True)


if __name__ == "__main__":
    compile_all(_print)
