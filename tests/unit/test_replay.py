"""Replay without a line: what is compared, where it can begin, and which difference is named."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from perception.analysis import differences, replay
from perception.analysis.recorded import Part, parts
from perception.commands.replay import paired
from perception.errors import ConfigError
from perception.footage.catalog import Catalog
from perception.footage.messages import MessageFile, read
from perception.processes.journal import rules_of
from perception.wire import DetectionMessage, Detections
from perception.wire.codec import record_table
from perception.wire.journal import from_text, to_text
from tests.recordings import WALL, Maker, S, detections, plan
from tests.unit.test_footage import fragments, write_clip

FRAMES, COUNT = 300, 8


@pytest.fixture(scope="module")
def packets(tmp_path_factory) -> list[Any]:
    return fragments(write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=2))


def recorded(root: Path, packets: list[Any], **options: Any) -> Part:
    """Record FRAMES frames of COUNT objects, and return them as one part."""
    alter, skip = options.pop("alter", None), options.pop("skip", range(0))
    frames, count = options.pop("frames", FRAMES), options.pop("count", COUNT)
    maker = Maker(root, options.pop("plan", None) or plan(), **options)
    maker.packet(packets[0], 0, 0)
    for n in range(frames):
        found = detections(n, count)
        if n not in skip:
            maker.frame(found, alter)
    maker.close()
    assert maker.alerts > 4
    return the_part(root)


def the_part(root: Path) -> Part:
    catalog = Catalog(root, create=False)
    (part,) = parts(root, catalog.segments("door"))
    catalog.close()
    return part


@pytest.mark.fault("F34")
def test_f34_a_recording_replays_to_the_last_bit(tmp_path, packets):
    part = recorded(tmp_path, packets, states_ns=S)
    result = replay.replay(part)
    assert result.first == ""
    assert result.changed == []
    tracks, alerts = result.stages
    assert (tracks.compared, tracks.equal, tracks.notes) == (FRAMES, FRAMES, {})
    assert alerts.compared == alerts.equal > 4
    assert result.was == result.now
    assert result == replay.replay(the_part(tmp_path))


def test_a_replay_begins_in_the_middle_at_a_kept_state(tmp_path, packets):
    recorded(tmp_path, packets, states_ns=2 * S)
    # The first half is gone: as where the segments before were deleted.
    path = next(tmp_path.rglob("*.mcap"))
    said = list(read(path))
    path.unlink()
    file = MessageFile(path, "door", record_table)
    for one in said:
        if one.topic == "packets" or one.t_wall_ns > WALL + 3 * S or b"manifest" in one.data:
            file.add(one)
    file.finish(None)
    tracks, alerts = replay.replay(the_part(tmp_path)).stages
    assert tracks.compared == tracks.equal
    assert list(tracks.notes) == ["before the first state that was kept"]
    assert 29 <= tracks.notes["before the first state that was kept"] <= 31
    assert tracks.compared == FRAMES - 91 - tracks.notes["before the first state that was kept"]
    assert alerts.compared == alerts.equal > 0


def plus(at: int) -> Any:
    def alter(n: int, found: DetectionMessage) -> DetectionMessage:
        if n != at:
            return found
        scores = found.detections.scores.copy()
        scores[0] = np.float32(scores[0]) + np.float32(1e-6)
        return dataclasses.replace(
            found,
            detections=Detections(found.detections.boxes, scores, found.detections.class_ids),
        )

    return alter


def with_options(part: Part, change: Any) -> Part:
    """Return the part as if its manifest had said other options."""
    part.manifest["plan"] = msgspec.to_builtins(change(replay.plan_of(part)))
    return part


class OtherRules(Part):
    """A part whose journal says other rules than those that raised its alerts."""

    change: Any = None

    def messages(self, topic: str) -> Any:
        for message in super().messages(topic):
            if topic == "journal" and message.process == "alert":
                said = from_text(message.data)
                camera = self.change(replay.plan_of(self)).cameras["door"]
                said["rules"] = rules_of(camera)
                message.data = to_text(said)
            yield message


def with_rules(part: Part, change: Any) -> Part:
    other = OtherRules(part.root, "door", part.manifest)
    other.rows, other.change = part.rows, change
    return other


def tracker(**options: Any) -> Any:
    def change(plan: Any) -> Any:
        stage = msgspec.structs.replace(plan.tracker, options={**plan.tracker.options, **options})
        return msgspec.structs.replace(plan, tracker=stage)

    return change


def rule(name: str, **options: Any) -> Any:
    def change(plan: Any) -> Any:
        camera = plan.cameras["door"]
        stage = camera.rules[name]
        stage = msgspec.structs.replace(stage, options={**stage.options, **options})
        camera = msgspec.structs.replace(camera, rules={**camera.rules, name: stage})
        return msgspec.structs.replace(plan, cameras={"door": camera})

    return change


def test_c2_twenty_mutations_are_named_by_stage_and_frame(tmp_path, packets):
    rng = random.Random(3)
    for number, at in enumerate(rng.sample(range(20, FRAMES), 8)):
        part = recorded(tmp_path / f"score-{number}", packets, alter=plus(at))
        result = replay.replay(part)
        assert f"tracks frame 3-{at}: row " in result.stages[0].first, at
        assert " scores " in result.stages[0].first
        assert result.stages[1].first == "", "rules are given what was recorded"
    part = recorded(tmp_path / "whole", packets)
    for change in (
        tracker(noise=0.0501), tracker(walk=0.2), tracker(gate=0.31), tracker(acceleration=3.3),
        tracker(speed=0.21), tracker(confirm_s=0.5),
    ):  # fmt: skip
        result = replay.replay(with_options(the_part(tmp_path / "whole"), change))
        assert result.stages[0].first, change
        assert result.stages[1].first == ""
    for change in (
        rule("stays", seconds=2.04), rule("stays", seconds=1.0), rule("inside", enter_s=0.25),
        rule("inside", leave_s=0.9), rule("inside", min_score=0.8), rule("stays", leave_s=0.3),
    ):  # fmt: skip
        result = replay.replay(with_rules(the_part(tmp_path / "whole"), change))
        assert result.stages[0].first == ""
        assert " alert frame 3-" in result.stages[1].first, change
    assert replay.replay(part).first == ""


def test_what_was_not_recorded_is_counted_and_not_called_different(tmp_path, packets):
    whole = recorded(tmp_path / "a", packets, states_ns=S)
    assert replay.replay(whole).first == ""

    class Holes(Part):
        def messages(self, topic: str) -> Any:
            for n, message in enumerate(super().messages(topic)):
                if not (topic == "tracks" and 100 <= n < 110):
                    yield message

    part = Holes(whole.root, "door", whole.manifest)
    part.rows = whole.rows
    result = replay.replay(part)
    assert result.first == ""
    assert result.stages[0].notes["track messages were not recorded"] == 10
    assert result.stages[0].equal == result.stages[0].compared < FRAMES - 10


def test_what_would_have_happened_with_another_rule(tmp_path, packets):
    part = recorded(tmp_path, packets)
    changed = rule("stays", seconds=30.0)(replay.plan_of(part))
    result = replay.replay(part, "alert", changed)
    said = {(was or now).rule: how for was, now, how in paired(result.was, result.now)}
    assert said["inside"] == "same"
    assert said["stays"] == "gone"
    changed = rule("stays", seconds=2.5)(replay.plan_of(part))
    result = replay.replay(part, "alert", changed)
    moved = [how for was, _, how in paired(result.was, result.now) if was and was.rule == "stays"]
    assert moved
    assert all(how == "+0.50 s" for how in moved[:1]), moved


def test_a_recording_without_a_journal_says_so(tmp_path, packets):
    part = recorded(tmp_path, packets)
    part.manifest = None
    with pytest.raises(ConfigError, match="before there was a journal"):
        replay.replay(part)


def test_c5_another_instruction_set_is_told_and_compared_with_a_tolerance():
    was = Detections.of([[0, 0, 10, 10]], [0.5], [0])
    near = Detections.of([[0, 0.004, 10, 10]], [0.500005], [0])
    far = Detections.of([[0, 0.02, 10, 10]], [0.5], [0])
    assert differences.of_detections(was, near, exact=True)
    assert differences.of_detections(was, near, exact=False) is None
    assert differences.of_detections(was, far, exact=False) == "row 0 boxes 0.0 -> 0.02"
    assert differences.of_detections(was, was, exact=True) is None


def test_c4_the_journal_of_an_hour_without_objects_is_small(tmp_path, packets):
    maker = Maker(tmp_path, plan())
    maker.packet(packets[0], 0, 0)
    for n in range(3000):
        maker.frame(detections(n, 0))
    maker.close()
    part = the_part(tmp_path)
    sizes = {
        topic: sum(len(m.data) for m in said) for topic, said in part.raw(part.rows[0]).items()
    }
    assert sizes["journal"] * 36 < 3_000_000
