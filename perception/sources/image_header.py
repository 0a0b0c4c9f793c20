"""Reads width and height from the header of an image, to reject a huge image before decoding it.

Formats: PNG, JPEG, BMP, WebP, TIFF, PNM, GIF, HEIC and AVIF. Imports the stdlib only.
Sources: PNG 1.2 section 11.2.2, ITU T.81 B.2.2, RFC 9649, TIFF 6.0 section 2, netpbm,
GIF89a section 18, ISO/IEC 23008-12 6.5.3 (ispe).
"""

import re
import struct

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s")
_TIFF_FIELD = {3: "H", 4: "I"}


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return (height, width), px, in the header of an encoded image.

    None: another format, or the header is truncated or points outside of the data.
    """
    try:
        return _size(data)
    except (struct.error, IndexError):
        return None


def _size(data: bytes) -> tuple[int, int] | None:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        width, height = struct.unpack_from(">II", data, 16)
    elif data[:2] == b"\xff\xd8":
        return _jpeg(data)
    elif data[:2] == b"BM":
        width, height = struct.unpack_from("<ii", data, 18)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    elif data[:4] == b"GIF8":
        width, height = struct.unpack_from("<HH", data, 6)
    elif data[4:8] == b"ftyp":
        return _heif(data)
    elif data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(data, "<" if data[:1] == b"I" else ">")
    elif match := _PNM.match(data[:1024]):
        width, height = int(match[1]), int(match[2])
    else:
        return None
    return abs(height), abs(width)


def _heif(data: bytes) -> tuple[int, int] | None:
    """Return the size of the largest item in a HEIC or AVIF file."""
    sizes: list[tuple[int, int]] = []
    at = data.find(b"ispe")
    while at >= 0 and len(sizes) < 64:
        width, height = struct.unpack_from(">II", data, at + 8)
        sizes.append((height, width))
        at = data.find(b"ispe", at + 4)
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        else:
            at += 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if chunk == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return int.from_bytes(data[27:30], "little") + 1, width
    return None


def _tiff(data: bytes, order: str) -> tuple[int, int] | None:
    at = struct.unpack_from(order + "I", data, 4)[0]
    found: dict[int, int] = {}
    for n in range(struct.unpack_from(order + "H", data, at)[0]):
        tag, kind = struct.unpack_from(order + "HH", data, at + 2 + 12 * n)
        if tag in (256, 257) and kind in _TIFF_FIELD:
            found[tag] = struct.unpack_from(order + _TIFF_FIELD[kind], data, at + 10 + 12 * n)[0]
    return (found[257], found[256]) if len(found) == 2 else None
