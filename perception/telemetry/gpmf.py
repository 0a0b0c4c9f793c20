"""GoPro's metadata format: nested key, type, size, repeat and values, big endian, padded to 4.

Format: gopro/gpmf-parser (Apache-2.0), its documentation; read here in our own words. Every length
is checked against what is there, the count is bounded.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_TYPES = {
    "b": "b", "B": "B", "s": "h", "S": "H", "l": "i", "L": "I", "j": "q", "J": "Q", "f": "f",
    "d": "d",
}  # fmt: skip
_MAX_ITEMS = 100_000


@dataclass(frozen=True, slots=True)
class Stream:
    """One sensor's values in a payload: rows of numbers, scaled to units. device: its name."""

    key: str
    device: str
    name: str
    rows: list[tuple[float, ...]]


def streams(data: bytes) -> Iterator[Stream]:
    """Yield the streams of a payload; what is cut off or absurd is left out."""
    for key, kind, _, body in _items(data):
        if key == "DEVC" and kind == "\0":
            device = next((_text(b) for k, t, _, b in _items(body) if k == "DVNM" and t == "c"), "")
            for inner, inner_kind, _, content in _items(body):
                if inner == "STRM" and inner_kind == "\0":
                    found = _stream(content, device)
                    if found is not None:
                        yield found


def _stream(data: bytes, device: str) -> Stream | None:
    scale: list[float] = []
    name, complex_type = "", ""
    found: Stream | None = None
    for key, kind, size, body in _items(data):
        if key == "STNM":
            name = _text(body)
        elif key == "TYPE":
            complex_type = _text(body)
        elif key == "SCAL":
            scale = [value for row in _rows(kind, size, body, "") for value in row]
        elif kind in _TYPES or kind == "?":
            rows = _rows(kind, size, body, complex_type)
            if rows:
                found = Stream(key, device, name, _scaled(rows, scale))
    return found


def _scaled(rows: list[tuple[float, ...]], scale: list[float]) -> list[tuple[float, ...]]:
    if not scale or any(s == 0.0 for s in scale):
        return rows
    if len(scale) == 1:
        return [tuple(v / scale[0] for v in row) for row in rows]
    if any(len(row) != len(scale) for row in rows):
        return rows
    return [tuple(v / s for v, s in zip(row, scale, strict=True)) for row in rows]


def _rows(kind: str, size: int, body: bytes, complex_type: str) -> list[tuple[float, ...]]:
    if kind == "?":
        if not complex_type or any(letter not in _TYPES for letter in complex_type):
            return []
        form = ">" + "".join(_TYPES[letter] for letter in complex_type)
        if struct.calcsize(form) != size:
            return []
    else:
        letter = _TYPES.get(kind)
        if letter is None or size == 0 or size % struct.calcsize(letter):
            return []
        form = f">{size // struct.calcsize('>' + letter)}{letter}"
    whole = len(body) // size * size
    return [tuple(map(float, row)) for row in struct.iter_unpack(form, body[:whole])]


def _items(data: bytes) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield key, type letter, size of one value and the values of each item."""
    at = count = 0
    while at + 8 <= len(data) and count < _MAX_ITEMS:
        key = data[at : at + 4].decode("latin-1")
        kind, size = chr(data[at + 4]), data[at + 5]
        length = size * int.from_bytes(data[at + 6 : at + 8], "big")
        if at + 8 + length > len(data):
            return
        yield key, kind, size, data[at + 8 : at + 8 + length]
        at += 8 + (length + 3) // 4 * 4
        count += 1


def _text(body: bytes) -> str:
    return body.split(b"\0")[0].decode("latin-1")
