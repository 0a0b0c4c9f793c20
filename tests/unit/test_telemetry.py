"""Every dialect of telemetry gives the state it says; what is broken is named, counted, refused."""

import math
import random
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from perception.errors import SourceError
from perception.geo.series import Series
from perception.geo.state import State, checked
from perception.launchfile.config import load
from perception.launchfile.resolve import resolve
from perception.telemetry import TELEMETRY, telemetry_class
from perception.telemetry.csv_log import COLUMNS, CsvLog
from perception.telemetry.dji_srt import DjiSrt
from perception.telemetry.feed import TelemetryFeed
from perception.telemetry.finding import find
from perception.telemetry.gpmf import streams
from perception.telemetry.gpmf_file import GpmfFile
from perception.telemetry.klv import Klv, state_of
from perception.telemetry.klv_stream import KlvFile
from perception.telemetry.mavlink import MavlinkLive
from perception.telemetry.tlog import Tlog
from tests import klv
from tests.clips import write_clip

FUZZED = 10_000


def srt(text, tmp_path, **options):
    path = tmp_path / "log.srt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    reader = DjiSrt(DjiSrt.Options(path=path, **options), video=None)
    reader.open()
    return reader


def cue(n, body):
    return f"{n}\n00:00:0{n},000 --> 00:00:0{n + 1},000\n{body}\n\n"


BODIES = {
    "bracket": ("[focal_len : 240] [latitude: 41.5] [longitude: 2.25] [altitude: 117.0]", 41.5,
                2.25, {"takeoff": 117.0}, None, 24.0),
    "typo": ("[latitude : -34.5] [longtitude : -57.5] [altitude: 74.5] </font>", -34.5, -57.5,
             {"takeoff": 74.5}, None, None),
    "newer": ("[focal_len: 24.00] [dzoom_ratio: 20000, delta:0] [latitude: 1.5] [longitude: 2.5] "
              "[rel_alt: 12.3 abs_alt: 456.7] [gb_yaw: 37.8 gb_pitch: -20.1 gb_roll: 0.5]", 1.5,
              2.5, {"takeoff": 12.3, "msl": 456.7}, (37.8, -20.1, 0.5), None),
    "mavic_pro": ("HOME(149.0251,-20.2532)\nGPS(149.0251,-20.2533,16) BAROMETER:1.9",
                  -20.2533, 149.0251, {"takeoff": 1.9}, None, None),
    "old": ("HOME(149.0,-20.0)\nGPS(149.5,-20.5,16) Hb:1.9 Hs:1.9", -20.5, 149.5, {"takeoff": 1.9},
            None, None),
    "matrice": ("2022.06.21 16:06:17\nGPS(36.6146,-6.1120,0.0M) BAROMETER:4.1M", 36.6146, -6.112,
                {"takeoff": 4.1}, None, None),
    "p4": ("F/5.6, GPS (-58.85, -34.23, 15), HOME (-58.8, -34.2, -57.98m), D 698.70m, H 85.80m, "
           "F.PRY (2.7°, -7.0°, 110.1°), G.PRY (-24.4°, 0.0°, 110.4°)", -34.23, -58.85,
           {"takeoff": 85.8}, (110.4, -24.4, 0.0), None),
}  # fmt: skip


@pytest.mark.parametrize("dialect", BODIES)
def test_every_dialect_of_dji_gives_what_it_says(dialect, tmp_path):
    body, lat, lon, altitudes, gimbal, focal = BODIES[dialect]
    state = srt(cue(1, body) + cue(2, body), tmp_path).series.positions()[1]
    assert (state.t_ns, state.lat_deg, state.lon_deg) == (2_000_000_000, lat, lon)
    assert state.altitudes_m == altitudes
    assert state.gimbal_deg == gimbal
    if focal:
        assert state.focal_35_mm == focal
    if dialect == "p4":
        assert state.airframe_deg == (110.1, 2.7, -7.0)
    assert state.utc_ns is None


