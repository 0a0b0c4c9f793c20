"""Video files: honest ones, odd ones, broken ones and ones in disguise."""

import contextlib
import os
import struct
import subprocess
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from perception.errors import SourceEnded, SourceError
from perception.sources import AllocatePlanes, Frame
from perception.sources.video import VideoSource
from perception.transport.ring import RingReader, RingWriter
from perception.wire import Coding
from tests.clips import play, write_clip

BT709, BT601, SMPTE240M, BT2020, LIMITED, FULL = 1, 5, 7, 9, 1, 2


def video(path: Path, **options: Any) -> VideoSource:
    return VideoSource(VideoSource.Options(path=path, **options), camera="front")


def media_ms(got: list[Frame]) -> list[int]:
    return [round(frame.t_media_ns / 1e6) for frame in got]


def refusal(path: Path, **options: Any) -> str:
    source = video(path, **options)
    with closing(source), pytest.raises(SourceError) as caught:
        play(source)
    text = str(caught.value)
    assert not isinstance(caught.value, SourceEnded)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def test_every_frame_comes_in_order_at_its_time(tmp_path: Path) -> None:
    source = video(write_clip(tmp_path / "clip.mp4", frames=50))
    got = play(source)
    assert media_ms(got) == [40 * n for n in range(50)]
    levels = [frame.image.mean() for frame in got]
    assert np.allclose(levels, [4 * n for n in range(50)], atol=6)
    assert source.fps == 25
    assert not source.live
    assert not any(source.counters.values())


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p", "mp4"), ("libx264", "yuv444p", "mp4"), ("libx264", "yuv420p", "ts"),
        ("libx264", "yuv420p10le", "mkv"), ("libx264", "gray", "mp4"), ("ffv1", "gray", "mkv"),
        ("ffv1", "gray10le", "mkv"), ("ffv1", "gray16le", "mkv"), ("ffv1", "yuva420p", "mkv"),
        ("ffv1", "bgra", "mkv"), ("ffv1", "gbrp16le", "mkv"), ("ffv1", "yuv422p12le", "mkv"),
        ("rawvideo", "bgr24", "avi"), ("gif", "rgb8", "gif"), ("png", "rgba64be", "mov"),
        ("png", "rgb24", "mov"), ("mjpeg", "yuvj420p", "avi"), ("mpeg4", "yuv420p", "avi"),
        ("png", "monob", "mov"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(64, 48), (67, 43)])
def test_pixel_formats_become_bgr(
    codec: str, pix_fmt: str, suffix: str, size: tuple[int, int], tmp_path: Path
) -> None:
    if size[0] % 2 and "420" in pix_fmt and codec != "ffv1":
        size = (66, 46)
    path = tmp_path / f"clip.{suffix}"
    try:
        write_clip(path, frames=4, size=size, codec=codec, pix_fmt=pix_fmt, colour=(255, 255, 255))
    except av.FFmpegError as error:
        pytest.skip(f"no way to write {codec} {pix_fmt}: {error}")
    got = play(video(path))
    assert len(got) == 4
    # swscale's fast conversion makes 250 253 251 of white, as cv2.VideoCapture does.
    for frame in got:
        assert frame.image.shape == (size[1], size[0], 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.min() >= 250


@pytest.mark.parametrize("colour", [(250, 20, 20), (20, 250, 20), (20, 20, 250), (128, 128, 128)])
@pytest.mark.parametrize("tags", [(BT709, LIMITED), (BT601, LIMITED), (BT709, FULL), (BT601, FULL)])
def test_the_tagged_matrix_and_range_are_used(
    colour: tuple[int, int, int], tags: tuple[int, int], tmp_path: Path
) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", frames=3, colour=colour, tags=tags, options={"crf": "1"}
    )
    for frame in play(video(path)):
        assert np.abs(frame.image.astype(int) - colour).max() <= 5


