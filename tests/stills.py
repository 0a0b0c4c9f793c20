"""Stills with Exif and XMP made for tests, byte by byte. Shares no code with the parser."""

import struct

import cv2
import numpy as np
import pymap3d

from tests.flight import pixel_of

SIZE, HFOV = (1600, 1200), 60.0
EXIF_FOCAL_35 = 43.2666153 * 0.4 / np.tan(np.radians(HFOV / 2))
"""A sensor of 4:3 is 0.8 of its diagonal wide; half of that is 0.4."""


def rational(*values):
    return b"".join(struct.pack("<II", round(v * 10_000), 10_000) for v in values)


def short(value):
    return struct.pack("<H", value)


def ifd(fields, base):
    """Return a TIFF directory for (tag, type, count, bytes), that begins at `base`."""
    size = 2 + 12 * len(fields) + 4
    head, tail = struct.pack("<H", len(fields)), b""
    for tag, kind, count, data in sorted(fields):
        head += struct.pack("<HHI", tag, kind, count)
        if len(data) <= 4:
            head += data.ljust(4, b"\0")
        else:
            head += struct.pack("<I", base + size + len(tail))
            tail += data + b"\0" * (len(data) % 2)
    return head + bytes(4) + tail


def exif(lat=None, lon=None, alt=None, focal=None, size=SIZE, orientation=1, more=(), gps=()):
    """Return a little-endian Exif block."""
    place = list(gps)
    if lat is not None:
        for ref, at, value, sides in ((1, 2, lat, "NS"), (3, 4, lon, "EW")):
            whole = abs(value)
            parts = int(whole), int(whole * 60 % 60), whole * 3600 % 60
            place += [(ref, 2, 2, sides[value < 0].encode() + b"\0"), (at, 5, 3, rational(*parts))]
    if alt is not None:
        place += [(5, 1, 1, bytes([alt < 0])), (6, 5, 1, rational(abs(alt)))]
    inner = [(0xA002, 3, 1, short(size[0])), (0xA003, 3, 1, short(size[1])), *more]
    if focal is not None:
        inner.append((0xA405, 3, 1, short(round(focal))))
    first = [(0x0112, 3, 1, short(orientation))]
    lengths = [2 + 12 * 3 + 4, len(ifd(inner, 0))]
    at_exif, at_gps = 8 + lengths[0], 8 + sum(lengths)
    first += [(0x8769, 4, 1, struct.pack("<I", at_exif)), (0x8825, 4, 1, struct.pack("<I", at_gps))]
    return (
        b"II*\0" + struct.pack("<I", 8) + ifd(first, 8) + ifd(inner, at_exif) + ifd(place, at_gps)
    )


def xmp(values, elements=False):
    """Return an XMP packet with DJI's names, as attributes or as elements."""
    space = 'xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/"'
    rdf = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    if elements:
        inside = "".join(f"<drone-dji:{k}>{v}</drone-dji:{k}>" for k, v in values.items())
        about = f"<rdf:Description {space}>{inside}</rdf:Description>"
    else:
        inside = " ".join(f'drone-dji:{k}="{v}"' for k, v in values.items())
        about = f"<rdf:Description {space} {inside}/>"
    text = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {rdf}>{about}</rdf:RDF></x:xmpmeta>'
    return text.encode() + b" " * 64


def jpeg(image, exif_block=b"", xmp_packet=b""):
    """Return a JPEG with these blocks in front."""
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    parts = b""
    for head, body in ((b"Exif\0\0", exif_block), (b"http://ns.adobe.com/xap/1.0/\0", xmp_packet)):
        if body:
            parts += b"\xff\xe1" + struct.pack(">H", len(head) + len(body) + 2) + head + body
    return data[:2] + parts + data[2:]


def angles(yaw, pitch, roll=0.0):
    """Return the gimbal's angles as DJI writes them."""
    names = "GimbalYawDegree", "GimbalPitchDegree", "GimbalRollDegree"
    return {k: f"{v:+.2f}" for k, v in zip(names, (yaw, pitch, roll), strict=True)}


def still(eye, look, things, above=100.0, **more):
    """Return a JPEG from eye (lat, lon, height), that looks (yaw, pitch) at coloured things.

    things: (lat, lon, height) of squares of 24 px around each on the ground.
    """
    image = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    focal = SIZE[0] / 2 / np.tan(np.radians(HFOV / 2))
    for place in things:
        x, y = np.round(pixel_of(place, eye, (*look, 0.0), focal, SIZE)).astype(int)
        image[y - 12 : y + 12, x - 12 : x + 12] = (30, 30, 220)
    values = {
        "GpsLatitude": f"{eye[0]:+.9f}", "GpsLongitude": f"{eye[1]:+.9f}",
        "AbsoluteAltitude": f"{eye[2]:+.2f}", "RelativeAltitude": f"{above:+.2f}",
        "CalibratedFocalLength": f"{focal:.3f}", "CalibratedOpticalCenterX": f"{SIZE[0] / 2}",
        **angles(*look), **more,
    }  # fmt: skip
    return jpeg(image, exif(), xmp(values))


def away(eye, east, north, height):
    """Return the place so many m east and north of eye, at a height."""
    lat, lon, _ = pymap3d.enu2geodetic(east, north, height - eye[2], *eye)
    return lat, lon, height
