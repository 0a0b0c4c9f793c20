"""One segment that is being written: video in .mp4.part, messages in .mcap.part.

Names are of UTC: a local hour comes twice a year. A file gets its own name when it is complete and
on the disk.
"""

import contextlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from perception.clock import NS_PER_S
from perception.footage import thumbnail
from perception.footage.fragments import Fragment, decode_time, shifted
from perception.footage.messages import PACKETS, LoggedMessage, MessageFile, PacketLine
from perception.footage.rows import LossRow, SegmentRow, TrackRow, to_file

PART = ".part"
SUFFIXES = (".mp4", ".mcap", thumbnail.SUFFIX)
"""Of the files of a segment."""
SYNC_NS = 2 * NS_PER_S
FLUSH_NS = NS_PER_S


class PacketStamp(NamedTuple):
    """When a packet came. packet_id: epoch << 32 | n, n without gaps. Times in ns."""

    packet_id: int
    t_media_ns: int
    t_arrival_ns: int
    t_wall_ns: int


class Segment:
    """An open segment. Every method but `abandon` raises OSError where the disk refuses."""

    def __init__(
        self,
        root: Path,
        camera: str,
        run: str,
        number: int,
        first: Fragment,
        arrived: PacketStamp,
        table: Callable[[str], dict[str, Any]],
    ) -> None:
        begun = datetime.fromtimestamp(arrived.t_wall_ns / 1e9, UTC)
        name = f"{begun:%Y%m%dT%H%M%S}.{begun.microsecond // 1000:03d}Z"
        epoch = arrived.packet_id >> 32
        self.path = f"{camera}/{begun:%Y-%m-%d}/{begun:%H}/{name}-e{epoch}-{number:04d}"
        self._root, self._camera, self._run = root, camera, run
        self._first, self._arrived, self._last = first, arrived, arrived
        self.end_media_ns = arrived.t_media_ns
        self._base = decode_time(first.data)[1]
        self._frames = self._synced_ns = self._flushed_ns = 0
        self._objects: dict[str, int] = {}
        self._tracks: dict[int, TrackRow] = {}
        self._alerts: list[str] = []
        folder = (root / self.path).parent
        folder.mkdir(parents=True, exist_ok=True)
        self._video = self._file(".mp4").open("wb", buffering=0)
        try:
            self._size = self._write(first.header)
            self._messages = MessageFile(self._file(".mcap"), camera, table)
        except OSError:
            # Nothing was recorded in it: a full disk is tried every 2 s and must not fill a folder.
            self._video.close()
            self._file(".mp4").unlink(missing_ok=True)
            self._file(".mcap").unlink(missing_ok=True)
            raise

    @property
    def stream(self) -> int:
        """Number of the stream its packets belong to."""
        return self._first.stream

    @property
    def start_wall_ns(self) -> int:
        """Wall time of its first packet."""
        return self._arrived.t_wall_ns

    @property
    def last(self) -> PacketStamp:
        """Its last packet."""
        return self._last

    @property
    def size_bytes(self) -> int:
        """Bytes of video so far."""
        return self._size

    def add(self, fragment: Fragment, arrived: PacketStamp) -> None:
        """Append a fragment of this segment's stream."""
        data = shifted(fragment.data, self._base)
        line = PacketLine(
            arrived.packet_id, fragment.pts, arrived.t_media_ns, arrived.t_arrival_ns,
            arrived.t_wall_ns, self._size, len(data), int(fragment.key),
        )  # fmt: skip
        self._size += self._write(data)
        self._messages.add(
            LoggedMessage(PACKETS, arrived.t_wall_ns, arrived.t_media_ns, line.pack())
        )
        self._frames += 1
        self._last = arrived
        self.end_media_ns = max(self.end_media_ns, arrived.t_media_ns)

    def message(self, message: LoggedMessage) -> None:
        """Append a message."""
        self._messages.add(message)

    def note_track(self, row: TrackRow) -> None:
        """Note what is known of a track now."""
        if row.track_id not in self._tracks and row.start_wall_ns >= self.start_wall_ns:
            self._objects[row.class_name] = self._objects.get(row.class_name, 0) + 1
        self._tracks[row.track_id] = row

    def note_alert(self, key: str) -> None:
        """Note an alert that was raised in this segment."""
        if key not in self._alerts:
            self._alerts.append(key)

    def turn(self, now_ns: int) -> None:
        """Flush messages each second and video to the disk every 2 s. now_ns: monotonic."""
        if now_ns - self._flushed_ns > FLUSH_NS:
            self._flushed_ns = now_ns
            self._messages.flush()
        if now_ns - self._synced_ns > SYNC_NS:
            self._synced_ns = now_ns
            os.fdatasync(self._video.fileno())

    def close(self, losses: list[LossRow]) -> SegmentRow:
        """Complete both files under their own names; return the segment's row."""
        os.fsync(self._video.fileno())
        self._video.close()
        self._file(".mp4").replace(self._root / f"{self.path}.mp4")
        row = self._row(losses, 0)
        self._messages.finish(to_file(row))
        done = self._root / f"{self.path}.mcap"
        self._file(".mcap").replace(done)
        with contextlib.suppress(OSError):
            self._write_thumbnail()
        return self._row(losses, done.stat().st_size)

    def _write_thumbnail(self) -> None:
        """Write the first picture beside the video; a segment is whole without it."""
        picture = thumbnail.make(self._first.header + self._first.data)
        if picture is not None:
            part = self._file(thumbnail.SUFFIX)
            part.write_bytes(picture)
            part.replace(self._root / f"{self.path}{thumbnail.SUFFIX}")

    def abandon(self) -> None:
        """Leave the files as they are; they are repaired at the next start."""
        with contextlib.suppress(OSError):
            self._video.close()
        self._messages.abandon()

    def _row(self, losses: list[LossRow], message_bytes: int) -> SegmentRow:
        return SegmentRow(
            path=self.path,
            camera=self._camera,
            run=self._run,
            stream=self._first.stream,
            start_wall_ns=self._arrived.t_wall_ns,
            end_wall_ns=self._last.t_wall_ns,
            start_media_ns=self._arrived.t_media_ns,
            end_media_ns=self.end_media_ns,
            first_packet=self._arrived.packet_id,
            last_packet=self._last.packet_id,
            frames=self._frames,
            video_bytes=self._size,
            message_bytes=message_bytes,
            codec=self._first.codec,
            width=self._first.width,
            height=self._first.height,
            timescale=self._first.timescale,
            base_pts=self._base,
            objects=self._objects,
            tracks=list(self._tracks.values()),
            alerts=self._alerts,
            losses=losses,
        )

    def _file(self, suffix: str) -> Path:
        return self._root / f"{self.path}{suffix}{PART}"

    def _write(self, data: bytes) -> int:
        left = memoryview(data)
        while left:
            left = left[self._video.write(left) or 0 :]
        return len(data)