def test_a_coarse_position_has_a_larger_sigma(tmp_path):
    coarse = srt(cue(1, "GPS(2.1234,41.1234,9) BAROMETER:1"), tmp_path).series.positions()[0]
    fine = srt(cue(1, BODIES["bracket"][0]), tmp_path).series.positions()[0]
    assert coarse.sigmas["position_m"] > fine.sigmas["position_m"] + 1.0


def test_the_clock_of_a_dji_is_utc_only_where_its_zone_is_said(tmp_path):
    body = "2022-08-07 13:40:40,774,808\n" + BODIES["bracket"][0]
    said = srt(cue(1, body), tmp_path, utc_offset_h=2).series.positions()[0]
    assert said.utc_ns == 1659872440774000000


def test_a_broken_log_gives_its_readable_part_with_a_count(tmp_path):
    whole = cue(1, BODIES["p4"][0]) + cue(2, "F/5.6, GPS (-58.8") + cue(3, BODIES["p4"][0])
    reader = srt(b"\xef\xbb\xbf" + whole.encode() + b"\xff\xfe4\n00:0", tmp_path)
    assert reader.counters == {"cues": 3, "cues_unreadable": 1}
    for text in ("", "1\n", "hello", cue(1, "no place"), cue(1, "GPS(500,500,3)")):
        with pytest.raises(SourceError, match="no position in"):
            srt(text, tmp_path)


@pytest.mark.footage
def test_every_file_of_dji_logs_is_read_or_refused_clearly(footage):
    expected = {
        "air2s.srt": 17, "broken_incomplete.SRT": 19, "broken_incomplete2.SRT": 4,
        "matrice_300.srt": 381, "mavic_air2.srt": 25, "mavic_mini.SRT": 117, "mavic_pro.SRT": 468,
        "old_format.SRT": 468, "p4_rtk.SRT": 55,
    }  # fmt: skip
    found = {}
    for path in sorted((footage / "geo" / "dji_srt").iterdir()):
        reader = DjiSrt(DjiSrt.Options(path=path), video=None)
        if path.name == "broken_empty2.SRT":
            with pytest.raises(SourceError, match="no position"):
                reader.open()
            continue
        reader.open()
        found[path.name] = len(reader.series.positions())
        assert not reader.series.refused
    assert found == expected


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg writes the subtitle track")
@pytest.mark.parametrize("codec", ["mov_text", "srt"])
def test_a_subtitle_track_inside_a_clip_is_read(tmp_path, codec):
    film, text = write_clip(tmp_path / "film.mp4"), tmp_path / "a.srt"
    text.write_text(cue(1, BODIES["p4"][0]) + cue(3, BODIES["p4"][0]))
    clip = tmp_path / ("clip.mp4" if codec == "mov_text" else "clip.mkv")
    command = ["ffmpeg", "-v", "error", "-i", str(film), "-i", str(text), "-c", "copy"]
    subprocess.run([*command, "-c:s", codec, str(clip)], check=True, timeout=60)
    reader = DjiSrt(DjiSrt.Options(), video=clip)
    reader.open()
    first, second = reader.series.positions()
    assert (first.t_ns, second.t_ns) == (10**9, 3 * 10**9)
    assert second.gimbal_deg == (110.4, -24.4, 0.0)
    with pytest.raises(SourceError, match=r"no \.SRT beside it"):
        DjiSrt(DjiSrt.Options(), video=film).open()


