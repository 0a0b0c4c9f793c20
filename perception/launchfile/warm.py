"""What has to be right before a line starts: kernels compiled, models loadable and fitting.

`python -m perception.launchfile.warm` compiles every kernel once and prints one line
`done of all what` a step; with `-` it reads a plan from stdin and loads each of its detectors too.
Several processes that fill Numba's cache at once can crash (numba#10128), so one compiles and the
others wait.
"""

import contextlib
import fcntl
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_dir

from perception import kernels
from perception.errors import (
    EXIT_MODEL,
    EXIT_SOURCE,
    ConfigError,
    ModelError,
    PerceptionError,
    SourceError,
)
from perception.launchfile import build as stages
from perception.wire import plan
from perception.wire.plan import Plan


def compile_all(progress: Callable[[int, int, str], None]) -> float:
    """Compile or load all kernels in this process; return seconds taken.

    progress: called with modules done, modules in all, and the name of the next one.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # no folder can be written: nothing is cached either
            lock = Path(user_cache_dir("perception")) / "warm.lock"
            lock.parent.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(lock.open("w")), fcntl.LOCK_EX)
        total = len(kernels.MODULES)
        for done, name in enumerate(kernels.MODULES):
            progress(done, total, name)
            importlib.import_module(name)
        progress(total, total, "")
    return time.monotonic() - started


def is_compiled() -> bool:
    """Whether every kernel stands in the cache beside its source; False where it is elsewhere."""
    here = Path(kernels.__file__).parent
    for name in kernels.MODULES:
        source = here / f"{name.rpartition('.')[2]}.py"
        made = [p.stat().st_mtime for p in (here / "__pycache__").glob(f"{source.stem}.*.nbi")]
        is_cached = "cache=True" in source.read_text()
        if is_cached and max(made, default=0.0) < source.stat().st_mtime:
            return False
    return True


def prepare(what: Plan | None, progress: Callable[[int, int, str], None]) -> None:
    """Compile kernels and, with a plan, load its detectors, in a process of its own.

    So this process stays small. Raises what is wrong with a model or its classes as the error that
    the detection process would end with, before anything is started.
    """
    command = [sys.executable, "-m", "perception.launchfile.warm", *(["-"] if what else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors: list[bytes] = []
        reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
        reader.start()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(plan.encode(what) if what else b"")
            process.stdin.close()
        for line in process.stdout:
            done, _, rest = line.decode().strip().partition(" of ")
            total, _, name = rest.partition(" ")
            progress(int(done), int(total), name)
        reader.join(timeout=5)
    if process.returncode:
        said = [line.decode(errors="replace").strip() for line in errors]
        text = next((line for line in reversed(said) if line), f"ended with {process.returncode}")
        raise {EXIT_MODEL: ModelError, EXIT_SOURCE: SourceError}.get(
            process.returncode, ConfigError
        )(text)


def _load_models(what: Plan) -> None:
    for names in {tuple(camera.detectors) for camera in what.cameras.values()}:
        detector = stages.make_detector(what, names, 1)
        for camera in what.cameras.values():
            if tuple(camera.detectors) == names:
                stages.class_filter(detector, camera.objects)
                for rule in camera.rules.values():
                    stages.class_filter(detector, rule.options.get("objects"))
    stages.make_recognisers(what, what.cameras_of("identity"))


def _print(done: int, total: int, name: str) -> None:
    print(f"{done} of {total} {name}", flush=True)


if __name__ == "__main__":
    wanted = plan.decode(sys.stdin.buffer.read()) if sys.argv[1:] == ["-"] else None
    compile_all(_print)
    try:
        if wanted is not None:
            _load_models(wanted)
    except PerceptionError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
