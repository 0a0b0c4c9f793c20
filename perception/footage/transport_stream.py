"""Fragments of MP4 as MPEG-TS, packet by packet, for players that take a stream (go2rtc, VLC).

Nothing is encoded: FFmpeg's muxer turns length-prefixed H.264 and HEVC into a byte stream.
"""

import io
from fractions import Fraction
from typing import Any, cast

import av
from av.error import FFmpegError

from perception.footage.fragments import WrittenParts, boxes, decode_time


class TransportStream:
    """One MPEG-TS. A new header begins a new one, which a player takes as a discontinuity."""

    def __init__(self) -> None:
        self._parts = WrittenParts()
        self._container: Any = None
        self._stream: Any = None
        self._number = -1
        self._base = Fraction(1)

    def add(
        self, header: bytes, fragment: bytes, *, stream: int, key: bool, pts: int, timescale: int
    ) -> bytes:
        """Return the bytes of one more picture.

        header: ftyp and moov, with a key frame; else empty. fragment: moof and mdat. stream: number
        of its stream; another one begins anew. pts: in 1/timescale s. Nothing comes before the
        first key frame. Raises ValueError where they are none, or MPEG-TS cannot hold the codec.
        """
        try:
            if header and stream != self._number:
                self._begin(header, fragment, timescale)
                self._number = stream
            if self._container is None:
                return b""
            packet = av.Packet(_sample(fragment))
            packet.time_base = self._base
            packet.pts, packet.dts = pts, decode_time(fragment)[1]
            packet.is_keyframe = key
            packet.stream = self._stream
            self._container.mux_one(packet)
        except FFmpegError as error:
            raise ValueError(f"MPEG-TS: {error}") from None
        return self._parts.take()

    def close(self) -> bytes:
        """Return the last bytes."""
        if self._container is not None:
            self._container.close()
            self._container = None
        return self._parts.take()

    def _begin(self, header: bytes, fragment: bytes, timescale: int) -> None:
        if self._container is not None:
            self._container.close()
        self._base = Fraction(1, timescale)
        place = cast(io.BytesIO, self._parts)
        options = {"flush_packets": "1", "mpegts_flags": "+resend_headers", "muxdelay": "0"}
        made = av.open(place, "w", format="mpegts", options=options)
        with av.open(io.BytesIO(header + fragment), format="mp4") as source:
            self._stream = made.add_stream_from_template(source.streams.video[0])
            self._stream.time_base = self._base
            made.start_encoding()
        self._container = made


def _sample(fragment: bytes) -> bytes:
    at = 0
    for kind, size in boxes(io.BytesIO(fragment), len(fragment)):
        if kind == b"mdat":
            head = 16 if fragment[at : at + 4] == b"\x00\x00\x00\x01" else 8
            return fragment[at + head : at + size]
        at += size
    raise ValueError("a fragment without a picture")
