"""A video file as a source: every frame in order, with its media time.

One decoder thread, because frame threads delay frames. The file is opened only as a file and only
by demuxers that read a single file, so a playlist cannot open other files or addresses.
"""

import stat
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Annotated, Literal

import av
from av.container import InputContainer
from av.error import EOFError as EndOfFile
from av.error import FFmpegError
from av.video.stream import VideoStream
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from perception.clock import monotonic_ns, to_ns
from perception.errors import SourceEnded, SourceError
from perception.sources import Allocate, Frame
from perception.sources.damage import DamageWatch
from perception.sources.decoding import Painter, configure_decoder, plausible_fps, pts_ns
from perception.sources.tap import PacketTap
from perception.sources.timeline import Timeline
from perception.wire import Damage

_DEMUXERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,h264,hevc,obu,ivf,flv,live_flv,asf,ogg,mjpeg,"
    "mxf,nut,m4v,dv,gif,apng,yuv4mpegpipe,wtv,rm,vc1,rawvideo"
)
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _DEMUXERS}
_READ_NS = 400_000_000
_OPEN_NS = 5_000_000_000
_MAX_READ_ERRORS = 20


class VideoSource:
    """A video file, decoded as fast as it is read (pacing.Paced plays it in real time).

    Options: path. fps: frame n is at n / fps, for a file with wrong times. rotate: degrees
    clockwise instead of the rotation in the file. loop: start again at the end; media time
    continues to rise. realtime: None: the run decides. start_s, duration_s: the part of the file to
    play.
    """

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        path: Annotated[Path, AfterValidator(Path.expanduser)]
        fps: float | None = Field(default=None, gt=0, le=1000)
        rotate: Literal[0, 90, 180, 270] | None = None
        loop: bool = False
        realtime: bool | None = None
        start_s: float = Field(default=0.0, ge=0, le=1e6)
        duration_s: float | None = Field(default=None, gt=0, le=1e6)

    live = False

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        self.fps = options.fps
        self.counters: dict[str, int] = {"packets_corrupt": 0, "frames_corrupt": 0}
        self.counters |= {"frames_smeared": 0, "read_errors": 0}
        self._painter = Painter(options.rotate)
        self._start_ns = to_ns(options.start_s)
        self._end_ns = None
        if options.duration_s is not None:
            self._end_ns = self._start_ns + to_ns(options.duration_s)
        self._pass: _Pass | None = None
        self._held: tuple[av.VideoFrame, int, Damage] | None = None
        self._shift_ns = 0
        self._last_ns: int | None = None
        self.tap: PacketTap | None = None

    def open(self) -> None:
        """Open the file and decode its first frame (for at most 5 s). Raises SourceError."""
        self.close()
        self._shift_ns, self._last_ns = 0, None
        self._pass = self._begin()
        deadline = monotonic_ns() + _OPEN_NS
        while self._held is None and monotonic_ns() < deadline:
            self._held = self._advance()

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame. None: none could be decoded in 0.4 s. Raises: see Source.read."""
        held, self._held = self._held, None
        deadline = monotonic_ns() + _READ_NS
        while held is None and monotonic_ns() < deadline:
            held = self._advance()
        if held is None:
            return None
        picture, t_media_ns, damage = held
        arrival = monotonic_ns()
        try:
            painted = self._painter.paint(picture, allocate)
        except SourceError as error:
            raise SourceError(f"{self._options.path}: {error}") from error
        return Frame(painted.data, t_media_ns, arrival, painted.coding, damage=damage)

    @property
    def expected_frames(self) -> int | None:
        """Number of frames in the header, for progress bars. It may be wrong. None: unknown."""
        whole = self._options.start_s == 0 and self._options.duration_s is None
        return self._pass.expected_frames if self._pass is not None and whole else None

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._pass is not None:
            self._pass.close()
        self._pass = self._held = None

    def _begin(self) -> "_Pass":
        options = self._options
        if self._start_ns and options.fps is None:
            one = _Pass(options.path, None, self.counters, self.tap, seek_ns=self._start_ns)
            if one.landed_before(self._start_ns):
                self.fps = one.fps
                return one
            one.close()
        one = _Pass(options.path, options.fps, self.counters, self.tap)
        self.fps = options.fps or one.fps
        return one

    def _advance(self) -> tuple[av.VideoFrame, int, Damage] | None:
        """Decode one step. Return a frame that is to be shown; None: the step gave none."""
        if self._pass is None:
            raise SourceError(f"{self._options.path}: not open")
        item = next(self._pass, None)
        if item is None or (self._end_ns is not None and item[1] >= self._end_ns):
            self._next_pass()
            return None
        picture, t_ns = item
        if picture is None or t_ns < self._start_ns:
            return None
        if self._pass.shown == 0 and self._last_ns is not None:
            self._shift_ns = self._last_ns + self._pass.period_ns - t_ns
        self._pass.shown += 1
        self._last_ns = t_ns + self._shift_ns
        if self.tap is not None:
            self.tap.picture(picture.pts, self._last_ns)
        return picture, self._last_ns, self._pass.damage

    def _next_pass(self) -> None:
        assert self._pass is not None
        path = self._options.path
        if self._pass.shown == 0:
            where = f" at {self._options.start_s:g} s or later" if self._start_ns else ""
            raise SourceError(f"{path}: no frame can be decoded{where}")
        if not self._options.loop:
            raise SourceEnded(f"{path}: end of file")
        self._pass.close()
        self._pass = self._begin()


class _Pass:
    """One pass over a file. Iterates over (frame, t_ns); (None, 0) for a step without a frame."""

    def __init__(
        self,
        path: Path,
        fps: float | None,
        counters: dict[str, int],
        tap: PacketTap | None,
        seek_ns: int = 0,
    ) -> None:
        self._path, self._counters, self._tap = path, counters, tap
        self._container, self._stream = _open(path)
        self.shown = 0
        self._watch, self._t_ns = DamageWatch(), 0
        self.damage: Damage = "none"
        self.expected_frames: int | None = self._stream.frames or None
        self.fps = plausible_fps(self._stream.average_rate) or plausible_fps(
            self._stream.guessed_rate
        )
        self._origin = self._stream.start_time or 0
        self._timeline = Timeline(counters, fps=fps, header_fps=self.fps)
        if seek_ns:
            self._seek(seek_ns)
        self._steps = self._walk()
        self._first: tuple[av.VideoFrame | None, int] | None = None

    @property
    def period_ns(self) -> int:
        return self._timeline.period_ns

    def __iter__(self) -> "_Pass":
        return self

    def __next__(self) -> tuple[av.VideoFrame | None, int]:
        first, self._first = self._first, None
        return first or next(self._steps)

    def close(self) -> None:
        self._steps.close()
        self._container.close()
        if self._tap is not None:
            self._tap.broken()

    def landed_before(self, t_ns: int) -> bool:
        """Return whether the first frame after a seek has a pts and is not later than t_ns."""
        for picture, at_ns in self._steps:
            if picture is not None:
                self._first = picture, at_ns
                return picture.pts is not None and at_ns <= t_ns
        return False

    def _seek(self, t_ns: int) -> None:
        base = self._stream.time_base
        if base is None:
            return
        try:
            self._container.seek(self._origin + int(t_ns / 1e9 / base), stream=self._stream)
        except FFmpegError:
            self._counters["read_errors"] += 1

    def _walk(self) -> Generator[tuple[av.VideoFrame | None, int]]:
        failed = 0
        while True:
            try:
                for packet in self._container.demux(self._stream):
                    failed = 0
                    yield from self._decode(packet)
                return
            except EndOfFile:
                return
            except FFmpegError:
                self._counters["read_errors"] += 1
                failed += 1
                if failed >= _MAX_READ_ERRORS:
                    return
                yield None, 0

    def _decode(
        self, packet: "av.Packet[VideoStream]"
    ) -> Iterator[tuple[av.VideoFrame | None, int]]:
        corrupt = packet.is_corrupt
        try:
            pictures = packet.decode()
        except FFmpegError:
            self._counters["packets_corrupt"] += 1
            pictures, corrupt = [], True
        if corrupt and not pictures:
            self._watch.lost(self._t_ns)
        if self._tap is not None:
            self._tap.packet(packet, self._stream, monotonic_ns())
        for picture in pictures:
            t_ns = self._t_ns = self._timeline.stamp(pts_ns(picture, self._origin))
            flagged = corrupt or picture.is_corrupt
            self.damage = self._watch.of(flagged, bool(picture.key_frame), t_ns)
            self._counters["frames_corrupt"] += self.damage == "direct"
            self._counters["frames_smeared"] += self.damage == "carried"
            yield picture, t_ns
        if not pictures:
            yield None, 0


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(f"{path}: cannot be opened: {reason}") from error
    if not stat.S_ISREG(mode):
        raise SourceError(f"{path}: not a regular file")
    try:
        name = f"file:{path.absolute()}"
        container = av.open(name, options=_OPTIONS, metadata_errors="replace")
    except FFmpegError as error:
        raise SourceError(f"{path}: not a video that can be read: {error.strerror}") from error
    reason = configure_decoder(container)
    if reason is not None:
        container.close()
        raise SourceError(f"{path}: {reason}")
    return container, container.streams.video[0]
