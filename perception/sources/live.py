"""Reads a network stream in a thread and keeps the newest frame. Base of RTSP, MPEG-TS and others.

Some calls of FFmpeg have no time-out (name resolution, TEARDOWN to a server that hangs). So nothing
here waits for the thread for long: a thread that does not end is abandoned and counted. It closes
its connection when FFmpeg returns. Only frames that the reader takes are converted and copied.
"""

import contextlib
import io
import threading
from typing import cast

import av
from av.container import InputContainer
from av.error import EOFError as EndOfStream
from av.error import FFmpegError, InvalidDataError
from av.video.stream import VideoStream

from perception.clock import NS_PER_S, monotonic_ns, to_ns
from perception.errors import SourceError, SourceLost
from perception.sources import Allocate, Frame
from perception.sources.address import Address, lost_because
from perception.sources.damage import DamageWatch
from perception.sources.decoding import Painter, configure_decoder, plausible_fps, pts_ns
from perception.sources.metadata import MetadataTap
from perception.sources.tap import PacketTap
from perception.sources.timeline import LiveTimeline
from perception.sources.urls import redact
from perception.wire import Damage

MAX_ABANDONED = 8
_WAIT_S = 0.5
_NO_PICTURE_NS = 15 * NS_PER_S
_EXPLAIN_NS = 2 * NS_PER_S
"""If a stream is not open after this time, `Address.explain` is called."""


