"""The collision rule: threats in the path and what only passes by; drives with known truth."""

import math

import pytest

from perception.errors import ConfigError
from perception.launchfile.config import Launch
from perception.launchfile.document import parse
from perception.launchfile.resolve import resolve
from perception.rules.approach import ApproachRule
from perception.rules.collision import CollisionRule
from perception.rules.zones import Zone
from perception.wire import CONFIRMED
from tests.scenes import message, seen

HZ = 20


def rule_of(**options):
    return CollisionRule("threat", CollisionRule.Options(**options), {}, {})


def at(t_s, path, own=(None, None)):
    """Return a message with one track at path(t) = (x, y) m, exactly known."""
    made = message(t_s, seen(1, 500, 400, class_id=2))
    (x, y), (x2, y2) = path(t_s), path(t_s + 1e-4)
    vx, vy = (x2 - x) / 1e-4, (y2 - y) / 1e-4
    made.tracks.states[:] = CONFIRMED
    made.tracks.metres[0] = (x, y, vx, vy, 0.1, 0.5, 0.2, 0.3)
    made.tracks.closings[0] = (-vy / y, 0.05)
    made.own_speed_m_s, made.own_yaw_rate = own
    return made


def drive(path, seconds, own=(None, None), **options):
    """Return the events of a drive with the time of each."""
    rule, found = rule_of(**options), []
    for n in range(round(seconds * HZ)):
        found += [(n / HZ, event) for event in rule.update(at(n / HZ, path, own))]
    return found


def test_a_car_that_stands_ahead_is_one_threat_with_lead_time():
    ((t, begin),) = drive(lambda t: (0.2, 40 - 10 * t), 3.5)
    assert (begin.kind, begin.phase) == ("collision", "begin")
    assert t == pytest.approx(2.1, abs=0.11), "2 s before contact at 4 s, once seen for 0.1 s"
    assert begin.details["ttc_s"] == pytest.approx(1.9, abs=0.15)
    assert begin.details["distance_m"] == pytest.approx(19, abs=1.5)
    assert begin.details["closing_km_h"] == 36.0


def test_it_is_cleared_when_over():
    def path(t):
        return 0.0, 40 - 10 * t if t < 2.5 else 15.0

    (_, begin), (t, end) = drive(path, 5)
    assert (begin.phase, end.phase) == ("begin", "end")
    assert end.details["reason"] == "over"
    assert t == pytest.approx(2.5 + 0.7, abs=0.15)


@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("parked beside", lambda t: (2.6, 40 - 10 * t)),
        ("oncoming in its lane", lambda t: (-3.5, 60 - 25 * t)),
        ("crosses and is gone in time", lambda t: (-1.0 + 4 * t, 40 - 10 * t)),
        ("moves away", lambda t: (0.0, 10 + 5 * t)),
        ("follows at one distance", lambda t: (0.0, 12.0)),
        ("far", lambda t: (0.0, 80 - 10 * t)),
    ],
)
def test_what_is_no_threat(what, path):
    assert drive(path, 2.3) == [], what


def test_who_cuts_in_is_a_threat_before_it_is_in_the_path():
    def path(t):
        return max(2.3 - 1.5 * t, 0.0), 18 - 9 * t

    events = drive(path, 1.5)
    assert [event.phase for _, event in events] == ["begin"]
    assert path(events[0][0])[0] > 1.2


def test_the_path_bends_with_the_yaw_rate():
    """10 m/s, 0.25 rad/s to the left: the arc is 2.8 m to the left at 15 m ahead."""
    speed, yaw = 10.0, 0.25

    def still(x0, y0):
        def path(t):
            turn = yaw * t
            moved = (speed / yaw * (math.cos(turn) - 1), speed / yaw * math.sin(turn))
            dx, dy = x0 - moved[0], y0 - moved[1]
            return (
                dx * math.cos(turn) + dy * math.sin(turn),
                -dx * math.sin(turn) + dy * math.cos(turn),
            )

        return path

    on_arc = still(-speed / yaw * (1 - math.cos(0.4)), speed / yaw * math.sin(0.4))
    straight = still(0.0, 15.0)
    assert len(drive(on_arc, 0.8, (speed, yaw))) == 1
    assert drive(straight, 0.8, (speed, yaw)) == [], "the vehicle turns away from it"
    assert len(drive(lambda t: (0.0, 15.0 - speed * t), 0.8, (speed, 0.0))) == 1


def test_who_stands_or_knows_no_metres_is_not_warned():
    assert drive(lambda t: (0.0, 30 - 10 * t), 2, own=(0.3, 0.0)) == []
    rule = rule_of()
    for n in range(40):
        made = at(n / HZ, lambda t: (0.0, 30 - 10 * t))
        made.tracks.metres[:] = 0
        assert rule.update(made) == []


def test_it_goes_on_after_a_restart():
    path, first, second = (lambda t: (0.0, 40 - 10 * t)), rule_of(), rule_of()
    events = [e for n in range(44) for e in first.update(at(n / HZ, path))]
    second.restore(first.state())
    events += [e for n in range(44, 60) for e in second.update(at(n / HZ, path))]
    assert [event.phase for event in events] == ["begin"]


LAUNCH = """
cameras:
  ahead:
    source: push
    calibration: {fov_deg: 60, height_m: 1.3}
    zones: {gate: [[0, 0], [1, 0], [1, 1]]}
    rules:
      threat: {type: collision, ttc_s: 2.0, path: own}
      soon: {type: approach, seconds: 3, to: gate}
"""


def test_the_launch_file_takes_both_rules_as_the_readme_writes_them():
    document = parse(LAUNCH)
    plan = resolve(document.validate(Launch, document.data), document)
    options = plan.cameras["ahead"].rules["soon"].options
    assert options == {"zone": "gate", "within_s": 3.0}
    gate = Zone.model_validate(plan.cameras["ahead"].zones["gate"])
    ApproachRule("soon", ApproachRule.Options.model_validate(options), {"gate": gate}, {})
    bare = parse(LAUNCH.replace("    calibration: {fov_deg: 60, height_m: 1.3}\n", ""))
    with pytest.raises(ConfigError, match="calibration"):
        resolve(bare.validate(Launch, bare.data), bare)