NOISE = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix", "tags", "coding"),
    [
        ("libx264", "yuv420p", "mp4", None, "bt601"),
        ("libx264", "yuv420p", "mp4", (BT601, LIMITED), "bt601"),
        ("libx264", "yuv420p", "mp4", (BT601, FULL), "bt601-full"),
        ("libx264", "yuv420p", "ts", (BT709, LIMITED), "bt709"),
        ("libx264", "yuv420p", "mkv", (BT709, FULL), "bt709-full"),
        ("libx264", "yuv420p", "mp4", (BT2020, LIMITED), "bt2020"),
        ("libx264", "yuv420p", "mp4", (BT2020, FULL), "bt2020-full"),
        ("mpeg4", "yuv420p", "avi", None, "bt601"),
        ("mjpeg", "yuvj420p", "avi", None, "bt601-full"),
        ("libx264", "yuv444p", "mp4", None, "bgr"), ("ffv1", "gray", "mkv", None, "bgr"),
        ("libx264", "yuv420p10le", "mkv", None, "bgr"), ("ffv1", "bgra", "mkv", None, "bgr"),
        ("libx264", "nv12", "mp4", None, "bt601"), ("rawvideo", "bgr24", "avi", None, "bgr"),
        ("libx264", "yuv420p", "mp4", (SMPTE240M, LIMITED), "bgr"),
    ],
)  # fmt: skip
def test_planes_become_what_swscale_makes_of_the_frame(
    codec: str, pix_fmt: str, suffix: str, tags: Any, coding: str, tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{suffix}"
    write_clip(
        path, frames=3, size=(64, 48), codec=codec, pix_fmt=pix_fmt, tags=tags, picture=NOISE
    )
    planes, plain = play(video(path), allocate=AllocatePlanes()), play(video(path))
    assert len(planes) == len(plain) == 3
    for frame, bgr in zip(planes, plain, strict=True):
        assert (frame.coding, bgr.coding) == (coding, "bgr")
        assert frame.image.shape == ((48, 64, 3) if coding == "bgr" else (72, 64))
        np.testing.assert_array_equal(frame.pixels.bgr(), bgr.image)
        assert bgr.image.std() > 20


def test_a_line_and_an_analysis_see_the_same_planes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=3, size=(64, 48), picture=NOISE)
    writer, reader = RingWriter(f"test-{uuid.uuid4().hex[:8]}", 4), RingReader()

    class Slot:
        def __call__(self, height: int, width: int) -> Any:
            return writer.begin(height, width)

        def planes(self, height: int, width: int, coding: Coding) -> Any:
            return writer.begin(height, width, coding)

    with closing(writer), closing(video(path)) as source:
        source.open()
        for frame in play(video(path), allocate=AllocatePlanes()):
            live = source.read(Slot())
            assert live is not None
            pixels = reader.pixels(*writer.commit(), 48, 64, live.coding)
            assert pixels.coding == frame.coding == "bt601"
            np.testing.assert_array_equal(pixels.data, frame.image)


@pytest.mark.parametrize(
    ("size", "options", "coding"),
    [
        ((66, 48), {}, "bt601"), ((65, 48), {}, "bgr"), ((64, 47), {}, "bgr"),
        ((64, 46), {}, "bgr"), ((854, 480), {}, "bt601"), ((64, 48), {"rotate": 90}, "bgr"),
        ((64, 48), {"rotate": 180}, "bgr"), ((64, 48), {"rotate": 0}, "bt601"),
    ],
)  # fmt: skip
def test_only_upright_pictures_of_even_sides_stand_as_planes(
    size: tuple[int, int], options: dict[str, Any], coding: str, tmp_path: Path
) -> None:
    codec = "ffv1" if size[0] % 2 or size[1] % 2 else "libx264"
    path = write_clip(tmp_path / "clip.mkv", frames=2, size=size, codec=codec)
    planes = play(video(path, **options), allocate=AllocatePlanes())
    plain = play(video(path, **options))
    for frame, bgr in zip(planes, plain, strict=True):
        assert frame.coding == coding
        np.testing.assert_array_equal(frame.pixels.bgr(), bgr.image)


def test_interlaced_pictures_are_converted_field_by_field(tmp_path: Path) -> None:
    options = {"x264-params": "tff=1"}
    path = write_clip(tmp_path / "clip.mp4", frames=2, size=(64, 64), options=options)
    assert [frame.coding for frame in play(video(path), allocate=AllocatePlanes())] == ["bgr"] * 2


def test_odd_sizes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", size=(65, 49), pix_fmt="yuv444p", frames=3)
    assert {frame.image.shape for frame in play(video(path))} == {(49, 65, 3)}


def half_white(tmp_path: Path) -> Path:
    """A clip of 64x48 whose upper half is white."""
    path = tmp_path / "half.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:24] = 255
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        out.mux(stream.encode())
    return path


