import contextlib
import json
import random
import sqlite3
import threading
import time
from types import SimpleNamespace
from unittest.mock import Mock

import msgspec
import pytest

from perception.alerts.back_off import LONGEST_WAIT_S
from perception.alerts.book import AlertBook, alert_key
from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore
from perception.alerts.watch import CameraWatch
from perception.clock import NS_PER_S
from perception.errors import SinkError
from perception.metrics import Metrics
from perception.processes.alert_line import AlertLine
from perception.processes.watching import CameraWatches
from perception.recording import report
from perception.rules import rule_class
from perception.rules.zones import Line, Zone
from perception.sinks.when import When
from perception.wire import make_id
from perception.wire.plan import StagePlan
from tests.couriers import Receiver, put, run
from tests.scenes import WALL_NS, alert, message, play, seen, times

ZONES = {"path": Zone.model_validate([[0.4, 0.0], [0.6, 0.0], [0.6, 1.0], [0.4, 1.0]])}
LINES = {"gate": Line(points=((0.5, 0.0), (0.5, 1.0)), names=("west", "east"))}


def make_rule(kind, name, **options):
    cls = rule_class(kind)
    return cls(name, cls.Options(**options), ZONES, LINES)


def book():
    return AlertBook(
        "door",
        [
            make_rule("zone", "entered", zone="path"),
            make_rule("dwell", "waits", zone="path", seconds=1),
            make_rule("line", "crossed", line="gate"),
        ],
    )


def walk(seconds=10.0, back=False):
    for t in times(0, seconds):
        part = t / seconds
        x = 50 + 900 * (1 - abs(1 - 2 * part) if back else part)
        yield message(t, seen(1, x, 300), seen(2, x - 150, 300, class_id=2))


class TestBook:
    def test_a_stay_is_raised_once_and_cleared_once(self):
        alerts = [a for a in play(book(), walk()) if a.rule == "entered" and a.track_id == 1]
        assert [a.state for a in alerts] == ["raised", "cleared"]
        raised, cleared = alerts
        assert raised.key == cleared.key == alert_key("door", "entered", 1, raised.t_media_ns)
        assert raised.start_t_wall_ns == raised.t_wall_ns == WALL_NS + raised.t_media_ns
        assert cleared.start_t_media_ns == raised.t_media_ns < cleared.t_media_ns
        assert cleared.start_t_wall_ns == raised.start_t_wall_ns
        assert cleared.details["reason"] == "left"
        assert raised.class_name == "person"

    def test_one_alert_for_each_rule_and_track(self):
        raised = [(a.rule, a.track_id) for a in play(book(), walk()) if a.state == "raised"]
        assert len(raised) == len(set(raised)) == 6

    def test_a_crossing_is_raised_and_nothing_more(self):
        b = book()
        alerts = [a for a in play(b, walk(back=True)) if a.rule == "crossed" and a.track_id == 1]
        assert [(a.state, a.details["direction"]) for a in alerts] == [
            ("raised", "east"),
            ("raised", "west"),
        ]
        assert alerts[0].key != alerts[1].key
        assert not [k for k in b.open if k[0] == "crossed"]
        assert b.counts == {"crossed": {"west": 2, "east": 2}}

    def test_a_frame_twice_or_from_before_changes_nothing(self):
        b, messages = book(), list(walk())
        first = play(b, messages)
        assert first
        assert play(b, messages) == []
        assert b.repeated == len(messages)

    def test_a_new_epoch_goes_on(self):
        b = book()
        play(b, walk())
        again = [message(t, seen(7, 500, 300), epoch=2) for t in times(0, 2)]
        assert {a.rule for a in play(b, again) if a.track_id == 7} == {"entered", "waits"}

    def test_resumes_at_any_frame_without_double_or_lost_alerts(self):
        messages = list(walk(back=True))
        expected = play(book(), messages)
        for cut in range(1, len(messages), 9):
            first, second = book(), book()
            alerts = play(first, messages[:cut])
            assert second.restore(json.loads(json.dumps(first.state()))) == []
            # The process asks for what came after its last commit; older frames may come too.
            alerts += play(second, messages[max(0, cut - 5) :])
            assert alerts == expected

    def test_a_rule_that_is_gone_clears_its_alerts(self):
        messages = list(walk())
        b = book()
        play(b, messages[:55])
        assert {k[0] for k in b.open} == {"entered", "waits"}
        later = AlertBook("door", [make_rule("zone", "entered", zone="path")])
        assert later.restore(b.state()) == []
        alerts = later.update(messages[55])
        assert [(a.rule, a.state, a.details["reason"]) for a in alerts] == [
            ("waits", "cleared", "rule changed")
        ]

    def test_a_state_of_another_rule_is_named_and_starts_afresh(self):
        b = book()
        play(b, list(walk())[:55])
        other = AlertBook("door", [make_rule("line", "entered", line="gate")])
        assert other.restore(b.state()) == ["entered"]
        assert {a.state for a in other.update(message(9))} == {"cleared"}

    def test_a_wall_clock_that_jumps_changes_only_what_people_read(self):
        messages = list(walk(back=True))
        expected = play(book(), messages)
        for m in messages[30:90]:
            m.stamp = msgspec.structs.replace(m.stamp, t_wall_ns=m.stamp.t_wall_ns - 3600 * 10**9)
        for m in messages[60:70]:
            m.stamp = msgspec.structs.replace(m.stamp, t_wall_ns=m.stamp.t_wall_ns + 7200 * 10**9)

        def timeless(alerts):
            return [msgspec.structs.replace(a, t_wall_ns=0, start_t_wall_ns=0) for a in alerts]

        assert timeless(play(book(), messages)) == timeless(expected)

    def test_the_end_of_a_recording_clears_what_is_open(self):
        b, messages = book(), list(walk())[:55]
        play(b, messages)
        alerts = b.finish(messages[-1].stamp)
        assert {(a.state, a.details["reason"]) for a in alerts} == {("cleared", "ended")}
        assert b.open == {}

    def test_another_camera_is_refused(self):
        with pytest.raises(ValueError, match="'yard'"):
            book().update(message(0, camera="yard"))

    def test_keys_differ_in_each_part(self):
        parts = [("a", "b", 1, 2), ("ab", "", 1, 2), ("a", "b", 12, 2), ("a", "b", 1, 22)]
        assert len({alert_key(*p) for p in parts}) == len(parts)


