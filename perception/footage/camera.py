"""What is recorded of one camera: segments, clips, losses. Used by the writer's thread alone."""

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from perception.clock import NS_PER_S
from perception.footage.catalog import Catalog
from perception.footage.chain import Chain
from perception.footage.clips import Clips
from perception.footage.fragments import Fragment
from perception.footage.messages import LoggedMessage
from perception.footage.rows import LossRow, SegmentRow, TrackRow
from perception.footage.segment import PacketStamp, Segment

SEGMENT_NS = 60 * NS_PER_S
MAX_SEGMENT_NS = 120 * NS_PER_S
"""A stream with a key frame only every few minutes is cut here: its next segment begins at the
next key frame, what is in between is lost."""
MAX_SEGMENT_BYTES = 256 << 20
SILENT_NS = 30 * NS_PER_S
RETRY_NS = 2 * NS_PER_S
"""After the disk refused, it is tried again so much later."""
_MAX_WAITING = 1000


@dataclass(frozen=True, slots=True)
class Options:
    """before_s, after_s: of the clip of an alert; clips: whether there are any. manifest: the
    journal's first entry of each segment."""

    clips: bool = True
    before_s: float = 5.0
    after_s: float = 5.0
    manifest: bytes = b""


class CameraRecorder:
    """Writes what one camera sends. No method raises OSError: a refusal of the disk is a loss.

    trouble: what is wrong with the disk now, empty where nothing is.
    """

    def __init__(
        self,
        catalog: Catalog,
        chain: Chain,
        camera: str,
        run: str,
        options: Options,
        table: Callable[[str], dict[str, Any]],
    ) -> None:
        self._catalog, self._chain, self._camera, self._run = catalog, chain, camera, run
        self._table = table
        self._clips = Clips(catalog.root, camera, options.before_s, options.after_s)
        self._with_clips, self._manifest = options.clips, options.manifest
        self._segment: Segment | None = None
        self._number = 0
        self._waiting: deque[LoggedMessage] = deque(maxlen=_MAX_WAITING)
        self._dropped = 0
        self._unlisted: list[SegmentRow] = []
        self._losses: list[LossRow] = []
        self._loss: LossRow | None = None
        before = catalog.last(camera)
        self._last_packet = before.last_packet if before is not None else None
        self._last_wall_ns = before.end_wall_ns if before is not None else 0
        self._last_ns = self._retry_ns = 0
        self.trouble = ""
        self.frames = 0

    def packet(self, fragment: Fragment, arrived: PacketStamp, now_ns: int) -> None:
        """Take a packet. now_ns: monotonic."""
        self._missed(arrived)
        self._last_ns = now_ns
        if now_ns < self._retry_ns:
            self.lost("disk", 1, arrived.t_wall_ns)
            return
        try:
            self._write(fragment, arrived)
        except OSError as error:
            self._fail(error, arrived.t_wall_ns, now_ns)

    def _write(self, fragment: Fragment, arrived: PacketStamp) -> None:
        segment = self._segment
        if segment is not None and self._is_over(segment, fragment, arrived):
            self._end()
        if self._segment is None:
            if not fragment.key:
                self.lost("no key frame", 1, arrived.t_wall_ns)
                return
            self._number += 1
            self._segment = Segment(
                self._catalog.root, self._camera, self._run, self._number, fragment, arrived,
                self._table,
            )  # fmt: skip
            if self._manifest:
                begun = LoggedMessage(
                    "journal", arrived.t_wall_ns, arrived.t_media_ns, self._manifest
                )
                self._segment.message(begun)
            while self._waiting:
                self._segment.message(self._waiting.popleft())
        self._settle_loss()
        self._segment.add(fragment, arrived)
        self.frames += 1
        self.trouble = ""
        if self._with_clips:
            self._clips.add(fragment, arrived.t_media_ns)

    def message(self, message: LoggedMessage, now_ns: int) -> None:
        """Take a message; without an open segment the last 1000 wait for one."""
        if self._segment is None:
            self._waiting.append(message)
            return
        try:
            self._segment.message(message)
        except OSError as error:
            self._fail(error, message.t_wall_ns, now_ns)

    def track(self, row: TrackRow) -> None:
        """Note what is known of a track now."""
        if self._segment is not None:
            self._segment.note_track(row)

    def alert(self, key: str, t_media_ns: int, now_ns: int) -> None:
        """Note an alert that was raised, and begin its clip."""
        if self._segment is not None:
            self._segment.note_alert(key)
        if self._with_clips:
            try:
                self._clips.begin(key, t_media_ns)
            except OSError as error:
                self._fail(error, self._last_wall_ns, now_ns)

    def lost(self, cause: str, packets: int, t_wall_ns: int) -> None:
        """Note packets that cannot be recorded; one row for what follows without a break."""
        if self._loss is not None and self._loss.cause == cause:
            packets += self._loss.packets
            t_from = self._loss.from_wall_ns
        else:
            self._settle_loss()
            t_from = t_wall_ns
        self._loss = LossRow(
            camera=self._camera, from_wall_ns=t_from, to_wall_ns=t_wall_ns, cause=cause,
            packets=packets,
        )  # fmt: skip

    def dropped(self, packets: int, t_wall_ns: int) -> None:
        """Note packets that found no room in the recorder's queue."""
        self._dropped += packets
        self.lost("queue of the recorder", packets, t_wall_ns)

    def turn(self, now_ns: int) -> None:
        """Flush what is due; end a segment that hears nothing for 30 s."""
        if self._unlisted and now_ns >= self._retry_ns:
            with contextlib.suppress(OSError):
                self._list()
        if self._segment is None:
            return
        try:
            if now_ns - self._last_ns > SILENT_NS:
                self._end()
            else:
                self._segment.turn(now_ns)
        except OSError as error:
            self._fail(error, self._last_wall_ns, now_ns)

    def close(self) -> None:
        """End segment and clips."""
        self._settle_loss()
        with contextlib.suppress(OSError):
            self._end()
        self._clips.close()
        with contextlib.suppress(OSError):
            self._list()
        for loss in self._losses:
            with contextlib.suppress(OSError):
                self._catalog.add_loss(loss)

    def _is_over(self, segment: Segment, fragment: Fragment, arrived: PacketStamp) -> bool:
        if fragment.stream != segment.stream or (arrived.packet_id ^ segment.last.packet_id) >> 32:
            return True
        age_ns = arrived.t_wall_ns - segment.start_wall_ns
        large = segment.size_bytes > MAX_SEGMENT_BYTES
        return (age_ns >= SEGMENT_NS and fragment.key) or large or age_ns > MAX_SEGMENT_NS

    def _end(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            row = segment.close(self._losses)
        except OSError:
            segment.abandon()
            raise
        self._losses = []
        self._unlisted.append(row)
        self._list()

    def _list(self) -> None:
        """Add complete segments to chain and catalog; those that fail are tried again."""
        while self._unlisted:
            row = self._unlisted[0]
            if row.path not in self._chain.paths:
                self._chain.add(row)
            self._catalog.add(row)
            del self._unlisted[0]

    def _fail(self, error: OSError, t_wall_ns: int, now_ns: int) -> None:
        """The disk refused: leave the segment for repair and try again later."""
        self.trouble = error.strerror or type(error).__name__
        self._retry_ns = now_ns + RETRY_NS
        if self._segment is not None:
            self._segment.abandon()
            self._segment = None
        self._clips.close()
        self.lost("disk", 1, t_wall_ns)

    def _settle_loss(self) -> None:
        if self._loss is not None:
            self._losses.append(self._loss)
            with contextlib.suppress(OSError):
                self._catalog.add_loss(self._loss)
            self._loss = None

    def _missed(self, arrived: PacketStamp) -> None:
        """Count packets between the last one and this one that never came, less those dropped."""
        before, self._last_packet = self._last_packet, arrived.packet_id
        since, self._last_wall_ns = self._last_wall_ns, arrived.t_wall_ns
        dropped, self._dropped = self._dropped, 0
        if before is None or before >> 32 != arrived.packet_id >> 32:
            return
        if (missing := arrived.packet_id - before - 1 - dropped) > 0:
            self.lost("not received", 0, since)
            self.lost("not received", missing, arrived.t_wall_ns)
