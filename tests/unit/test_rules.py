import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ValidationError

from perception.errors import ConfigError
from perception.rules import RULES, SeesLanes, rule_class
from perception.rules.presence import Presence, Stay
from perception.rules.reasons import _sight, _waits
from perception.rules.zones import Line, Zone
from perception.wire import CONFIRMED, LOST, REMOVED, TENTATIVE, OwnLane, make_id, places
from perception.wire.codec import encode
from tests import scenes
from tests.scenes import seen, times

ZONES = {"path": Zone.model_validate([[0.4, 0.0], [0.6, 0.0], [0.6, 1.0], [0.4, 1.0]])}
LINES = {"gate": Line(points=((0.5, 0.0), (0.5, 1.0)), names=("west", "east"))}
"""The gate runs down the picture: who stands at its top and looks down has the picture's right
(east) on the left hand, so left to right goes west."""
OPTIONS = {
    "zone": {"zone": "path"},
    "dwell": {"zone": "path", "seconds": 2},
    "line": {"line": "gate"},
    "count": {"zone": "path", "above": 0},
    "visit": {"zone": "path"},
    "approach": {"zone": "path"},
    "collision": {},
    "departure": {},
    "geofence": {"area": [[10.0, -1.0], [10.001, -1.0], [10.001, 1.0], [10.0, 1.0]]},
}
INSIDE, OUTSIDE = 500, 100


def message(*arguments, **named):
    """Return a message whose tracks come nearer, 15 m ahead; the picture is 20 m wide there."""
    made = scenes.message(*arguments, **named)
    boxes = made.tracks.boxes
    made.tracks.metres[:] = (0.0, 15.0, 0.0, -10.0, 0.1, 0.5, 0.1, 0.3)
    made.tracks.metres[:, 0] = ((boxes[:, 0] + boxes[:, 2]) / made.width - 1.0) * 10.0
    made.tracks.closings[:] = (0.67, 0.05)
    made.tracks.places[:, 1] = 10.0 + (made.tracks.metres[:, 0] + 5.0) / 10.0 * 0.001
    made.tracks.place_codes[:] = places.PLACE_GOOD
    return made


def make(kind, name="r", **options):
    cls = rule_class(kind)
    return cls(name, cls.Options(**{**OPTIONS[kind], **options}), ZONES, LINES)


def play(rule, messages):
    """Play messages; a rule that sees lanes is told that the vehicle drifts with the tracks."""
    events = []
    for one in messages:
        if isinstance(rule, SeesLanes):
            rule.see(lane_of(one))
        events += rule.update(one)
    return events


def lane_of(made):
    """Return an own lane whose right line is crossed when the leftmost track is right of 830 px."""
    rows = made.tracks.states == CONFIRMED
    x = made.tracks.boxes[rows][:, [0, 2]].mean(axis=1)
    right = 1.35 + (INSIDE - float(x.min())) / 500 if len(x) else None
    return OwnLane(t_media_ns=made.stamp.t_media_ns, left=None, right=right)


def phases(events):
    return [(e.phase, e.track_id) for e in events]


@pytest.mark.parametrize("kind", RULES)
class TestEveryRule:
    def walk(self):
        """Two people walk right through everything and back, one is lost in the middle."""
        for t in times(0, 30):
            x, v = 50 + 900 * (1 - abs(1 - t / 15)), (60 if t < 15 else -60, 0)
            lost = [] if t > 8 else [seen(2, x - 5, 200, v=v)]
            yield message(t, seen(1, x, 300, v=v), *lost)

    def test_options_refuse_what_they_do_not_know(self, kind):
        with pytest.raises(ValidationError, match="nonsense"):
            rule_class(kind).Options(**OPTIONS[kind], nonsense=1)
        with pytest.raises(ValidationError):
            rule_class(kind).Options(**OPTIONS[kind], min_score=float("nan"))

    def test_a_place_that_is_not_there_is_named_with_the_nearest(self, kind):
        cls = rule_class(kind)
        if not OPTIONS[kind] or kind == "geofence":
            pytest.skip("it has no place")
        options = {k: "pathgate" if v in ("path", "gate") else v for k, v in OPTIONS[kind].items()}
        with pytest.raises(ConfigError, match="'pathgate' is not one of the"):
            cls("r", cls.Options(**options), ZONES, LINES)

    def test_an_empty_scene_has_no_events(self, kind):
        assert play(make(kind), [message(t) for t in times(0, 3)]) == []

    def test_the_same_messages_give_the_same_events(self, kind):
        assert play(make(kind), self.walk()) == play(make(kind), self.walk())

    def test_messages_are_not_changed(self, kind):
        messages = list(self.walk())
        before = [encode(m) for m in messages]
        play(make(kind), messages)
        assert [encode(m) for m in messages] == before

    def test_resumes_from_its_state_at_any_frame(self, kind):
        messages = list(self.walk())
        expected = play(make(kind), messages)
        assert expected
        for cut in range(0, len(messages), 7):
            first, second = make(kind), make(kind)
            events = play(first, messages[:cut])
            second.restore(json.loads(json.dumps(first.state())))
            events += play(second, messages[cut:])
            assert events == expected
            assert second.counts == make_counts(kind, messages)

    def test_a_camera_that_starts_again_at_time_zero_is_followed(self, kind):
        rule = make(kind)
        play(rule, self.walk())
        again = [message(t, seen(9, x, 300, v=(90, 0)), epoch=2) for t, x in walk_through()]
        begun = [e.track_id for e in play(rule, again) if e.phase in ("begin", "once")]
        assert begun == [{"count": make_id(2, 0), "departure": make_id(2, 2)}.get(kind, 9)]

    def test_details_are_json(self, kind):
        for event in play(make(kind), self.walk()):
            assert event.kind == kind
            assert event.rule == "r"
            json.dumps(event.details, allow_nan=False)


