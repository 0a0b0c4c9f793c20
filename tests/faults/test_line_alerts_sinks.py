"""Sinks in trouble on a running line: a broker that stops or is killed, webhooks of every kind.

Detection goes on, the other sinks do not wait, and all that happened arrives once they are well.
"""

import contextlib
import itertools
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perception.alerts.store import AlertStore
from perception.clock import NS_PER_S, wall_ns
from tests.crowd import CAMERA, Crowd, Stored, name_of
from tests.line import SLOW, RunningLine, running, wait_until
from tests.receivers import Broker, Hook, Listener, Mood
from tests.scenes import alert

STOPPED_S = 60.0
DRIVE_S = 4.0 * SLOW
"""For one crossing: a frame of it that is not heard costs SLOW s alone."""
TROUBLE: tuple[Mood, ...] = ("answers 500", "hangs", "redirects", "sends without end", "picky")
OLD, CARS = 250, 2
DAY_NS = 86_400 * NS_PER_S


class Place:
    """A running line with a broker, its subscriber and webhooks, by the mood they are to have."""

    def __init__(
        self, line: RunningLine, broker: Broker, listener: Listener, hooks: dict[Mood, Hook]
    ) -> None:
        self.line, self.broker, self.listener, self.hooks = line, broker, listener, hooks
        self.crowd = Crowd(line, cars=CARS)
        self.path = line.folder / "alerts.sqlite"
        self.kept = self.stored()

    def stored(self) -> Stored:
        """Return what the store holds now."""
        return Stored(self.path)

    def drive(self) -> None:
        """Cross the line: in time, stored, told and in the file, whatever else is in trouble."""
        began = time.monotonic()
        self.crowd.drive(frame_s=0.02)
        assert time.monotonic() - began < DRIVE_S, "detection waited for a sink"
        wait_until(self.is_written, 2.0 * SLOW, "it stands in alerts.jsonl")

    def is_written(self) -> bool:
        rules = [alert["rule"] for alert in self.line.alerts() if alert["state"] == "raised"]
        wanted = (self.crowd.crossings, self.crowd.visits)
        return (rules.count("crossed"), rules.count("inside")) == wanted

    def names(self) -> list[str]:
        """Return what the subscriber got, each once, as it came first."""
        return list(dict.fromkeys(name_of(alert) for alert in self.listener.alerts()))

    def all_arrived(self) -> bool:
        """Whether every sink has had everything, and those behind them too."""
        self.kept = self.stored()
        hooks = [hook.taken for hook in self.hooks.values()]
        return not [row for row in self.kept.undelivered() if row[2] == "pending"] and all(
            set(self.kept.due(sink)[-1:]) <= set(got)
            for sink, got in (*zip(SINKS, hooks, strict=False), ("mqtt", self.names()))
        )


SINKS = [f"hook{n}" for n in range(len(TROUBLE))]


@contextlib.contextmanager
def place(home: Path, moods: tuple[Mood, ...]) -> Iterator[Place]:
    """Start all of it."""
    with contextlib.ExitStack() as stack:
        broker = stack.enter_context(Broker(home / "broker"))
        listener = stack.enter_context(Listener(broker.port))
        hooks = {mood: stack.enter_context(Hook()) for mood in moods}
        mqtt = {"host": "127.0.0.1", "port": broker.port, "timeout_s": 1}
        sinks: dict[str, Any] = {"jsonl": {}, "mqtt": mqtt}
        for name, hook in zip(SINKS, hooks.values(), strict=False):
            sinks[name] = {"type": "webhook", "url": hook.url, "timeout_s": 0.5}
        launch = {"cameras": {"door": CAMERA}, "alerts": {"sinks": sinks}}
        line = stack.enter_context(running(home, launch))
        line.wait_ready()
        at = Place(line, broker, listener, hooks)
        stack.callback(at.crowd.close)
        yield at


def write_old_alerts(path: Path) -> set[str]:
    """Write alerts of last year into a store; return the keys of those that have to stay."""
    t_ns = wall_ns() - 400 * DAY_NS
    with AlertStore(path, ["mqtt"]) as store:
        for n in range(OLD):
            change = {"start_t_wall_ns": t_ns + n, "t_wall_ns": t_ns + n}
            store.put(alert(n, "raised" if n == 0 else "cleared", camera="gone", **change))
        ids = [row.id for row in store.outbox.pending("mqtt", OLD)]
        store.outbox.delivered([*ids[:1], *ids[2:]])
        store.outbox.failed(ids[1:2], "never", dead=True)
        store.put(alert(OLD, camera="door"))  # open, and no rule remembers it
    return {alert(0).key, alert(1).key}


def assert_in_order(place: Place, since: int) -> None:
    """The states of an alert are in order; so are alerts, from that row on, of which nothing was
    tried in vain. Before, a store in trouble did not note every try."""
    due, got, tries = place.kept.due("mqtt"), place.names(), place.kept.tries("mqtt")
    late = set(due[since:])
    due = [name for name in due if name in set(got)]
    smooth: set[str] = set()
    for _, names in itertools.groupby(sorted(due), key=lambda name: name.partition("-")[0]):
        own = set(names)
        assert [n for n in got if n in own] == [n for n in due if n in own]
        smooth |= own if own <= late and all(tries[n] == 1 for n in own) else set()
    assert len(smooth) > CARS
    assert [n for n in got if n in smooth] == [n for n in due if n in smooth]


