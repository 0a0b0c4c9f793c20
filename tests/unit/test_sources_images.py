"""Stills: order, depth, orientation, and files that are no images or too large to be."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perception.errors import SourceEnded, SourceError
from perception.sources.image_header import image_size
from perception.sources.images import ImagesSource
from perception.sources.spec import CONVERT
from tests.clips import play


def images(path: Path, **options: Any) -> ImagesSource:
    return ImagesSource(ImagesSource.Options(path=path, **options), camera="front")


def write(path: Path, pixels: Any) -> Path:
    assert cv2.imwrite(str(path), pixels)
    return path


def grey(level: int, depth: Any = np.uint8) -> Any:
    return np.full((8, 12), level, depth)


def bomb(side: int) -> bytes:
    """A PNG header of side x side px, with hardly any data."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + bytes(64)


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    for n in (10, 9, 1, 100, 2):
        write(tmp_path / f"img{n}.png", grey(n))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    source = images(tmp_path, fps=4)
    got = play(source)
    assert [int(frame.image[0, 0, 0]) for frame in got] == [1, 2, 9, 10, 100]
    assert [frame.t_media_ns for frame in got] == [n * 250_000_000 for n in range(5)]
    assert source.fps == 4
    assert not source.live


def test_a_glob_and_one_file(tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b1.png", "b[1].png"):
        write(tmp_path / name, grey(1))
    assert len(play(images(tmp_path / "a*.png"))) == 2
    assert len(play(images(tmp_path / "b[1].png"))) == 1
    assert len(play(images(tmp_path / "**" / "*.png"))) == 4


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((6, 7), 40, np.uint8), [40, 40, 40]),
        (np.full((6, 7, 3), (1, 2, 3), np.uint8), [1, 2, 3]),
        (np.full((6, 7, 4), (1, 2, 3, 9), np.uint8), [1, 2, 3]),
        (np.full((6, 7, 3), (1000, 2000, 3000), np.uint16), [0, 85, 170]),
        (np.full((6, 7), 4000, np.uint16), [255, 255, 255]),
        (np.full((6, 7), 60000, np.uint16), [255, 255, 255]),
    ],
)
def test_depths_and_channels(pixels: Any, expected: list[int], tmp_path: Path) -> None:
    write(tmp_path / "a.png", pixels)
    (frame,) = play(images(tmp_path, levels_16bit=[1000, 4000]))
    assert frame.image.shape == (6, 7, 3)
    assert frame.image.dtype == np.uint8
    assert (frame.image == expected).all()


def test_levels_come_from_the_first_16_bit_image_and_stay(tmp_path: Path) -> None:
    ramp = np.linspace(20_000, 30_000, 96 * 100).reshape(96, 100).astype(np.uint16)
    write(tmp_path / "1.tiff", ramp)
    write(tmp_path / "2.tiff", np.full((96, 100), 25_000, np.uint16))
    first, second = play(images(tmp_path))
    assert (first.image.min(), first.image.max()) == (0, 255)
    assert abs(int(second.image[0, 0, 0]) - 127) <= 1


def test_levels_that_do_not_rise_are_refused() -> None:
    for levels in ([5, 5], [9, 2], [-1, 5], [0, 70_000]):
        with pytest.raises(ValidationError, match="low < high"):
            ImagesSource.Options.model_validate({"path": "x", "levels_16bit": levels})


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16] = 255
    data = write(tmp_path / "plain.jpg", pixels).read_bytes()
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    marker = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (tmp_path / "plain.jpg").write_bytes(data[:2] + marker + data[2:])
    (frame,) = play(images(tmp_path))
    assert frame.image.shape == (32, 16, 3)
    assert frame.image[:15].mean() > 240
    assert frame.image[17:].mean() < 15


@pytest.mark.fault("H09")
def test_unreadable_ones_are_skipped_and_counted(tmp_path: Path) -> None:
    good = write(tmp_path / "1.png", grey(7)).read_bytes()
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes(b"not an image")
    (tmp_path / "4.png").write_bytes(good[:40])
    (tmp_path / "5.jpg").write_bytes(good)
    (tmp_path / "6.png").write_bytes(bomb(20_000))
    write(tmp_path / "7.tiff", np.full((8, 8), 0.5, np.float32))
    (tmp_path / "8.png").symlink_to(tmp_path / "gone")
    source = images(tmp_path)
    got = play(source)
    assert [int(frame.image[0, 0, 0]) for frame in got] == [7, 7]
    # Skipped images keep their place in time.
    assert [frame.t_media_ns for frame in got] == [0, 400_000_000]
    assert source.counters == {"images_unreadable": 4, "images_too_large": 1, "images_left_out": 0}


