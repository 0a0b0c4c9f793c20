"""Streams against real servers that die, freeze, refuse and change their mind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from benchmarks.streams import Camera, number_of
from perception.errors import SourceLost
from perception.sources import Frame, allocate_new
from perception.sources.stream import MpegTsSource, RtspSource
from tests.line import BACK_S, RunningLine, running, wait_until
from tests.servers import (
    bytes_server,
    counting_forwarder,
    free_port,
    mpegts_server,
    rtsp_server,
    silent_server,
)

OFFLINE_S = 8.0
LOCKED_S = 33.0


def rtsp(url: str, **options: Any) -> RtspSource:
    return RtspSource(RtspSource.Options(url=url, **options), camera="front")


def mpegts(url: str, **options: Any) -> MpegTsSource:
    return MpegTsSource(MpegTsSource.Options(url=url, **options), camera="front")


def frames(source: Any, until: Callable[[Frame], bool] = lambda _: False) -> Iterator[Frame]:
    """Yield frames until one satisfies, at most for 20 s; read() never takes long."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        began = time.monotonic()
        frame = source.read(allocate_new)
        assert time.monotonic() - began < 1.0
        if frame is not None:
            yield frame
            if until(frame):
                return
    pytest.fail("no such frame in 20 s")


def first(source: Any) -> Frame:
    return next(frames(source))


def connect(source: Any) -> Frame:
    source.open()
    return first(source)


def lost(source: Any) -> tuple[SourceLost, float]:
    """Read until the source is lost; return why and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(SourceLost) as caught:
        for _ in frames(source):
            pass
    return caught.value, time.monotonic() - began


def come_back(source: Any) -> Frame:
    """Close and open until a frame comes, as a camera process does."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        source.close()
        try:
            return connect(source)
        except SourceLost:
            continue
    pytest.fail("not back in 20 s")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.ts"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"g": "15", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(90):
            picture = np.full((240, 320, 3), n * 2, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        out.mux(stream.encode())
    return path


@dataclass(frozen=True)
class LockedOut:
    """A line whose camera refuses its password; tries: when a connection was made."""

    line: RunningLine
    tries: list[float]
    offline_after_s: float


@pytest.fixture(scope="module")
def locked_out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockedOut]:
    """Goes on beside the module's other tests: its last one asks what happened meanwhile."""
    folder = tmp_path_factory.mktemp("locked-out")
    with (
        rtsp_server("user", "right") as server,
        counting_forwarder(server.port) as (port, tries),
    ):
        url = f"rtsp://user:wr0ng@127.0.0.1:{port}/test"
        with running(folder, {"cameras": {"door": {"source": url}}}) as line:
            line.wait_ready("camera-door")
            with line.health("camera-door") as listen:
                listen(OFFLINE_S, lambda health: "password" in health.note)
            yield LockedOut(line, tries, time.monotonic() - tries[0])


def test_a_refused_password_is_offline_in_time(locked_out: LockedOut) -> None:
    assert locked_out.offline_after_s < OFFLINE_S


def test_rtsp_gives_rising_frames_at_the_streams_rate() -> None:
    with rtsp_server() as server, closing(rtsp(server.url)) as source:
        source.open()
        got = [frame for frame, _ in zip(frames(source), range(45), strict=False)]
        assert {frame.image.shape for frame in got} == {(240, 320, 3)}
        media = np.diff([frame.t_media_ns for frame in got])
        assert (media > 0).all()
        assert np.median(media) == pytest.approx(1e9 / 30, rel=0.1)
        assert (np.diff([frame.t_arrival_ns for frame in got]) > 0).all()
        assert source.fps == pytest.approx(30)
        assert got[0].image.std() > 1


def test_a_slow_reader_gets_the_newest_frame_and_the_others_are_counted() -> None:
    with rtsp_server() as server, closing(rtsp(server.url)) as source:
        source.open()
        # The frames that FFmpeg kept while it probed come at once; then it is 30 a second.
        *_, before = (frame for frame, _ in zip(frames(source), range(30), strict=False))
        counted = source.counters["stale"]
        feed = source._stream._feed
        assert feed is not None
        with feed._changed:
            assert feed._changed.wait_for(lambda: feed._counts.get("stale", 0) >= 10, 20)
        frame = first(source)
        assert source.counters["stale"] - counted >= 10
        assert frame.t_media_ns - before.t_media_ns > 9 * 1e9 / 30
        assert time.monotonic_ns() - frame.t_arrival_ns < 0.3e9


