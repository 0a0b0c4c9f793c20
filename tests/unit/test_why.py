"""Why there was an alert, or none: each cause is named, and by how much (G1)."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.alerts.store import AlertStore
from perception.analysis.answers import Answer
from perception.analysis.why import explain
from perception.errors import ConfigError
from perception.footage.catalog import Catalog
from perception.footage.messages import read
from perception.wire import DetectionMessage, Detections
from tests.recordings import WALL, Maker, S, detections, plan
from tests.unit.test_footage import fragments, write_clip

FPS = 10
INSIDE, OUTSIDE = (700.0, 500.0), (700.0, 202.0)
"""Where feet are: in the porch, and 14 px above its upper edge (216 px)."""
ZONE = {"inside": {"type": "zone", "zone": "porch", "enter_s": 0.3}}


@pytest.fixture(scope="module")
def packets(tmp_path_factory) -> list[Any]:
    return fragments(write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=2))


def person(n: int, foot: tuple[float, float] | None, score: float = 0.9, **more: Any) -> Any:
    """Return frame n with one person, 120 px high, or nobody."""
    x, y = foot or (0.0, 0.0)
    boxes = [[x - 25, y - 120, x + 25, y]] if foot else []
    found = detections(n, 0, FPS)
    return dataclasses.replace(
        found,
        detections=Detections.of(
            np.array(boxes).reshape(-1, 4), [score] * len(boxes), [0] * len(boxes)
        ),
        **more,
    )


def asked(
    root: Path, packets: list[Any], frames: list[DetectionMessage], second: float,
    rules: dict[str, Any] | None = None, alter: Callable[[Maker], None] | None = None, **how: Any,
) -> Answer:  # fmt: skip
    """Record frames and ask about a second of them."""
    maker = Maker(root, plan(rules=ZONE if rules is None else rules))
    for n, found in enumerate(frames):
        maker.packet(packets[0], n, found.stamp.t_media_ns)
        maker.frame(found)
    maker.packet(packets[0], len(frames), 100 * S)
    if alter is not None:
        alter(maker)
    maker.close()
    catalog = Catalog(root, create=False)
    try:
        return explain(catalog, "door", WALL + round(second * S), **how)
    finally:
        catalog.close()


def unmet(answer: Answer, rule: str = "inside") -> dict[str, float]:
    """Return what a rule misses of the only subject."""
    (subject,) = answer.subjects
    (judged,) = [one for one in subject.rules if one.rule == rule]
    assert judged.alert is None
    return {one.key: round(one.short, 2) for one in judged.unmet}


def stands(seconds: float, foot: tuple[float, float] = INSIDE, score: float = 0.9) -> list[Any]:
    return [person(n, foot, score) for n in range(round(seconds * FPS))]


def test_a_second_of_the_segment_that_is_being_written(tmp_path, packets):
    maker = Maker(tmp_path, plan(rules=ZONE))
    for n, found in enumerate(stands(6)):
        maker.packet(packets[0], n, found.stamp.t_media_ns)
        maker.frame(found)
    catalog = Catalog(tmp_path, create=False)
    try:
        assert catalog.segments() == []
        answer = explain(catalog, "door", WALL + 2 * S)
        assert [step.ok for step in answer.steps if step.name in ("recording", "detection")] == [
            True, True,
        ]  # fmt: skip
        (subject,) = answer.subjects
        assert [(one.rule, bool(one.alert)) for one in subject.rules] == [("inside", True)]
        assert not explain(catalog, "door", WALL + 60 * S).steps[0].ok
    finally:
        catalog.close()
        maker.close()


def test_g1_rate(tmp_path, packets):
    seen = [person(n, INSIDE, dropped={"rate": 19}) for n in range(0, 60, 20)]
    answer = asked(tmp_path, packets, seen, 1.0)
    step = answer.steps[-1]
    assert (step.name, step.ok) == ("detection", False)
    assert "19: more frames a second than `detect: {rate_hz: }` asks for" in step.text


def test_g1_busy_detector(tmp_path, packets):
    seen = [person(n, INSIDE, dropped={"newer": 19}) for n in range(0, 60, 20)]
    assert "while the detector was busy" in asked(tmp_path, packets, seen, 1.0).steps[-1].text


def test_g1_threshold_of_the_tracker(tmp_path, packets):
    answer = asked(tmp_path, packets, stands(3, score=0.4), 1.0)
    (subject,) = answer.subjects
    assert subject.track_id == 0
    assert subject.text.endswith("not followed: a new object needs 0.55, 0.15 more")


def test_g1_nothing_found_at_the_spot(tmp_path, packets):
    answer = asked(tmp_path, packets, stands(3), 1.0, at=(0.1, 0.1))
    assert answer.steps[-1].text == "nothing was found there"
    assert answer.steps[-1].ok is False
    none = asked(tmp_path / "c", packets, stands(3), 1.0, kind="dog")
    assert none.steps[-1].text == "no dog was found"
    near = asked(tmp_path / "b", packets, stands(3), 1.0, at=(700 / 1280, 450 / 720))
    assert len(near.subjects) == 1


def test_g1_tentative(tmp_path, packets):
    seen = [person(n, INSIDE if n == 19 else None) for n in range(20)]
    assert "confirmed" in unmet(asked(tmp_path, packets, seen, 1.0))


def test_g1_zone_edge(tmp_path, packets):
    assert unmet(asked(tmp_path, packets, stands(3, OUTSIDE), 1.0))["zone"] == pytest.approx(
        14.0, abs=0.5
    )


def test_g1_time_in_the_zone(tmp_path, packets):
    stays = {"stays": {"type": "dwell", "zone": "porch", "seconds": 10.0}}
    answer = asked(tmp_path, packets, stands(6), 4.0, stays)
    assert unmet(answer, "stays") == {"seconds": pytest.approx(10.0 - 4.9, abs=0.11)}
    visit = {"visit": {"type": "visit", "zone": "porch", "enter_s": 8.0}}
    answer = asked(tmp_path / "b", packets, stands(6), 4.0, visit)
    assert unmet(answer, "visit") == {"enter_s": pytest.approx(8.0 - 4.9, abs=0.11)}


def test_g1_hours(tmp_path, packets):
    # WALL is 2026-11-27 11:46:40 UTC.
    night = {"inside": {**ZONE["inside"], "hours": ["22:00-06:00"], "time_zone": "UTC"}}
    assert "hours" in unmet(asked(tmp_path, packets, stands(3), 1.0, night))


def test_g1_filters(tmp_path, packets):
    strict = {
        "inside": {
            **ZONE["inside"], "objects": ["dog"], "min_score": 0.95, "min_height": 0.5,
            "required_zones": ["porch"],
        }
    }  # fmt: skip
    found = unmet(asked(tmp_path, packets, stands(3), 1.0, strict))
    assert found["objects"] == 0
    assert found["min_score"] == pytest.approx(0.05, abs=0.01)
    assert found["min_height"] == pytest.approx(0.5 - 120 / 720, abs=0.01)
    assert "required_zones" not in found


def test_g1_camera_away(tmp_path, packets):
    for second in (50.0, 500.0):
        answer = asked(tmp_path / str(second), packets, stands(3), second)
        assert [(step.name, step.ok) for step in answer.steps] == [("camera", False)]


def test_g1_disk_full(tmp_path, packets):
    def full(maker: Maker) -> None:
        maker.recorder.lost("disk", 1, WALL + 200 * S)
        maker.recorder.lost("disk", 9, WALL + 300 * S)

    answer = asked(tmp_path, packets, stands(3), 250.0, alter=full)
    assert (answer.steps[0].name, answer.steps[0].ok) == ("recording", False)
    assert "the disk did not take it" in answer.steps[0].text


@pytest.mark.parametrize(
    ("fate", "says"),
    [("rested", "cooldown_s"), ("failed", "does not answer (no route)"), ("delivered", "told")],
)
def test_g1_deliveries(fate, says, tmp_path, packets):
    path = tmp_path / "alerts.sqlite"

    def tell(maker: Maker) -> None:
        (alert,) = maker.book.open.values()
        with AlertStore(path, ["phone"]) as store:
            store.put(alert)
            (row,) = store.outbox.pending("phone")
            if fate == "rested":
                store.outbox.left_out([row.id], rest=True)
            elif fate == "failed":
                store.outbox.failed([row.id], "no route")
            else:
                store.outbox.delivered([row.id])

    answer = asked(tmp_path / "f", packets, stands(6), 3.0, alter=tell, store=path)
    step = answer.steps[-1]
    assert (step.name, step.ok) == ("delivery", fate == "delivered")
    assert says in step.text
    assert answer.subjects[0].rules[0].alert


def test_a_camera_that_was_never_recorded_is_refused(tmp_path, packets):
    asked(tmp_path, packets, stands(1), 0.0)
    catalog = Catalog(tmp_path, create=False)
    with pytest.raises(ConfigError, match="'gate' was never recorded"):
        explain(catalog, "gate", WALL)
    catalog.close()


def test_g3_a_minute_of_busy_recording_is_answered_at_once(tmp_path, packets):
    maker = Maker(tmp_path, plan())
    for n in range(60 * 30):
        maker.packet(packets[0], n, n * S // 30)
        maker.frame(detections(n, 10))
    maker.close()
    catalog = Catalog(tmp_path, create=False)
    began = time.process_time()
    answer = explain(catalog, "door", WALL + 58 * S)
    spent = time.process_time() - began
    catalog.close()
    print(f"{spent * 1000:.0f} ms")
    assert len(answer.subjects) >= 5
    assert spent < 1.0


@pytest.mark.parametrize("objects", [0, 3])
def test_g2_the_journal_of_an_hour_is_small(tmp_path: Path, objects: int) -> None:
    """Of 2 minutes at 15 frames/s; 5 MB an hour are allowed."""
    clip = fragments(write_clip(tmp_path / "clip.mp4", frames=20))
    maker = Maker(tmp_path / "footage", plan())
    for n in range(120 * 15):
        maker.packet(clip[n % 20], n, n * S // 15)
        maker.frame(detections(n, objects, 15))
    maker.close()
    files = list((tmp_path / "footage").rglob("*.mcap"))
    said = [one for path in files for one in read(path) if one.topic == "journal"]
    assert len(said) > 4
    assert sum(len(one.data) for one in said) * 30 < 5e6
