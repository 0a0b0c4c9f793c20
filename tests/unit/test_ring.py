import os
import signal
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest

from perception.errors import RingError, SlotOverwritten
from perception.pixels import Pixels
from perception.transport import ring, ring_map


@pytest.fixture
def writer():
    made = ring.RingWriter(f"test-{uuid.uuid4().hex[:8]}", 3)
    yield made
    made.close()


def write(writer, value, height=4, width=6):
    writer.begin(height, width)[:] = value
    return writer.commit()


def test_reader_sees_what_was_written(writer):
    reader = ring.RingReader()
    for value in range(10):
        name, slot, generation = write(writer, value)
        image = reader.image(name, slot, generation, 4, 6)
        reader.check(name, slot, generation)
        assert image.shape == (4, 6, 3)
        assert (image == value).all()
        assert not image.flags.writeable


def write_planes(writer, levels, height=4, width=6, coding="bt601-full", frame_id=0):
    planes = Pixels(writer.begin(height, width, coding), coding)
    for plane, level in zip(planes.planes(), levels, strict=True):
        plane[:] = level
    return writer.commit(frame_id)


def test_planes_stand_as_they_are_and_become_bgr_for_who_asks(writer):
    reader = ring.RingReader()
    for n in range(10):
        name, slot, generation = write_planes(writer, (n, 128, 128), frame_id=n + 1)
        place = (name, slot, generation, 4, 6, "bt601-full")
        pixels = reader.pixels(*place)
        assert pixels.data.shape == (6, 6)
        assert not pixels.data.flags.writeable
        assert [int(plane[0, 0]) for plane in pixels.planes()] == [n, 128, 128]
        assert (reader.image(*place) == np.full((4, 6, 3), n)).all()
        picture = reader.picture(writer._base.removeprefix(ring_map.PREFIX), n + 1)
        assert picture.frame_id == n + 1
        assert picture.image.shape == (4, 6, 3)
        assert (picture.image == n).all()
        picture.image[:] = 255
        reader.check(name, slot, generation)


def test_planes_take_half_of_what_bgr_takes(writer):
    name = write_planes(writer, (1, 2, 3), 480, 640)[0]
    planes = (ring_map.SHM_DIR / name).stat().st_size
    assert planes == pytest.approx(ring_map.bytes_needed(3, 480, 640) / 2, rel=0.01)


def test_coding_and_size_may_change_from_frame_to_frame(writer):
    """A smaller frame and planes go where larger ones went; a larger one makes a new ring."""
    reader, base = ring.RingReader(), writer._base.removeprefix(ring_map.PREFIX)
    names = set()
    for n, (coding, height, width) in enumerate(
        [("bt709", 40, 60), ("bgr", 40, 60), ("bt601", 40, 60), ("bt601-full", 20, 30),
         ("bgr", 21, 31), ("bt709", 80, 90)], 1,
    ):  # fmt: skip
        if coding == "bgr":
            writer.begin(height, width)[:] = 77
            names.add(writer.commit(n)[0])
        else:
            names.add(write_planes(writer, (77, 128, 128), height, width, coding, n)[0])
        picture = reader.picture(base, n)
        assert picture.image.shape == (height, width, 3)
        limited = coding in ("bt601", "bt709")
        assert (picture.image == (71 if limited else 77)).all()  # (77 - 16) * 255 / 219
    assert len(names) == 3


def test_lying_codings_are_refused(writer):
    reader, base = ring.RingReader(), writer._base.removeprefix(ring_map.PREFIX)
    name, slot, generation = write_planes(writer, (1, 128, 128))
    for height, width in ((5, 6), (4, 7), (6, 6), (4000, 6000), (0, 6)):
        with pytest.raises(RingError):
            reader.pixels(name, slot, generation, height, width, "bt601")
    writer._map.lines[slot, 5] = 99
    with pytest.raises(RingError, match="coding 99"):
        reader.picture(base, 0)


@pytest.mark.fault("F27")
def test_overwritten_slot_is_noticed_before_and_after_use(writer):
    reader = ring.RingReader()
    first = write(writer, 1)
    reader.image(*first, 4, 6)
    for value in (2, 3, 4):
        write(writer, value)
    with pytest.raises(SlotOverwritten):
        reader.check(*first)
    with pytest.raises(SlotOverwritten):
        reader.image(*first, 4, 6)