@pytest.mark.fault("F16")
def test_a_change_of_size_gives_frames_of_the_new_size() -> None:
    with rtsp_server(sizes="320x240,640x480") as server, closing(rtsp(server.url)) as source:
        seen = connect(source).image.shape
        *_, other = frames(source, lambda frame: frame.image.shape != seen)
        assert {seen, other.image.shape} == {(240, 320, 3), (480, 640, 3)}
        *_, again = frames(source, lambda frame: frame.image.shape == seen)
        assert again.image.std() > 1


@pytest.mark.fault("F11")
def test_killed_server_is_lost_at_once_and_comes_back() -> None:
    with rtsp_server() as server, closing(rtsp(server.url)) as source:
        before = connect(source)
        server.kill()
        _, after_s = lost(source)
        assert after_s < 3
        source.close()
        with pytest.raises(SourceLost, match="refused"):
            source.open()
        server.restart()
        assert come_back(source).t_media_ns > before.t_media_ns


@pytest.mark.fault("F10", "F12")
def test_frozen_server_is_lost_in_time_and_comes_back() -> None:
    with rtsp_server() as server, closing(rtsp(server.url)) as source:
        connect(source)
        server.freeze()
        error, after_s = lost(source)
        assert "silent for 3 s" in str(error)
        assert after_s < OFFLINE_S
        began = time.monotonic()
        source.close()
        assert time.monotonic() - began < 1
        server.thaw()
        come_back(source)


@pytest.mark.parametrize("kind", [rtsp, mpegts])
@pytest.mark.fault("F09")
def test_server_that_accepts_and_says_nothing_is_lost_in_time(kind: Any) -> None:
    with silent_server() as port:
        scheme = "rtsp" if kind is rtsp else "tcp"
        with closing(kind(f"{scheme}://127.0.0.1:{port}")) as source:
            began = time.monotonic()
            source.open()
            assert time.monotonic() - began < 1
            error, _ = lost(source)
            assert time.monotonic() - began < OFFLINE_S
            assert str(port) in str(error)


@pytest.mark.parametrize("scheme", ["rtsp", "tcp", "http"])
@pytest.mark.fault("F11")
def test_reset_connection_is_lost_at_once(scheme: str) -> None:
    make = rtsp if scheme == "rtsp" else mpegts
    with silent_server(reset=True) as port, closing(make(f"{scheme}://127.0.0.1:{port}")) as source:
        began = time.monotonic()
        with pytest.raises(SourceLost):
            connect(source)
        assert time.monotonic() - began < 6


def test_hung_threads_are_counted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perception.sources.live.MAX_ABANDONED", 2)
    with silent_server() as port:
        source = rtsp(f"rtsp://127.0.0.1:{port}", open_timeout_s=60)
        for _ in range(2):
            source.open()
            source.close()
        assert source.counters["threads_abandoned"] == 2
        with pytest.raises(SourceLost, match="still hang") as caught:
            source.open()
        assert caught.value.retry_after_s == 30
        feeds = source._stream._abandoned
        source.close()
    # The server is gone: the threads wake, close their connections themselves and end.
    for feed in feeds:
        feed.join(10)
        assert not feed.is_alive()


@pytest.mark.fault("F13", "H11")
def test_wrong_password_waits_and_is_never_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with rtsp_server("user", "right") as server:
        with closing(rtsp(server.url)) as source:
            connect(source)
        with closing(rtsp(server.url.replace("right", "wr0ng"))) as source:
            with pytest.raises(SourceLost) as caught:
                connect(source)
            chain: BaseException | None = caught.value
            while chain is not None:
                assert "wr0ng" not in f"{chain!r}{chain}"
                chain = chain.__cause__ or chain.__context__
            assert caught.value.retry_after_s == 30
            assert "user:***@127.0.0.1" in str(caught.value)
    shown = capfd.readouterr()
    assert "wr0ng" not in shown.out + shown.err


def test_unknown_path_is_lost() -> None:
    with (
        rtsp_server() as server,
        closing(rtsp(server.url + "x")) as source,
        pytest.raises(SourceLost, match="no such stream"),
    ):
        connect(source)


def test_nobody_listening_is_lost() -> None:
    source = rtsp(f"rtsp://127.0.0.1:{free_port()}/x")
    with closing(source), pytest.raises(SourceLost, match="refused"):
        source.open()


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_mpegts_plays_and_its_end_is_lost(scheme: str, clip: Path) -> None:
    with mpegts_server(clip, scheme) as server, closing(mpegts(server.url)) as source:
        source.open()
        got = [frame for frame, _ in zip(frames(source), range(30), strict=False)]
        assert {frame.image.shape for frame in got} == {(240, 320, 3)}
        assert (np.diff([frame.t_media_ns for frame in got]) > 0).all()
        server.kill()
        lost(source)
        server.restart()
        assert come_back(source).t_media_ns > got[-1].t_media_ns


