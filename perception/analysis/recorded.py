"""One camera's recording as messages in their order, and its pictures by media time.

Imports footage and below.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from perception.errors import ConfigError, MessageError, SourceError
from perception.footage.messages import PACKETS, LoggedMessage, PacketLine, read
from perception.footage.rows import SegmentRow
from perception.footage.unfinished import messages_of
from perception.pixels import Pixels
from perception.sources import AllocatePlanes
from perception.sources.decoding import Painter, configure_decoder
from perception.wire.codec import decode_record
from perception.wire.journal import from_text

_OPEN = 3
"""Segments whose messages are held at once: readers of different topics go side by side."""
_AHEAD = 64
"""Decoded pictures that wait for who asks: more than any codec reorders."""


class Part:
    """Segments of one camera that were recorded by the same stages.

    manifest: see footage/manifest.py; None where the recording is older than that.
    """

    def __init__(self, root: Path, camera: str, manifest: Any) -> None:
        self.root, self.camera, self.manifest = root, camera, manifest
        self.rows: list[SegmentRow] = []
        self.unreadable = 0
        self._held: OrderedDict[str, dict[str, list[LoggedMessage]]] = OrderedDict()

    def raw(self, row: SegmentRow) -> dict[str, list[LoggedMessage]]:
        """Return the messages of a segment by topic."""
        if row.path not in self._held:
            self._held[row.path] = _by_topic(messages_of(self.root, row.path))
            while len(self._held) > _OPEN:
                self._held.popitem(last=False)
        return self._held[row.path]

    def messages(self, topic: str) -> Iterator[Any]:
        """Yield the messages of a topic; those that cannot be read are counted and left out."""
        for row in self.rows:
            for said in self.raw(row).get(topic, ()):
                try:
                    yield decode_record(said.data)
                except MessageError:
                    self.unreadable += 1


def parts(root: Path, rows: Sequence[SegmentRow]) -> list[Part]:
    """Return a camera's segments, oldest first, in parts of the same manifest."""
    found: list[Part] = []
    for row in rows:
        manifest = _manifest(messages_of(root, row.path))
        if not found or found[-1].manifest != manifest or found[-1].rows[-1].run != row.run:
            found.append(Part(root, row.camera, manifest))
        found[-1].rows.append(row)
    return found


class Pictures:
    """The pictures of a part as the camera's process had them; ask in the order they were sent."""

    def __init__(self, part: Part, rotate: int | None) -> None:
        self._part, self._rows = part, list(part.rows)
        self._painter, self._allocate = Painter(rotate), AllocatePlanes()
        self._stamps: set[int] = set()
        self._source: Iterator[tuple[int, Pixels]] = iter(())
        self._ready: OrderedDict[int, Pixels] = OrderedDict()

    def at(self, t_media_ns: int) -> Pixels | None:
        """Return the picture of a media time; None where it was not recorded."""
        if t_media_ns not in self._stamps:
            later = (n for n, row in enumerate(self._rows) if self._has(row, t_media_ns))
            at = next(later, None)
            if at is None:
                return None
            row = self._rows[at]
            del self._rows[: at + 1]
            times = {one.pts - row.base_pts: one.t_media_ns for one in self._lines(row)}
            self._stamps = set(times.values())
            self._source, self._ready = self._decode(row, times), OrderedDict()
        while t_media_ns not in self._ready:
            made = next(self._source, None)
            if made is None:
                return None
            self._ready[made[0]] = made[1]
            while len(self._ready) > _AHEAD:
                self._ready.popitem(last=False)
        return self._ready.pop(t_media_ns)

    def every(self, row: SegmentRow) -> Iterator[tuple[PacketLine, Pixels]]:
        """Yield every picture of a segment with its line of the packet index, as shown."""
        lines = self._lines(row)
        by_time = {line.t_media_ns: line for line in lines}
        times = {line.pts - row.base_pts: line.t_media_ns for line in lines}
        for t_media_ns, pixels in self._decode(row, times):
            yield by_time[t_media_ns], pixels

    def _lines(self, row: SegmentRow) -> list[PacketLine]:
        return [PacketLine.unpack(one.data) for one in self._part.raw(row).get(PACKETS, ())]

    def _has(self, row: SegmentRow, t_media_ns: int) -> bool:
        if not row.start_media_ns <= t_media_ns <= row.end_media_ns:
            return False
        return any(line.t_media_ns == t_media_ns for line in self._lines(row))

    def _decode(self, row: SegmentRow, times: dict[int, int]) -> Iterator[tuple[int, Pixels]]:
        try:
            with av.open(str(self._part.root / f"{row.path}.mp4")) as container:
                if configure_decoder(container) is not None:
                    return
                for packet in container.demux(container.streams.video[0]):
                    try:
                        pictures = packet.decode()
                    except FFmpegError:
                        continue
                    for picture in pictures:
                        t_media_ns = times.get(picture.pts) if picture.pts is not None else None
                        if t_media_ns is not None:
                            yield t_media_ns, self._painter.paint(picture, self._allocate)
        except (FFmpegError, OSError, SourceError):
            return


def _by_topic(path: Path) -> dict[str, list[LoggedMessage]]:
    found: dict[str, list[LoggedMessage]] = {}
    try:
        for said in read(path):
            found.setdefault(said.topic, []).append(said)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    return found


def _manifest(path: Path) -> Any:
    """Return what the journal says at the start of a segment; None where it says nothing."""
    with contextlib.suppress(OSError):
        for said in read(path):
            if said.topic == "journal":
                with contextlib.suppress(MessageError, ValueError):
                    message = decode_record(said.data)
                    if message.kind == "manifest":
                        return from_text(message.data)
    return None