def make_counts(kind, messages):
    rule = make(kind)
    play(rule, messages)
    return rule.counts


def walk_through(start_s=0.0, seconds=10.0):
    for t in times(start_s, start_s + seconds):
        yield t, 50 + 900 * (t - start_s) / seconds


class TestFilter:
    def test_without_max_height_a_box_taller_than_the_picture_counts(self):
        messages = [message(t, seen(1, INSIDE, 300, h=600)) for t in times(0, 1)]
        assert phases(play(make("zone"), messages)) == [("begin", 1)]
        assert play(make("zone", max_height=0.9), messages) == []

    def test_classes_scores_and_sizes(self):
        rows = [
            seen(1, INSIDE, 300),
            seen(2, INSIDE, 300, class_id=2),
            seen(3, INSIDE, 300, score=0.4),
            seen(4, INSIDE, 300, h=20),
        ]
        rule = make("zone", objects=["person"], min_score=0.5, min_height=0.1)
        assert phases(play(rule, [message(t, *rows) for t in times(0, 1)])) == [("begin", 1)]

    @pytest.mark.parametrize("state", [TENTATIVE, LOST, REMOVED])
    def test_only_confirmed_tracks_begin(self, state):
        for kind in RULES:
            scene = [message(t, seen(1, x, 300, state=state, v=(90, 0))) for t, x in walk_through()]
            assert play(make(kind), scene) == []

    def test_a_predicted_box_is_no_evidence(self):
        scene = [message(t, seen(1, INSIDE, 300, unseen_s=0.5)) for t in times(0, 3)]
        assert play(make("zone"), scene) == []

    def test_a_score_that_falls_while_inside_ends_nothing(self):
        scene = [message(t, seen(1, INSIDE, 300, score=0.9 if t < 1 else 0.3)) for t in times(0, 5)]
        assert phases(play(make("zone", min_score=0.5), scene)) == [("begin", 1)]


