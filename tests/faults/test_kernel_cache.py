"""Compiled kernels: several processes at once, no cache, a damaged one, no folder to write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.line import ROOT, SLOW
from tests.namespaces import own_mounts

MODULES = ("perception.kernels.blobs", "perception.kernels.nms")
CODE = f"""
from perception import kernels
kernels.MODULES = {MODULES}
from perception.launchfile.warm import compile_all
compile_all(lambda *_: None)
import numpy as np
from perception.kernels.nms import nms
boxes = np.array([[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 60, 60]], np.float32)
print(sorted(nms(boxes, np.array([.9, .8, .7], np.float32), np.zeros(3, np.int32), 0.5).tolist()))
"""
RIGHT = "[0, 2]"


def start(cache: Path, *prefix: str) -> subprocess.Popen[str]:
    """Start a process that compiles or loads two kernel modules and uses one."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", CODE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_works(*started: subprocess.Popen[str]) -> str:
    """Wait for the processes; return what they said on stderr."""
    said = [process.communicate(timeout=120 * SLOW) for process in started]
    for process, (out, errors) in zip(started, said, strict=True):
        assert process.returncode == 0, errors
        assert out.strip() == RIGHT
    return "".join(errors for _, errors in said)


@pytest.mark.timeout(300)
@pytest.mark.fault("F30")
def test_four_processes_on_a_cold_cache_and_then_on_a_damaged_one(tmp_path: Path) -> None:
    assert_works(*(start(tmp_path) for _ in range(4)))
    made = sorted(tmp_path.rglob("*.nb[ic]"))
    assert len(made) >= 8
    for n, file in enumerate(made):
        data = file.read_bytes()
        file.write_bytes((data[: len(data) // 2], b"garbage\n", b"")[n % 3])
    assert_works(start(tmp_path), start(tmp_path))
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbi")}
    assert_works(start(tmp_path))
    after = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbi")}
    assert after == before, "the cache was written again and is used"


@pytest.mark.timeout(300)
@pytest.mark.fault("F30")
def test_no_folder_for_the_cache_can_be_written(tmp_path: Path) -> None:
    kernels = ROOT / "perception" / "kernels"
    sealed = own_mounts(
        f"mount --bind {kernels} {kernels} && mount -o remount,bind,ro {kernels}"
        f" && mount -t tmpfs -o ro none {tmp_path}"
    )
    home = tmp_path / "nowhere"
    prefix = (*sealed, "env", f"HOME={home}", f"XDG_CACHE_HOME={home}")
    started = start(tmp_path / "none", *prefix)
    assert "Set NUMBA_CACHE_DIR" in assert_works(started)