@pytest.mark.fault("H20")
def test_what_cannot_be_true_is_left_out_and_named():
    good = State(t_ns=0, lat_deg=1.0, lon_deg=2.0, altitudes_m={"msl": 3.0})
    assert checked(good) == (good, [])
    for change, reason in (
        ({"lat_deg": 91.0}, "latitude 91"),
        ({"lon_deg": -181.0}, "longitude -181"),
        ({"lat_deg": math.nan}, "latitude nan"),
        ({"lat_deg": 0.0, "lon_deg": 0.0}, "no fix"),
        ({"lat_deg": None}, "missing"),
    ):
        bare, why = checked(replace(good, **change))
        assert reason in why[0]
        assert bare.lat_deg is None
        assert bare.altitudes_m == {}
    bare, why = checked(replace(good, altitudes_m={"msl": math.inf, "takeoff": 1.0}))
    assert bare.altitudes_m == {"takeoff": 1.0}
    bare, _ = checked(replace(good, gimbal_deg=(1.0, math.nan, 0.0), hfov_deg=0.0))
    assert bare.gimbal_deg is None
    assert bare.hfov_deg is None
    assert bare.pieces == ["position"]


def at(t_s, lat=10.0, **more):
    return State(t_ns=round(t_s * 1e9), lat_deg=lat, lon_deg=20.0, **more)


def test_states_are_interpolated_held_and_then_missing():
    series = Series()
    series.add(at(0.0, 10.0, gimbal_deg=(170.0, -30.0, 0.0), altitudes_m={"msl": 0.0}))
    series.add(at(1.0, 10.001, gimbal_deg=(-170.0, -40.0, 0.0), altitudes_m={"msl": 10.0}))
    state, ages = series.at(500_000_000, 1.5)
    assert state.lat_deg == pytest.approx(10.0005)
    assert abs(state.gimbal_deg[0]) == pytest.approx(180.0)
    assert state.altitudes_m == {"msl": 5.0}
    assert ages["position"] == 0.0
    state, ages = series.at(2_000_000_000, 1.5)
    assert (state.lat_deg, ages["position"]) == (10.001, 1.0)
    state, ages = series.at(2_600_000_000, 1.5)
    assert state.lat_deg is None
    assert ages["position"] == pytest.approx(1.6)


@pytest.mark.fault("F35")
def test_a_gap_is_not_bridged_with_old_values():
    series = Series()
    series.add(at(0.0))
    series.add(at(60.0))
    assert series.at(30_000_000_000, 1.5)[0].lat_deg is None


def test_a_position_that_jumps_is_refused_until_the_next_agrees():
    series = Series()
    for n in range(5):
        series.add(at(n * 0.2, 10.0))
    series.add(at(1.0, 50.0))
    series.add(at(1.2, 10.0))
    assert series.refused == {"position jumped": 1}
    assert {s.lat_deg for s in series.positions()} == {10.0}
    series.add(at(1.4, 60.0))
    series.add(at(1.6, 60.0))
    assert series.positions()[-1].lat_deg == 60.0


@pytest.mark.fault("F35")
def test_a_live_clock_that_goes_back_is_refused():
    series = Series(live=True)
    series.add(at(5.0))
    series.add(at(4.0))
    assert series.refused == {"time went back": 1}


def test_a_klv_packet_gives_its_state_and_its_checksum_counts():
    reader = Klv()
    (values,) = reader.packets(b"junk" + klv.position(47.5, -8.25, 1234.0, azimuth=-90.0) + b"tail")
    state = state_of(values, 5)
    assert state.lat_deg == pytest.approx(47.5, abs=1e-6)
    assert state.lon_deg == pytest.approx(-8.25, abs=1e-6)
    assert state.altitudes_m["msl"] == pytest.approx(1234.0, abs=0.2)
    assert state.gimbal_deg == pytest.approx((270.0, -60.0, 0.0), abs=1e-4)
    assert state.airframe_deg[0] == pytest.approx(90.0, abs=0.01)
    assert state.utc_ns == 1_700_000_000_000_000_000
    bad = bytearray(klv.position(47.5, 8.0, 100.0))
    bad[40] ^= 1
    assert list(reader.packets(bytes(bad))) == []
    assert reader.counters["bad_checksum"] == 1
    none = klv.packet([(13, b"\x80\x00\x00\x00"), (14, b"\x80\x00\x00\x00")])
    (values,) = reader.packets(none)
    assert 13 not in values