@pytest.mark.fault("H10")
def test_a_page_is_not_mpegts(tmp_path: Path) -> None:
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n" * 400)
    program = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:  # fmt: skip
        try:
            assert server.stdout
            port = server.stdout.readline().split(" port ")[1].split()[0]
            source = mpegts(f"http://127.0.0.1:{port}/list.m3u8")
            with closing(source), pytest.raises(SourceLost):
                connect(source)
        finally:
            server.kill()


def test_a_damaged_stream_smears_and_goes_on(clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    for at in np.random.default_rng(2).integers(4000, len(data), 60):
        data[at] ^= 0xFF
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(bytes_server(data, len(data) / 3))
        source = stack.enter_context(closing(mpegts(f"tcp://127.0.0.1:{port}")))
        source.open()
        got = [frame for frame, _ in zip(frames(source), range(150), strict=False)]
        assert (np.diff([frame.t_media_ns for frame in got]) > 0).all()
        assert {frame.image.shape for frame in got} == {(240, 320, 3)}


@pytest.mark.fault("H10")
def test_noise_is_lost_in_time() -> None:
    noise = np.random.default_rng(3).bytes(1 << 20)
    with bytes_server(noise, 1e6) as port, closing(mpegts(f"tcp://127.0.0.1:{port}")) as source:
        began = time.monotonic()
        with pytest.raises(SourceLost):
            connect(source)
        assert time.monotonic() - began < OFFLINE_S


_SUSPENDED = """
import sys, time
from perception.errors import SourceLost
from perception.sources import allocate_new
from perception.sources.stream import RtspSource

source = RtspSource(RtspSource.Options(url=sys.argv[1]), camera="front")
lost = False
source.open()
while True:
    try:
        frame = source.read(allocate_new)
    except SourceLost:
        source.close()
        try:
            source.open()
        except SourceLost:
            pass
        continue
    if frame is not None:
        print((time.monotonic_ns() - frame.t_arrival_ns) // 1_000_000, flush=True)
"""


def test_suspended_machine_comes_back_with_fresh_frames() -> None:
    """The whole process is stopped for longer than the time-out, then goes on."""
    with rtsp_server() as server:
        arguments = [sys.executable, "-c", _SUSPENDED, server.url]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                assert int(process.stdout.readline()) < 1000
                process.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
                stopped = time.monotonic()
                for _ in frames_elsewhere(server.url):
                    if time.monotonic() - stopped > 4:
                        break
                process.send_signal(signal.SIGCONT)
                ages = [int(process.stdout.readline()) for _ in range(60)]
                assert max(ages[30:]) < 1000
            finally:
                process.kill()


def frames_elsewhere(url: str) -> Iterator[Frame]:
    """Time passes, told by frames of the same server to somebody else."""
    with closing(rtsp(url)) as source:
        source.open()
        yield from frames(source)


def test_a_picture_of_mpegts_is_out_when_the_next_begins():
    """MPEG-TS hides one period, for a packet ends where the next begins; a parser hid another."""
    camera, fps = Camera(), 4
    port = camera.open(fps=fps, frames=40, height=240, width=512)
    with closing(mpegts(f"tcp://127.0.0.1:{port}")) as source:
        source.open()
        seen = [(number_of(f.image), f.t_arrival_ns) for f in frames(source, lambda f: True)]
        seen += [(number_of(f.image), f.t_arrival_ns) for f in frames(source, lambda f: True)]
    sent = {int(n): t for n, t in camera.sent().items()}
    assert min((t - sent[n]) / 1e9 for n, t in seen) < 1.6 / fps


@pytest.mark.fault("F13")
def test_a_refused_password_is_tried_at_most_once_in_30_s(locked_out: LockedOut) -> None:
    line, tries = locked_out.line, locked_out.tries
    wait_until(lambda: time.monotonic() > tries[0] + LOCKED_S, LOCKED_S, "30 s went by")
    wait_until(lambda: len(tries) >= 2, BACK_S, "it tries again")
    assert (np.diff(tries) >= 30).all()
    for pid in line.note_pids().values():
        assert b"wr0ng" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert line.stop() == 0
    assert "wr0ng" not in line.says + (line.folder / "log.jsonl").read_text()