@pytest.fixture
def store(memory):
    with AlertStore(memory / "alerts.sqlite", ["broker"]) as store:
        yield store


def at(n, seconds, *, wall_s=None, **changes):
    """The n-th alert, of that time by the camera and, unless wall_s says else, by the wall."""
    wall_ns = WALL_NS + (seconds if wall_s is None else wall_s) * NS_PER_S
    media_ns = seconds * NS_PER_S
    times = {"start_t_media_ns": media_ns, "t_media_ns": media_ns}
    return alert(n, start_t_wall_ns=wall_ns, t_wall_ns=wall_ns, **{**times, **changes})


class TestCourier:
    def test_delivers_in_order_once(self, store):
        broker = Receiver()
        courier = Courier(store, {"broker": broker}, seed=1)
        put(store, *(alert(n) for n in range(250)))
        assert run(courier, 0, 1) == 250
        assert broker.numbers == list(range(250))
        assert courier.deliver(2 * NS_PER_S) == 0
        assert courier.counters == {"delivered.broker": 250}
        assert store.outbox.counts() == {"broker": {"delivered": 250}}

    def test_a_sink_that_is_down_loses_nothing_and_is_not_hammered(self, store):
        broker = Receiver()
        courier = Courier(store, {"broker": broker}, seed=1)
        broker.down = True
        put(store, *(alert(n) for n in range(20)))
        assert run(courier, 0, 60) == 0
        assert 16 <= len(broker.tried) <= 45, "two tries a turn"
        assert courier.errors == {"broker": "receiver: down"}
        broker.down = False
        put(store, alert(99))
        assert run(courier, 60, 60 + LONGEST_WAIT_S + 1) == 21
        assert len(broker.got) == len(set(broker.got)) == 21
        assert courier.errors == {}

    def test_one_sink_does_not_wait_for_another(self, tmp_path):
        good, bad = Receiver(), Receiver()
        bad.down = True
        with AlertStore(tmp_path / "a.sqlite", ["good", "bad"]) as store:
            put(store, alert(1))
            assert Courier(store, {"bad": bad, "good": good}).deliver(0) == 1
        assert good.got

    def test_a_restart_tries_at_once(self, store):
        broker = Receiver()
        broker.down = True
        put(store, alert(1))
        run(Courier(store, {"broker": broker}), 0, 60)
        broker.down = False
        assert Courier(store, {"broker": broker}).deliver(0) == 1

    def test_a_kill_between_send_and_mark_sends_the_same_key_again(self, store, monkeypatch):
        broker = Receiver()
        put(store, alert(1))
        monkeypatch.setattr(
            store.outbox, "delivered", lambda ids: (_ for _ in ()).throw(SinkError("locked"))
        )
        with pytest.raises(SinkError, match="locked"):
            Courier(store, {"broker": broker}).deliver(0)
        monkeypatch.undo()
        assert Courier(store, {"broker": broker}).deliver(0) == 1
        assert broker.got == [("door", 1, "raised")] * 2

    def test_any_outage_loses_nothing_and_keeps_each_alerts_order(self, memory):
        chance = random.Random(7)
        broker = Receiver()
        with AlertStore(memory / "a.sqlite", ["broker"]) as store:
            courier = Courier(store, {"broker": broker}, seed=7)
            for n in range(60):
                put(store, alert(n, camera=f"c{n % 3}"))
                broker.down = chance.random() < 0.5
                broker.poison = set(chance.sample(range(60), 10))
                run(courier, n, n + 1, 0.25)
                put(store, alert(n, "cleared", camera=f"c{n % 3}", frame=100 + n))
            broker.down, broker.poison = False, set()
            run(courier, 60, 80)
        assert len(broker.got) == len(set(broker.got)) == 120
        for n in range(60):
            assert [s for _, i, s in broker.got if i == n] == ["raised", "cleared"]

    def test_filters_leave_out_what_a_sink_does_not_want(self, store):
        broker = Receiver(only={"zone": "porch", "state": ["raised", "updated"]})
        courier = Courier(store, {"broker": broker})
        put(store, alert(1, details={"zone": "porch"}), alert(2), alert(1, "cleared", frame=5))
        assert courier.deliver(0) == 1
        assert broker.got == [("door", 1, "raised")]
        assert store.outbox.counts() == {"broker": {"delivered": 1, "filtered": 2}}
        assert store.resend(alert(2).key) == 1

    @pytest.mark.parametrize(
        ("known", "only", "expected"),
        [
            (True, [False, None], False),
            (False, [False, None], True),
            (None, [False, None], True),
            (True, True, True),
            (None, None, True),
            (True, "True", False),
        ],
    )
    def test_only_whom_you_do_not_know(self, known, only, expected):
        when = When(only={"known": only})
        assert when.wants(alert(1, details={"known": known})) is expected
        assert When(only={"known": [None]}).wants(alert(1))

    def test_once_an_alert_at_the_first_state_that_passes(self, store):
        broker = Receiver(once=True, only={"who": ["unknown", "undecided"]})
        courier = Courier(store, {"broker": broker})
        for n, who in ((1, "unknown"), (2, "Ann")):
            put(store, alert(n), alert(n, "updated", frame=10 + n, details={"who": who}))
            put(store, alert(n, "updated", frame=20 + n, details={"who": who}))
        assert courier.deliver(0) == 1
        assert broker.got == [("door", 1, "updated")]
        put(store, alert(1, "cleared", frame=30, details={"who": "unknown"}))
        assert Courier(store, {"broker": broker}).deliver(0) == 0

    def test_hours_of_a_sink(self, store):
        for hours, expected in (("22:00-23:00", 1), ("23:00-24:00", 0)):
            broker = Receiver(hours=[hours], time_zone="UTC")
            put(store, alert(expected))
            assert Courier(store, {"broker": broker}).deliver(0) == expected

    def test_whoever_was_told_of_an_alert_is_told_of_its_end(self, store):
        broker = Receiver(only={"who": ["unknown"]}, hours=["22:00-23:00"], time_zone="UTC")
        courier = Courier(store, {"broker": broker})
        later = {"t_wall_ns": WALL_NS + 3600 * NS_PER_S, "details": {"who": "Ann"}}
        for n, who in ((1, "unknown"), (2, "Ann")):
            put(store, alert(n, details={"who": who}), alert(n, "cleared", frame=20 + n, **later))
        courier.deliver(0)
        assert broker.got == [("door", 1, "raised"), ("door", 1, "cleared")]
        quiet = Receiver(only={"state": ["raised"]})
        put(store, alert(3), alert(3, "cleared", frame=30))
        Courier(store, {"broker": quiet}).deliver(0)
        assert quiet.got == [("door", 3, "raised")]

    def test_a_cooldown_starts_when_something_was_delivered(self, store):
        broker = Receiver(cooldown_s=60)
        broker.down = True
        courier = Courier(store, {"broker": broker}, seed=1)
        put(store, at(1, 0))
        run(courier, 0, 50)
        assert store.outbox.last_delivered("broker", "door", "entered") is None
        broker.down = False
        run(courier, 50, 60)
        put(
            store, at(2, 10), at(3, 55), at(4, 59, rule="other"), at(1, 0, state="cleared", frame=9)
        )
        run(courier, 60, 70)
        # 2 and 3 begin in its rest, 4 is another rule's.
        assert broker.got == [("door", 1, "raised"), ("door", 4, "raised"), ("door", 1, "cleared")]
        put(store, at(5, 61), at(2, 10, state="cleared", frame=99))
        later = Courier(store, {"broker": broker}, seed=1)
        run(later, 0, 1)
        assert broker.got[3:] == [("door", 5, "raised")]

    @pytest.mark.parametrize("step_s", [-3600, -40, 40, 3600])
    def test_a_wall_clock_that_is_set_changes_no_cooldown(self, store, step_s):
        broker = Receiver(cooldown_s=60)
        courier = Courier(store, {"broker": broker}, seed=1)
        for n, seconds in enumerate((0, 30, 70, 90, 140)):
            put(store, at(n, seconds, wall_s=seconds + (step_s if n else 0)))
            run(courier, seconds, seconds + 1)
        assert broker.numbers == [0, 2, 4]

    @pytest.mark.parametrize(("wall_s", "told"), [(30, False), (70, True), (-3600, True)])
    def test_over_a_restart_of_the_camera_the_wall_clock_counts(self, store, wall_s, told):
        broker = Receiver(cooldown_s=60)
        put(store, at(1, 100, wall_s=0), at(2, 110, wall_s=wall_s, frame_id=make_id(2, 1)))
        run(Courier(store, {"broker": broker}, seed=1), 0, 1)
        assert len(broker.got) == 1 + told

    def test_pictures_are_passed_on(self, store):
        put(store, alert(1))
        got = []

        class Sink:
            Options, when = When, When()

            def send(self, alert, picture):
                got.append(picture)

        Courier(store, {"broker": Sink()}, lambda alert: alert.key).deliver(0)
        assert got == [alert(1).key]


