"""A command of the command line, run for a request as a process of its own. Imports problems."""

import os
import subprocess
import sys

from perception.web.problems import Problem


def answer_of(arguments: list[str], limit_s: float) -> str:
    """Return what `perception ARGUMENTS` prints. Raises 409 with its error, or where it takes too
    long."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "perception", *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
            env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
        )
    except subprocess.TimeoutExpired:
        raise Problem(409, f"it took longer than {limit_s:g} s") from None
    if done.returncode:
        raise Problem(409, done.stderr.strip().removeprefix("perception: ") or "it failed")
    return done.stdout.strip()