@pytest.mark.fault("H20")
def test_klv_lengths_that_lie_are_refused():
    reader, body = Klv(), b"\x02\x08" + bytes(8)
    for length in (b"\x80", b"\x88" + b"\xff" * 8, b"\x84\x7f\xff\xff\xff", b"\xff"):
        assert list(reader.packets(klv.KEY + length + body)) == []
    assert reader.counters["bad_length"] == 4
    assert list(reader.packets(klv.KEY + b"\x0a" + body)) == []
    assert reader.counters["no_checksum"] == 1


@pytest.mark.footage
def test_the_packets_of_the_standard(footage):
    reader, folder = Klv(), footage / "geo" / "klv"
    (values,) = reader.packets((folder / "DynamicOnlyMISMMSPacketData.bin").read_bytes())
    assert values[13] == pytest.approx(60.1768, abs=1e-3)
    assert values[5] == pytest.approx(159.974, abs=1e-3)
    assert values[15] == pytest.approx(14190.7, abs=0.1)
    assert values[16] == pytest.approx(144.571, abs=1e-3)
    # The other one's last two bytes are not the sum of the rest: it must not be believed.
    other = (folder / "DynamicConstantMISMMSPacketData.bin").read_bytes()
    assert list(reader.packets(other)) == []
    assert reader.counters["bad_checksum"] == 1


def test_klv_in_a_transport_stream_comes_at_the_video_time(tmp_path):
    path = tmp_path / "down.ts"
    klv.stream(path, [klv.position(47.0 + n * 1e-5, 8.0, 500.0) for n in range(20)])
    assert find(path) == "klv"
    reader = KlvFile(KlvFile.Options(), video=path)
    reader.open()
    assert reader.counters["packets"] == 20
    state, _ = TelemetryFeed(reader, KlvFile.Options()).at(1_000_000_000)
    assert state.lat_deg == pytest.approx(47.0 + 10e-5, abs=1.2e-6)
    shifted = TelemetryFeed(reader, KlvFile.Options(offset_s=0.5)).at(1_500_000_000)[0]
    assert shifted.lat_deg == pytest.approx(state.lat_deg, abs=1e-9)


def tlog(messages, start_us=1_700_000_000_000_000):
    return b"".join(
        struct.pack(">Q", start_us + n * 100_000) + data for n, data in enumerate(messages)
    )


def mav(system=1):
    from pymavlink.dialects.v20 import ardupilotmega

    made = ardupilotmega.MAVLink(None, srcSystem=system, srcComponent=1)
    return made, ardupilotmega


def place_message(made, m, lat=47.5, lon=8.5, boot_ms=1000):
    said = m.MAVLink_global_position_int_message(
        boot_ms, round(lat * 1e7), round(lon * 1e7), 600_000, 100_000, 500, -200, 10, 9000
    )
    return said.pack(made)


