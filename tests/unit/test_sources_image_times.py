"""Folders of pictures with a file of times: KITTI's raw data, its odometry, and broken ones."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from perception.clock import NS_PER_S
from perception.errors import SourceError
from perception.launchfile.build import is_stills
from perception.sources.image_times import find_times, rate_of, read_times
from perception.wire.plan import CameraPlan, StagePlan
from tests.clips import play
from tests.unit.test_sources_images import images

DAY_NS = 1_317_042_145 * NS_PER_S
"""2011-09-26 13:02:25 UTC."""
FRACTIONS = ["594360375", "697820300", "801259500", "904719300"]


def pictures(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(first, first + count):
        assert cv2.imwrite(str(folder / f"{n:010d}.png"), np.full((8, 12, 3), n, np.uint8))
    return folder


def raw(tmp_path: Path, count: int = 4) -> Path:
    """KITTI's raw form: image_02/data/*.png and image_02/timestamps.txt."""
    pictures(tmp_path / "image_02" / "data", count)
    lines = [f"2011-09-26 13:02:25.{part}" for part in FRACTIONS]
    (tmp_path / "image_02" / "timestamps.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "image_02"


def test_kitti_raw_has_the_times_of_its_file(tmp_path: Path) -> None:
    source = images(raw(tmp_path))
    got = play(source)
    assert [frame.t_media_ns for frame in got] == [DAY_NS + int(part) for part in FRACTIONS]
    assert [int(frame.image[0, 0, 0]) for frame in got] == [0, 1, 2, 3]
    assert source.fps == pytest.approx(1e9 / 103_459_800)


def test_the_inner_folder_finds_the_times_above_it(tmp_path: Path) -> None:
    inner = raw(tmp_path) / "data"
    assert play(images(inner))[0].t_media_ns == DAY_NS + 594_360_375


def test_odometry_has_seconds(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "00" / "image_2", 3)
    (tmp_path / "00" / "times.txt").write_text("0.000000e+00\n1.036224e-01\n2.072446e-01\n")
    times = [frame.t_media_ns for frame in play(images(folder))]
    assert times == [0, 103_622_400, 207_244_600]


def test_pictures_left_out_keep_their_own_lines(tmp_path: Path) -> None:
    folder = raw(tmp_path)
    (folder / "data" / "0000000001.png").unlink()
    times = [frame.t_media_ns - DAY_NS for frame in play(images(folder))]
    assert times == [int(FRACTIONS[n]) for n in (0, 2, 3)]


def test_it_is_a_film_unless_nothing_says_so(tmp_path: Path) -> None:
    def stills(path: Path, **options: object) -> bool:
        source = StagePlan(type="images", options={"path": str(path), **options})
        return is_stills(
            CameraPlan(
                name="a", source=source, detectors=["default"], rate_hz=None, objects=None,
                zones={}, lines={}, rules={}, keep_s=1.0,
            )
        )  # fmt: skip

    assert not stills(raw(tmp_path))
    plain = pictures(tmp_path / "plain" / "own", 2)
    assert stills(plain)
    assert not stills(plain, fps=10)
    assert not stills(plain, timestamps="t.txt")


def test_fps_of_the_user_comes_first(tmp_path: Path) -> None:
    times = [frame.t_media_ns for frame in play(images(raw(tmp_path), fps=4))]
    assert times == [n * NS_PER_S // 4 for n in range(4)]


def test_a_loop_goes_on_rising(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "a", 2)
    (folder / "times.txt").write_text("5\n5.5\n")
    source = images(folder, loop=True)
    source.open()
    got = [source.read(lambda h, w: np.empty((h, w, 3), np.uint8)) for _ in range(5)]
    source.close()
    assert [frame.t_media_ns / NS_PER_S for frame in got if frame] == [5, 5.5, 6, 6.5, 7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0\n1\nsoon\n", r"times\.txt:3: 'soon' is no time"),
        ("0\n1\n1\n", r"times\.txt:3: 1 is not later"),
        ("0\nnan\n", r"times\.txt:2: 'nan' is no time"),
        ("0\n1e300\n", r"times\.txt:2"),
        ("2011-13-40 00:00:00\n", r"times\.txt:1"),
        ("0\n1\n", r"times\.txt: 2 times for 3 pictures"),
        ("", r"times\.txt: 0 times for 3 pictures"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    folder = pictures(tmp_path / "a", 3)
    (folder / "times.txt").write_text(text)
    with pytest.raises(SourceError, match=said):
        images(folder).open()


def test_no_file_is_no_film(tmp_path: Path) -> None:
    assert find_times(pictures(tmp_path / "a" / "b", 1)) is None
    assert find_times(tmp_path / "nothing") is None
    with pytest.raises(SourceError, match="cannot be read"):
        read_times(tmp_path / "none.txt")
    assert rate_of([7]) is None
