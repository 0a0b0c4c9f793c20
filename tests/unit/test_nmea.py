"""NMEA: sentences of the handbooks, a log with midnight in it, live pieces, hostile bytes."""

import math
import random
import socket
import time

import pytest

from perception.errors import SourceError
from perception.geo.camera import eye_at
from perception.geo.options import MapOptions
from perception.geo.series import Series
from perception.telemetry.feed import TelemetryFeed
from perception.telemetry.finding import find
from perception.telemetry.nmea import NmeaLive, NmeaLog, NmeaStates
from perception.wire import places
from tests.unit.test_telemetry import FUZZED, mutated, nothing_absurd

GGA = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
RMC = b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"
VTG = b"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48\r\n"
HDT = b"$GPHDT,274.07,T*03\r\n"
"""As handbooks print them, with their checksums."""


def sentence(body):
    total = 0
    for byte in body.encode():
        total ^= byte
    return f"${body}*{total:02X}\r\n".encode()


def gga(of_day, lat="4807.038", lon="01131.000", quality=1, kind="GPGGA"):
    return sentence(f"{kind},{of_day},{lat},N,{lon},E,{quality},08,1.0,545.4,M,46.9,M,,")


def rmc(of_day, date, lat="4807.038"):
    return sentence(f"GNRMC,{of_day},A,{lat},N,01131.000,E,10.0,090.0,{date},,,A")


def read(*lines):
    series, counters = Series(), {}
    states = NmeaStates(series, counters)
    for n, line in enumerate(lines):
        states.take(line, lambda _, n=n: n)
    return series, counters, states


def test_the_sentences_of_the_handbook_give_what_they_say():
    series, counters, states = read(GGA, VTG, HDT, RMC)
    assert counters == {"sentences": 4, "other": 0, "bad": 0}
    (place,) = series.positions()
    assert place.lat_deg == pytest.approx(48.1173, abs=1e-9)
    assert place.lon_deg == pytest.approx(11 + 31 / 60, abs=1e-9)
    assert place.altitudes_m == {"msl": 545.4, "ellipsoid": pytest.approx(592.3)}
    assert place.sigmas["position_m"] == pytest.approx(1.8)
    assert states.date_ns == 764_380_800 * 10**9
    state, _ = series.at(1, 1.0)
    speed = 5.5 * 1852 / 3600
    assert math.hypot(*state.velocity_m_s[:2]) == pytest.approx(speed)
    assert math.degrees(math.atan2(state.velocity_m_s[1], state.velocity_m_s[0])) == pytest.approx(
        54.7
    )
    assert state.heading_deg == pytest.approx(274.07 - 360)
    assert state.airframe_deg is None, "a compass says nothing of pitch and roll"


def test_rmc_alone_gives_a_place_without_a_height():
    series, _, _ = read(RMC)
    (place,) = series.positions()
    assert place.altitudes_m == {}
    assert place.utc_ns == 764_426_119 * 10**9
    assert math.hypot(*series.at(0, 1.0)[0].velocity_m_s[:2]) == pytest.approx(22.4 * 1852 / 3600)


