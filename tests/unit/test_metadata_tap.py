"""Data beside a live video: its media time, and what is lost; a reader that takes it."""

from fractions import Fraction

import av
import pytest

from perception.errors import SourceError
from perception.sources.metadata import MAX_BYTES, MAX_WAITING, MetadataTap
from perception.telemetry.feed import TelemetryFeed
from perception.telemetry.klv_stream import KlvFile
from tests import klv

S = 1_000_000_000


def packet(data=b"x", pts=None):
    made = av.Packet(data)
    made.time_base = Fraction(1, 90_000)
    made.pts = made.dts = pts
    return made


def test_synchronous_data_comes_at_its_own_time_asynchronous_at_the_picture():
    tap = MetadataTap()
    tap.picture(10 * S, 3 * S)
    tap.packet(packet(b"sync", 90_000 * 12), 7)
    tap.packet(packet(b"async"), 8)
    first, second = tap.take()
    assert (first.data, first.t_media_ns, first.t_arrival_ns) == (b"sync", 5 * S, 7)
    assert (second.data, second.t_media_ns) == (b"async", 3 * S)
    assert tap.take() == []
    assert tap.lost == 0


def test_what_is_too_early_too_large_or_not_taken_is_lost_and_counted():
    tap = MetadataTap()
    tap.packet(packet(), 0)
    assert tap.lost == 1
    tap.picture(0, 0)
    tap.packet(packet(b"x" * (MAX_BYTES + 1)), 0)
    assert tap.lost == 2
    for n in range(MAX_WAITING + 5):
        tap.packet(packet(str(n).encode()), n)
    taken = tap.take()
    assert len(taken) == MAX_WAITING
    assert taken[0].data == b"5"
    assert tap.lost == 7


def test_a_live_reader_takes_packets_and_holds_them_for_a_while():
    reader = KlvFile(KlvFile.Options(), video=None)
    with pytest.raises(SourceError, match="inside an MPEG-TS"):
        reader.open()
    reader.inside = True
    reader.open()
    feed = TelemetryFeed(reader, KlvFile.Options())
    assert feed.at(0)[1] == {}
    feed.take(klv.position(47.0, 8.0, 500.0), 2 * S)
    feed.take(b"rubbish", 3 * S)
    assert feed.at(3 * S)[0].lat_deg == pytest.approx(47.0, abs=1e-6)
    assert feed.at(4 * S)[0].lat_deg is None
