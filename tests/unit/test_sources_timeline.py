"""Media time: what a file or camera says is repaired, counted and always rises."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.clock import NS_PER_S
from perception.sources.backoff import Backoff
from perception.sources.timeline import LiveTimeline, Timeline

MS = 1_000_000
Stamps = st.lists(st.one_of(st.none(), st.integers(-(1 << 50), 1 << 50)), max_size=60)


def times(raw_ms: list[int | None], **rate: float) -> tuple[list[int], dict[str, int]]:
    counters: dict[str, int] = {}
    line = Timeline(counters, **rate)
    out = [line.stamp(None if raw is None else raw * MS) // MS for raw in raw_ms]
    return out, {name: count for name, count in counters.items() if count}


@pytest.mark.parametrize(
    ("raw", "expected", "counted"),
    [
        ([0, 40, 80, 120], [0, 40, 80, 120], {}),
        ([500, 540], [500, 540], {}),
        ([0, 40, None, 120, 160], [0, 40, 80, 120, 160], {"pts_absent": 1}),
        ([None, None, None], [0, 40, 80], {"pts_absent": 3}),
        ([None, 40, 80], [0, 40, 80], {"pts_absent": 1}),
        ([0, 40, 40, 120], [0, 40, 80, 120], {"pts_repeated": 1}),
        ([0, 40, 40, 80, 120], [0, 40, 80, 90, 120], {"pts_repeated": 1}),
        ([0, 80, 40, 120], [0, 80, 100, 120], {"pts_backward": 1}),
        ([9000, 9040, 0, 40, 80], [9000, 9040, 9080, 9120, 9160], {"pts_backward": 1}),
        ([0, 40, 3_600_000, 3_600_040], [0, 40, 80, 120], {"pts_jumped": 1}),
        ([0, 5000, 10_000, 10_040], [0, 5000, 10_000, 10_040], {}),
    ],
)
@pytest.mark.fault("F17")
def test_stamps_are_repaired(
    raw: list[int | None], expected: list[int], counted: dict[str, int]
) -> None:
    assert times(raw, header_fps=25.0) == (expected, counted)


def test_a_rate_given_by_the_user_overrides_all_stamps() -> None:
    assert times([0, 7, None, 7, 2], fps=10.0) == ([0, 100, 200, 300, 400], {})


def test_a_rate_given_by_the_user_does_not_drift() -> None:
    line = Timeline({}, fps=29.97)
    last = [line.stamp(None) for _ in range(2998)][-1]
    assert last == round(2997 / 29.97 * NS_PER_S)


@given(Stamps)
def test_time_rises_whatever_a_file_says(raw: list[int | None]) -> None:
    line = Timeline({}, header_fps=30.0)
    out = [line.stamp(stamp) for stamp in raw]
    assert all(a < b for a, b in pairwise(out))


@given(Stamps, st.integers(1, 1 << 40))
@pytest.mark.fault("F17")
def test_time_rises_whatever_a_camera_says_and_stays_near_arrival(
    raw: list[int | None], arrival: int
) -> None:
    line = LiveTimeline({})
    last = None
    for n, stamp in enumerate(raw):
        at = arrival + n * 33 * MS
        media = line.stamp(stamp, at)
        assert last is None or media > last
        assert abs(media - at) <= 10 * NS_PER_S + len(raw)
        last = media


def test_a_camera_runs_by_its_own_clock_not_by_network_jitter() -> None:
    line, random = LiveTimeline({}), Random(1)
    arrivals = [10**12 + n * 40 * MS + int(random.random() * 200 * MS) for n in range(200)]
    media = [line.stamp(n * 40 * MS, arrival) for n, arrival in enumerate(arrivals)]
    assert all(abs(b - a - 40 * MS) < MS for a, b in pairwise(media))


def test_a_camera_clock_that_drifts_is_followed() -> None:
    line = LiveTimeline({})
    for n in range(50_000):
        arrival = 10**12 + n * 40 * MS
        media = line.stamp(round(n * 40 * MS * 1.0005), arrival)
    assert abs(media - arrival) < 50 * MS


def test_a_reconnect_keeps_time_rising_by_the_outage() -> None:
    counters: dict[str, int] = {}
    line = LiveTimeline(counters)
    before = line.stamp(90_000 * MS, 5 * NS_PER_S)
    line.reconnected()
    after = line.stamp(0, 12 * NS_PER_S)
    assert after - before == 7 * NS_PER_S
    assert not any(counters.values())


def test_waits_double_to_the_longest_with_jitter() -> None:
    backoff = Backoff(random=Random(3))
    waits = [backoff.failed() for _ in range(8)]
    for wait, base in zip(waits, [1, 2, 4, 8, 16, 30, 30, 30], strict=True):
        assert 0.75 * base <= wait <= 1.25 * base
    assert len({round(wait, 6) for wait in waits}) == len(waits)


def test_a_refused_password_waits_at_least_what_it_asks() -> None:
    backoff = Backoff()
    assert all(backoff.failed(30.0) >= 30 for _ in range(3))


def test_waits_start_anew_only_after_healthy_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0]
    monkeypatch.setattr("perception.sources.backoff.monotonic_ns", lambda: now_s[0] * NS_PER_S)
    backoff = Backoff(healthy_s=30)
    for _ in range(5):
        backoff.healthy()
        last = backoff.failed()
    assert last > 10
    for now_s[0] in (0, 10, 31):
        backoff.healthy()
    assert backoff.failed() <= 1.25