def with_rotation(path: Path, clockwise: int) -> Path:
    """Rewrite the display matrix in the mp4's track header (ISO 14496-12 section 8.3.2)."""
    data = bytearray(path.read_bytes())
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise]
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    struct.pack_into(
        ">9i", data, at, cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30
    )
    turned = path.with_name(f"turned{clockwise}.mp4")
    turned.write_bytes(data)
    return turned


@pytest.mark.parametrize(
    ("clockwise", "shape", "white"),
    [
        (0, (48, 64, 3), np.s_[:20, :]),
        (90, (64, 48, 3), np.s_[:, 28:]),
        (180, (48, 64, 3), np.s_[28:, :]),
        (270, (64, 48, 3), np.s_[:, :20]),
    ],
)
@pytest.mark.parametrize("by", ["metadata", "option"])
def test_rotation(clockwise: int, shape: Any, white: Any, by: str, tmp_path: Path) -> None:
    path = half_white(tmp_path)
    if by == "metadata":
        source = video(with_rotation(path, clockwise))
    else:
        # The option stands in place of the metadata, it is not added to it.
        source = video(with_rotation(path, 90), rotate=clockwise)
    for frame in play(source):
        assert frame.image.shape == shape
        assert frame.image[white].mean() > 240
        assert 110 < frame.image.mean() < 145