def test_slot_that_is_being_written_is_refused(writer):
    reader = ring.RingReader()
    first = write(writer, 1)
    write(writer, 2)
    write(writer, 3)
    writer.begin(4, 6)[:] = 9
    with pytest.raises(SlotOverwritten):
        reader.check(*first)


def test_begin_twice_writes_the_same_slot(writer):
    writer.begin(4, 6)[:] = 1
    writer.begin(4, 6)[:] = 2
    name, slot, generation = writer.commit()
    assert (ring.RingReader().image(name, slot, generation, 4, 6) == 2).all()


def test_larger_frame_makes_a_new_ring_and_old_views_stay(writer):
    reader = ring.RingReader()
    first = write(writer, 7)
    old = reader.image(*first, 4, 6)
    second = write(writer, 8, 100, 100)
    assert second[0] != first[0]
    assert (reader.image(*second, 100, 100) == 8).all()
    assert (old == 7).all()
    assert not (ring_map.SHM_DIR / first[0]).exists()


@pytest.mark.parametrize(
    "name",
    ["../etc/passwd", "perception-a/../b.1", "perception-x", "other-x.1", "", "perception-.1"],
)
@pytest.mark.fault("H06")
def test_lying_names_are_refused(name):
    with pytest.raises(RingError):
        ring.RingReader().image(name, 0, 2, 4, 6)


@pytest.mark.fault("H06")
def test_lying_descriptors_are_refused(writer):
    reader = ring.RingReader()
    name, slot, generation = write(writer, 1)
    for bad in ((3, 4, 6), (slot, 5000, 5000), (slot, 0, 6)):
        with pytest.raises(RingError):
            reader.image(name, bad[0], generation, bad[1], bad[2])


@pytest.mark.fault("H06")
def test_a_file_that_is_no_ring_is_refused():
    path = ring_map.SHM_DIR / f"perception-test-{uuid.uuid4().hex[:8]}.1"
    path.write_bytes(os.urandom(9000))
    try:
        with pytest.raises(RingError, match="not a ring"):
            ring.RingReader().image(path.name, 0, 2, 4, 6)
    finally:
        path.unlink()


def test_a_ring_that_is_being_made_has_no_picture_yet(writer, monkeypatch):
    """A late reader finds its file by its name before the header stands there."""
    reader, fallocate, found = ring.RingReader(), os.posix_fallocate, []
    write(writer, 1)
    base = writer.name.removeprefix(ring_map.PREFIX).rpartition(".")[0]
    assert reader.picture(base, 0) is not None

    def make(fd, offset, size):
        found.append(reader.picture(base, 0))
        fallocate(fd, offset, size)
        found.append(reader.picture(base, 0))

    monkeypatch.setattr(os, "posix_fallocate", make)
    write(writer, 2, height=480)
    assert found == [None, None]
    assert reader.picture(base, 0) is not None


def test_too_little_shared_memory_is_refused_with_the_number():
    many = ring.RingWriter(f"test-{uuid.uuid4().hex[:8]}", 4096)
    with pytest.raises(RingError, match=r"need \d+ MB .* MB are free"):
        many.begin(16384, 16384)
    assert not list(ring_map.SHM_DIR.glob(f"{many._base}*"))


def test_a_later_writer_never_takes_the_name_of_an_earlier_one():
    base = f"test-{uuid.uuid4().hex[:8]}"
    names = []
    for _ in range(3):
        code = (
            "import os, sys; from perception.transport import ring;"
            "w = ring.RingWriter(sys.argv[1], 3); w.begin(4, 6);"
            "print(w.commit()[0], flush=True); os._exit(0)"
        )
        done = subprocess.run([sys.executable, "-c", code, base], capture_output=True, text=True)
        names.append(done.stdout.strip())
    assert len(set(names)) == 3
    assert names == sorted(names, key=lambda name: int(name.rpartition(".")[2]))
    left = [path.name for path in ring_map.SHM_DIR.glob(f"{ring_map.PREFIX}{base}*")]
    assert left == names[-1:], "what a killed writer left is removed by the next"
    ring.sweep(f"{ring_map.PREFIX}{base}.*")


