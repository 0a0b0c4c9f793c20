import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from perception.alerts.book import AlertBook
from perception.detectors.levels import ScoreLevels, tracker_options
from perception.rules import rule_class
from perception.rules.zones import Zone
from perception.trackers import tracker_class
from perception.wire import LOST, Detections, Stamp, TrackMessage, make_id
from tests.scenes import message, play, seen, times

GOLDEN = Path(__file__).parent.parent / "golden"
LABELS = json.loads((GOLDEN / "visits.json").read_text())
ZONES = {"path": Zone.model_validate([[0.4, 0.0], [0.6, 0.0], [0.6, 1.0], [0.4, 1.0]])}


def make(**options):
    cls = rule_class("visit")
    return cls("someone", cls.Options(**options), ZONES, {})


def phases(events):
    return [(e.phase, e.track_id, e.details["tracks"]) for e in events]


def scene(*stays):
    """Messages at 10 Hz; stays: (track id, x, from s, to s)."""
    end = max(stay[3] for stay in stays) + 6
    for t in times(0, end):
        yield message(t, *(seen(i, x, 300) for i, x, a, b in stays if a <= t < b))


class TestVisit:
    def test_one_stay_is_one_visit(self):
        events = play(make(), scene((1, 500, 1, 9)))
        assert phases(events) == [("begin", 1, 1), ("end", 1, 1)]
        assert events[0].t_media_ns == 1_200_000_000
        assert events[1].t_media_ns == 12_000_000_000  # last seen at 8.9, away_s is over
        assert events[1].details == {
            "zone": None,
            "inside_s": 7.9,
            "tracks": 1,
            "better_look": False,
        }

    def test_a_new_id_in_the_same_place_goes_on(self):
        events = play(make(), scene((1, 500, 0, 4), (2, 540, 4, 8), (3, 500, 9.5, 12)))
        assert phases(events) == [
            ("begin", 1, 1),
            ("update", 1, 2),
            ("update", 1, 3),
            ("end", 1, 3),
        ]

    def test_ids_that_swap_between_two_people_change_nothing(self):
        events = play(make(), scene((1, 300, 0, 4), (2, 700, 0, 4), (3, 700, 4, 8), (4, 300, 4, 8)))
        assert sorted(phases(events))[:2] == [("begin", 1, 1), ("begin", 2, 1)]
        assert [p for p, *_ in phases(events)].count("begin") == 2
        assert {e.track_id for e in events} == {1, 2}

    def test_the_same_id_back_from_a_walk_goes_on(self):
        rule = make(zone="path")
        way = [(0, 500), (2, 300), (4, 500), (6, 300)]
        messages = [
            message(t, seen(1, next(x for a, x in reversed(way) if a <= t), 300))
            for t in times(0, 12)
        ]
        assert phases(play(rule, messages)) == [("begin", 1, 1), ("end", 1, 1)]

    @pytest.mark.parametrize(
        ("second", "why"),
        [
            ((2, 900, 5, 9), "too far"),
            ((2, 500, 8, 12), "too late"),
            ((2, 600, 3, 9), "the first is still there"),
        ],
    )
    def test_somebody_else_is_a_visit_of_its_own(self, second, why):
        events = play(make(), scene((1, 500, 0, 4), second))
        assert [p for p, *_ in phases(events)].count("begin") == 2, why

    def test_another_size_or_class_is_somebody_else(self):
        for changes in ({"h": 250}, {"class_id": 2}):
            messages = [message(t, (1, 500, 300)) for t in times(0, 3)]
            messages += [message(t, seen(2, 500, 300, **changes)) for t in times(3.1, 5)]
            assert [e.phase for e in play(make(), messages)] == ["begin", "begin"], changes

    def test_seen_twice_is_one_person(self):
        events = play(make(), scene((1, 500, 0, 4), (2, 504, 1, 4)))
        assert phases(events) == [("begin", 1, 1), ("update", 1, 2), ("end", 1, 2)]

    def test_a_better_look_is_told_but_not_every_frame(self):
        messages = [message(t, seen(1, 500, 400, h=100 + 25 * t, w=50)) for t in times(0, 10)]
        updates = [e for e in play(make(), messages) if e.phase == "update"]
        assert [round(e.t_media_ns / 1e9, 1) for e in updates] == [2.3, 5.5]
        assert all(e.details["better_look"] for e in updates)

    def test_a_look_cut_by_the_edge_is_worse(self):
        messages = [message(t, seen(1, 20 if t < 3 else 100, 300)) for t in times(0, 6)]
        assert [e.phase for e in play(make(), messages)] == ["begin", "update"]
        messages = [message(t, seen(1, 100 if t < 3 else 20, 300)) for t in times(0, 6)]
        assert [e.phase for e in play(make(), messages)] == ["begin"]

    def test_who_is_seen_too_shortly_is_no_visitor(self):
        assert play(make(), scene((1, 500, 1, 1.2), (2, 500, 4, 4.1))) == []

    def test_a_lost_track_holds_a_visit_no_longer_than_an_absent_one(self):
        messages = [message(t, (1, 500, 300)) for t in times(0, 1)]
        messages += [message(t, seen(1, 500, 300, state=LOST, unseen_s=1)) for t in times(1.1, 9)]
        end = play(make(), messages)[-1]
        assert (end.phase, end.t_media_ns) == ("end", 4_100_000_000)

    def test_a_camera_that_starts_again_goes_on_with_the_visit(self):
        rule = make()
        first = [message(100 + t, (1, 500, 300)) for t in times(0, 3)]
        second = [message(t, (7, 510, 300), epoch=2) for t in times(0, 3)]
        assert [e.phase for e in play(rule, [*first, *second])] == ["begin", "update"]