@pytest.mark.fault("F16")
def test_a_change_of_size_in_mid_stream(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.ts", frames=20, size=(320, 240), options={"bf": "0"})
    large = write_clip(tmp_path / "b.ts", frames=20, size=(640, 360), options={"bf": "0"})
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    got = play(video(path))
    shapes = [frame.image.shape for frame in got]
    assert shapes == [(240, 320, 3)] * 20 + [(360, 640, 3)] * 20
    assert (np.diff(media_ms(got)) > 0).all()


def test_fps_overrides_the_header(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=10, fps=1000)
    source = video(path, fps=7)
    assert [frame.t_media_ns for frame in play(source)] == [round(n * 1e9 / 7) for n in range(10)]
    assert source.fps == 7


@pytest.mark.fault("F17")
def test_stamps_that_leap_are_repaired(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 90_000, 90_001]
    path = write_clip(
        tmp_path / "clip.mkv", frames=5, stamps=stamps, codec="ffv1", pix_fmt="yuv420p"
    )
    source = video(path)
    assert media_ms(play(source)) == [0, 40, 80, 120, 160]
    assert source.counters["pts_jumped"] == 1


def test_a_stream_without_stamps_is_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.h264", frames=30, options={"bf": "0"})
    source = video(path)
    got = play(source)
    assert len(got) == 30
    assert media_ms(got) == [40 * n for n in range(30)]


def test_start_and_duration(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=100, options={"g": "30"})
    got = play(video(path, start_s=2, duration_s=1))
    assert media_ms(got) == list(range(2000, 3000, 40))
    assert abs(got[0].image.mean() - 200) < 6
    assert media_ms(play(video(path, start_s=1, duration_s=0.2, fps=10))) == [1000, 1100]


def test_start_in_a_stream_without_index_is_exact(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.ts", frames=60, options={"g": "50", "bf": "0"})
    assert abs(play(video(path, start_s=1))[0].image.mean() - 100) < 6
    raw = write_clip(tmp_path / "clip.h264", frames=60, options={"g": "50", "bf": "0"})
    assert abs(play(video(raw, start_s=1))[0].image.mean() - 100) < 6


def test_start_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=10)
    assert refusal(path, start_s=60) == "no frame can be decoded at 60 s or later"


def test_loop_goes_on_rising(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=10)
    got = play(video(path, loop=True), at_most=35)
    assert media_ms(got) == [40 * n for n in range(35)]
    assert np.allclose([frame.image.mean() for frame in got[20:30]], np.arange(10) * 4, atol=6)
    part = play(video(path, loop=True, start_s=0.2, duration_s=0.1), at_most=9)
    assert media_ms(part) == [200 + 40 * n for n in range(9)]


def test_a_source_can_be_opened_again(tmp_path: Path) -> None:
    source = video(write_clip(tmp_path / "clip.mp4", frames=5))
    assert media_ms(play(source)) == media_ms(play(source)) == [0, 40, 80, 120, 160]


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=40, codec="mpeg4", options={"g": "5"})
    data = bytearray(path.read_bytes())
    start = data.index(b"movi")
    random = np.random.default_rng(1)
    for at in random.integers(start + 2000, len(data) - 4000, 60):
        data[at] ^= 0xFF
    path.write_bytes(data)
    source = video(path)
    got = play(source)
    assert len(got) > 20
    assert (np.diff(media_ms(got)) > 0).all()
    assert sum(source.counters.values()) > 0


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.fault("H10")
def test_any_damage_ends_in_frames_or_a_refusal(seed: int, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{('mp4', 'ts', 'mkv', 'avi')[seed % 4]}", frames=30)
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(0, len(data), 40):
        data[at] = random.integers(256)
    path.write_bytes(data[: random.integers(len(data) // 2, len(data) + 1)])
    got: list[Frame] = []
    with contextlib.suppress(SourceError):
        got = play(video(path), at_most=500)
    assert (np.diff([frame.t_media_ns for frame in got]) > 0).all()


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.mp4") == "cannot be opened: No such file or directory"
    assert refusal(tmp_path) == "not a regular file"
    os.mkfifo(tmp_path / "pipe.mp4")
    assert refusal(tmp_path / "pipe.mp4") == "not a regular file"
    assert refusal(Path("/dev/zero")) == "not a regular file"
    assert refusal(Path("nul\0.mp4")).startswith("cannot be opened")
    for name, data in {"empty": b"", "text": b"hello " * 1000, "zero": bytes(10_000)}.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(data)
        assert "not a video" in refusal(path) or "no frame" in refusal(path)


def test_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        silence.sample_rate = 44100
        out.mux(stream.encode(silence))
        out.mux(stream.encode())
    assert refusal(path) == "has no video"


def test_zero_frames_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mkv", frames=3, codec="libx264")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75")])
    assert refusal(path) == "not a video that can be read: End of file"
    empty = write_clip(tmp_path / "empty.avi", frames=0, codec="mpeg4")
    assert refusal(empty) in ("no frame can be decoded", "has no video")


@pytest.mark.fault("H10")
def test_disguised_playlists_open_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "real.mp4", frames=3)
    tricks = {
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        "list.mp4": f"ffconcat version 1.0\nfile '{clip}'\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }
    for name, text in tricks.items():
        (tmp_path / name).write_text(text)
        assert "not a video" in refusal(tmp_path / name)
    for name in (f"concat:{clip}|{clip}", f"subfile,,start,0,end,0,,:{clip}", "data:video/mp4,x"):
        assert refusal(Path(name)).startswith("cannot be opened")


@pytest.mark.fault("H10", "H11")
def test_names_that_look_like_protocols_or_options_are_files(tmp_path: Path) -> None:
    for name in ("concat:a.mp4", "-i.mp4", "a%03d.mp4", "b[1]*.mp4", "q?.mp4", "ü ñ.mp4"):
        path = tmp_path / name
        write_clip(tmp_path / "plain.mp4", frames=2).rename(path)
        assert len(play(video(path))) == 2


@pytest.mark.fault("H10")
def test_pictures_too_large_to_decode_are_refused(tmp_path: Path) -> None:
    """PNG in MOV whose header says 30000x30000: nothing of that size is allocated."""
    path = write_clip(tmp_path / "clip.mov", frames=2, codec="png", pix_fmt="rgb24")
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"IHDR", at + 1)) >= 0:
        struct.pack_into(">II", data, at + 4, 30_000, 30_000)
    path.write_bytes(data)
    assert refusal(path) == "no frame can be decoded"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("broken/raw_bgr24_48x48_crashes_cv2.avi", 51),
        ("broken/tree_header444_decodes68.avi", 68),
        ("broken/h264_smeared_tail.mp4", 280),
        ("doorway/whitehouse_faces_cuts.mp4", 275),
        ("surveillance/intel_person_bicycle_car.mp4", 459),
        ("surveillance/mall_street_5fr.mp4", 5),
    ],
)
def test_footage(name: str, count: int, footage: Path) -> None:
    got = play(video(footage / "video" / name))
    assert len(got) == count
    assert (np.diff([frame.t_media_ns for frame in got]) > 0).all()
    assert got[0].t_media_ns == 0


def test_footage_that_crashes_opencv_has_the_pixels_that_ffmpeg_gives(footage: Path) -> None:
    path = footage / "video" / "broken" / "raw_bgr24_48x48_crashes_cv2.avi"
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    try:
        raw = subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("no program ffmpeg")
    expected = np.frombuffer(raw, np.uint8).reshape(-1, 48, 48, 3)
    got = np.stack([frame.image for frame in play(video(path))])
    assert np.array_equal(got, expected)
