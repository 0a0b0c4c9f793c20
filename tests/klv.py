"""MISB ST 0601 packets made for tests, and transport streams that carry them. Shares no code with
the parser.
"""

import struct
from fractions import Fraction

import av
import numpy as np

KEY = bytes.fromhex("060e2b34020b01010e01030101000000")


def packet(fields, key=KEY, checksum=None):
    """Return a packet with these (tag, bytes) fields and a true checksum, or the given one."""
    body = b"".join(bytes([tag, len(data)]) + data for tag, data in fields)
    body += b"\x01\x02"
    size = len(body) + 2
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    whole = key + length + body
    total = 0
    for n, byte in enumerate(whole):
        total += byte << (8 * ((n + 1) % 2))
    return whole + (checksum or struct.pack(">H", total & 0xFFFF))


def position(lat, lon, msl, yaw=90.0, utc_us=1_700_000_000_000_000, azimuth=0.0, elevation=-60.0):
    """Return a packet of a vehicle that flies level; elevation of its camera in degrees."""
    return packet(
        [
            (2, struct.pack(">Q", utc_us)),
            (5, struct.pack(">H", round(yaw / 360 * 65535))),
            (6, struct.pack(">h", 0)),
            (7, struct.pack(">h", 0)),
            (13, struct.pack(">i", round(lat / 90 * (2**31 - 1)))),
            (14, struct.pack(">i", round(lon / 180 * (2**31 - 1)))),
            (15, struct.pack(">H", round((msl + 900) / 19900 * 65535))),
            (16, struct.pack(">H", round(60 / 180 * 65535))),
            (18, struct.pack(">I", round(azimuth % 360 / 360 * (2**32 - 1)))),
            (19, struct.pack(">i", round(elevation / 180 * (2**31 - 1)))),
            (20, struct.pack(">I", 0)),
        ]
    )


def stream(path, packets, *, fps=10, frames=20, pts=True):
    """Write an MPEG-TS with one KLV packet a frame. pts: False: only the first frame's time."""
    with av.open(str(path), "w", format="mpegts") as box:
        film = box.add_stream("mpeg2video", rate=fps)
        film.width, film.height, film.pix_fmt = 128, 96, "yuv420p"
        data = box.add_data_stream("klv")
        for n in range(frames):
            image = np.full((96, 128, 3), 10 * n % 250, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, fps)
            for made in film.encode(frame):
                box.mux(made)
            made = av.Packet(packets[n])
            made.stream, made.time_base = data, Fraction(1, 90_000)
            made.pts = made.dts = round(n * 90_000 / fps)
            box.mux(made)
        for made in film.encode():
            box.mux(made)
