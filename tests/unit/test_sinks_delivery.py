"""The way from the outbox to a sink: what a store that fails and a sink that was down may cost."""

import pytest

from perception import clock
from perception.alerts.delivery import Courier
from perception.alerts.store import AlertStore
from perception.clock import NS_PER_S
from perception.errors import SinkError
from tests.couriers import Receiver, flap, put, run
from tests.scenes import alert


@pytest.fixture
def store(memory):
    with AlertStore(memory / "alerts.sqlite", ["sink"]) as store:
        yield store


def test_what_arrived_is_not_sent_again_while_the_store_cannot_note_it(store, monkeypatch):
    sink = Receiver()
    courier = Courier(store, {"sink": sink})
    put(store, 1, 2)

    def full(ids):
        raise SinkError("disk full")

    monkeypatch.setattr(store.outbox, "delivered", full)
    for n in range(20):
        with pytest.raises(SinkError, match="disk full"):
            courier.deliver(n * NS_PER_S)
    assert sink.numbers == [1]
    monkeypatch.undo()
    courier.deliver(30 * NS_PER_S)
    assert sink.numbers == [1, 2]
    assert store.outbox.counts() == {"sink": {"delivered": 2}}


@pytest.mark.parametrize("seed", range(5))
def test_after_an_outage_the_order_is_kept(store, seed):
    sink = Receiver()
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 0)
    run(courier, 0, 1)
    sink.down = True
    put(store, *range(1, 30))
    run(courier, 1, 120)
    sink.down = False
    run(courier, 120, 130)
    assert sink.numbers == list(range(30))


@pytest.mark.parametrize(
    ("before", "waiting", "times", "down_s", "seed"),
    [*((20, 6, 6, 600, seed) for seed in range(5)), (1, 119, 40, 300, 3)],
)
def test_an_outage_gives_nothing_up_however_often_the_sink_comes_back(
    store, before, waiting, times, down_s, seed
):
    """Nor of a long queue, of which the sink takes one at a time."""
    sink, count = Receiver(), before + waiting
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, *range(before))
    run(courier, 0, 1)
    put(store, *range(before, count))
    flap(courier, sink, times=times, down_s=down_s)
    assert "dead" not in store.outbox.counts()["sink"]
    end_s = 1 + times * (down_s + 10)
    run(courier, end_s, end_s + 20)
    assert store.outbox.counts() == {"sink": {"delivered": count}}


@pytest.mark.parametrize("kind", ["poison", "refused"])
@pytest.mark.parametrize("seed", range(5))
def test_one_that_fails_delays_no_other(store, seed, kind):
    sink = Receiver()
    setattr(sink, kind, {1})
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 1, 2)
    run(courier, 0, 0.1)
    assert sink.numbers == [2]
    run(courier, 0.1, 60)
    assert len(sink.tried) < 25, "and is not hammered"
    put(store, 3)
    run(courier, 60, 60.2)
    assert sink.numbers == [2, 3]


@pytest.mark.parametrize("kind", ["poison", "refused"])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.fault("F21")
def test_of_149_with_72_that_fail_the_last_good_one_arrives_in_10_s(store, kind, restart, seed):
    """Whether the sink refuses them for good or answers 500 to them again and again."""
    sink = Receiver()
    bad = set(range(0, 144, 2))
    setattr(sink, kind, bad)
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, *range(148))
    run(courier, 0, 300)
    if restart:
        courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 148)
    run(courier, 300, 310)
    assert sorted(sink.numbers) == sorted(set(range(149)) - bad)
    status = "dead" if kind == "refused" else "pending"
    assert store.outbox.counts() == {"sink": {"delivered": 77, status: 72}}


def test_what_is_refused_is_given_up_at_once_with_its_reason_and_can_be_sent_again(store):
    sink = Receiver()
    sink.refused = {1}
    courier = Courier(store, {"sink": sink}, seed=1)
    put(store, 1, alert(1, "cleared", frame=9))
    assert run(courier, 0, 0.2) == 0
    assert len(sink.tried) == 2, "each state is tried once"
    assert store.outbox.counts() == {"sink": {"dead": 2}}
    assert courier.counters["dead.sink"] == 2
    assert store.show(alert(1).key).reasons == {"sink": "receiver: answered 400"}
    sink.refused = set()
    assert store.resend(alert(1).key) == 2
    assert run(courier, 1, 1.2) == 2
    assert store.show(alert(1).key).reasons == {}


