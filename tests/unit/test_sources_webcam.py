"""Webcams. No device is had here: a real OpenCV capture of a clip stands in for the driver."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perception.errors import SourceError, SourceLost
from perception.sources import allocate_new
from perception.sources.webcam import WebcamSource
from tests.clips import ClipDevice, write_clip


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipDevice:
    clip = write_clip(tmp_path / "clip.mp4", frames=200, size=(160, 120))
    device = ClipDevice(clip)
    monkeypatch.setattr("perception.sources.webcam.open_device", lambda *_: device)
    monkeypatch.setattr("perception.sources.webcam._unusable", lambda _: None)
    return device


def webcam(**options: Any) -> WebcamSource:
    return WebcamSource(WebcamSource.Options(**options), camera="desk")


def use_up(source: WebcamSource) -> None:
    """Open, where it is closed, and read until it fails or 20 reads gave no error."""
    if source._grabber is None:
        source.open()
    for _ in range(20):
        source.read(allocate_new)


def test_frames_are_decoded_into_the_slot(device: ClipDevice) -> None:
    with closing(webcam()) as source:
        source.open()
        got = [source.read(allocate_new) for _ in range(5)]
        times = [frame.t_media_ns for frame in got if frame]
        assert len(times) == 5
        assert (np.diff(times) > 0).all()
        assert device.in_place == 5
        assert source.fps == pytest.approx(25)


def test_rotation_turns_the_picture(device: ClipDevice) -> None:
    with closing(webcam(rotate=90)) as source:
        source.open()
        frame = source.read(allocate_new)
        assert frame is not None
        assert frame.image.shape == (160, 120, 3)


def test_hung_driver_is_lost_and_the_thread_counted(device: ClipDevice) -> None:
    source = webcam(read_timeout_s=0.5)
    source.open()
    assert source.read(allocate_new) is not None
    device.hung.set()
    with pytest.raises(SourceLost, match=r"no frame for 0\.5 s"):
        use_up(source)
    thread = source._grabber
    source.close()
    assert source.counters["threads_abandoned"] == 1
    device.unplug()
    assert thread is not None
    thread.join(10)
    assert not thread.is_alive()


def test_unplugged_webcam_is_lost_and_may_come_back(
    device: ClipDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(webcam()) as source:
        source.open()
        assert source.read(allocate_new) is not None
        device.unplug()
        with pytest.raises(SourceLost, match="unplugged"):
            use_up(source)
        monkeypatch.setattr("perception.sources.webcam._unusable", lambda _: "no such webcam")
        with pytest.raises(SourceLost, match="no such webcam"):
            source.open()


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (99, "no such webcam; there are: "),
        ("/dev/video98", "no such webcam"),
        ("/dev/null", "cannot be opened"),
    ],
)
def test_what_is_no_webcam_is_refused(device: int | str, why: str) -> None:
    source = webcam(device=device)
    with closing(source), pytest.raises(SourceError, match=why) as caught:
        use_up(source)
    assert "/dev/" in str(caught.value)
