"""Coded packets into fragments of MP4, one a picture, without decoding or encoding them again.

A fragment is complete when the next packet comes: its duration is known then. The options of the
muxer keep pts and B-frames as they were (measured on 900, 1394 and 459 frames of three clips).
"""

import io
import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO, cast

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from perception.footage.annex_b import ANNEX_B, head_of

MUXER = {
    "movflags": "frag_every_frame+empty_moov+default_base_moof+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
    "flush_packets": "1",
}
_MAX_STEP_S, _MAX_BACK_S = 10, 1
"""Stamps that leap further, or fall back further, begin a new stream."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """One coded picture in MP4. data: moof and mdat. header: ftyp and moov of its stream.

    pts, dts: in 1/timescale s of the stream. tag: what the caller gave with the packet.
    """

    data: bytes
    header: bytes
    stream: int
    key: bool
    pts: int
    dts: int
    timescale: int
    codec: str
    width: int
    height: int
    tag: Any


class UnsupportedCodec(Exception):
    """MP4 cannot hold the codec."""


class WrittenParts:
    """A file that a muxer writes, emptied after each packet."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep what was written; return its size."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class Fragmenter:
    """Muxes the packets of one source. A new stream begins where their parameters or stamps jump.

    first: number of the first stream.
    """

    def __init__(self, first: int = 0) -> None:
        self._stream = first - 1
        self._muxer: _Muxer | None = None

    def add(
        self, packet: "av.Packet[VideoStream]", source: VideoStream | None, tag: Any
    ) -> list[Fragment]:
        """Return the fragments that are complete now: the packet before, mostly.

        source: the stream that it was demuxed from; None: H.264 in Annex B from an encoder.
        Raises UnsupportedCodec where MP4 cannot hold the codec.
        """
        done: list[Fragment] = []
        codec = source.codec_context.name if source is not None else "h264"
        head = head_of(bytes(packet), codec)
        if head.is_key and not packet.is_keyframe:
            packet.is_keyframe = True
        if self._muxer is not None and not self._muxer.goes_on(packet, head.sets):
            done += self.end()
        if self._muxer is None:
            if not packet.is_keyframe:
                return done
            self._stream += 1
            self._muxer = _Muxer(self._stream, packet, source, head.sets)
        return done + self._muxer.add(packet, tag)

    def end(self) -> list[Fragment]:
        """Return the last fragment; the next packet begins a new stream."""
        muxer, self._muxer = self._muxer, None
        return muxer.end() if muxer is not None else []


class _Muxer:
    """One header and the fragments that belong to it."""

    def __init__(
        self,
        number: int,
        packet: "av.Packet[VideoStream]",
        source: VideoStream | None,
        sets: bytes,
    ) -> None:
        self._sets = sets
        self._number, self._parts = number, WrittenParts()
        template, opened = _described(packet, source)
        try:
            # PyAV's types want a whole file object; it uses write() alone.
            place = cast(io.BytesIO, self._parts)
            self._container = av.open(place, "w", format="mp4", options=MUXER)
            self._stream = self._container.add_stream_from_template(template)
            base = packet.time_base or template.time_base or Fraction(1, 90_000)
            self._stream.time_base = base
            self._container.start_encoding()
        except (FFmpegError, ValueError) as error:
            raise UnsupportedCodec(f"{template.codec_context.name}: {error}") from None
        finally:
            if opened is not None:
                opened.close()
        context = template.codec_context
        self._size = context.width, context.height
        self._codec = context.name
        self._header = self._parts.take()
        self._base = base
        self._timescale = round(1 / (self._stream.time_base or base))
        self._last_dts: int | None = None
        self._waiting: deque[tuple[bool, int, int, Any]] = deque()

    def goes_on(self, packet: "av.Packet[VideoStream]", sets: bytes) -> bool:
        """Whether a packet can follow in this stream. sets: parameter sets that stand in it."""
        if packet.has_sidedata("new_extradata"):
            return False
        if sets and sets != self._sets:
            if _size_in(packet, self._codec) not in (None, self._size):
                return False
            self._sets = sets
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None or self._last_dts is None:
            return True
        seconds = float((dts - self._last_dts) * self._base)
        return -_MAX_BACK_S < seconds < _MAX_STEP_S

    def add(self, packet: "av.Packet[VideoStream]", tag: Any) -> list[Fragment]:
        """Mux a packet; a dts that is absent or does not rise becomes the next free one."""
        pts, dts = packet.pts, packet.dts
        if dts is None:
            dts = pts if pts is not None else (self._last_dts or 0) + 1
        if self._last_dts is not None and dts <= self._last_dts:
            dts = self._last_dts + 1
        pts = dts if pts is None else max(pts, dts)
        self._last_dts = dts
        copy = av.Packet(bytes(packet))
        copy.pts, copy.dts, copy.time_base = pts, dts, self._base
        copy.duration = packet.duration or 0
        copy.is_keyframe = packet.is_keyframe
        copy.stream = self._stream
        scale = self._base * self._timescale
        self._waiting.append((packet.is_keyframe, round(pts * scale), round(dts * scale), tag))
        self._container.mux_one(copy)
        return self._complete(last=False)

    def end(self) -> list[Fragment]:
        self._container.close()
        return self._complete(last=True)

    def _complete(self, *, last: bool) -> list[Fragment]:
        data = self._parts.take()
        found: list[Fragment] = []
        for moof in split(data):
            if not self._waiting:
                break
            key, pts, dts, tag = self._waiting.popleft()
            width, height = self._size
            found.append(
                Fragment(
                    moof, self._header, self._number, key, pts, dts, self._timescale,
                    self._codec, width, height, tag,
                )
            )  # fmt: skip
        if last:
            self._waiting.clear()
        return found


