"""What every row of SOURCES keeps, whatever it reads from."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from perception.errors import ConfigError, SourceEnded, SourceError, SourceLost
from perception.sources import SOURCES, AllocatePlanes, Image, allocate_new, source_class
from perception.sources.push import Pusher
from tests.clips import ClipDevice, write_clip
from tests.senders import ffmpeg_sends, hls_server, picture_server
from tests.servers import free_port, mpegts_server, rtsp_server
from tests.unit.test_sources_bag import Bag

LOST = ("rtsp", "mpegts", "rtmp", "hls", "mjpeg", "snapshot")
"""Those that may come back."""

NEVER_THERE: dict[str, dict[str, Any]] = {
    "video": {"path": "/nowhere/clip.mp4"},
    "rtsp": {"url": "rtsp://user:s3cret@127.0.0.1:1/x"},
    "mpegts": {"url": "tcp://127.0.0.1:1"},
    "rtp": {"path": "/nowhere/a.sdp"},
    "rtmp": {"url": "rtmp://127.0.0.1:1/live"},
    "hls": {"url": "http://127.0.0.1:1/a.m3u8"},
    "mjpeg": {"url": "http://127.0.0.1:1/a.mjpg"},
    "snapshot": {"url": "http://127.0.0.1:1/a.jpg", "read_timeout_s": 0.3},
    "webcam": {"device": "/dev/video99"},
    "images": {"path": "/nowhere"},
    "bag": {"path": "/nowhere/drive.bag"},
    "push": {},
    "synthetic": {"pictures": "/nowhere"},
}


@contextlib.contextmanager
def working(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield options of a source that gives 160x120 frames for as long as the block lasts."""
    clip = write_clip(folder / "clip.mp4", frames=40, size=(160, 120))
    with contextlib.ExitStack() as stack:
        match name:
            case "video":
                yield {"path": clip}
            case "rtsp":
                yield {"url": stack.enter_context(rtsp_server(sizes="160x120")).url}
            case "mpegts":
                ts = write_clip(folder / "clip.ts", frames=40, size=(160, 120))
                yield {"url": stack.enter_context(mpegts_server(ts)).url}
            case "webcam":
                device = ClipDevice(clip)
                patch.setattr("perception.sources.webcam.open_device", lambda *_: device)
                patch.setattr("perception.sources.webcam._unusable", lambda _: None)
                yield {}
                device.unplug()
            case "rtp" | "rtmp":
                ts = write_clip(folder / "clip.ts", frames=40, size=(160, 120))
                url = f"{name}://127.0.0.1:{free_port()}"
                form = ("-bsf:v", "dump_extra") if name == "rtp" else ()
                kind = name if name == "rtp" else "flv"
                url += "/live/a" if name == "rtmp" else ""
                stack.enter_context(ffmpeg_sends(ts, *form, "-f", kind, url))
                port = int(url.partition("127.0.0.1:")[2].partition("/")[0])
                yield {"url": url, "listen": True} if name == "rtmp" else {"port": port}
            case "hls":
                yield {"url": stack.enter_context(hls_server(folder / "web"))}
            case "mjpeg" | "snapshot":
                path = "/still" if name == "snapshot" else "/film"
                yield {"url": stack.enter_context(picture_server()) + path}
            case "images":
                for n in range(4):
                    cv2.imwrite(str(folder / f"{n}.png"), np.full((120, 160, 3), n * 9, np.uint8))
                yield {"path": folder}
            case "bag":
                with Bag(folder / "drive", "mcap") as bag:
                    for n in range(4):
                        form = "bgr8", bytes([n]) * (120 * 160 * 3), 160 * 3
                        bag.image(n, form, size=(120, 160))
                yield {"path": folder / "drive"}
            case "push":
                stack.enter_context(pushing(folder))
                yield {}
            case _:
                yield {"width": 160, "height": 120, "frames": 5}


@contextlib.contextmanager
def pushing(run_dir: Path) -> Iterator[None]:
    stop = threading.Event()

    def push() -> None:
        with Pusher(run_dir, "front") as pusher:
            while not stop.wait(0.01):
                pusher.send(np.full((120, 160), 7, np.uint8), timeout_s=0.1)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("name", SOURCES)
def test_frames_come_in_the_array_that_was_allocated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = source_class(name)
    given: list[Image] = []

    def allocate(height: int, width: int) -> Image:
        given.append(allocate_new(height, width))
        return given[-1]

    with working(name, tmp_path, monkeypatch) as options:
        with closing(
            cls(cls.Options.model_validate(options), camera="front", run_dir=tmp_path)
        ) as source:
            source.open()
            times: list[int] = []
            for _ in range(60):
                frame = source.read(allocate)
                if frame is None:
                    continue
                assert frame.image is given[-1]
                assert frame.image.shape == (120, 160, 3)
                assert source.live or len(given) == len(times) + 1
                times.append(frame.t_media_ns)
                if len(times) == 3:
                    break
            assert len(times) == 3
            assert (np.diff(times) > 0).all()
            assert source.fps is None or source.fps > 0
            assert all(count >= 0 for count in source.counters.values())
            assert isinstance(source.live, bool)
        source.close()


@pytest.mark.parametrize("name", SOURCES)
def test_whatever_stands_in_the_slot_becomes_bgr(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = source_class(name)
    with (
        working(name, tmp_path, monkeypatch) as options,
        closing(
            cls(cls.Options.model_validate(options), camera="front", run_dir=tmp_path)
        ) as source,
    ):
        source.open()
        frame = next(
            frame for _ in range(60) if (frame := source.read(AllocatePlanes())) is not None
        )
        decoded = name in ("video", "rtsp", "mpegts", "rtp", "rtmp", "hls")
        coding = "bt601-full" if name == "mjpeg" else "bt601"
        assert frame.coding == (coding if decoded or name == "mjpeg" else "bgr")
        assert (frame.pixels.height, frame.pixels.width) == (120, 160)
        assert frame.pixels.bgr().shape == (120, 160, 3)


@pytest.mark.parametrize("name", SOURCES)
def test_unknown_options_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="colour"):
        source_class(name).Options.model_validate(NEVER_THERE[name] | {"colour": "red"})


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_not_there_is_one_sentence(name: str) -> None:
    cls = source_class(name)
    with closing(cls(cls.Options.model_validate(NEVER_THERE[name]), camera="front")) as source:
        with pytest.raises(SourceError) as caught:
            source.open()
        assert not isinstance(caught.value, SourceEnded)
        assert isinstance(caught.value, SourceLost) == (name in LOST)
        text = str(caught.value)
        assert "\n" not in text
        assert "s3cret" not in text


@pytest.mark.parametrize("name", SOURCES)
def test_close_is_safe_without_open_and_twice(name: str) -> None:
    cls = source_class(name)
    source = cls(cls.Options.model_validate(NEVER_THERE[name]), camera="front")
    source.close()
    source.close()
    with pytest.raises(SourceError):
        source.read(allocate_new)


def test_unknown_source_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'webcam'"):
        source_class("webcan")