@pytest.mark.parametrize(
    "line",
    [
        GGA.replace(b"*47", b"*48"),
        GGA.replace(b"*47", b""),
        GGA[1:],
        sentence("GPGGA,123519,4807.038,X,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
        sentence("GPGGA,993519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
        sentence("GPGGA,123519,4877.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
        sentence("GPGGA,123519,48"),
        sentence("GPHDT,north,T"),
        b"\xff\xfe$",
    ],
)
def test_what_is_wrong_is_counted_and_gives_nothing(line):
    series, counters, _ = read(line)
    assert len(series) == 0
    assert counters["bad"] == 1


def test_no_fix_and_other_kinds_give_no_place():
    series, counters, _ = read(
        gga("123519", quality=0), sentence("GPGSA,A,3,,,,,,,,,,,,,2.5,1.3,2.1"), b"\r\n",
        sentence("PGRME,15.0,M,45.0,M,25.0,M"), sentence("GPRMC,123519,V,,,,,,,230394,,"),
    )  # fmt: skip
    assert series.positions() == []
    assert counters == {"sentences": 2, "other": 2, "bad": 0}


def log(tmp_path, *lines, **options):
    path = tmp_path / "boat.nmea"
    path.write_bytes(b"".join(lines))
    reader = NmeaLog(NmeaLog.Options(path=path, **options), video=None)
    reader.open()
    return reader


def times(reader):
    return [round(s.t_ns / 1e9, 3) for s in reader.series.positions()]


def test_a_log_begins_with_its_first_sentence_and_goes_on_past_midnight(tmp_path):
    lines = [gga("235958"), rmc("235958", "310526"), gga("235959.5"), gga("000000"),
             rmc("000000", "010626"), gga("000001")]  # fmt: skip
    reader = log(tmp_path, *lines)
    assert times(reader) == [0.0, 1.5, 2.0, 3.0]
    assert reader.series.positions()[-1].utc_ns == 1_780_272_001 * 10**9
    assert times(log(tmp_path, gga("235958"), gga("000001"), gga("120000"))) == [0, 3, 43_202]


def test_a_log_and_a_clip_meet_by_utc(tmp_path):
    lines = rmc("120000", "010626"), gga("120001"), gga("120003")
    reader = log(tmp_path, *lines, video_utc="2026-06-01T12:00:01Z")
    assert times(reader) == [-1, 0, 2]
    assert times(log(tmp_path, gga("120003"), video_utc="2026-06-01T12:00:01")) == [2]


def test_a_log_beside_a_clip_is_found_and_one_without_a_place_is_refused(tmp_path):
    clip = tmp_path / "boat.mp4"
    clip.write_bytes(b"x")
    log(tmp_path, GGA)
    assert find(clip) == "nmea_log"
    reader = NmeaLog(NmeaLog.Options(), video=clip)
    reader.open()
    assert times(reader) == [0.0]
    with pytest.raises(SourceError, match="no position in it"):
        log(tmp_path, HDT)


def test_the_heading_is_the_yaw_of_a_camera_whose_pitch_is_said(tmp_path):
    reader = log(tmp_path, GGA, HDT)
    feed = TelemetryFeed(reader, NmeaLog.Options())
    whole = {"lens": {"hfov_deg": 60}, "ground": {"height_m": 445.4}}
    eye, why = eye_at(feed, MapOptions(**whole), 0, 640, 480)
    assert (eye, why) == (None, places.NO_ATTITUDE)
    eye, _ = eye_at(feed, MapOptions(**whole, assume={"pitch_deg": -30}), 0, 640, 480)
    assert eye.body[0, 0] == pytest.approx(
        math.cos(math.radians(274.07)) * math.cos(math.radians(30))
    )
    assert eye.height_m == 545.4


def live():
    return NmeaLive(NmeaLive.Options(), video=None)


def test_live_lines_come_in_pieces_and_two_senders_make_the_place_unknown():
    reader = live()
    for n, byte in enumerate(GGA):
        reader.take(bytes([byte]), "a", n)
    assert len(reader.series.positions()) == 1
    assert reader.why == ""
    reader.take(gga("123520"), "b", 10**9)
    assert reader.why == "2 senders tell a position"
    assert TelemetryFeed(reader, NmeaLive.Options()).at(10**9)[1] == {}
    reader.take(gga("123526"), "a", 7 * 10**9)
    assert reader.why == ""


@pytest.mark.fault("F35")
def test_over_udp_a_silent_receiver_has_no_place_after_a_while():
    reader = NmeaLive(NmeaLive.Options(url="udp://127.0.0.1:47932"), video=None)
    reader.open()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            deadline = time.monotonic() + 5
            while not reader.series.has("heading") and time.monotonic() < deadline:
                sender.sendto(GGA + HDT, ("127.0.0.1", reader.port))
                time.sleep(0.02)
        feed, now = TelemetryFeed(reader, NmeaLive.Options()), time.monotonic_ns()
        assert feed.at(now)[0].lat_deg == pytest.approx(48.1173)
        assert feed.at(now + 2 * 10**9)[0].lat_deg is None
        with pytest.raises(SourceError, match="in use"):
            NmeaLive(NmeaLive.Options(url="udp://127.0.0.1:47932"), video=None).open()
    finally:
        reader.close()


@pytest.mark.fault("H20")
def test_fuzzed_nmea_gives_states_or_a_count_never_an_error():
    rng, reader = random.Random(7), live()
    for n in range(FUZZED):
        good = rng.choice((GGA, RMC, VTG, HDT))
        data = rng.randbytes(rng.randint(0, 300)) if n % 10 == 0 else mutated(rng, good)
        if n % 3 == 0:  # a true sum over any fields
            words = ("4807.038", "9907.0", "N", "E", "", "1e400", "-3", "nan", "123519", "A", "inf")
            kind = rng.choice(("GPGGA", "GPRMC", "GPVTG", "GPHDT"))
            data = sentence(",".join([kind, *rng.choices(words, k=rng.randint(0, 14))]))
        reader.take(data, "peer", n * 10**6)
    assert reader.counters["bad"] > 1000
    assert reader.counters["sentences"] > 100
    nothing_absurd(reader.series)


@pytest.mark.fault("H20")
def test_fuzzed_logs_are_read_or_refused(tmp_path):
    rng, path = random.Random(8), tmp_path / "a.nmea"
    good = b"".join((GGA, RMC, gga("235959"), rmc("235959", "310526"), gga("000001"), HDT, VTG))
    for _ in range(1000):
        path.write_bytes(mutated(rng, good))
        reader = NmeaLog(NmeaLog.Options(path=path), video=None)
        try:
            reader.open()
        except SourceError:
            continue
        nothing_absurd(reader.series)
