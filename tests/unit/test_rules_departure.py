"""The departure rule on drives whose distance to the lines is known."""

import json

import pytest

from perception.rules import SeesLanes, rule_class
from perception.wire import OwnLane
from tests.scenes import message, times

LANE, HALF = 3.5, 0.9
"""Width of the lane and half of the vehicle's, m."""


def make(**options):
    cls = rule_class("departure")
    return cls("drift", cls.Options(**options), {}, {})


def drive(rule, middle, until_s, *, height_m=1.25, seen=lambda t: (True, True), rate=20, start=0):
    """Play a drive; middle: t -> m of the vehicle's middle to the right of the lane's middle.

    Return [(t, phase, side, details)]. Lines are where a camera at the vehicle's middle has them.
    """
    events = []
    for t in times(start, until_s, rate):
        place = (middle(t) + LANE / 2) % LANE - LANE / 2
        left, right = (-LANE / 2 - place) / height_m, (LANE / 2 - place) / height_m
        sees = seen(t)
        lane = OwnLane(
            t_media_ns=round(t * 1e9),
            left=left if sees[0] else None,
            right=right if sees[1] else None,
            height_m=height_m,
        )
        rule.see(lane)
        for event in rule.update(message(t)):
            events.append((t, event.phase, event.details["side"], event.details))
    return events


def test_it_asks_for_lanes():
    assert isinstance(make(), SeesLanes)


def test_who_stays_in_the_middle_departs_from_nothing():
    assert drive(make(), lambda t: 0.15 * ((t % 2) - 1), 20) == []


@pytest.mark.parametrize(("way", "side"), [(1, "right"), (-1, "left")])
@pytest.mark.parametrize("speed", [0.3, 0.6, 1.2])
def test_a_drift_is_told_a_second_before_the_line(way, side, speed):
    room = LANE / 2 - HALF
    crossing = 2.0 + room / speed
    events = drive(make(), lambda t: way * speed * max(0.0, t - 2.0), crossing)
    assert [(phase, name) for _, phase, name, _ in events] == [("begin", side)]
    t, _, _, details = events[0]
    if room / speed > 1.5:
        assert crossing - t == pytest.approx(1.0 - 0.15, abs=0.12)
        assert details["speed_m_s"] == pytest.approx(speed, rel=0.1)
        assert details["crossing_s"] == pytest.approx(crossing - t, abs=0.1)
    assert 0.25 <= crossing - t <= 1.0


def test_it_ends_after_the_vehicle_is_back():
    def middle(t):
        return 0.5 * max(0.0, min(t - 1, 2.0)) - 0.5 * max(0.0, min(t - 4, 2.0))

    events = drive(make(), middle, 12)
    assert [(phase, name) for _, phase, name, _ in events] == [("begin", "right"), ("end", "right")]
    # It leaves at 4 s: the speed of .7 s turns soon after; it is .15 m over the line until 4.3 s.
    assert events[1][0] == pytest.approx(4.3 + 1.0, abs=0.35)


def test_a_change_of_lanes_is_one_event_a_line_and_ends():
    events = drive(make(), lambda t: min(LANE, 0.8 * max(0.0, t - 2)), 14)
    first = [e for e in events if e[1] == "begin"]
    assert [name for _, _, name, _ in first][:1] == ["right"]
    assert len(first) <= 2
    assert {e[2] for e in events if e[1] == "end"} == {e[2] for e in first}


def test_nothing_is_told_of_a_line_that_is_not_seen():
    rule = make()
    assert drive(rule, lambda t: 0.6 * t, 2.2, seen=lambda t: (True, False)) == []


def test_a_line_that_is_lost_ends_it():
    events = drive(make(), lambda t: 0.6 * t, 6, seen=lambda t: (t < 1.5, t < 1.5))
    assert [e[1] for e in events] == ["begin", "end"]
    assert events[1][0] == pytest.approx(1.5 + 0.5 + 1.0, abs=0.15)


def test_without_the_height_of_the_camera_a_usual_one_is_taken():
    rule = make()
    lane = OwnLane(t_media_ns=0, left=-1.35, right=0.5)
    for t in times(0, 1):
        lane = OwnLane(t_media_ns=round(t * 1e9), left=-1.35, right=0.5)
        rule.see(lane)
        events = rule.update(message(t))
        if events:
            break
    assert events[0].details["distance_m"] == pytest.approx(0.5 * 1.3 - 0.9, abs=0.01)


def test_who_stands_departs_from_nothing():
    rule, events = make(), []
    for t in times(0, 3):
        rule.see(OwnLane(t_media_ns=round(t * 1e9), left=-1.35, right=0.5, height_m=1.3))
        made = message(t)
        made.own_speed_m_s = 1.0
        events += rule.update(made)
    assert events == []


def test_a_restored_rule_goes_on_as_if_nothing_had_happened():
    def middle(t):
        return 0.5 * max(0.0, t - 1)

    whole = drive(make(), middle, 3.0)
    first = make()
    events = drive(first, middle, 1.6)
    second = make()
    second.restore(json.loads(json.dumps(first.state())))
    events += drive(second, middle, 3.0, start=1.65)
    assert events == whole
    assert whole
