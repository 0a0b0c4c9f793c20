"""Messages of a camera in MCAP: what was detected, tracked, alerted, and an index of the packets.

A file that was cut off by a kill is read to its last whole chunk. Limits: a record of at most
MAX_RECORD bytes.
"""

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from mcap.exceptions import McapError
from mcap.records import Channel, Message, Metadata
from mcap.stream_reader import StreamReader
from mcap.writer import CompressionType, Writer
from zstandard import ZstdError

MAX_RECORD = 64 << 20
PACKETS = "packets"
SEGMENT = "segment"
"""Name of the metadata record that describes the whole segment, as JSON under the key `row`."""
_CHUNK = 1 << 18
_DAMAGED = (
    *(McapError, ZstdError, struct.error, zlib.error),
    *(ValueError, EOFError, MemoryError, RuntimeError, KeyError, IndexError, OverflowError),
)
"""What the reader raises for bytes that are no MCAP; lz4 raises RuntimeError."""
_PACKET = struct.Struct("<QqqQqQIB")


class PacketLine(NamedTuple):
    """One packet of the index. t_*: ns. offset, size: bytes of its fragment in the MP4 file.

    pts: of the stream, in 1/timescale s; the MP4 file has it less the segment's `base_pts`.
    """

    packet_id: int
    pts: int
    t_media_ns: int
    t_arrival_ns: int
    t_wall_ns: int
    offset: int
    size: int
    key: int

    def pack(self) -> bytes:
        """Return the bytes of the line."""
        return _PACKET.pack(*self)

    @classmethod
    def unpack(cls, data: bytes) -> "PacketLine":
        """Return the line in bytes. Raises ValueError."""
        try:
            return cls(*_PACKET.unpack(data))
        except struct.error as error:
            raise ValueError(f"not a line of the packet index: {error}") from None


class LoggedMessage(NamedTuple):
    """A message of a file: topic, wall time and media time in ns, bytes."""

    topic: str
    t_wall_ns: int
    t_media_ns: int
    data: bytes


class MessageFile:
    """Writes one MCAP file. Every method raises OSError where the disk refuses."""

    def __init__(self, path: Path, camera: str, table: Callable[[str], dict[str, Any]]) -> None:
        """table: given a topic, return what a stranger needs to read its messages."""
        self._file: IO[bytes] = path.open("wb")
        self._camera, self._table = camera, table
        self._writer = Writer(self._file, chunk_size=_CHUNK, compression=CompressionType.ZSTD)
        try:
            self._writer.start(profile="perception", library="perception")
        except OSError:
            self.abandon()
            raise
        self._channels: dict[str, int] = {}
        self.count = 0

    def add(self, said: LoggedMessage) -> None:
        """Append a message."""
        channel = self._channels.get(said.topic)
        if channel is None:
            channel = self._channels[said.topic] = self._channel(said.topic)
        self._writer.add_message(
            channel, log_time=said.t_wall_ns, publish_time=max(0, said.t_media_ns), data=said.data
        )
        self.count += 1

    def flush(self) -> None:
        """Complete the open chunk, so that a kill loses nothing before it."""
        self._writer.flush()
        self._file.flush()

    def finish(self, row: dict[str, Any] | None) -> None:
        """End the file, with the segment's row where it is known."""
        if row is not None:
            self._writer.add_metadata(SEGMENT, {"row": json.dumps(row)})
        self._writer.finish()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def abandon(self) -> None:
        """Close the file as it is."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _channel(self, topic: str) -> int:
        if topic == PACKETS:
            table: dict[str, Any] = {"struct": _PACKET.format, "fields": PacketLine._fields}
        else:
            table = self._table(topic)
        schema = self._writer.register_schema(
            f"perception.{topic}", "perception.table", json.dumps(table).encode()
        )
        return self._writer.register_channel(f"/{self._camera}/{topic}", "perception", schema)


def read(path: Path) -> Iterator[LoggedMessage]:
    """Yield the messages of a file in their order; ends where the file is cut off or damaged."""
    for record in _records(path):
        if isinstance(record, tuple):
            channel, message = record
            yield LoggedMessage(
                channel.topic.rpartition("/")[2],
                message.log_time,
                message.publish_time,
                message.data,
            )


def read_row(path: Path) -> dict[str, Any] | None:
    """Return the row of a whole segment; None where the file has none (it was cut off)."""
    found = None
    for record in _records(path):
        if isinstance(record, Metadata) and record.name == SEGMENT:
            with contextlib.suppress(ValueError):
                found = json.loads(record.metadata.get("row", ""))
    return found if isinstance(found, dict) else None


def is_whole(path: Path) -> bool:
    """Whether a file was ended as it should be."""
    try:
        with path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            return file.read(8) == b"\x89MCAP0\r\n"
    except OSError:
        return False


def _records(path: Path) -> Iterator[tuple[Channel, Message] | Metadata]:
    channels: dict[int, Channel] = {}
    with path.open("rb") as file:
        reader = StreamReader(file, record_size_limit=MAX_RECORD)
        try:
            for record in reader.records:
                if isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message) and record.channel_id in channels:
                    yield channels[record.channel_id], record
                elif isinstance(record, Metadata):
                    yield record
        except _DAMAGED:
            return