def test_mavlink_messages_become_a_state_with_every_piece(tmp_path):
    made, m = mav()
    half = math.radians(-30.0) / 2
    said = [
        place_message(made, m),
        m.MAVLink_system_time_message(1_700_000_000_000_000, 1000).pack(made),
        m.MAVLink_terrain_report_message(0, 0, 100, 500.0, 88.0, 0, 100).pack(made),
        m.MAVLink_attitude_message(1000, 0.1, 0.2, 0.3, 0, 0, 0).pack(made),
        m.MAVLink_gimbal_device_attitude_status_message(
            0, 0, 1000, 64, [math.cos(half), 0, math.sin(half), 0], 0, 0, 0, 0
        ).pack(made),
        m.MAVLink_camera_fov_status_message(1000, 0, 0, 0, 0, 0, 0, [1, 0, 0, 0], 62.0, 37.0).pack(
            made
        ),
        place_message(made, m),
    ]
    path = tmp_path / "a.tlog"
    path.write_bytes(b"rubbish" + tlog(said) + b"\xfe\xff")
    reader = Tlog(Tlog.Options(path=path), video=None)
    reader.open()
    state, _ = reader.series.at(600_000_000, 1.5)
    assert (state.lat_deg, state.lon_deg) == (47.5, 8.5)
    assert state.altitudes_m == {"msl": 600.0, "takeoff": 100.0, "ground": 88.0}
    assert state.velocity_m_s == (5.0, -2.0, 0.1)
    assert state.airframe_deg == pytest.approx([math.degrees(a) for a in (0.3, 0.2, 0.1)], abs=1e-4)
    assert state.gimbal_deg == pytest.approx((0.0, -30.0, 0.0), abs=1e-4)
    assert state.gimbal_frame == "earth"
    assert state.hfov_deg == 62.0
    assert state.utc_ns == 1_700_000_000_000_000_000


@pytest.mark.footage
def test_a_real_log_of_a_vehicle_is_read_whole(footage):
    reader = Tlog(Tlog.Options(path=footage / "geo" / "mavlink" / "vtol.tlog"), video=None)
    reader.open()
    assert reader.counters["records"] == 23_894
    assert len(reader.series.positions()) == 807
    assert reader.counters["bytes_skipped"] == 0


@pytest.mark.footage
def test_a_gopro_clip_gives_position_attitude_and_gyro(footage):
    path = footage / "video" / "aerial" / "gopro_karma_drone_gpmf.mp4"
    assert find(path) == "gpmf"
    reader = GpmfFile(GpmfFile.Options(), video=path)
    reader.open()
    state, _ = reader.series.at(5_000_000_000, 1.5)
    assert (state.lat_deg, state.lon_deg) == pytest.approx((33.1256, -117.3312), abs=1e-3)
    assert state.airframe_deg is not None
    assert len(reader.gyro) > 4000


def test_a_csv_log_is_read_by_its_header(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "utc,lat,lon,alt_msl_m,gimbal_yaw_deg,gimbal_pitch_deg,gimbal_roll_deg,hfov_deg\n"
        "2026-05-01T10:00:00Z,47.5,8.5,600,10,-45,0,60\n"
        "2026-05-01T10:00:01Z,47.50001,8.5,,11,-45,0,60\n"
        "yesterday,47.6,8.5,600,11,-45,0,60\n"
    )
    reader = CsvLog(CsvLog.Options(path=path), video=None)
    reader.open()
    first, second = reader.series.positions()[:2]
    assert first.gimbal_deg == (10.0, -45.0, 0.0)
    assert second.altitudes_m == {}
    assert second.t_ns == 1_000_000_000
    assert reader.counters == {"rows": 3, "rows_unreadable": 1}
    path.write_text("t_s,latt,lon\n0,1,2\n")
    with pytest.raises(SourceError, match="needs t_s or utc"):
        CsvLog(CsvLog.Options(path=path), video=None).open()
    path.write_text("t_s,lat,lon,heigth_m\n0,1,2,3\n")
    with pytest.raises(SourceError, match="heigth_m"):
        CsvLog(CsvLog.Options(path=path), video=None).open()


def live():
    return MavlinkLive(MavlinkLive.Options(), video=None)


@pytest.mark.fault("F35")
def test_two_vehicles_with_one_id_make_the_place_unknown_until_one_is_silent():
    made, m = mav()
    reader = live()
    reader.take(place_message(made, m), ("a", 1), 0)
    assert reader.why == ""
    reader.take(place_message(made, m, lat=47.5001), ("b", 2), 10**9)
    assert reader.why == "2 vehicles speak as system 1"
    state, ages = TelemetryFeed(reader, MavlinkLive.Options()).at(10**9)
    assert state.lat_deg is None
    assert ages == {}
    reader.take(place_message(made, m), ("a", 1), 5 * 10**9)
    assert reader.why == ""