def test_loop_goes_on_rising(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"{n}.png", grey(n))
    got = play(images(tmp_path, loop=True, fps=10), at_most=8)
    assert [frame.t_media_ns for frame in got] == [n * 100_000_000 for n in range(8)]


@pytest.mark.parametrize("content", ["nothing", "text", "broken"])
def test_no_image_at_all_is_one_sentence(content: str, tmp_path: Path) -> None:
    if content != "nothing":
        (tmp_path / ("a.txt" if content == "text" else "a.png")).write_bytes(b"x" * 100)
    for loop in (False, True):
        with pytest.raises(SourceError) as caught:
            play(images(tmp_path, loop=loop))
        assert str(caught.value).startswith(f"{tmp_path}: no")
        assert not isinstance(caught.value, SourceEnded)
    with pytest.raises(SourceError):
        images(Path("nul\0")).open()


@pytest.mark.parametrize(
    ("suffix", "channels"),
    [(suffix, 1) for suffix in ("png", "jpg", "bmp", "webp", "tiff", "pgm", "pbm")]
    + [(suffix, 3) for suffix in ("png", "jpg", "bmp", "webp", "tiff", "ppm")],
)
def test_headers_are_read_as_written(suffix: str, channels: int, tmp_path: Path) -> None:
    pixels = np.zeros((37, 53, channels), np.uint8).squeeze()
    assert image_size(write(tmp_path / f"a.{suffix}", pixels).read_bytes()) == (37, 53)


@given(
    st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"RIFF....WEBPVP8", b"II*\0", b"P5 "]
    ),
    st.binary(max_size=80),
)
def test_any_bytes_give_a_size_or_none(head: bytes, rest: bytes) -> None:
    size = image_size(head + rest)
    assert size is None or all(side >= 0 for side in size)


def test_footage_of_every_kind(footage: Path) -> None:
    thermal = play(images(footage / "images" / "thermal" / "*.tiff"))
    assert thermal[0].image.std() > 10
    faces = play(images(footage / "images" / "faces" / "face_recognition" / "*.jpg"))
    assert len(faces) > 5


def test_without_fps_each_picture_stands_alone(tmp_path: Path) -> None:
    for n in range(3):
        write(tmp_path / f"{n}.png", grey(n))
    source = images(tmp_path)
    assert [frame.name for frame in play(source)] == ["0.png", "1.png", "2.png"]
    assert source.fps is None


def test_pictures_that_are_not_read_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(1))
    for name in ("b.dng", "c.JXL", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    source = images(tmp_path)
    assert len(play(source)) == 1
    assert source.counters["images_left_out"] == 2
    assert source.problems == [f"left out: b.dng, c.JXL; {CONVERT}"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(SourceError, match=r"b\.dng is not read: convert"):
        images(tmp_path).open()


def test_names_of_left_out_pictures_are_at_most_twenty(tmp_path: Path) -> None:
    write(tmp_path / "a.png", grey(1))
    for n in range(50):
        (tmp_path / f"{n}.dng").write_bytes(b"x")
    source = images(tmp_path)
    source.open()
    assert "and 30 more" in source.problems[0]


def heif(png: Path, path: Path) -> Path:
    if shutil.which("heif-enc") is None:
        pytest.skip("needs heif-enc (Debian: libheif-examples)")
    avif = ["-A"] if path.suffix == ".avif" else []
    command = ["heif-enc", *avif, "-q", "90", str(png), "-o", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("suffix", [".avif", ".heic", ".gif"])
def test_pictures_of_phones(tmp_path: Path, suffix: str) -> None:
    shown = cv2.resize(np.random.default_rng(0).integers(0, 255, (6, 9, 3), np.uint8), (96, 64))
    path = tmp_path / f"a{suffix}"
    if suffix == ".gif":
        write(path, shown)
    else:
        heif(write(tmp_path / "shown.png", shown), path)
    assert image_size(path.read_bytes()) == (64, 96)
    (frame,) = play(images(path))
    assert np.abs(frame.image.astype(int) - shown).mean() < 20


def test_a_heic_of_several_tiles_is_named_and_not_shown_in_part(tmp_path: Path) -> None:
    path = heif(write(tmp_path / "a.png", np.zeros((64, 96, 3), np.uint8)), tmp_path / "a.heic")
    data = path.read_bytes()
    at = data.index(b"ispe") + 8
    path.write_bytes(data[:at] + struct.pack(">II", 192, 128) + data[at + 8 :])
    source = images(path)
    with pytest.raises(SourceError, match="none of 1 images can be read"):
        play(source)
    assert source.problems == [f"unreadable: a.heic; {CONVERT}"]
