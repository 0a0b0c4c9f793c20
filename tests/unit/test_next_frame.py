"""Which frame detection waits for, and which it takes at once."""

import pytest

from perception.processes.next_frame import NextFrame
from perception.wire import Stamp, make_id

MS = 1_000_000
PERIOD = 33 * MS


def stamp(n, t_ns=None, epoch=1):
    at = n * PERIOD if t_ns is None else t_ns
    return Stamp(
        camera="a", frame_id=make_id(epoch, n), t_media_ns=at, t_arrival_ns=at, t_wall_ns=at
    )


def after_some(fresh_ms=20, frames=20, every=2):
    made = NextFrame(fresh_ms * MS)
    for n in range(0, frames, every):
        assert made.wait_ns(stamp(n), n * PERIOD) == 0, "young frames are taken at once"
    return made


@pytest.mark.parametrize(
    ("age_ms", "wait_ms"),
    [(0, 0), (20, 0), (21, 12 + 4.125), (30, 3 + 4.125), (36, -3 + 4.125), (40, 0), (400, 0)],
)
def test_an_old_frame_makes_place_for_one_that_is_due(age_ms, wait_ms):
    at = 20 * PERIOD
    assert after_some().wait_ns(stamp(20), at + age_ms * MS) == wait_ms * MS


def test_no_wait_is_longer_than_fresh_ms():
    at = 20 * PERIOD
    assert after_some(fresh_ms=5).wait_ns(stamp(20), at + 6 * MS) == 0, "27 ms would be too long"
    assert after_some(fresh_ms=5).wait_ns(stamp(20), at + 33 * MS) > 0


def test_the_period_is_not_known_at_first_nor_after_a_new_start():
    made = NextFrame(20 * MS)
    assert made.wait_ns(stamp(0), 30 * MS) == 0
    made = after_some()
    assert made.wait_ns(stamp(0, 30 * PERIOD, epoch=2), 30 * PERIOD + 30 * MS) == 0


def test_one_gap_does_not_change_the_period():
    made = after_some()
    made.wait_ns(stamp(20, 30 * PERIOD), 30 * PERIOD)
    assert made.wait_ns(stamp(22, 32 * PERIOD), 32 * PERIOD + 30 * MS) == 3 * MS + PERIOD // 8