@pytest.mark.fault("F35")
def test_another_vehicle_and_silence_are_told_apart():
    first, m = mav(1)
    other, _ = mav(2)
    reader = live()
    reader.take(place_message(first, m), "x", 0)
    reader.take(place_message(other, m, lat=10.0), "x", 10**8)
    assert reader.counters["other_system"] == 1
    feed = TelemetryFeed(reader, MavlinkLive.Options(max_age_s=1.0))
    assert feed.at(5 * 10**8)[0].lat_deg == 47.5
    state, ages = feed.at(3 * 10**9)
    assert state.lat_deg is None
    assert ages["position"] == 3.0


def test_mavlink_comes_over_udp_and_nothing_is_sent():
    import socket
    import time

    made, m = mav()
    options = MavlinkLive.Options(url="udp://127.0.0.1:47931")
    reader = MavlinkLive(options, video=None)
    reader.open()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            sender.settimeout(0.3)
            sender.sendto(b"\xfe\xff" * 300, ("127.0.0.1", reader.port))
            deadline = time.monotonic() + 5
            while not len(reader.series) and time.monotonic() < deadline:
                sender.sendto(place_message(made, m), ("127.0.0.1", reader.port))
                time.sleep(0.02)
            assert len(reader.series)
            with pytest.raises(TimeoutError):
                sender.recv(100)
        with pytest.raises(SourceError, match="in use"):
            MavlinkLive(options, video=None).open()
    finally:
        reader.close()


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        kind = rng.random()
        if kind < 0.6 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind < 0.8:
            del data[rng.randrange(len(data) + 1) :]
        else:
            at = rng.randrange(len(data) + 1)
            data[at:at] = rng.randbytes(rng.randint(1, 20))
    return bytes(data)


def nothing_absurd(series):
    for state in series.positions():
        assert abs(state.lat_deg) <= 90.0
        assert abs(state.lon_deg) <= 180.0
        assert all(math.isfinite(v) for v in state.altitudes_m.values())


@pytest.mark.fault("H20")
def test_fuzzed_klv_gives_values_or_a_count_never_an_error():
    rng, reader, series = random.Random(1), Klv(), Series()
    good = klv.position(47.0, 8.0, 500.0)
    for n in range(FUZZED):
        data = rng.randbytes(rng.randint(0, 300)) if n % 10 == 0 else mutated(rng, good)
        if n % 3 == 0:  # a true sum over any fields
            tags = [rng.choice((2, 5, 6, 13, 14, 15, 16, 19, 75, 90, 127)) for _ in range(6)]
            data = klv.packet([(tag, rng.randbytes(rng.choice((2, 4, 8, 3)))) for tag in tags])
        for values in reader.packets(data):
            series.add(state_of(values, n))
    assert sum(reader.counters.values()) - reader.counters["packets"] > FUZZED / 4
    nothing_absurd(series)


@pytest.mark.fault("H20")
def test_fuzzed_mavlink_gives_states_or_a_count_never_an_error():
    rng, reader = random.Random(2), live()
    made, m = mav()
    for n in range(FUZZED):
        good = place_message(made, m, lat=rng.choice((47.0, 91.0, -120.0, 0.0)))
        data = rng.randbytes(rng.randint(0, 300)) if n % 10 == 0 else mutated(rng, good)
        reader.take(data, "peer", n * 10**6)
    assert reader.counters["garbage"] > 1000
    nothing_absurd(reader.series)