def test_states_of_one_alert_stay_in_order_whatever_fails(store):
    sink = Receiver()
    sink.poison = {1}
    courier = Courier(store, {"sink": sink}, seed=1)
    put(store, 1, 2, alert(1, "updated", frame=9), alert(2, "cleared", frame=10))
    run(courier, 0, 5)
    assert sink.got == [("door", 2, "raised"), ("door", 2, "cleared")]
    sink.poison = set()
    run(courier, 5, 15)
    assert sink.got[2:] == [("door", 1, "raised"), ("door", 1, "updated")]


def test_what_is_too_old_is_given_up_with_that_reason(store):
    """By monotonic time, however the clock is set, for what was raised since the start."""
    sink = Receiver(expire_s=60)
    sink.down = True
    courier = Courier(store, {"sink": sink}, seed=1)
    put(store, 1)
    run(courier, 0, 59)
    assert store.outbox.counts() == {"sink": {"pending": 1}}
    run(courier, 59, 75)
    assert store.outbox.counts() == {"sink": {"dead": 1}}
    assert courier.counters["dead.sink"] == 1
    assert store.show(alert(1).key).reasons == {"sink": "expired: not delivered within 60 s"}


@pytest.mark.parametrize("up", [True, False])
def test_what_waited_before_a_start_has_one_try_however_old(store, up):
    sink = Receiver(expire_s=86_400)
    sink.down = not up
    put(store, 1)
    run(Courier(store, {"sink": sink}, seed=1), 0, 20)
    assert store.outbox.counts() == {"sink": {"delivered" if up else "dead": 1}}


@pytest.mark.fault("F21")
def test_a_sink_that_is_down_is_not_hammered(store):
    sink = Receiver()
    sink.down = True
    courier = Courier(store, {"sink": sink}, seed=2)
    put(store, *range(50))
    run(courier, 0, 600)
    assert 75 <= len(sink.tried) <= 320, "two tries every 4 to 8 s"


@pytest.mark.parametrize("every_s", [6, 30, 300])
def test_a_sink_that_refuses_every_end_gets_every_alert_at_once(store, every_s):
    sink, late = Receiver(), []
    sink.refuses = "cleared"
    courier = Courier(store, {"sink": sink}, seed=1)
    for n in range(160):
        put(store, n)
        for i in range(min(every_s, 40) * 5):
            if i == 10:
                store.put(alert(n, "cleared", frame=1000 + n))
            had, t_s = len(sink.numbers), n * every_s + i / 5
            courier.deliver(round(t_s * NS_PER_S))
            late += [t_s - m * every_s for m in sink.numbers[had:]]
    assert sink.numbers == list(range(160))
    assert max(late) < 0.5
    assert store.outbox.counts()["sink"]["dead"] == 160


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_failed_while_a_sink_was_down_arrives_behind_those_that_still_fail(
    store, restart, seed
):
    sink = Receiver()
    sink.poison, sink.down = set(range(20)), True
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, *sink.poison, 100, 101, 102)
    run(courier, 0, 200)
    if restart:
        courier = Courier(store, {"sink": sink}, seed=seed)
    sink.down = False
    run(courier, 200, 290)
    assert sorted(sink.numbers) == [100, 101, 102], "and nothing new comes"


def test_the_age_of_an_alert_is_noted_once_as_the_sink_takes_it(store):
    sink, told = Receiver(), alert(1)
    courier = Courier(store, {"sink": sink})
    put(store, 1)
    before_ns = clock.wall_ns()
    courier.deliver(0)
    after_ns = clock.wall_ns()
    ((camera, age_ns),) = courier.ages
    assert camera == told.camera
    assert before_ns - told.t_wall_ns <= age_ns <= after_ns - told.t_wall_ns