@pytest.mark.timeout(240)
@pytest.mark.fault("F21", "F22")
def test_a_broker_stopped_for_60_s_and_killed_and_webhooks_in_trouble(home: Path) -> None:
    stay = write_old_alerts(home / "out" / "alerts.sqlite")
    with place(home, TROUBLE) as at:
        at.drive()
        wait_until(at.all_arrived, 10 * SLOW, "a first crossing arrives everywhere")
        at.broker.say(signal.SIGSTOP)
        stopped = time.monotonic()
        for mood, hook in at.hooks.items():
            hook.mood = mood
        before = {mood: (hook.asked, len(hook.taken)) for mood, hook in at.hooks.items()}
        at.drive()
        picky = at.hooks["picky"]
        wait_until(lambda: picky.refused, 5 * SLOW, "one alert is refused")
        at.drive()
        others = before["picky"][1]
        wait_until(lambda: len(picky.taken) > others, 10 * SLOW, "a later one overtakes it")
        assert not any(picky.refused in name for name in picky.taken[others:])
        while time.monotonic() < stopped + 20.0:
            at.drive()
        for mood, hook in at.hooks.items():
            asked, taken = before[mood]
            if mood != "picky":
                assert 3 < hook.asked - asked < 40, f"{mood}: tried, not hammered"
                assert len(hook.taken) == taken, f"{mood}: nothing is taken"
            hook.mood = "well"

        def caught_up() -> bool:
            return not [row for row in at.stored().undelivered() if row[0] in SINKS]

        wait_until(caught_up, 10 * SLOW, "the webhooks get what they missed")
        lock_store(at)
        remove_store(at)
        well = len(at.stored().due("mqtt"))
        while time.monotonic() < stopped + STOPPED_S:
            at.drive()
        assert {row[0] for row in at.stored().undelivered()} == {"mqtt"}
        at.broker.say(signal.SIGCONT)
        wait_until(at.all_arrived, 40 * SLOW, "all that was missed arrives")
        assert_in_order(at, well)
        for sink, hook in zip(SINKS, at.hooks.values(), strict=True):
            assert set(hook.taken) == set(at.kept.due(sink)), sink
        assert [row[2] for row in at.kept.undelivered()] == ["dead"]
        assert {a["key"] for a in at.kept.alerts if a["camera"] == "gone"} == stay, "retention"
        (forgotten,) = [a for a in at.kept.of("entered") if a["camera"] == "door"]
        assert forgotten["state"] == "cleared"
        kill_broker(at)
        said_again_after_a_restart(at)
        at.crowd.close()
        assert at.line.stop() == 0
    restarts = {name: p["restarts"] for name, p in at.line.summary()["processes"].items()}
    assert restarts.pop("alert") == 1, "by the test"
    assert set(restarts.values()) == {0}


def lock_store(at: Place) -> None:
    """Another program holds the store for longer than it waits: nothing is held up or lost."""
    other = sqlite3.connect(at.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began, before = time.monotonic(), len(at.stored().alerts)
    while time.monotonic() < began + 3.0:
        drive_began = time.monotonic()
        at.crowd.drive(frame_s=0.02)
        assert time.monotonic() - drive_began < DRIVE_S, "detection waited for the store"
    assert len(at.stored().alerts) == before
    other.execute("ROLLBACK")
    other.close()
    wait_until(at.is_written, 5 * SLOW, "what was raised meanwhile is stored and delivered")


def remove_store(at: Place) -> None:
    """Somebody removes the store: it is there again, with all that it held."""
    before = at.stored()
    for end in ("", "-wal", "-shm"):
        at.path.with_name(at.path.name + end).unlink()
    at.crowd.drive(frame_s=0.02)
    wait_until(at.is_written, 5 * SLOW, "alerts go on")
    after = at.stored()
    assert before.keys < after.keys
    assert set(before.due("mqtt")) < set(after.due("mqtt"))
    assert sum("removed while in use" in line.get("reason", "") for line in at.line.log()) > 0


def kill_broker(at: Place) -> None:
    """A broker that is killed gets every alert once it is there again."""
    before = len(at.kept.due("mqtt"))
    at.broker.end(signal.SIGKILL)
    for _ in range(4):
        at.drive()
    at.listener.ready.clear()
    at.broker.start()
    at.drive()
    wait_until(at.listener.ready.is_set, 10 * SLOW, "the subscriber is back")
    wait_until(at.all_arrived, 40 * SLOW, "all that was missed arrives")
    assert set(at.kept.due("mqtt")[before:]) <= set(at.names())
    assert_in_order(at, before)
    assert at.listener.payloads("perception/available")[-1] == b"online"


def said_again_after_a_restart(at: Place) -> None:
    """The broker is told that a rule is on until its last alert is over, over a restart too."""
    topic = "perception/door/inside"
    if at.crowd.passes % 2 == 0:
        at.drive()
    wait_until(at.all_arrived, 10 * SLOW, "all are inside")
    told = len(at.listener.payloads(topic))
    assert at.listener.payloads(topic)[-1] == b"ON"
    at.line.wait_back("alert", at.line.kill("alert"))
    wait_until(lambda: len(at.listener.payloads(topic)) > told, 10 * SLOW, "it says so again")
    assert at.listener.payloads(topic)[told:] == [b"ON"]
    at.crowd.drive()
    wait_until(at.all_arrived, 10 * SLOW, "all have left")
    assert at.listener.payloads(topic)[told:] == [b"ON"] * CARS + [b"OFF"]
    assert at.listener.payloads("perception/available")[-1] == b"online"
