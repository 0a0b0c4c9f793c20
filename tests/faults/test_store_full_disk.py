"""A disk that is really full: a write fails alone with SinkError, and works again with room."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import sys
from pathlib import Path
import numpy as np
from perception.alerts.store import AlertStore
from perception.errors import SinkError
from perception.sinks import sink_class
from tests.scenes import alert

folder = Path(sys.argv[1])
store = AlertStore(folder / "alerts.sqlite", ["jsonl"])
sinks = {k: sink_class(k)(sink_class(k).Options(), folder) for k in ("jsonl", "snapshot")}
picture = np.random.default_rng(1).integers(0, 255, (480, 640, 3), np.uint8)
good = 0
store.commit("door", 1, [alert(1)], dict)
ballast = folder / "ballast"
with ballast.open("wb", buffering=0) as f:
    try:
        while f.write(b"x" * 4096) == 4096:
            pass
    except OSError as error:
        print("full", error.errno)
refused = []
for name, act in (
    ("store", lambda: [store.commit("door", n, [alert(n, details={"t": "x" * 9000})], dict)
                       for n in range(2, 200)]),
    ("jsonl", lambda: [sinks["jsonl"].send(alert(n), None) for n in range(50)]),
    ("snapshot", lambda: sinks["snapshot"].send(alert(1), picture)),
):
    try:
        act()
    except SinkError as error:
        refused.append(name)
        print(name, error)
print("refused", *refused)
assert not list(folder.rglob("*.part")), "half a picture is left"
ballast.unlink()
store.commit("door", 999, [alert(999)], dict)
for sink in sinks.values():
    sink.send(alert(999), picture)
assert store.show(alert(999).key).alert == alert(999)
assert store.show(alert(1).key).alert == alert(1)
store.close()
with AlertStore(folder / "alerts.sqlite") as store:
    assert store.set_aside is None
print("goes on")
"""


def test_everything_that_writes_survives_a_full_disk(tmp_path):
    tools = [shutil.which(tool) for tool in ("unshare", "mount")]
    if None in tools:
        pytest.skip("no unshare or mount: a small disk cannot be made")
    root = Path(__file__).parent.parent.parent
    script = 'mount -t tmpfs -o size=2m none "$2" && exec "$0" -c "$1" "$2"'
    probe = ["unshare", "-Urm", "sh", "-c"]
    if subprocess.run(
        [*probe, 'mount -t tmpfs none "$0"', tmp_path], capture_output=True
    ).returncode:
        pytest.skip("user namespaces are off: a small disk cannot be made")
    done = subprocess.run(
        [*probe, script, sys.executable, CHILD, tmp_path],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "full 28" in done.stdout
    assert "refused store jsonl snapshot" in done.stdout
    assert "goes on" in done.stdout