class TestZone:
    def test_begins_after_enter_s_and_ends_after_leave_s(self):
        scene = [message(t, seen(1, INSIDE if 1 <= t < 3 else OUTSIDE, 300)) for t in times(0, 6)]
        begin, end = play(make("zone"), scene)
        assert (begin.phase, begin.t_media_ns) == ("begin", 1_200_000_000)
        assert (end.phase, end.t_media_ns) == ("end", 3_900_000_000)
        assert end.details == {"zone": "path", "inside_s": 1.9, "reason": "left"}
        assert begin.box == (480.0, 200.0, 520.0, 300.0)
        assert end.box == begin.box

    def test_enter_s_zero_begins_at_once(self):
        assert phases(play(make("zone", enter_s=0), [message(0, (1, INSIDE, 300))])) == [
            ("begin", 1)
        ]

    def test_jitter_on_the_edge_is_one_stay(self):
        scene = [
            message(t, seen(1, 400 + (3 if round(t * 10) % 3 else -3), 300)) for t in times(0, 10)
        ]
        assert phases(play(make("zone"), scene)) == []  # never inside for 0.2 s on end
        scene = [message(t, seen(1, 420, 300)) for t in times(0, 1)] + [
            message(10 + t, seen(1, 400 + (3 if round(t * 10) % 3 else -3), 300))
            for t in times(-8.9, 10)
        ]
        assert phases(play(make("zone"), scene)) == [("begin", 1)]

    def test_flicker_of_the_detector_is_bridged(self):
        scene = [
            message(t, *([(1, INSIDE, 300)] if round(t * 10) % 4 == 0 else [])) for t in times(0, 9)
        ]
        assert phases(play(make("zone"), scene)) == [("begin", 1)]

    @pytest.mark.parametrize("gone", [[], [seen(1, INSIDE, 300, state=LOST, unseen_s=1)]])
    def test_a_track_that_is_lost_or_absent_ends(self, gone):
        scene = [message(t, (1, INSIDE, 300)) for t in times(0, 1)]
        scene += [message(t, *gone) for t in times(1.1, 4)]
        _begin, end = play(make("zone"), scene)
        assert end.details["reason"] == "lost"
        assert end.t_media_ns == 2_000_000_000

    def test_feet_count_not_heads(self):
        zones = {"low": Zone.model_validate([[0, 0.5], [1, 0.5], [1, 1], [0, 1]])}
        cls = rule_class("zone")
        rule = cls("r", cls.Options(zone="low"), zones, {})
        scene = [message(t, seen(1, 500, 240), seen(2, 500, 260)) for t in times(0, 1)]
        assert phases(play(rule, scene)) == [("begin", 2)]

    def test_holds_at_another_picture_size(self):
        scene = [message(t, seen(1, 250, 150), size=(500, 250)) for t in times(0, 1)]
        assert phases(play(make("zone"), scene)) == [("begin", 1)]

    def test_two_tracks_are_two_stays(self):
        scene = [message(t, (1, 450, 300), (2, 550, 300)) for t in times(0, 1)]
        assert phases(play(make("zone"), scene)) == [("begin", 1), ("begin", 2)]


class TestDwell:
    def test_begins_after_seconds(self):
        scene = [message(t, seen(1, INSIDE if t < 4 else OUTSIDE, 300)) for t in times(0, 8)]
        begin, end = play(make("dwell"), scene)
        assert begin.t_media_ns == 2_000_000_000
        assert begin.details["inside_s"] == 2.0
        assert end.details == {"zone": "path", "inside_s": 3.9, "reason": "left"}

    def test_who_walks_through_does_not_dwell(self):
        scene = [message(t, (1, x, 300)) for t, x in walk_through(seconds=5)]
        assert play(make("dwell"), scene) == []

    @pytest.mark.parametrize(("away_s", "begun_s"), [(0.5, 2.0), (1.5, 4.5)])
    def test_a_short_walk_out_does_not_start_the_wait_again(self, away_s, begun_s):
        scene = [
            message(t, seen(1, OUTSIDE if 1 < t < 1 + away_s else INSIDE, 300)) for t in times(0, 6)
        ]
        (begin,) = play(make("dwell"), scene)
        assert begin.t_media_ns == pytest.approx(begun_s * 1e9, abs=2e8)


