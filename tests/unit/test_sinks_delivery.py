"""The way from the outbox to a sink: what a store that fails and a sink that was down may cost."""

import pytest

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

    monkeypatch.setattr(store, "delivered", full)
    for n in range(20):
        with pytest.raises(SinkError, match="disk full"):
            courier.deliver(n * NS_PER_S)
    assert sink.numbers == [1]
    monkeypatch.undo()
    courier.deliver(30 * NS_PER_S)
    assert sink.numbers == [1, 2]
    assert store.counts() == {"sink": {"delivered": 2}}


@pytest.mark.parametrize("seed", range(5))
def test_after_an_outage_the_order_is_kept_but_for_what_found_it_over(store, seed):
    sink = Receiver()
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 0)
    run(courier, 0, 1)
    sink.down = True
    put(store, *range(1, 30))
    run(courier, 1, 120)
    sink.down = False
    run(courier, 120, 132)
    assert sorted(sink.numbers) == list(range(30))
    first = sink.numbers[1]
    assert [n for n in sink.numbers if n != first] == [n for n in range(30) if n != first]


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
    assert "dead" not in store.counts()["sink"]
    end_s = 1 + times * (down_s + 10)
    run(courier, end_s, end_s + 20)
    assert store.counts() == {"sink": {"delivered": count}}


@pytest.mark.parametrize("seed", range(5))
def test_a_new_alert_overtakes_one_that_has_been_refused_for_5_s(store, seed):
    sink = Receiver()
    sink.poison = {1}
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 1, 2)
    run(courier, 0, 4.9)
    assert sink.numbers == []
    run(courier, 4.9, 5.3)
    assert sink.numbers == [2]
    put(store, 3)
    run(courier, 5.3, 5.5)
    assert sink.numbers == [2, 3]


@pytest.mark.parametrize("seed", range(5))
def test_a_new_alert_does_not_wait_for_one_that_was_refused_long_before(store, seed):
    sink = Receiver()
    sink.poison = {1}
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 1)
    run(courier, 0, 30)
    assert len(sink.tried) < 20
    put(store, 2)
    run(courier, 30, 30.2)
    assert sink.numbers == [2]


@pytest.mark.parametrize("seed", range(5))
def test_nor_for_two_of_them_longer_than_one_wait(store, seed):
    sink = Receiver()
    sink.poison = {1, 2}
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, 1, 2)
    run(courier, 0, 60)
    put(store, 3)
    run(courier, 60, 76.2)
    assert sink.numbers == [3]


@pytest.mark.parametrize(("refused", "within_s"), [(2, 14), (20, 50), (60, 60)])
@pytest.mark.parametrize("well", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_nor_for_many_of_them_long(store, well, refused, within_s, seed):
    sink = Receiver()
    sink.poison = set(range(1, refused + 1))
    courier = Courier(store, {"sink": sink}, seed=seed)
    if well:
        put(store, 0)
        courier.deliver(0)
    put(store, *sink.poison, 99)
    run(courier, 0.1, within_s)
    assert sink.numbers[-1:] == [99]


def test_one_that_fails_is_not_overtaken_by_what_came_with_it(store):
    sink = Receiver()
    sink.poison = {1, 2}
    courier = Courier(store, {"sink": sink}, seed=1)
    put(store, 1)
    run(courier, 0, 60)
    put(store, 2, 3)
    run(courier, 60, 64.9)
    assert sink.numbers == [], "order is kept for 5 s, whatever else has failed long before"


def test_a_sink_that_is_down_is_not_hammered(store):
    sink = Receiver()
    sink.down = True
    courier = Courier(store, {"sink": sink}, seed=2)
    put(store, *range(50))
    run(courier, 0, 600)
    assert 75 <= len(sink.tried) <= 320, "two tries every 4 to 8 s"


@pytest.mark.parametrize("restart", [None, 80])
@pytest.mark.parametrize("every_s", [6, 30, 300])
def test_a_sink_that_refuses_every_end_gets_every_alert_in_time(store, every_s, restart):
    sink, late = Receiver(), []
    sink.refuses = "cleared"
    courier = Courier(store, {"sink": sink}, seed=1)
    for n in range(160):
        if n == restart:
            courier = Courier(store, {"sink": sink}, seed=2)
        put(store, n)
        for i in range(min(every_s, 40) * 5):
            if i == 10:
                store.put(alert(n, "cleared", frame=1000 + n))
            if i < 150 or i % 20 == 0:
                had, t_s = len(sink.numbers), n * every_s + i / 5
                courier.deliver(round(t_s * NS_PER_S))
                late += [t_s - m * every_s for m in sink.numbers[had:]]
    assert sink.numbers == list(range(160))
    assert max(late) < (10.0 if restart is None else 20.0)
    assert store.counts()["sink"]["dead"] > 135


@pytest.mark.parametrize("restart", [False, True])
def test_however_many_are_refused_what_is_behind_them_arrives(store, restart):
    sink = Receiver()
    sink.poison = set(range(150))
    courier = Courier(store, {"sink": sink}, seed=1)
    for n in range(150):
        store.put(alert(n, camera=f"c{n}"))
    run(courier, 0, 1500)
    if restart:
        courier = Courier(store, {"sink": sink}, seed=2)
    put(store, 200)
    run(courier, 1500, 3000 if restart else 1510)
    assert sink.numbers == [200]


@pytest.mark.parametrize(("refused", "within_s"), [(1, 12), (2, 20), (5, 40), (20, 150)])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_failed_while_a_sink_was_down_arrives_behind_those_it_refuses(
    store, refused, within_s, restart, seed
):
    sink = Receiver()
    sink.poison, sink.down = set(range(refused)), True
    courier = Courier(store, {"sink": sink}, seed=seed)
    put(store, *sink.poison, 100, 101, 102)
    run(courier, 0, 200)
    if restart:
        courier = Courier(store, {"sink": sink}, seed=seed)
    sink.down = False
    run(courier, 200, 200 + within_s)
    assert sorted(sink.numbers) == [100, 101, 102], "and nothing new comes"
