"""Detections of several frames at the same time are those of one after the other, in order."""

from collections.abc import Iterator
from typing import Any

import pytest

from perception.analysis.detection import DetectionStage
from perception.errors import SourceLost
from perception.launchfile import config
from perception.launchfile.document import parse
from perception.launchfile.resolve import resolve
from perception.sources import Frame
from perception.sources.synthetic import SyntheticSource
from perception.wire.plan import Plan
from tests.clips import play

FRAMES = 24


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    options = SyntheticSource.Options(width=320, height=240, objects=3, seed=1, frames=FRAMES)
    return play(SyntheticSource(options, camera="a"))


def plan(more: str = "") -> Plan:
    text = f"cameras: {{a: {{source: push{more}}}}}\ndetectors: {{default: {{size: 320}}}}"
    document = parse(text, "test")
    return resolve(document.validate(config.Launch, document.data), document)


def stage(requests: int, more: str = "") -> DetectionStage:
    what = plan(more)
    return DetectionStage(what, what.cameras["a"], 1, requests)


def found(made: DetectionStage, frames: Any) -> list[tuple[int, bytes, bytes]]:
    return [
        (one.frame.t_media_ns, one.detections.boxes.tobytes(), one.detections.scores.tobytes())
        for one in made.detect(frames)
    ]


def test_any_number_of_requests_finds_the_same_in_the_same_order(frames: list[Frame]) -> None:
    first = found(stage(1), frames)
    assert [t for t, *_ in first] == [frame.t_media_ns for frame in frames]
    assert sum(len(boxes) > 0 for _, boxes, _ in first) >= FRAMES // 3
    for requests in (2, 3):
        made = stage(requests)
        assert made.requests == requests
        assert found(made, frames) == first


def test_a_detector_that_remembers_sees_one_frame_after_the_other(frames: list[Frame]) -> None:
    made = stage(2, ", detect: auto")
    assert made.requests == 1
    assert found(made, frames) == found(stage(1, ", detect: auto"), frames)
    assert sum(made.looks.values()) == FRAMES


def test_fewer_frames_than_requests(frames: list[Frame]) -> None:
    made = stage(3)
    assert found(made, []) == []
    assert len(found(made, frames[:1])) == 1


def test_damaged_frames_are_not_looked_at(frames: list[Frame]) -> None:
    broken = [
        Frame(frame.image, frame.t_media_ns, 0, damage="direct" if n % 2 else "none")
        for n, frame in enumerate(frames)
    ]
    said = list(stage(2).detect(broken))
    assert all(len(one.detections) == 0 for one in said[1::2])
    assert any(len(one.detections) for one in said[::2])


def test_what_a_source_raises_comes_after_the_frames_before_it(frames: list[Frame]) -> None:
    def lost() -> Iterator[Frame]:
        yield from frames[:5]
        raise SourceLost("gone")

    seen: list[int] = []
    with pytest.raises(SourceLost, match="gone"):
        seen.extend(one.frame.t_media_ns for one in stage(2).detect(lost()))
    assert seen == [frame.t_media_ns for frame in frames[:5]]
