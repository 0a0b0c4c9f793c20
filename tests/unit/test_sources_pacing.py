"""A file played as a camera keeps time without drift and never holds its reader long."""

from typing import Any

import pytest

from perception.clock import NS_PER_S
from perception.errors import SourceEnded
from perception.sources import Allocate, AllocatePlanes, Frame, TakesPlanes, allocate_new
from perception.sources.pacing import Paced

MS = 1_000_000


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 5 * NS_PER_S
        patch.setattr("perception.sources.pacing.monotonic_ns", lambda: self.now)
        patch.setattr("perception.sources.pacing.sleep_until", self.sleep_until)

    def sleep_until(self, t_ns: int) -> None:
        self.now = max(self.now, t_ns)


class Frames:
    """A source whose frames stand at given media times in ms."""

    live = False
    fps = None

    def __init__(self, times_ms: list[int]) -> None:
        self.counters: dict[str, int] = {}
        self._times = iter(times_ms)

    def open(self) -> None: ...

    def read(self, allocate: Allocate) -> Frame | None:
        at = next(self._times, None)
        if at is None:
            raise SourceEnded("end")
        if isinstance(allocate, TakesPlanes):
            return Frame(allocate.planes(4, 2, "bt709"), at * MS, 0, "bt709")
        return Frame(allocate(2, 2), at * MS, 0)

    def close(self) -> None: ...


def play(source: Any) -> list[tuple[int, int]]:
    """Return (media ms, release ms after the first) of every frame."""
    out: list[tuple[int, int]] = []
    while True:
        try:
            frame = source.read(allocate_new)
        except SourceEnded:
            return [(media, arrival - out[0][1]) for media, arrival in out]
        if frame is not None:
            out.append((frame.t_media_ns // MS, frame.t_arrival_ns // MS))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_frames_are_released_at_their_media_time(clock: Clock) -> None:
    source = Paced(Frames([700, 740, 780, 1000]))
    source.open()
    assert source.live
    assert play(source) == [(700, 0), (740, 40), (780, 80), (1000, 300)]


def test_a_read_waits_half_a_second_and_keeps_the_frame(clock: Clock) -> None:
    source = Paced(Frames([0, 1200]))
    given: list[Any] = []

    def allocate(height: int, width: int) -> Any:
        given.append(allocate_new(height, width))
        return given[-1]

    assert source.read(allocate) is not None
    began = clock.now
    assert source.read(allocate) is None
    assert clock.now - began == 500 * MS
    assert source.read(allocate) is None
    frame = source.read(allocate)
    assert frame is not None
    assert clock.now - began == 1200 * MS
    assert len(given) == 2
    assert frame.image is given[-1]


def test_planes_stay_planes(clock: Clock) -> None:
    source = Paced(Frames([0]))
    source.open()
    frame = source.read(AllocatePlanes())
    assert frame is not None
    assert (frame.coding, frame.pixels.height, frame.pixels.width) == ("bt709", 4, 2)
    assert frame.t_arrival_ns == clock.now


def test_after_a_stall_it_catches_up_without_drift(clock: Clock) -> None:
    source = Paced(Frames(list(range(0, 4000, 100))))
    first = source.read(allocate_new)
    assert first is not None
    clock.now += 2000 * MS
    late = [source.read(allocate_new) for _ in range(20)]
    assert {frame.t_arrival_ns for frame in late if frame} == {clock.now}
    after = source.read(allocate_new)
    assert after is not None
    assert after.t_arrival_ns - first.t_arrival_ns == 2100 * MS == after.t_media_ns
    assert source.counters == {"pace_restarts": 0}


def test_after_a_long_stall_the_schedule_starts_anew(clock: Clock) -> None:
    source = Paced(Frames([0, 100, 200]))
    source.read(allocate_new)
    clock.now += 60 * NS_PER_S
    second = source.read(allocate_new)
    third = source.read(allocate_new)
    assert second is not None
    assert third is not None
    assert third.t_arrival_ns - second.t_arrival_ns == 100 * MS
    assert source.counters == {"pace_restarts": 1}
