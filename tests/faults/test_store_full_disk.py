"""A disk that is really full: a write fails alone with SinkError, and works again with room."""

import pytest

from tests.namespaces import own_mounts, says

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


@pytest.mark.fault("F23")
def test_everything_that_writes_survives_a_full_disk(tmp_path):
    said = says(own_mounts(f"mount -t tmpfs -o size=2m none {tmp_path}"), CHILD, tmp_path)
    assert "full 28" in said
    assert "refused store jsonl snapshot" in said
    assert "goes on" in said