def split(data: bytes) -> list[bytes]:
    """Return each moof with its mdat; other boxes (mfra, at the end of a file) are left out."""
    found: list[bytes] = []
    at, start = 0, 0
    for kind, size in boxes(io.BytesIO(data), len(data)):
        if kind == b"moof":
            start = at
        elif kind == b"mdat":
            found.append(data[start : at + size])
        at += size
    return found


def boxes(file: BinaryIO, length: int) -> Iterator[tuple[bytes, int]]:
    """Yield type and size in bytes of the whole boxes at the top level of a file of `length`."""
    at = 0
    while at + 8 <= length:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        size = int.from_bytes(head[8:16], "big") if size == 1 else size
        if size < 8 or at + size > length:
            return
        yield head[4:8], size
        at += size


def decode_time(fragment: bytes) -> tuple[int, int]:
    """Return where the fragment's decode time (tfdt) stands and what it is, in 1/timescale s.

    Raises ValueError where it has none.
    """
    at = fragment.find(b"tfdt", 0, 4096)
    if at < 0:
        raise ValueError("no tfdt in a fragment")
    if fragment[at + 4] == 1:
        return at + 8, struct.unpack_from(">q", fragment, at + 8)[0]
    return at + 8, struct.unpack_from(">I", fragment, at + 8)[0]


def shifted(fragment: bytes, by: int) -> bytes:
    """Return the fragment with its decode time earlier by so many units of 1/timescale s.

    Raises ValueError where that time is not in it, or does not fit.
    """
    at, time = decode_time(fragment)
    moved = bytearray(fragment)
    try:
        struct.pack_into(">q" if fragment[at - 4] == 1 else ">I", moved, at, time - by)
    except struct.error as error:
        raise ValueError(f"decode time {time} less {by}: {error}") from None
    return bytes(moved)


def _described(
    packet: "av.Packet[VideoStream]", source: VideoStream | None
) -> tuple[VideoStream, InputContainer | None]:
    """Return the stream whose parameters the header gets, and what is to be closed after it.

    Those of a key packet in Annex B are taken from itself: the source's may be of another size.
    """
    opened = _opened(packet, source.codec_context.name if source is not None else "h264")
    if opened is not None:
        return opened.streams.video[0], opened
    if source is None:
        raise UnsupportedCodec("an encoder's first packet names no parameters")
    return source, None


def _opened(packet: "av.Packet[VideoStream]", codec: str) -> InputContainer | None:
    """Return a key packet in Annex B as a stream; None where it is none, or names no parameters."""
    data = bytes(packet)
    if codec not in ("h264", "hevc") or not data.startswith(ANNEX_B):
        return None
    try:
        opened = av.open(io.BytesIO(data), "r", format=codec, metadata_errors="replace")
    except FFmpegError:
        return None
    context = opened.streams.video[0].codec_context if opened.streams.video else None
    if context is None or not context.width or not context.extradata:
        opened.close()
        return None
    return opened


def _size_in(packet: "av.Packet[VideoStream]", codec: str) -> tuple[int, int] | None:
    """Return width and height that a key packet in Annex B names; None where it names none."""
    opened = _opened(packet, codec)
    if opened is None:
        return None
    with opened:
        context = opened.streams.video[0].codec_context
        return context.width, context.height
