"""A coded picture of a camera, as it came, for who records or shows the stream itself."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from perception.wire.fields import Natural, Stamp, column

PACKET_BLOCK = 1024
"""Bytes of a row of `blocks`; the last row is filled up with zeros."""


@dataclass(slots=True, eq=False, kw_only=True)
class PacketMessage:
    """One coded picture as a fragment of MP4 (ISO 14496-12: moof and mdat).

    stamp: frame_id counts packets, not frames; its times are those of the decoded picture.
    stream: rises when a new header is needed: after a reconnect, a change of picture size, a jump
    of the stamps. key: decoding can begin here; then the header (ftyp and moov) stands before the
    fragment, header_bytes long. pts: presentation time in
    1/timescale s. timescale 0: MP4 cannot hold the codec, `codec` names it, there is no fragment.
    lost: packets not sent since the one before. size: bytes of header and fragment in blocks
    (P, 1024) uint8.
    """

    stamp: Stamp
    stream: Natural
    key: bool
    pts: int
    timescale: Natural
    codec: Annotated[str, msgspec.Meta(max_length=64)]
    width: Natural
    height: Natural
    header_bytes: Natural
    lost: Natural
    size: Natural
    blocks: Any = column("uint8", "P", PACKET_BLOCK)


@dataclass(slots=True, eq=False, kw_only=True)
class MetadataMessage:
    """Data that a camera's stream has beside its video, e.g. a packet of KLV.

    stamp: frame_id counts these messages; t_media_ns: of the picture that it belongs to. data:
    uint8 (B,).
    """

    stamp: Stamp
    data: Any = column("uint8", "B")