class TestLine:
    def cross(self, *xs, kind="line", step_s=0.1, **options):
        rule = make(kind, **options)
        events = play(rule, [message(i * step_s, (1, x, 300)) for i, x in enumerate(xs)])
        return [e.details["direction"] for e in events], rule

    def test_direction_and_counts(self):
        directions, rule = self.cross(300, 400, 480, 520, 600, 520, 480, 400)
        assert directions == ["east", "west"]
        assert rule.counts == {"west": 1, "east": 1}

    def test_event(self):
        rule = make("line")
        (event,) = play(rule, [message(0, (1, 400, 300)), message(0.1, (1, 600, 300))])
        assert (event.phase, event.kind, event.track_id) == ("once", "line", 1)
        about = {"line": "gate", "direction": "east", "count": 1, "km_h": 36.0}
        assert event.details == about
        assert event.t_media_ns == 100_000_000

    def test_jitter_on_the_line_counts_once(self):
        jitter = np.random.default_rng(5).uniform(-8, 8, 200)
        directions, _ = self.cross(400, *(500 + jitter), 600)
        assert directions == ["east"]

    def test_jitter_and_back_counts_nothing(self):
        jitter = np.random.default_rng(6).uniform(-8, 8, 200)
        assert self.cross(400, *(500 + jitter), 400)[0] == []

    def test_a_gap_is_bridged_by_its_segment(self):
        rule = make("line")
        scene = [message(0, (1, 400, 300)), *(message(t) for t in times(0.1, 2))]
        scene += [message(2.1, seen(1, 610, 300))]
        assert len(play(rule, scene)) == 1

    def test_round_the_end_of_the_line_is_no_crossing(self):
        lines = {"gate": Line(points=((0.5, 0.5), (0.5, 1.0)))}
        cls = rule_class("line")
        rule = cls("r", cls.Options(line="gate"), {}, lines)
        way = [(400, 400), (400, 200), (600, 200), (600, 400), (600, 450)]
        scene = [message(i / 10, (1, *point)) for i, point in enumerate(way)]
        assert play(rule, scene) == []
        back = [
            message(1 + i / 10, (1, *point)) for i, point in enumerate([(600, 400), (400, 400)])
        ]
        assert [e.details["direction"] for e in play(rule, back)] == ["left_to_right"]

    def test_a_track_born_on_the_line_has_not_crossed(self):
        assert self.cross(501, 503, 520, 600)[0] == []

    def test_a_track_confirmed_after_the_line_is_counted_when_it_is(self):
        rule = make("line")
        scene = [
            message(i / 10, seen(1, x, 300, state=TENTATIVE if i < 3 else 1))
            for i, x in enumerate((400, 470, 530, 600))
        ]
        assert [e.details["direction"] for e in play(rule, scene)] == ["east"]

    def test_margin_is_of_the_box_height(self):
        assert self.cross(470, 530, margin=0.5)[0] == []
        assert self.cross(470, 530, margin=0.2)[0] == ["east"]
        assert self.cross(470, 500, 501, margin=0.0)[0] == ["east"]

    def test_the_centre_may_be_what_crosses(self):
        lines = {"gate": Line(points=((0.0, 0.5), (1.0, 0.5)))}
        cls = rule_class("line")
        for point, expected in (("bottom", 0), ("centre", 1)):
            rule = cls("r", cls.Options(line="gate", point=point), {}, lines)
            scene = [message(i / 10, (1, 500, y)) for i, y in enumerate((280, 340))]
            assert len(play(rule, scene)) == expected

    def test_a_removed_track_is_forgotten(self):
        rule = make("line")
        play(rule, [message(0, (1, 400, 300)), message(0.1, seen(1, 400, 300, state=REMOVED))])
        assert rule.state()["paths"] == {}

    def test_memory_is_bounded(self):
        rule = make("line", required_zones=["path"])
        for i in range(200):
            rule.update(message(i, (i, 400, 300)))
        assert len(rule.state()["paths"]) == len(rule.state()["chooser"]) == 31