@contextlib.contextmanager
def held_by_another(store, seconds):
    """Let another program hold the store; give what begins its last seconds."""
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, other.execute, ("END",))
    yield timer.start
    timer.join()
    other.close()


class TestTheStop:
    """What the store did not take when a run stops, while another program holds it."""

    @pytest.fixture
    def runtime(self, tmp_path):
        rules = {"entered": StagePlan(type="zone", options={"zone": "path"})}
        zones = {"path": [[0.4, 0.0], [0.6, 0.0], [0.6, 1.0], [0.4, 1.0]]}
        camera = SimpleNamespace(
            record=None, budget_ms=None, zones=zones, lines={}, rules=rules, watch={}
        )
        plan = SimpleNamespace(cameras={"door": camera, "yard": camera}, recordings=None)
        plan.cameras_of = lambda kind: []
        process = SimpleNamespace(cameras=["door"])
        own = {"plan": plan, "process": process, "metrics": Metrics()}
        own |= {"restarted": False, "stopping": False, "is_over": False}
        return Mock(run_dir=tmp_path, **own)

    def line(self, runtime, store, name="door"):
        """Return a line that has seen a first frame."""
        line = AlertLine(runtime, name, store, [], Mock())
        line.take(message(0, seen(1, 50, 300), camera=name))
        return line

    def raise_one(self, line, name="door"):
        for t in times(1, 4):
            line.take(message(t, seen(1, 500, 300), camera=name))

    @pytest.mark.parametrize("over", [True, False])
    def test_what_is_open_is_over_with_the_run_but_not_with_the_process(self, runtime, store, over):
        runtime.is_over = over
        line = self.line(runtime, store)
        self.raise_one(line)
        (before,) = store.newest()
        assert before.alert.state == "raised"
        line.close()
        (kept,) = store.newest()
        assert kept.alert.key == before.alert.key
        assert kept.alert.state == ("cleared" if over else "raised")
        assert kept.alert.details.get("reason") == ("ended" if over else None)
        assert kept.deliveries == {"broker": "pending"}

    def test_what_is_missing_is_asked_for_and_what_is_gone_is_counted(
        self, runtime, store, monkeypatch
    ):
        sent = [message(t, seen(1, 500 if t > 0.2 else 50, 300)) for t in times(0, 2)]
        for n, one in enumerate(sent):
            one.message_id = make_id(7, n)

        def kept(run_dir, name, after):
            return [one for one in sent[3:10] if one.stamp.frame_id > after]

        monkeypatch.setattr("perception.processes.alert_line.catch_up", kept)
        runtime.is_over = False
        line = AlertLine(runtime, "door", store, [], Mock())
        for n in (0, 9, 4, 5):
            line.take(sent[n])
        assert len(store.newest()) == 1
        counters = runtime.metrics.counters
        assert (counters["caught_up.door"], counters["missed.door.alert_lost"]) == (7, 2)
        line.close()
        monkeypatch.setattr("perception.processes.alert_line.catch_up", lambda *_: [])
        again = AlertLine(runtime, "door", store, [], Mock())
        again.take(sent[11])
        assert counters["missed.door.alert_away"] == 1
        again.close()
        assert report.missed(runtime.metrics, "door") == {"alert_lost": 2, "alert_away": 1}

    def test_it_ends_with_the_last_frame_though_earlier_ones_come_late(
        self, runtime, store, monkeypatch
    ):
        sent = [message(t, seen(1, 500 if t > 0.2 else 50, 300)) for t in times(0, 2)]
        for n, one in enumerate(sent):
            one.message_id = make_id(3, n)
        monkeypatch.setattr("perception.processes.alert_line.catch_up", lambda *_: sent[1:])
        line = AlertLine(runtime, "door", store, [], Mock())
        line.take(sent[0])
        line.take(sent[2])
        runtime.is_over = True
        line.close()
        (kept,) = store.newest()
        assert (kept.alert.state, kept.alert.frame_id) == ("cleared", sent[-1].stamp.frame_id)
        progress = store.progress("door")
        assert progress is not None
        assert progress.frame_id == sent[-1].stamp.frame_id

    def test_what_is_missing_at_the_stop_is_not_waited_for(self, runtime, store, monkeypatch):
        line, asked = self.line(runtime, store), Mock(return_value=[])
        monkeypatch.setattr("perception.processes.alert_line.catch_up", asked)
        runtime.stopping = True
        for n in (3, 5):
            one = message(n, seen(1, 500, 300))
            one.message_id = make_id(1, n)
            line.take(one)
        asked.assert_not_called()
        assert runtime.metrics.counters["missed.door.alert_lost"] == 4
        assert len(store.newest()) == 1
        line.close()

    def test_an_alert_is_written_once_the_store_is_free(self, runtime, store):
        line = self.line(runtime, store)
        with held_by_another(store, 0.8) as go:
            self.raise_one(line)
            assert store.newest() == []
            go()
            line.close()
        assert [kept.alert.track_id for kept in store.newest()] == [1]
        runtime.log.error.assert_called_once()  # that it failed, not that one is lost

    def test_a_store_that_stays_locked_costs_all_cameras_a_second_together(self, runtime, store):
        lines = {name: self.line(runtime, store, name) for name in ("door", "yard")}
        with held_by_another(store, 0.0) as go:
            for name, line in lines.items():
                self.raise_one(line, name)
            began = time.monotonic()
            for line in lines.values():
                line.close()
            assert time.monotonic() - began < 2.5
            go()
        assert runtime.log.error.call_args.args == ("alerts lost",)

    def test_an_alert_of_a_camera_is_written_too(self, runtime, store, monkeypatch):
        monkeypatch.setattr(CameraWatch, "look", lambda *_: [alert(1, rule="camera")])
        tell = Mock()
        watching = CameraWatches(runtime, store, {"door": tell})
        with held_by_another(store, 0.8) as go:
            assert not watching.turn()
            go()
            watching.close()
        assert [kept.alert.track_id for kept in store.newest()] == [1]
        tell.assert_called_once()
