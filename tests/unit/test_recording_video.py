"""The video as a player reads it back: times, colours, sizes, after a kill, on a full disk."""

import itertools
import signal
import subprocess
import sys

import av
import av.error
import cv2
import numpy as np
import pytest

from perception.errors import SinkError
from perception.recording.video import VideoWriter

MS = 1_000_000


def picture(width=320, height=240, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return cv2.resize(noise.astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def read(path, *, cut=False):
    """Return (time, frame) pairs and the stream; cut: stop at a torn end, as a player does."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        try:
            frames.extend((float(frame.time), frame) for frame in container.decode(stream))
        except av.error.InvalidDataError:
            assert cut
        return frames, stream


def test_frames_stand_at_their_own_media_time(tmp_path):
    times_ms = [70_000, 70_033, 70_100, 70_101, 71_500, 74_000]
    with VideoWriter(tmp_path / "new" / "a.mp4") as writer:
        for i, t in enumerate(times_ms):
            writer.add(picture(seed=i), t * MS)
    frames, _ = read(tmp_path / "new" / "a.mp4")
    assert [t for t, _ in frames] == pytest.approx(
        [(t - 70_000) / 1000 for t in times_ms], abs=2e-5
    )


def test_media_time_that_does_not_rise_is_repaired_and_counted(tmp_path):
    with VideoWriter(tmp_path / "a.mp4") as writer:
        for t in (100, 200, 200, 150, 300):
            writer.add(picture(), t * MS)
    frames, _ = read(tmp_path / "a.mp4")
    times = [t for t, _ in frames]
    assert len(times) == 5
    assert all(a < b for a, b in itertools.pairwise(times))
    assert times[-1] == pytest.approx(0.2)
    assert writer.repaired == 2


def bt709(planes):
    """Return BGR of a picture of one colour, by the formula of ITU-R BT.709, limited range.

    Old PyAV reads each file as BT.601 whatever its tags say, so its own conversion proves nothing.
    """
    rows, width = planes.shape
    height = rows * 2 // 3
    flat, size = planes.reshape(-1).astype(float), width * height
    y = (flat[:size].mean() - 16) / 219
    u, v = (flat[size:].reshape(2, -1).mean(axis=1) - 128) / 224
    red, blue = y + 1.5748 * v, y + 1.8556 * u
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return 255 * np.array([blue, green, red])


@pytest.mark.parametrize(
    "bgr", [(0, 0, 255), (0, 255, 0), (255, 0, 0), (40, 120, 200), (255, 255, 255), (0, 0, 0)]
)
def test_colours_come_back_and_are_tagged(tmp_path, bgr):
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.add(np.full((64, 96, 3), bgr, np.uint8), 0)
    frames, stream = read(tmp_path / "a.mp4")
    context = stream.codec_context
    assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
    assert context.color_range == 1
    assert np.abs(bt709(frames[0][1].to_ndarray(format="yuv420p")) - bgr).max() <= 5


@pytest.mark.parametrize("size", [(321, 240), (320, 241), (321, 241), (17, 1), (1, 1)])
def test_odd_sizes_are_padded_to_even(tmp_path, size):
    image = picture(*size)
    with VideoWriter(tmp_path / "a.mp4", crf=5) as writer:
        writer.add(image, 0)
        writer.add(image, 40 * MS)
    frames, stream = read(tmp_path / "a.mp4")
    assert (stream.width, stream.height) == tuple(n + n % 2 for n in size)
    back = frames[1][1].to_ndarray(format="bgr24")[: size[1], : size[0]]
    assert np.abs(back.astype(int) - image).mean() < 12


def test_another_size_is_letterboxed_into_the_first(tmp_path):
    white = np.full((200, 100, 3), 255, np.uint8)
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.add(picture(), 0)
        writer.add(white, 40 * MS)
        writer.add(np.ascontiguousarray(white[:, ::-1])[:, ::2], 80 * MS)
    frames, stream = read(tmp_path / "a.mp4")
    assert (stream.width, stream.height) == (320, 240)
    grey = frames[1][1].to_ndarray(format="gray")
    assert grey[120, 160] > 240
    assert grey[120, 20] < 24
    assert len(frames) == 3


_KILLED = """
import sys
import numpy as np
from perception.recording.video import VideoWriter
rng = np.random.default_rng(1)
writer = VideoWriter(sys.argv[1])
for i in range(int(sys.argv[2])):
    writer.add(rng.integers(0, 256, (120, 160, 3), np.uint8), i * 33_333_333)
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("frames", [61, 100, 200])
def test_killed_writer_loses_at_most_the_last_second(tmp_path, frames):
    path = tmp_path / "a.mp4"
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, str(path), str(frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as writer:
        assert writer.stdout.readline() == b"written\n"
        writer.send_signal(signal.SIGKILL)
    readable, _ = read(path)
    assert len(readable) >= frames - 31


def write_until_it_fails(writer):
    for i in range(500):
        writer.add(picture(seed=i), i * 40 * MS)


def test_full_disk_is_a_sink_error_and_stays_one():
    writer = VideoWriter("/dev/full")
    with pytest.raises(SinkError, match=r"/dev/full.*[Nn]o space"):
        write_until_it_fails(writer)
    with pytest.raises(SinkError, match="/dev/full"):
        writer.add(picture(), 10_000 * MS)
    writer.close()


_FILLED = """
import resource
import sys
import numpy as np
from perception.errors import SinkError
from perception.recording.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
rng = np.random.default_rng(1)
writer = VideoWriter(sys.argv[1])
try:
    for i in range(500):
        writer.add(rng.integers(0, 256, (120, 160, 3), np.uint8), i * 33_333_333)
except SinkError as error:
    print(i, error)
writer.close()
"""


def test_disk_that_fills_up_leaves_what_was_written(tmp_path):
    path = tmp_path / "a.mp4"
    done = subprocess.run(
        [sys.executable, "-c", _FILLED, str(path)], capture_output=True, text=True, check=True
    )
    written, _, why = done.stdout.partition(" ")
    assert "File too large" in why
    readable, _ = read(path, cut=True)
    assert len(readable) >= int(written) - 62


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"file.a\.mp4"):
        VideoWriter(tmp_path / "file" / "a.mp4").add(picture(), 0)


def test_no_frame_leaves_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4"):
        pass
    assert not list(tmp_path.iterdir())
