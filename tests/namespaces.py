"""A command in mounts of its own, so that a test has a small disk or another host's files.

prefix = own_mounts(f"mount -t tmpfs -o size=2m none {folder}")
says(prefix, CODE, folder)
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def own_mounts(script: str, *, network: bool = False) -> tuple[str, ...]:
    """Return a prefix that runs a command after a shell script of mounts, or skip the test.

    network: with a network of its own too, in which nothing is up.
    """
    flags = "-Urmn" if network else "-Urm"
    prefix = ("unshare", flags, "sh", "-c", f'{script} && exec "$@"', "sh")
    try:
        refused = subprocess.run([*prefix, "true"], capture_output=True).returncode
    except FileNotFoundError:
        refused = True
    if refused:
        pytest.skip("no unshare, or user namespaces are off: no mounts of one's own")
    return prefix


def says(prefix: tuple[str, ...], code: str, *arguments: str | Path) -> str:
    """Return what Python code says behind a prefix; AssertionError where it fails."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
