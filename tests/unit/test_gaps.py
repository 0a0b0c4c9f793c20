"""Messages that never came, counted where they were to be dealt with and told of in the summary."""

import itertools

import pytest

from perception.metrics import Metrics
from perception.processes.gaps import Gaps
from perception.recording import report
from perception.transport import bus
from perception.wire import make_id
from tests.scenes import message

BOUND = 1024


@pytest.mark.parametrize(
    ("ids", "missed"),
    [
        ([(1, 0), (1, 1), (1, 2)], [0, 0, 0]),
        ([(1, 7), (1, 8)], [0, 0]),
        ([(1, 0), (1, 4), (1, 2), (1, 5), (1, 9)], [0, 3, 0, 0, 3]),
        ([(1, 5), (2, 0), (1, 6), (2, 1)], [0, 0, 0, 0]),
        ([(1, 5), (3, 2), (3, 3)], [0, 2, 0]),
    ],
)
def test_what_is_missing_between_messages(ids, missed):
    gaps = Gaps()
    assert [gaps.missed(make_id(*one)) for one in ids] == missed
    assert gaps.last == make_id(*max(ids))
    assert Gaps(make_id(1, 3)).missed(make_id(1, 6)) == 2


def test_a_queue_that_runs_over_is_counted_to_the_last_message(tmp_path):
    publisher, inbox = (
        bus.Publisher(tmp_path, "tracks", "door"),
        bus.Inbox(tmp_path, "tracks", ["door"]),
    )
    gaps, missed, sent = Gaps(), 0, itertools.count()

    def send():
        one = message(next(sent) / 100)
        one.message_id = make_id(5, round(one.stamp.t_media_ns / 1e7))
        publisher.send(one)

    got = []
    while not got:
        send()
        got = list(inbox.poll(20))
    for _ in range(5 * BOUND):
        send()
    while batch := list(inbox.poll(200)):
        got += batch
    send()
    while not (last := list(inbox.poll(200))):
        pass
    for one in (*got, *last):
        missed += gaps.missed(one.message_id)
    publisher.close()
    inbox.close()
    assert missed > BOUND
    first = got[0].message_id & 0xFFFFFFFF
    assert missed + len(got) + len(last) == next(sent) - first


def test_the_summary_names_who_missed_how_many():
    metrics = Metrics()
    assert report.missed(metrics, "door") == {}
    metrics.count("tracked.door", 100)
    assert report.missed(metrics, "door") == {}, "nothing was to be written"
    metrics.count("written.door", 90)
    metrics.count("missed.door.output_lost", 4)
    metrics.count("missed.door.alert_away", 3)
    metrics.count("missed.yard.alert_away", 8)
    by_cause = {"output_lost": 4, "alert_away": 3, "output_away": 6}
    assert report.missed(metrics, "door") == by_cause
    metrics.count("written.door", 10)
    del by_cause["output_away"]
    assert report.missed(metrics, "door") == by_cause, "killed tracking counted less than it sent"