@pytest.mark.fault("H20")
def test_fuzzed_subtitles_never_raise_anything_but_a_clear_error(tmp_path):
    rng = random.Random(3)
    good = "".join(cue(n % 9, body[0]) for n, body in enumerate(BODIES.values())).encode()
    reader = DjiSrt(DjiSrt.Options(), video=None)
    for _ in range(FUZZED):
        text = mutated(rng, good).decode("utf-8", "replace")
        for state in reader.states(text):
            reader.series.add(state)
        if len(reader.series) > 500:
            nothing_absurd(reader.series)
            reader.series = Series()
    assert reader.counters["cues"] > FUZZED


def gpmf_item(key, kind, size, values):
    pad = b"\0" * (-len(values) % 4)
    return key + kind + bytes([size]) + (len(values) // size).to_bytes(2, "big") + values + pad


def gpmf_payload():
    gps = struct.pack(">5i", 475_000_000, 85_000_000, 600_000, 1000, 10)
    inner = gpmf_item(b"STNM", b"c", 1, b"GPS") + gpmf_item(
        b"SCAL", b"l", 4, struct.pack(">5i", 10_000_000, 10_000_000, 1000, 1000, 100)
    )
    inner += gpmf_item(b"GPS5", b"l", 20, gps * 3)
    return gpmf_item(b"DEVC", b"\0", 1, gpmf_item(b"STRM", b"\0", 1, inner))


@pytest.mark.fault("H20")
def test_fuzzed_gpmf_never_raises():
    rng, good = random.Random(4), gpmf_payload()
    (found,) = streams(good)
    assert found.rows[0][:3] == (47.5, 8.5, 600.0)
    for _ in range(FUZZED):
        for stream in streams(mutated(rng, good)):
            assert all(len(row) == len(stream.rows[0]) for row in stream.rows)


@pytest.mark.fault("H20")
def test_fuzzed_csv_is_read_or_refused(tmp_path):
    rng, path = random.Random(5), tmp_path / "log.csv"
    head = ",".join(c for c in COLUMNS if c != "utc")
    row = ",".join(str(n % 7) for n in range(len(COLUMNS) - 1))
    good = f"{head}\n{row}\n{row}\n".encode()
    for _ in range(1000):
        path.write_bytes(mutated(rng, good))
        reader = CsvLog(CsvLog.Options(path=path), video=None)
        try:
            reader.open()
        except SourceError:
            continue
        nothing_absurd(reader.series)


@pytest.mark.parametrize("kind", TELEMETRY)
def test_every_reader_has_what_a_reader_has(kind):
    cls = telemetry_class(kind)
    reader = cls(cls.Options(), video=None)
    assert isinstance(reader.sigmas, dict)
    assert reader.why == ""
    if not reader.live:
        with pytest.raises(SourceError):
            reader.open()
    reader.close()
    reader.close()


def test_a_launch_file_names_what_is_wrong_with_its_telemetry(tmp_path):
    from perception.errors import ConfigError

    path = tmp_path / "a.yaml"
    for text, said in (
        ("telemetry: {type: dji_str}", "did you mean 'dji_srt'"),
        ("telemetry: {path: x}", "needs a type"),
        ("telemetry: {type: mavlink, url: 'http://x:1'}", "udp://127.0.0.1:14550"),
        ("telemetry: {type: csv}\n    map: {ground: {type: dem}}", "dem needs a path"),
        ("telemetry: {type: csv}\n    map: {lens: {hfov_deg: 60, focal_35_mm: 24}}", "give one of"),
    ):
        path.write_text(f"cameras:\n  down:\n    source: push\n    {text}\n")
        with pytest.raises(ConfigError, match=said):
            resolve(*load(path))


def test_a_film_with_ordinary_subtitles_has_no_telemetry(tmp_path):
    clip = tmp_path / "film.mp4"
    clip.write_bytes(b"x")
    clip.with_suffix(".srt").write_text(cue(1, "Hello, dear."))
    assert find(clip) is None
    clip.with_suffix(".srt").write_text(cue(1, BODIES["p4"][0]))
    assert find(clip) == "dji_srt"
    assert find(Path("/nowhere/x.mp4")) is None
