"""A name upgrades the alert that stands already; the first alert never waits for it."""

import msgspec
import numpy as np
import pytest

from perception import wire as m
from perception.alerts.book import AlertBook
from perception.launchfile.build import make_rule
from perception.rules.zones import Line, Zone
from perception.wire.plan import StagePlan

ZONE = Zone.model_validate([[0, 0], [1, 0], [1, 1], [0, 1]])
GATE = Line.model_validate({"points": [[0.0, 0.5], [1.0, 0.5]]})
ANNA = {"who": "Anna", "known": True, "confidence": 0.7}
STRANGER = {"who": "unknown", "known": False, "confidence": 0.8}
UNDECIDED = {"who": "undecided", "known": None, "confidence": None}


def book(kind="visit", **options):
    options = {"zone": "z", **options} if kind != "line" else {"line": "gate"}
    stage = StagePlan(type=kind, options=options)
    return AlertBook("door", [make_rule("r", stage, {"z": ZONE}, {"gate": GATE})])


def frame(n, *tracks):
    """Frame n of 10 a second; tracks: (id, bottom y px) of 40x80 boxes in a 100x100 picture."""
    count = len(tracks)
    ids = np.array([i for i, _ in tracks], np.int64)
    boxes = np.array([[30, y - 80, 70, y] for _, y in tracks], np.float32).reshape(-1, 4)
    zeros = np.zeros(count, np.float32)
    return m.TrackMessage(
        stamp=m.Stamp(
            camera="door", frame_id=n, t_media_ns=n * 10**8, t_arrival_ns=1, t_wall_ns=n * 10**8
        ),
        width=100,
        height=100,
        names={0: "person"},
        dropped={},
        t_detected_ns=1,
        t_tracked_ns=1,
        tracks=m.Tracks(
            ids, boxes, np.zeros((count, 4), np.float32), np.zeros(count, np.int32), zeros + 1,
            np.full(count, m.CONFIRMED, np.uint8), zeros + n / 10, zeros, zeros.astype(np.int32),
        ),
        warp=np.eye(2, 3, dtype=np.float32),
    )  # fmt: skip


def until_raised(alerts, track_id=1):
    for n in range(20):
        changed = alerts.update(frame(n, (track_id, 90)))
        if changed:
            return n, changed[0]
    raise AssertionError("never raised")


def test_the_first_alert_does_not_wait_and_the_same_alert_gets_the_name():
    alerts = book()
    n, raised = until_raised(alerts)
    assert raised.state == "raised"
    assert "who" not in raised.details
    alerts.name(1, ANNA)
    (updated,) = alerts.update(frame(n + 1, (1, 90)))
    assert (updated.key, updated.state) == (raised.key, "updated")
    assert updated.details | ANNA == updated.details
    assert alerts.update(frame(n + 2, (1, 90))) == []
    cleared = [a for k in range(n + 3, n + 60) for a in alerts.update(frame(k))][-1]
    assert cleared.state == "cleared"
    assert cleared.details["who"] == "Anna"


def test_a_name_told_twice_makes_one_update_and_another_name_a_second():
    alerts = book()
    n, _ = until_raised(alerts)
    alerts.name(1, UNDECIDED)
    assert [a.details["who"] for a in alerts.update(frame(n + 1, (1, 90)))] == ["undecided"]
    alerts.name(1, UNDECIDED)
    assert alerts.update(frame(n + 2, (1, 90))) == []
    alerts.name(1, ANNA)
    assert [a.details["who"] for a in alerts.update(frame(n + 3, (1, 90)))] == ["Anna"]


def test_a_name_that_came_first_stands_in_the_raise():
    alerts = book()
    alerts.update(frame(0, (1, 90)))
    alerts.name(1, STRANGER)
    changed = [a for n in range(1, 20) for a in alerts.update(frame(n, (1, 90)))]
    assert [(a.state, a.details["who"]) for a in changed] == [("raised", "unknown")]


def test_a_line_crossing_gets_its_name_for_a_while():
    alerts = book("line")
    changed = [a for n in range(12) for a in alerts.update(frame(n, (1, 20 + 6 * n)))]
    assert [a.state for a in changed] == ["raised"]
    alerts.name(1, ANNA)
    (updated,) = alerts.update(frame(12, (1, 90)))
    assert (updated.key, updated.details["who"]) == (changed[0].key, "Anna")
    assert len([a for n in range(13, 150) for a in alerts.update(frame(n, (1, 90)))]) == 0
    alerts.name(1, STRANGER)
    assert alerts.update(frame(151, (1, 90))) == []


def test_a_visit_that_goes_on_with_another_track_takes_its_name_and_keeps_a_better_one():
    alerts = book()
    n, raised = until_raised(alerts)
    alerts.name(1, UNDECIDED)
    alerts.update(frame(n + 1, (1, 90)))
    alerts.update(frame(n + 2))
    alerts.update(frame(n + 3, (2, 90)))
    alerts.name(2, ANNA)
    (updated,) = alerts.update(frame(n + 4, (2, 90)))
    assert (updated.key, updated.details["who"]) == (raised.key, "Anna")
    alerts.update(frame(n + 5))
    alerts.update(frame(n + 6, (3, 90)))
    alerts.name(3, UNDECIDED)
    assert all(a.details["who"] == "Anna" for a in alerts.update(frame(n + 7, (3, 90))))


def test_names_survive_a_restart_and_an_old_state_is_taken():
    alerts = book()
    n, _ = until_raised(alerts)
    alerts.name(1, ANNA)
    state = msgspec.json.decode(msgspec.json.encode(alerts.state()))
    again = book()
    assert again.restore(state) == []
    (updated,) = again.update(frame(n + 1, (1, 90)))
    assert updated.details["who"] == "Anna"
    del state["names"], state["instants"]
    assert book().restore(state) == []


def test_names_of_tracks_that_are_gone_are_forgotten():
    alerts = book()
    for i in range(50):
        alerts.update(frame(2 * i, (i, 90)))
        alerts.name(i, STRANGER)
    for n in range(100, 200):
        alerts.update(frame(n))
    assert alerts.state()["names"] == {}


@pytest.mark.parametrize("track_id", [-1, 0, 1 << 62])
def test_a_name_for_nobody_changes_nothing(track_id):
    alerts = book()
    n, _ = until_raised(alerts)
    alerts.name(track_id, ANNA)
    assert alerts.update(frame(n + 1, (1, 90))) == []
