"""Where a still was taken, from its XMP and Exif: made ones, a real one, broken ones."""

import math
import random

import numpy as np
import pytest

from perception.errors import SourceError
from perception.geo.camera import eye_at
from perception.geo.options import MapOptions
from perception.telemetry.exif import blocks, exif_values, xmp_values
from perception.telemetry.feed import TelemetryFeed
from perception.telemetry.finding import find
from perception.telemetry.stills import StillsXmp, still_state
from perception.wire import places
from tests import stills
from tests.unit.test_telemetry import FUZZED, mutated

GREY = np.full((12, 16, 3), 99, np.uint8)
OPTIONS = StillsXmp.Options()
PLACE = {"GpsLatitude": "+46.5", "GpsLongitude": "-8.25"}


def state(exif=b"", xmp=b"", **options):
    return still_state(stills.jpeg(GREY, exif, xmp), 5, StillsXmp.Options(**options))[0]


@pytest.mark.parametrize("elements", [False, True])
def test_dji_writes_it_as_attributes_or_elements(elements):
    values = {**PLACE, **stills.angles(37.5, -60.25), "AbsoluteAltitude": "+412.30",
              "RelativeAltitude": "+99.90", "FlightYawDegree": "+30.0",
              "FlightPitchDegree": "+1.0", "FlightRollDegree": "-2.0"}  # fmt: skip
    found = state(xmp=stills.xmp(values, elements))
    assert (found.t_ns, found.lat_deg, found.lon_deg) == (5, 46.5, -8.25)
    assert found.altitudes_m == {"msl": 412.3, "takeoff": 99.9}
    assert found.gimbal_deg == (37.5, -60.25, 0.0)
    assert found.gimbal_frame == "earth"
    assert found.airframe_deg == (30.0, 1.0, -2.0)
    assert found.hfov_deg is None
    assert found.utc_ns is None


def test_exif_tells_what_xmp_does_not():
    found = state(stills.exif(-33.8765432, 151.2094321, alt=-3.5))
    assert found.lat_deg == pytest.approx(-33.8765432, abs=1e-7)
    assert found.lon_deg == pytest.approx(151.2094321, abs=1e-7)
    assert found.altitudes_m == {"msl": -3.5}
    assert found.gimbal_deg is None
    old = state(xmp=stills.xmp({"GpsLatitude": "1", "GpsLongtitude": "2"}))
    assert (old.lat_deg, old.lon_deg) == (1.0, 2.0)


def test_heights_of_rtk_are_above_the_ellipsoid_with_their_sigmas():
    more = {"AbsoluteAltitude": "+100", "RtkFlag": "50", "RtkStdLat": "0.011",
            "RtkStdLon": "0.014", "RtkStdHgt": "0.03"}  # fmt: skip
    found = state(xmp=stills.xmp({**PLACE, **more}))
    assert found.altitudes_m == {"ellipsoid": 100.0}
    assert found.sigmas == {"position_m": 0.014, "altitude_m": 0.03}
    assert state(xmp=stills.xmp({**PLACE, **more, "RtkFlag": "0"})).altitudes_m == {"msl": 100.0}
    said = state(xmp=stills.xmp({**PLACE, "AbsoluteAltitude": "+100"}), altitude="ellipsoid")
    assert said.altitudes_m == {"ellipsoid": 100.0}


@pytest.mark.parametrize(
    ("size", "wide_mm"), [((4000, 3000), 34.613), ((4000, 2250), 34.613), ((6000, 4000), 36.0)]
)
def test_a_35_mm_focal_length_compares_diagonals(size, wide_mm):
    found = state(stills.exif(1.0, 2.0, focal=24, size=size))
    assert found.hfov_deg == pytest.approx(2 * math.degrees(math.atan(wide_mm / 48)), abs=0.01)


def test_a_calibrated_focal_length_is_taken_first():
    xmp = stills.xmp({**PLACE, "CalibratedFocalLength": "2000", "CalibratedOpticalCenterX": "2000"})
    found = state(stills.exif(focal=24), xmp)
    assert found.hfov_deg == pytest.approx(2 * math.degrees(math.atan(1.0)))
    assert found.sigmas["focal"] < 0.01


def test_the_angles_of_a_picture_that_exif_turns_are_left_out():
    data = stills.jpeg(
        GREY, stills.exif(orientation=6), stills.xmp({**PLACE, **stills.angles(1, 2)})
    )
    found, turned = still_state(data, 0, OPTIONS)
    assert turned
    assert found.gimbal_deg is None
    assert found.lat_deg == 46.5


