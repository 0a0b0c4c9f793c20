"""Frames from the user's own code, in one process here; across processes in tests/process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.errors import SourceError
from perception.sources import Frame, allocate_new
from perception.sources.push import SLOTS, Pusher, PushSource
from perception.transport import push_queue, ring_map
from perception.transport.rundir import ring_base
from perception.wire import FrameMessage, Stamp


@pytest.fixture
def source(tmp_path: Path) -> Iterator[PushSource]:
    source = PushSource(PushSource.Options(), camera="front", run_dir=tmp_path)
    source.open()
    yield source
    source.close()


@pytest.fixture
def pusher(tmp_path: Path, source: PushSource) -> Iterator[Pusher]:
    with Pusher(tmp_path, "front") as pusher:
        yield pusher
    assert not list(ring_map.SHM_DIR.glob(f"perception-{ring_base(tmp_path, 'front')}-push-*"))


def read(source: PushSource) -> Frame:
    frame = source.read(allocate_new)
    assert frame is not None
    return frame


def test_closed_takes_nothing_more(tmp_path: Path, source: PushSource) -> None:
    pusher = Pusher(tmp_path, "front")
    assert not pusher.closed
    for _ in range(2):
        pusher.close()
        assert pusher.closed
        assert not pusher.send(RANDOM, 1)


RANDOM = np.random.default_rng(5).integers(0, 256, (60, 80, 3), np.uint8)
READ_ONLY = RANDOM.copy()
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (RANDOM, RANDOM),
        (RANDOM[::2, ::3], RANDOM[::2, ::3]),
        (RANDOM[:, :, ::-1], RANDOM[:, :, ::-1]),
        (np.asfortranarray(RANDOM), RANDOM),
        (READ_ONLY, RANDOM),
        (RANDOM[:, :, 0], RANDOM[:, :, :1].repeat(3, 2)),
        (RANDOM[:, :, :1], RANDOM[:, :, :1].repeat(3, 2)),
    ],
)
def test_any_uint8_image_arrives(
    image: Any, expected: Any, pusher: Pusher, source: PushSource
) -> None:
    assert pusher.send(image, 7)
    frame = read(source)
    assert np.array_equal(frame.image, expected)
    assert frame.t_media_ns == 7
    assert frame.image.flags.c_contiguous


@pytest.mark.parametrize(
    "image",
    [RANDOM.astype(np.float32), RANDOM[:, :, :2], RANDOM[None], RANDOM[0, 0], RANDOM.astype(bool)],
)
def test_other_arrays_are_refused_by_name(image: Any, pusher: Pusher) -> None:
    with pytest.raises(SourceError, match=f"{image.dtype}.*expected uint8"):
        pusher.send(image)


def test_time_is_arrival_where_none_is_given(pusher: Pusher, source: PushSource) -> None:
    for _ in range(2):
        pusher.send(RANDOM)
    first, second = read(source), read(source)
    assert first.t_media_ns == first.t_arrival_ns < second.t_media_ns


def test_times_that_do_not_rise_are_repaired(pusher: Pusher, source: PushSource) -> None:
    for t_ns in (100, 100, 50, 2_000_000_000, 0, 40_000_000):
        pusher.send(RANDOM, t_ns)
    *times, restarted, after = [read(source).t_media_ns for _ in range(6)]
    assert times == [100, 1_000_100, 2_000_100, 2_000_000_000]
    assert 2_000_000_000 < restarted < 3_000_000_000
    assert after - restarted == 40_000_000
    assert source.counters["time_not_rising"] == 3


def test_the_size_may_change(pusher: Pusher, source: PushSource) -> None:
    for side in (20, 300, 10):
        pusher.send(np.full((side, side), side % 256, np.uint8))
        assert read(source).image.shape == (side, side, 3)


def test_frames_that_come_too_late_for_are_counted(pusher: Pusher, source: PushSource) -> None:
    sent = [pusher.send(np.full((4, 4), n, np.uint8), n, timeout_s=0.2) for n in range(SLOTS + 4)]
    taken = sum(sent)
    got: list[Frame] = []
    while (frame := source.read(allocate_new)) is not None:
        got.append(frame)
    assert len(got) + source.counters["overwritten"] == taken
    assert all((frame.image == frame.t_media_ns).all() for frame in got)


def test_nobody_listens(tmp_path: Path) -> None:
    with Pusher(tmp_path, "nobody") as pusher:
        assert not pusher.send(RANDOM, timeout_s=0.05)


def test_no_frame_is_none(source: PushSource) -> None:
    assert source.read(allocate_new) is None


def test_lies_are_counted_and_dropped(source: PushSource, tmp_path: Path) -> None:
    stamp = Stamp(camera="front", frame_id=0, t_media_ns=0, t_arrival_ns=0, t_wall_ns=0)
    liar = push_queue.Pusher(tmp_path, "front")
    for name in ("../../etc/passwd", "perception-none.1", "x"):
        message = FrameMessage(
            stamp=stamp, ring=name, slot=1 << 40, generation=2, width=9, height=9
        )
        assert liar.send(message, 1.0)
    assert source.read(allocate_new) is None
    liar.close()
    assert source.counters["refused"] + source.counters["overwritten"] == 3


def test_without_a_run_it_is_refused() -> None:
    with pytest.raises(SourceError, match="in a run only"):
        PushSource(PushSource.Options(), camera="front").open()
