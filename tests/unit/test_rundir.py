import os
import subprocess
import sys

import pytest

from perception.errors import ConfigError
from perception.transport import rundir


@pytest.fixture(autouse=True)
def own_base(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_two_runs_of_one_name_do_not_collide():
    first, second = rundir.RunDir("door"), rundir.RunDir("door")
    assert (first.name, second.name) == ("door", "door-2")
    assert rundir.running() == ["door", "door-2"]
    first.close()
    assert rundir.running() == ["door-2"]
    second.close()
    assert rundir.running() == []


def test_find_names_the_live_ones():
    run = rundir.RunDir("door")
    assert rundir.find("door") == run.path
    with pytest.raises(ConfigError, match="alive now: door"):
        rundir.find("gate")
    with pytest.raises(ConfigError):
        rundir.find("../door")
    run.close()


def test_a_killed_run_is_swept_and_a_live_one_is_not():
    live = rundir.RunDir("live")
    code = (
        "import time; from perception.transport.rundir import RunDir\n"
        "RunDir('dead').path.joinpath('plan.json').write_text('x'); print(1, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False)
    assert process.returncode == -9
    assert "dead" not in rundir.running()
    assert "dead" in rundir.sweep()
    assert live.path.exists()
    live.close()


@pytest.mark.fault("H21")
def test_directory_is_private():
    run = rundir.RunDir("door")
    assert run.path.stat().st_mode & 0o777 == 0o700
    run.path.parent.chmod(0o755)
    with pytest.raises(ConfigError, match="0700"):
        rundir.RunDir("gate")
    run.path.parent.chmod(0o700)
    run.close()


def test_a_process_begins_with_its_own_epoch_and_goes_above_it():
    run = rundir.RunDir("door")
    fd, epoch, before = rundir.hold(run.path, "camera-front", 1)
    assert (epoch, before) == (1, False)
    os.close(fd)
    fd, epoch, before = rundir.hold(run.path, "camera-front", 1)
    assert (epoch, before) == (2, True)
    os.close(fd)
    run.close()