DAY = (29, 2, 11, b"2026:05:01\0"), (7, 5, 3, stills.rational(10, 0, 0.25))
NOON = (0x9003, 2, 20, b"2026:05:01 12:00:00\0")


@pytest.mark.parametrize(
    ("exif", "xmp", "options"),
    [
        ({}, {"UTCAtExposure": "2026-05-01T10:00:00.250"}, {}),
        ({"gps": DAY}, {}, {}),
        ({"more": [NOON, (0x9011, 2, 7, b"+02:00\0")]}, {}, {}),
        ({"more": [NOON]}, {}, {"utc_offset_h": 2}),
    ],
)
def test_utc_comes_from_whoever_says_it(exif, xmp, options):
    found = state(stills.exif(**exif), stills.xmp({**PLACE, **xmp}), **options)
    quarter = 250_000_000 if "UTCAtExposure" in xmp or "gps" in exif else 0
    assert found.utc_ns == 1_777_629_600_000_000_000 + quarter


def test_a_folder_has_a_state_for_each_picture_and_nothing_between(tmp_path):
    eye, files = (46.5, 8.25, 600.0), []
    for n in range(3):
        files.append((tmp_path / f"{n}.jpg", n * 100_000_000))
        data = stills.still((46.5 + n * 0.1, *eye[1:]), (n * 90.0, -60.0), [])
        files[-1][0].write_bytes(stills.jpeg(GREY) if n == 1 else data)
    assert find(tmp_path) == "stills"
    reader = StillsXmp(OPTIONS, video=tmp_path)
    reader.pictures = files
    reader.open()
    assert reader.counters == {"pictures": 3, "without_position": 1, "turned": 0}
    feed = TelemetryFeed(reader, OPTIONS)
    assert feed.at(200_000_000)[0].lat_deg == pytest.approx(46.7)
    for t_ns, why in ((100_000_000, places.NO_POSITION), (150_000_000, places.NONE_YET)):
        assert eye_at(feed, MapOptions(), t_ns, 1600, 1200) == (None, why)
    found, _ = eye_at(feed, MapOptions(), 200_000_000, 1600, 1200)
    assert not found.errors[6].any(), "two pictures give no speed and no turn"


def test_a_folder_without_positions_is_refused_and_not_found(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(stills.jpeg(GREY))
    assert find(tmp_path) is None
    with pytest.raises(SourceError, match="no position in 1 pictures"):
        StillsXmp(OPTIONS, video=path).open()


@pytest.mark.footage
def test_a_real_still_of_dji(footage):
    """By exiftool's reading of the same file: 46 50 33.3855 N, 91 59 40.4156 W."""
    path = footage / "geo" / "drone_stills" / "DJI_0018.JPG"
    found, turned = still_state(path.read_bytes(), 0, OPTIONS)
    assert not turned
    assert found.lat_deg == pytest.approx(46 + 50 / 60 + 33.3855 / 3600, abs=1e-9)
    assert found.lon_deg == pytest.approx(-(91 + 59 / 60 + 40.4156 / 3600), abs=1e-9)
    assert found.altitudes_m == {"msl": 198.31, "takeoff": 39.8}
    assert found.gimbal_deg == (45.0, -89.9, 0.0)
    assert found.airframe_deg == (46.0, 1.8, 3.0)
    assert found.hfov_deg == pytest.approx(81.74, abs=0.01)


def test_xml_with_a_document_type_is_not_read():
    bomb = b'<!DOCTYPE a [<!ENTITY b "1">]>' + stills.xmp(PLACE)
    assert xmp_values(bomb) == {}
    assert xmp_values(b"<x") == {}


@pytest.mark.fault("H20")
def test_fuzzed_stills_give_a_state_or_less_never_an_error():
    rng = random.Random(6)
    values = {**PLACE, **stills.angles(1, -60), "UTCAtExposure": "2026-05-01T10:00:00",
              "RtkFlag": "50", "AbsoluteAltitude": "+3"}  # fmt: skip
    good = stills.jpeg(GREY, stills.exif(1.0, 2.0, 3.0, 24, gps=DAY), stills.xmp(values))
    head = good[: good.index(b"\xff\xdb")]
    read = 0
    for n in range(FUZZED):
        found, _ = still_state(mutated(rng, head), n, OPTIONS)
        read += "position" in found.pieces
        exif, _ = blocks(head)
        for value in exif_values(mutated(rng, exif)).values():
            assert isinstance(value, str | tuple)
    assert FUZZED / 10 < read < FUZZED