def test_sweep_takes_rings_of_the_dead_and_leaves_the_living(writer):
    name = write(writer, 1)[0]
    code = (
        "import sys, time; from perception.transport.ring import RingWriter\n"
        "w = RingWriter(sys.argv[1], 2); w.begin(4, 4)[:] = 1; print(w.commit()[0], flush=True)\n"
        "time.sleep(60)"
    )
    dead = subprocess.Popen(
        [sys.executable, "-c", code, f"test-{uuid.uuid4().hex[:8]}"], stdout=subprocess.PIPE
    )
    with dead:
        orphan = dead.stdout.readline().decode().strip()
        assert orphan not in ring.sweep()
        dead.send_signal(signal.SIGKILL)
        dead.wait()
    assert orphan in ring.sweep()
    assert (ring_map.SHM_DIR / name).exists()


@pytest.mark.parametrize(("age_s", "goes"), [(0, False), (8, False), (12, True)])
def test_sweep_leaves_an_empty_file_that_its_writer_may_be_about_to_lock(age_s, goes):
    path = ring_map.SHM_DIR / f"{ring_map.PREFIX}test-{uuid.uuid4().hex[:8]}.1"
    path.touch()
    try:
        os.utime(path, (time.time() - age_s,) * 2)
        assert ring.sweep(path.name) == [path.name] * goes
        assert path.exists() is not goes
    finally:
        path.unlink(missing_ok=True)


def test_late_readers_find_the_frame_or_the_nearest_later_one():
    base = f"test-{uuid.uuid4().hex[:8]}"
    made, reader = ring.RingWriter(base, 3), ring.RingReader()
    assert reader.picture(base, 1) is None
    for n in range(1, 6):
        made.begin(4, 6)[:] = n
        made.commit(n, n * 100)
    assert reader.picture(base, 4).frame_id == 4
    assert (reader.picture(base, 4).image == 4).all()
    assert reader.picture(base, 1).frame_id == 3
    assert reader.picture(base, 1).t_media_ns == 300
    assert reader.picture(base, 6) is None
    assert reader.picture(base, 1, newest=True).frame_id == 5
    assert reader.picture(base, 6, newest=True) is None
    made.begin(80, 80)[:] = 6
    made.commit(6, 600)
    assert reader.picture(base, 4).image.shape == (80, 80, 3)
    made.close()
    assert reader.picture(base, 1) is None


def test_bytes_needed_is_the_size_of_the_file(writer):
    name = write(writer, 1, 480, 640)[0]
    assert (ring_map.SHM_DIR / name).stat().st_size == ring_map.bytes_needed(3, 480, 640)


@pytest.mark.parametrize("coding", ["bgr", "bt601-full"])
@pytest.mark.fault("F27")
def test_reader_in_another_process_never_sees_a_mixed_picture(writer, coding):
    """A writer laps a slow reader; whatever passes `check` is of one frame."""
    code = (
        "import sys, time; from perception.transport.ring import RingWriter\n"
        "w = RingWriter(sys.argv[1], 2); t = time.monotonic() + 1.5; n = 0\n"
        "while time.monotonic() < t:\n"
        "    n += 1; frame = w.begin(200, 300, sys.argv[2]); frame[:200] = n % 251\n"
        "    frame[200:] = 128; print(*w.commit(), n % 251, flush=True)\n"
        "w.close()"
    )
    reader, good, lost = ring.RingReader(), 0, 0
    with subprocess.Popen(
        [sys.executable, "-c", code, f"test-{uuid.uuid4().hex[:8]}", coding],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            name, slot, generation, value = line.split()
            try:
                copy = reader.image(name, int(slot), int(generation), 200, 300, coding).copy()
                reader.check(name, int(slot), int(generation))
            except SlotOverwritten:
                lost += 1
                continue
            assert np.unique(copy).tolist() == [int(value)]
            good += 1
    assert good + lost > 50
    assert lost > 0


def test_a_frame_without_an_id_is_frame_0_and_its_picture_is_a_copy(writer):
    write(writer, 7)
    base = writer._base.removeprefix(ring_map.PREFIX)
    picture = ring.RingReader().picture(base, 0)
    assert picture.frame_id == 0
    for value in (1, 2, 3):
        write(writer, value)
    assert (picture.image == 7).all(), "the ring was written again; the picture stays"


def test_the_nearest_later_frame_is_by_its_id_not_by_its_time(writer):
    for frame_id, t_ns in ((5, 300), (7, 200), (9, 100)):
        writer.begin(4, 6)[:] = frame_id
        writer.commit(frame_id, t_ns)
    base = writer._base.removeprefix(ring_map.PREFIX)
    picture = ring.RingReader().picture(base, 6)
    assert (picture.frame_id, picture.t_media_ns) == (7, 200)
    assert (picture.image == 7).all()
