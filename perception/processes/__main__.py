"""`python -m perception.processes NAME RUN_DIR EPOCH PARENT`: one process of a running line.

The supervisor starts it so; `perception stage` does the same by hand.
"""

import contextlib
import importlib
import os
import sys
from pathlib import Path

from perception.errors import EXIT_BUG, EXIT_DONE, PerceptionError
from perception.processes import PROCESSES
from perception.processes.runtime import Runtime


def main(name: str, run_dir: Path, epoch: int, parent: int) -> int:
    """Run the process until it ends or is told to; return its exit code."""
    try:
        runtime = Runtime(run_dir, name, epoch, parent)
    except PerceptionError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    try:
        module, _, function = PROCESSES[runtime.process.kind].partition(":")
        getattr(importlib.import_module(module), function)(runtime)
        return EXIT_DONE
    except PerceptionError as error:
        runtime.note(str(error))
        runtime.log.error("ended", reason=str(error), kind=type(error).__name__)
        return error.exit_code
    except Exception as error:
        runtime.note(f"bug: {type(error).__name__}: {error}")
        runtime.log.exception("bug")
        return EXIT_BUG
    finally:
        runtime.close()


if __name__ == "__main__":
    code = main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    # All is closed; taking the interpreter and its libraries apart takes another 0.3 s a process.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