class LiveStream:
    """Opens, reads and closes one stream. It can be opened again after it was closed.

    counters: stale (frames that a newer one replaced before they were read), packets_corrupt,
    frames_corrupt, frames_smeared (damage.py), threads_abandoned (FFmpeg did not return), and
    those of LiveTimeline.
    """

    def __init__(self, address: Address, rotate: int | None, counters: dict[str, int]) -> None:
        self._address = address
        self._counters = counters
        for name in ("stale", "packets_corrupt", "frames_corrupt", "frames_smeared"):
            counters.setdefault(name, 0)
        counters.setdefault("threads_abandoned", 0)
        self._timeline = LiveTimeline(counters)
        self._painter = Painter(rotate)
        self._feed: _Feed | None = None
        self._abandoned: list[_Feed] = []
        self._shown = redact(address.url)
        self.fps: float | None = None
        self.tap: PacketTap | None = None
        self.metadata: MetadataTap | None = None

    def open(self) -> None:
        """Start to connect and wait for at most 0.5 s. read() returns None while connecting.

        Raises SourceLost where the connection fails within that time.
        """
        self.close()
        self._abandoned = [feed for feed in self._abandoned if feed.is_alive()]
        if len(self._abandoned) >= MAX_ABANDONED:
            raise SourceLost(f"{self._shown}: {MAX_ABANDONED} earlier attempts still hang", 30.0)
        self._timeline.reconnected()
        self._feed = _Feed(self._address, self._shown, self._timeline, self.tap, self.metadata)
        self._feed.start()
        self._feed.wait_opened(_WAIT_S)

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the newest frame that was not read yet. None: there was none within 0.5 s.

        Raises SourceLost where the stream ended, failed, or sent nothing for its time-out.
        """
        if self._feed is None:
            raise SourceLost(f"{self._shown}: not open")
        newest = self._feed.take(_WAIT_S, self._counters)
        if newest is None:
            return None
        self.fps = self._feed.fps
        picture, arrival, t_media_ns, damage, received = newest
        try:
            painted = self._painter.paint(picture, allocate)
        except SourceError as error:
            raise SourceError(f"{self._shown}: {error}") from error
        return Frame(
            painted.data, t_media_ns, arrival, painted.coding, damage=damage, t_received_ns=received
        )

    def close(self) -> None:
        """Tell the thread to end and wait for at most 0.5 s. Safe to call twice."""
        feed, self._feed = self._feed, None
        if feed is None:
            return
        feed.cancel()
        feed.join(_WAIT_S)
        if self.tap is not None:
            self.tap.broken()
        if feed.is_alive():
            self._counters["threads_abandoned"] += 1
            self._abandoned.append(feed)


_Newest = tuple[av.VideoFrame, int, int, Damage, int]
"""A picture, its arrival time and media time, its damage, and the arrival of its packet; ns."""


class _Feed(threading.Thread):
    """The thread of one connection. `_changed` guards what it shares with the reader."""

    def __init__(
        self,
        address: Address,
        shown: str,
        timeline: LiveTimeline,
        tap: PacketTap | None,
        metadata: MetadataTap | None,
    ) -> None:
        super().__init__(name="live-stream", daemon=True)
        self._address, self._shown, self._timeline, self._tap = address, shown, timeline, tap
        self._metadata = metadata
        self._changed = threading.Condition()
        self._newest: _Newest | None = None
        self._damage = DamageWatch()
        self._ended: SourceLost | None = None
        self._opened = self._cancelled = self._asked = False
        self._counts: dict[str, int] = {}
        self._started_ns = self._packet_ns = self._picture_ns = monotonic_ns()
        self.fps: float | None = None

    def wait_opened(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._opened or self._ended, timeout_s)
            if self._ended is not None:
                raise self._ended

    def take(self, timeout_s: float, counters: dict[str, int]) -> "_Newest | None":
        """Return the newest picture; None: there was none within timeout_s. Raises SourceLost."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._ended, timeout_s)
            for name, count in self._counts.items():
                counters[name] += count
            self._counts.clear()
            newest, self._newest = self._newest, None
            if newest is not None:
                return newest
            if self._ended is None:
                self._ended = self._timed_out(monotonic_ns())
            self._explain_if_late(monotonic_ns())
            if self._ended is not None:
                raise self._ended
            return None

    def _explain_if_late(self, now: int) -> None:
        if self._opened or self._asked or now - self._started_ns < _EXPLAIN_NS:
            return
        self._asked = True
        threading.Thread(target=self._explain, name="live-stream-why", daemon=True).start()

    def _explain(self) -> None:
        """End the stream, with the reason of `Address.explain` if it knows one."""
        if self._opened or self._cancelled or self._address.explain is None:
            return
        why = self._address.explain(self._address.url)
        if why:
            with self._changed:
                if not self._opened:
                    self._ended = SourceLost(f"{self._shown}: {why}", 10.0)
                    self._changed.notify_all()

    def cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._newest = None

    def run(self) -> None:
        reason = SourceLost(f"{self._shown}: its thread failed")
        try:
            self._receive()
            reason = SourceLost(f"{self._shown}: the stream ended")
        except FFmpegError as error:
            reason = lost_because(self._shown, error)
            if isinstance(error, InvalidDataError | EndOfStream):
                self._explain()
        except SourceLost as error:
            reason = error
            self._explain()
        finally:
            with self._changed:
                self._ended = self._ended or reason
                self._changed.notify_all()

    def _timed_out(self, now: int) -> SourceLost | None:
        address = self._address
        if not self._opened:
            if now - self._started_ns > to_ns(address.open_timeout_s):
                return SourceLost(f"{self._shown}: no answer for {address.open_timeout_s:g} s")
        elif now - self._packet_ns > to_ns(address.read_timeout_s):
            return SourceLost(f"{self._shown}: silent for {address.read_timeout_s:g} s")
        elif now - self._picture_ns > _NO_PICTURE_NS:
            return SourceLost(f"{self._shown}: sends, but no picture can be decoded")
        return None

    def _receive(self) -> None:
        address = self._address
        place = io.BytesIO(address.description) if address.description else address.url
        container = av.open(
            place,
            mode="r",
            format=address.demuxer,
            options=address.options,
            metadata_errors="replace",
            timeout=(address.open_timeout_s, address.read_timeout_s),
        )
        try:
            self._decode(container)
        finally:
            with contextlib.suppress(FFmpegError):
                container.close()

    def _decode(self, container: InputContainer) -> None:
        reason = configure_decoder(container)
        if reason is not None:
            raise SourceLost(f"{self._shown}: {reason}", 10.0)
        stream = container.streams.video[0]
        with self._changed:
            self.fps = plausible_fps(stream.average_rate) or plausible_fps(stream.guessed_rate)
            self._opened = True
            self._packet_ns = self._picture_ns = monotonic_ns()
            self._changed.notify_all()
        with contextlib.suppress(EndOfStream):
            others = self._metadata.streams(container) if self._metadata else ()
            for packet in container.demux(stream, *others):
                if packet.stream is not stream and self._metadata is not None:
                    self._metadata.packet(packet, monotonic_ns())
                elif not self._hand_over(cast("av.Packet[VideoStream]", packet), stream):
                    return

    def _hand_over(self, packet: "av.Packet[VideoStream]", stream: VideoStream) -> bool:
        """Decode one packet and keep its last picture. Return False where the stream has ended.

        Every picture gets its media time here, also one that is never read.
        """
        corrupt, received = packet.is_corrupt, monotonic_ns()
        try:
            pictures = packet.decode()
        except FFmpegError:
            pictures, corrupt = [], True
        now = monotonic_ns()
        with self._changed:
            if self._cancelled or self._ended is not None:
                return False
            self._packet_ns = now
            self._count("packets_corrupt", int(corrupt))
            if self._tap is not None:
                self._tap.packet(packet, stream, now)
            if corrupt and not pictures:
                self._damage.lost(now)
            for picture in pictures:
                self._picture_ns = now
                flagged = corrupt or picture.is_corrupt
                damage = self._damage.of(flagged, bool(picture.key_frame), now)
                self._count("frames_corrupt", int(damage == "direct"))
                self._count("frames_smeared", int(damage == "carried"))
                self._count("stale", int(self._newest is not None))
                t_media_ns = self._timeline.stamp(pts_ns(picture), now)
                self._newest = picture, now, t_media_ns, damage, received
                if self._tap is not None:
                    self._tap.picture(picture.pts, t_media_ns)
                if self._metadata is not None:
                    self._metadata.picture(pts_ns(picture), t_media_ns)
            if pictures:
                self._changed.notify_all()
        return True

    def _count(self, name: str, count: int) -> None:
        if count:
            self._counts[name] = self._counts.get(name, 0) + count
