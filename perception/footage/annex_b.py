"""Coded pictures as a byte stream (annex B of ITU-T H.264 and H.265)."""

from typing import NamedTuple

ANNEX_B = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
"""How one begins."""
_START = b"\x00\x00\x01"


class Head(NamedTuple):
    """What stands before the first slice. is_key: decoding can begin here. sets: the parameter
    sets, one after the other; empty where there are none."""

    is_key: bool
    sets: bytes


def head_of(data: bytes, codec: str) -> Head:
    """Return the head of a picture in Annex B; of another form, or codec: no key, no sets.

    FFmpeg marks key frames in its parser, which live MPEG-TS does without. H.264 (ITU-T H.264,
    7.4.1): an IDR picture, or a recovery point. HEVC (H.265, 7.4.2.2): a random access picture.
    """
    if codec not in ("h264", "hevc") or not data.startswith(ANNEX_B):
        return Head(False, b"")
    sets, recovers = b"", False
    at = data.find(_START)
    while 0 <= at < len(data) - 4:
        head, following = data[at + 3], data.find(_START, at + 3)
        if codec == "hevc":
            kind = head >> 1 & 63
            if kind < 32:
                return Head(16 <= kind <= 23, sets)
            is_set = kind in (32, 33, 34)
        else:
            kind = head & 31
            recovers = recovers or (kind == 6 and data[at + 4] == 6)
            if 1 <= kind <= 5:
                return Head(kind == 5 or recovers, sets)
            is_set = kind in (7, 8)
        if is_set:
            sets += data[at + 3 : following if following >= 0 else len(data)].rstrip(b"\x00")
        at = following
    return Head(False, sets)
