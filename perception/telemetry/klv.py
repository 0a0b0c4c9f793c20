"""MISB ST 0601 UAS Datalink Local Set -> states: the KLV of military and many other downlinks.

Tags and scales: MISB ST 0601.8 (public), KLV and BER: SMPTE ST 336, checksum: ST 0601, 6.6. Nothing
is believed that is too short, too long or fails its checksum. Imports geo.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from perception.geo.state import AltitudeKind, State

KEY = bytes.fromhex("060e2b34020b01010e01030101000000")
MAX_PACKET = 65_536

_INT16, _INT32 = 32_767.0, 2_147_483_647.0
_UINT16, _UINT32 = 65_535.0, 4_294_967_295.0
_SIGNED: dict[int, tuple[str, float]] = {
    6: (">h", 20.0 / _INT16), 7: (">h", 50.0 / _INT16),
    13: (">i", 90.0 / _INT32), 14: (">i", 180.0 / _INT32), 19: (">i", 180.0 / _INT32),
    23: (">i", 90.0 / _INT32), 24: (">i", 180.0 / _INT32),
    79: (">h", 327.0 / _INT16), 80: (">h", 327.0 / _INT16),
    90: (">i", 90.0 / _INT32), 91: (">i", 90.0 / _INT32),
}  # fmt: skip
"""Tag -> format and scale; the most negative value means that there is none."""
_UNSIGNED: dict[int, tuple[str, float, float]] = {
    2: (">Q", 1.0, 0.0), 5: (">H", 360.0 / _UINT16, 0.0),
    15: (">H", 19_900.0 / _UINT16, -900.0), 16: (">H", 180.0 / _UINT16, 0.0),
    17: (">H", 180.0 / _UINT16, 0.0), 18: (">I", 360.0 / _UINT32, 0.0),
    20: (">I", 360.0 / _UINT32, 0.0), 21: (">I", 5_000_000.0 / _UINT32, 0.0),
    25: (">H", 19_900.0 / _UINT16, -900.0), 75: (">H", 19_900.0 / _UINT16, -900.0),
}  # fmt: skip
"""Tag -> format, scale and offset."""


@dataclass(slots=True)
class Klv:
    """Reads packets out of bytes. counters: packets, and those refused by reason."""

    counters: dict[str, int] = field(
        default_factory=lambda: {
            "packets": 0, "bad_length": 0, "bad_checksum": 0, "no_checksum": 0, "bad_tag": 0,
        }
    )  # fmt: skip

    def packets(self, data: bytes) -> Iterator[dict[int, float]]:
        """Yield the values of each whole packet in `data` by tag; what is no packet is skipped."""
        at = data.find(KEY)
        while at >= 0:
            following = data.find(KEY, at + len(KEY))
            read = _length(data, at + len(KEY))
            if read is None or read[1] + read[0] > len(data) or read[0] > MAX_PACKET:
                self.counters["bad_length"] += 1
            else:
                length, start = read
                values = self._values(data, at, start, start + length)
                if values is not None:
                    self.counters["packets"] += 1
                    yield values
                    following = data.find(KEY, start + length)
            at = following

    def _values(self, data: bytes, begin: int, start: int, end: int) -> dict[int, float] | None:
        if end - start < 4 or data[end - 4 : end - 2] != b"\x01\x02":
            self.counters["no_checksum"] += 1
            return None
        if _checksum(data[begin : end - 2]) != data[end - 2 : end]:
            self.counters["bad_checksum"] += 1
            return None
        found: dict[int, float] = {}
        at, end = start, end - 4
        while at < end:
            tag = _oid(data, at, end)
            read = None if tag is None else _length(data, tag[1])
            if tag is None or read is None or read[1] + read[0] > end:
                self.counters["bad_length"] += 1
                return None
            length, place = read
            if (value := _value(tag[0], data[place : place + length])) is not None:
                found[tag[0]] = value
            elif tag[0] in _SIGNED or tag[0] in _UNSIGNED:
                self.counters["bad_tag"] += 1
            at = place + length
        return found


def state_of(values: dict[int, float], t_ns: int) -> State:
    """Return the state that a packet tells, at time t_ns."""
    altitudes: dict[AltitudeKind, float] = {}
    if 15 in values:
        altitudes["msl"] = values[15]
    if 75 in values:
        altitudes["ellipsoid"] = values[75]
    pitch, roll = values.get(90, values.get(6)), values.get(91, values.get(7))
    yaw = values.get(5)
    airframe = (yaw, pitch, roll) if None not in (yaw, pitch, roll) else None
    gimbal = None
    if 18 in values and 19 in values:
        gimbal = values[18], values[19], values.get(20, 0.0)
    north, east = values.get(79), values.get(80)
    return State(
        t_ns=t_ns,
        utc_ns=round(values[2]) * 1000 if 2 in values else None,
        lat_deg=values.get(13),
        lon_deg=values.get(14),
        altitudes_m=altitudes,
        velocity_m_s=(north, east, 0.0) if north is not None and east is not None else None,
        airframe_deg=airframe,  # pyright: ignore[reportArgumentType]
        gimbal_deg=gimbal,
        gimbal_frame="airframe",
        hfov_deg=values.get(16),
        vfov_deg=values.get(17),
    )


def _value(tag: int, data: bytes) -> float | None:
    if tag in _SIGNED:
        form, scale = _SIGNED[tag]
        if len(data) != struct.calcsize(form):
            return None
        (number,) = struct.unpack(form, data)
        return None if number == -(1 << (8 * len(data) - 1)) else number * scale
    if tag in _UNSIGNED:
        form, scale, offset = _UNSIGNED[tag]
        if len(data) != struct.calcsize(form):
            return None
        return struct.unpack(form, data)[0] * scale + offset
    return None


def _length(data: bytes, at: int) -> tuple[int, int] | None:
    """Return a BER length and where what it measures begins; None where it is cut off or absurd."""
    if at >= len(data):
        return None
    first = data[at]
    if first < 0x80:
        return first, at + 1
    count = first & 0x7F
    if not 1 <= count <= 4 or at + 1 + count > len(data):
        return None
    return int.from_bytes(data[at + 1 : at + 1 + count], "big"), at + 1 + count


def _oid(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Return a BER-OID tag and where its length stands; None where it is cut off or absurd."""
    tag = 0
    for place in range(at, min(at + 3, end)):
        tag = tag << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return tag, place + 1
    return None


def _checksum(data: bytes) -> bytes:
    """Return the running 16-bit sum of ST 0601, 6.6: even bytes count 256 times."""
    return (((sum(data[::2]) << 8) + sum(data[1::2])) & 0xFFFF).to_bytes(2, "big")
