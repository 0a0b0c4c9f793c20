"""kill -9 of whoever writes and sends alerts, at random moments: nothing lost, no second key."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from perception.alerts.store import AlertStore
from perception.messages import Alert
from perception.sinks import sink_class

WRITER = """
import sys
from pathlib import Path
from perception import clock
from perception.alerts.book import AlertBook
from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore
from perception.rules import rule_class
from perception.rules.zones import Line
from perception.sinks import sink_class
from tests.scenes import message

people, folder = int(sys.argv[1]), Path(sys.argv[2])
cls = rule_class("line")
line = Line(points=((0.5, 0.0), (0.5, 1.0)))
book = AlertBook("door", [cls("crossed", cls.Options(line="gate"), {}, {"gate": line})])
store = AlertStore(folder / "alerts.sqlite", ["jsonl"])
sink = sink_class("jsonl")
courier = Courier(store, {"jsonl": sink(sink.Options(fsync=False), folder)})
progress = store.progress("door")
first = 0
if progress is not None:
    book.restore(progress.state)
    first = progress.frame_id & 0xFFFFFFFF
print("ready", flush=True)
# Each person takes six frames across the line; every message is kept, as the tracker keeps them.
for n in range(first, people * 6):
    who, step = divmod(n, 6)
    m = message(n / 10, (who + 1, 350 + 60 * step, 300), frame=n)
    alerts = book.update(m)
    store.commit("door", m.stamp.frame_id, alerts, book.state)
    courier.deliver(clock.monotonic_ns())
store.commit("door", book.frame_id, [], book.state, now=True)
while courier.deliver(clock.monotonic_ns()) or store.pending("jsonl"):
    pass
"""

PEOPLE = 600
KILLS = 20


def start(folder):
    root = Path(__file__).parent.parent.parent
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(PEOPLE), str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    return writer


@pytest.mark.timeout(300)
def test_kill_9_at_random_moments_loses_nothing(tmp_path):
    chance = random.Random(11)
    for _ in range(KILLS):
        with start(tmp_path) as writer:
            time.sleep(chance.uniform(0.005, 0.12))  # the moment is the experiment
            writer.send_signal(signal.SIGKILL)
    with AlertStore(tmp_path / "alerts.sqlite") as store:
        before = store.progress("door")
    assert before is not None
    assert PEOPLE < before.frame_id & 0xFFFFFFFF < 6 * PEOPLE, "the kills fell beside the work"
    with start(tmp_path) as writer:
        assert writer.wait(200) == 0
    lines = (tmp_path / "alerts.jsonl").read_bytes().splitlines()
    alerts = [msgspec.json.decode(line, type=Alert) for line in lines]
    first = {a.key: a for a in reversed(alerts)}
    assert [a.track_id for a in sorted(first.values(), key=lambda a: a.track_id)] == list(
        range(1, PEOPLE + 1)
    )
    assert all(first[a.key] == a for a in alerts)  # a repeat is the very same alert
    assert max(a.details["count"] for a in alerts) == PEOPLE
    with AlertStore(tmp_path / "alerts.sqlite") as store:
        assert store.set_aside is None
        assert store.counts() == {"jsonl": {"delivered": PEOPLE}}
    db = sqlite3.connect(tmp_path / "alerts.sqlite")
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_the_file_sink_is_the_one_that_is_tested():
    assert sink_class("jsonl").__name__ == "JsonlSink"