def tracked(clip, **options):
    """Messages of a labelled clip: its detections as numbers, through the tracker."""
    data = np.load(GOLDEN / LABELS[clip]["detections"])
    cls = tracker_class("two_stage")
    tracker = cls(cls.Options(**options), epoch=1)
    width, height = data["size"].tolist()
    frames, boxes, scores = data["frame"], data["boxes"], data["scores"]
    for n, t_ns in enumerate(data["t_media_ns"].tolist()):
        rows, warp, cut = frames == n, data["warps"][n], bool(data["cuts"][n])
        found = Detections.of(boxes[rows], scores[rows], np.zeros(rows.sum()))
        if cut:
            tracker.end_all()
        yield TrackMessage(
            stamp=Stamp(
                camera="door",
                frame_id=make_id(1, n),
                t_media_ns=t_ns,
                t_arrival_ns=0,
                t_wall_ns=t_ns,
            ),
            width=width,
            height=height,
            names={0: "person"},
            dropped={},
            t_detected_ns=0,
            t_tracked_ns=0,
            tracks=tracker.update(found, t_ns, warp, 0),
            warp=warp,
            cut=cut,
        )


# A door as its launch file has it: the detector's score levels, and the rule's options.
LAUNCH = yaml.safe_load((Path(__file__).parents[2] / "launch" / "doorway.yaml").read_text())
DOOR = tracker_options("yolo11n", ScoreLevels(**LAUNCH["detectors"]["default"]["levels"]))
RULE = {
    key: value
    for key, value in LAUNCH["cameras"]["door"]["rules"]["visitor"].items()
    if key not in ("type", "zone")
}


def raises(clip, **options):
    """Return the frame and time of each alert's raise, and the alerts cleared, over a clip."""
    book = AlertBook("door", [make(objects=["person"], **RULE)])
    raised, cleared, last_ns = [], [], 0
    for n, m in enumerate(tracked(clip, **options)):
        for alert in book.update(m):
            if alert.state == "raised":
                raised.append((n, alert))
            elif alert.state == "cleared":
                cleared.append(alert)
        last_ns = m.stamp.t_media_ns
    seconds_a_frame = last_ns / 1e9 / n
    return raised, cleared, seconds_a_frame


@pytest.mark.parametrize(
    "clip", sorted(k for k in LABELS if k != "about" and "visits" in LABELS[k])
)
def test_each_person_is_one_alert_within_half_a_second(clip):
    raised, cleared, frame_s = raises(clip, **DOOR)
    visits = LABELS[clip]["visits"]
    assert len(raised) == len(cleared) == len(visits)
    assert len({alert.key for _, alert in raised}) == len(visits)
    for (n, _), visit in zip(raised, visits, strict=True):
        assert visit["first"] <= n <= visit["last"]
        assert round((n - visit["shown"]) * frame_s, 3) <= 0.4, "a line takes up to 0.1 s more"


def test_the_levels_of_yolo11n_serve_who_is_near():
    clip = "doorway/intel_one_by_one_person.mp4"
    raised, cleared, _ = raises(clip, **tracker_options("yolo11n", None))
    visits = LABELS[clip]["visits"]
    assert len(raised) == len(cleared) == 6
    assert all(v["first"] <= n <= v["last"] for (n, _), v in zip(raised, visits, strict=True))


def test_no_alert_goes_on_across_a_cut():
    clip = "doorway/whitehouse_faces_cuts.mp4"
    shots = [0, *LABELS[clip]["cuts"], LABELS[clip]["frames"]]
    raised, cleared, _ = raises(clip, **DOOR)
    assert len(raised) == len({alert.key for _, alert in raised})
    in_shot = [int(np.searchsorted(shots, n, "right")) - 1 for n, _ in raised]
    assert set(in_shot) == {0, 1, 2, 3}, "people are seen in every shot"
    ends = {alert.key: alert.t_media_ns for alert in cleared}
    times = np.load(GOLDEN / LABELS[clip]["detections"])["t_media_ns"]
    for (_, alert), shot in zip(raised, in_shot, strict=True):
        if shot < 3:
            assert ends[alert.key] <= times[shots[shot + 1]]
