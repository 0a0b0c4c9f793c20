"""Exif and XMP of a JPEG: which blocks it has, and their values. Nothing is believed blindly.

Sources: Exif 2.32 (CIPA DC-008), TIFF 6.0 section 2, XMP part 3 section 1.1.3, ITU T.81 B.1.1.
Imports the stdlib only.
"""

import re
import struct
from collections.abc import Iterator
from xml.etree import ElementTree

HEAD_BYTES = 1 << 20
"""Exif and XMP stand before the picture's data: so much of a file is read."""
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8}
_MAX_FIELDS, _MAX_VALUES = 512, 256
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
_GPS = 0x10000
"""Added to the tags of the GPS block, so that they differ from the others."""

Value = str | tuple[float, ...]


def gps(tag: int) -> int:
    """Return the key of a tag of the GPS block."""
    return _GPS + tag


def blocks(data: bytes) -> tuple[bytes, bytes]:
    """Return the Exif (a TIFF) and the XMP (XML) of a JPEG's head, each b"" where there is none."""
    exif = xmp = b""
    at = 2 if data[:2] == b"\xff\xd8" else len(data)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xDA:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        part = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and part.startswith(_EXIF):
            exif = exif or part[len(_EXIF) :]
        elif marker == 0xE1 and part.startswith(_XMP):
            xmp = xmp or part[len(_XMP) :]
        at += 2 + max(2, length)
    return exif, xmp


def exif_values(data: bytes) -> dict[int, Value]:
    """Return text and numbers by tag of the first image, its Exif and its GPS block.

    Fields that are cut off, too long or of an unknown type are left out; rationals are divided.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return {}
    found = dict(_fields(data, struct.unpack_from(order + "I", data, 4)[0], order))
    for pointer, shift in ((EXIF_IFD, 0), (GPS_IFD, _GPS)):
        at = found.get(pointer)
        if isinstance(at, tuple) and len(at) == 1:
            found |= {tag + shift: v for tag, v in _fields(data, int(at[0]), order)}
    return found


def xmp_values(data: bytes) -> dict[str, str]:
    """Return the simple properties of an XMP packet by name without their namespace.

    Written as attributes or as elements. Empty where it is no XML, or has a document type.
    """
    if re.search(rb"<!(DOCTYPE|ENTITY)", data, re.IGNORECASE):
        return {}
    try:
        root = ElementTree.fromstring(data.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    found: dict[str, str] = {}
    for element in root.iter():
        if element.tag.rpartition("}")[2] != "Description":
            continue
        for key, value in element.attrib.items():
            found.setdefault(key.rpartition("}")[2], value)
        for child in element:
            if child.text and not len(child):
                found.setdefault(child.tag.rpartition("}")[2], child.text)
    return found


def _fields(data: bytes, at: int, order: str) -> Iterator[tuple[int, Value]]:
    if not 8 <= at <= len(data) - 2:
        return
    (count,) = struct.unpack_from(order + "H", data, at)
    for n in range(min(count, _MAX_FIELDS)):
        place = at + 2 + 12 * n
        if place + 12 > len(data):
            return
        tag, kind, many = struct.unpack_from(order + "HHI", data, place)
        size = _SIZES.get(kind, 0) * many
        if not size or (kind != 2 and many > _MAX_VALUES):
            continue
        start = place + 8
        if size > 4:
            (start,) = struct.unpack_from(order + "I", data, start)
        if start + size <= len(data):
            yield tag, _value(data[start : start + size], kind, order)


def _value(data: bytes, kind: int, order: str) -> Value:
    if kind == 2:
        return data.split(b"\0")[0].decode("ascii", "replace").strip()
    if kind in (5, 10):
        form = "I" if kind == 5 else "i"
        parts = struct.unpack(f"{order}{len(data) // 4}{form}", data)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return tuple(a / b if b else float("nan") for a, b in pairs)
    form = {1: "B", 3: "H", 4: "I", 7: "B", 9: "i"}[kind]
    count = len(data) // _SIZES[kind]
    return tuple(float(v) for v in struct.unpack(f"{order}{count}{form}", data))