class TestCount:
    def crowd(self, *numbers):
        """One number a second: so many stand in the zone."""
        for i, t in enumerate(times(0, len(numbers) - 0.1)):
            n = numbers[i // 10]
            yield message(t, *(seen(k, 420 + 15 * k, 300) for k in range(n)))

    def told(self, events):
        return [(e.phase, e.details["count"], e.t_media_ns / 1e9) for e in events]

    def test_above_begins_updates_and_ends(self):
        events = play(make("count", above=1), self.crowd(1, 2, 3, 3, 1, 1, 1))
        # In after 0.2 s, held for 0.5 s; gone 1 s after last seen, held for 0.5 s.
        assert self.told(events) == [
            ("begin", 2, 1.7),
            ("update", 3, 2.2),
            ("end", 1, 5.4),
        ]
        assert {e.track_id for e in events} == {make_id(1, 0)}
        assert events[0].box == (400.0, 0.0, 600.0, 500.0)

    def test_below_watches_a_place_that_should_be_staffed(self):
        rule = make("count", above=None, below=1, hold_s=1)
        events = play(rule, self.crowd(1, 1, 0, 0, 0, 1, 1, 1))
        assert [(e.phase, e.details["count"]) for e in events] == [("begin", 0), ("end", 1)]

    def test_a_flicker_changes_nothing(self):
        scene = [
            message(t, *([seen(1, 450, 300), seen(2, 550, 300)] if round(t * 10) % 3 else []))
            for t in times(0, 9)
        ]
        assert [e.phase for e in play(make("count", above=1), scene)] == ["begin"]

    @pytest.mark.parametrize("limits", [{"above": None}, {"above": 1, "below": 1}])
    def test_one_limit_is_needed(self, limits):
        with pytest.raises(ValidationError, match="one of above and below"):
            make("count", **limits)


class TestApproach:
    def run(self, xs_vs, **options):
        scene = [message(i / 10, seen(1, x, 300, v=(v, 0))) for i, (x, v) in enumerate(xs_vs)]
        return play(make("approach", **options), scene)

    def test_begins_before_the_zone_and_ends_on_arrival(self):
        walk = [(100 + 10 * i, 100) for i in range(45)]
        begin, end = self.run(walk, within_s=2)
        # 2 s before the edge at 400 is x = 200, i = 10; enter_s later it begins.
        assert begin.t_media_ns == 1_300_000_000
        assert begin.details == {"zone": "path", "reach_s": 1.7, "km_h": 36.0}
        assert end.details["reason"] == "arrived"

    def test_who_turns_away_has_left(self):
        walk = [(200 + 10 * i, 100) for i in range(10)] + [(290 - 10 * i, -100) for i in range(20)]
        assert [e.details.get("reason") for e in self.run(walk)] == [None, "left"]

    @pytest.mark.parametrize(("x", "v"), [(300, -100), (300, 10), (500, 100), (100, 90)])
    def test_away_too_slow_inside_and_too_far_are_none(self, x, v):
        assert self.run([(x, v)] * 30) == []

    def test_the_feet_count_not_the_middle(self):
        """A box that grows downwards has faster feet than its centre."""
        zones = {"low": Zone.model_validate([[0, 0.8], [1, 0.8], [1, 1], [0, 1]])}
        cls = rule_class("approach")
        rule = cls("r", cls.Options(zone="low", within_s=1), zones, {})
        scene = [message(t, (1, 500, 350)) for t in times(0, 1)]
        for m in scene:
            m.tracks.rates[:, 1:] = (20, 0, 80)
        assert len(play(rule, scene)) == 1


class TestRequiredZones:
    ZONES: ClassVar = {**ZONES, "gate": Zone.model_validate([[0, 0], [0.2, 0], [0.2, 1], [0, 1]])}

    def test_only_who_came_that_way_counts(self):
        cls = rule_class("zone")
        options = cls.Options(zone="path", required_zones=["gate"])
        rule = cls("r", options, self.ZONES, {})
        scene = [message(t, seen(1, x, 300), seen(2, max(x, 300), 300)) for t, x in walk_through()]
        assert phases(play(rule, scene)) == [("begin", 1), ("end", 1)]

    def test_a_zone_that_is_not_there_is_named(self):
        with pytest.raises(ConfigError, match="'gate' is not one of the zones"):
            make("zone", required_zones=["gate"])


class TestHours:
    def test_nothing_begins_outside_the_hours(self):
        # 22:13:20 UTC is 23:13:20 in Berlin in November.
        for hours, expected in (("23:00-06:00", 1), ("06:00-23:00", 0), ("tue 23:13-23:14", 1)):
            for kind in RULES:
                rule = make(kind, hours=[hours], time_zone="Europe/Berlin")
                scene = [
                    message(t, seen(1, x, 300, v=(180, 0))) for t, x in walk_through(seconds=5)
                ]
                begun = [e for e in play(rule, scene) if e.phase in ("begin", "once")]
                assert len(begun) == (0 if kind == "dwell" else expected), (kind, hours)

    def test_what_has_begun_ends_by_itself(self):
        rule = make("zone", hours=["22:13-22:14"], time_zone="UTC")
        scene = [message(t, (1, INSIDE, 300)) for t in times(38, 60)]
        scene += [message(t) for t in times(60.1, 63)]
        assert phases(play(rule, scene)) == [("begin", 1), ("end", 1)]


def test_an_unknown_rule_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'zone'"):
        rule_class("zones")


def test_an_option_of_the_wrong_kind_is_refused():
    with pytest.raises(ValidationError, match="seconds"):
        rule_class("dwell").Options(zone="path", seconds=-1)


def test_count_takes_numbers_up_to_ten_thousand():
    options = rule_class("count").Options
    assert options.model_validate({"zone": "path", "above": 10_000}).above == 10_000
    with pytest.raises(ValidationError):
        options.model_validate({"zone": "path", "above": 10_001})


def test_a_wait_is_told_from_its_beginning():
    presence = Presence(enter_s=2.0, leave_s=1.0)
    presence.stays[7] = Stay(10**9, 2 * 10**9, False, "person", 0.9, (0.0, 0.0, 1.0, 1.0))
    state = {"stays": presence.state(), "time": [0, 2_500_000_000]}
    (said,) = _waits("zone", SimpleNamespace(enter_s=2.0), state, 7)
    assert (said.met, said.short) == (False, 0.5)
    assert "1.5 s" in said.text


def test_a_track_that_is_seen_in_the_frame_is_in_sight():
    assert _sight(message(0, (1, 400, 300)), 0).met
    unseen = _sight(message(0, seen(1, 400, 300, unseen_s=0.25)), 0)
    assert (unseen.met, unseen.short) == (False, 0.25)


def test_a_crossing_less_than_a_pixel_beyond_the_line_counts():
    for start, end, direction in ((480, 500.5, "east"), (520, 499.5, "west")):
        rule = make("line", margin=0)
        events = play(rule, [message(0, (1, start, 300)), message(0.1, (1, end, 300))])
        assert [event.details["direction"] for event in events] == [direction]
