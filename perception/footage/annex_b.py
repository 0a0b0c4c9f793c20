"""Coded pictures as a byte stream (annex B of ITU-T H.264 and H.265)."""

ANNEX_B = (b"\x00\x00\x01", b"\x00\x00\x00\x01")
"""How one begins."""


def begins_anew(data: bytes, codec: str) -> bool:
    """Whether decoding can begin at a picture in Annex B, by the kind of its first slice.

    FFmpeg marks key frames in its parser, which live MPEG-TS does without. H.264 (ITU-T H.264,
    7.4.1): an IDR picture, or a recovery point. HEVC (H.265, 7.4.2.2): a random access picture.
    """
    if codec not in ("h264", "hevc") or not data.startswith(ANNEX_B):
        return False
    at = data.find(b"\x00\x00\x01")
    while 0 <= at < len(data) - 4:
        head = data[at + 3]
        if codec == "hevc":
            kind = head >> 1 & 63
            if kind < 32:
                return 16 <= kind <= 23
        else:
            kind = head & 31
            if kind == 6 and data[at + 4] == 6:
                return True
            if 1 <= kind <= 5:
                return kind == 5
        at = data.find(b"\x00\x00\x01", at + 3)
    return False
