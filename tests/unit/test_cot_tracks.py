"""Tracks as Cursor-on-Target: stable ids, stale times, a rate, no queue; to real sockets."""

import contextlib
import socket
import time

import msgspec
import numpy as np
import pytest
from pydantic import ValidationError

from perception.sinks.cot import UNKNOWN_M
from perception.sinks.cot_tracks import CotTracks, TrackOptions
from perception.wire import REMOVED, make_id, places
from tests.receivers import until
from tests.scenes import WALL_NS
from tests.unit.test_geo_ground import message
from tests.unit.test_sinks_cot import Server, check

PLACE = (46.5, 6.25, 400.0, 4.0, 0.0, 1.0, 3.0, 4.0, 0.1)
"""Velocity 3 m/s east and 4 m/s north; the 95 % ellipse is 4.9 m long."""


def frame(t_s, ids, codes=None, states=None, scores=None):
    """Return a frame with tracks at PLACE, at t_s after the first."""
    said = message([(1, 2, 3, 4)] * len(ids), round(t_s * 1e9))
    ns = round(t_s * 1e9)
    said.stamp = msgspec.structs.replace(
        said.stamp, camera="down", t_arrival_ns=5 + ns, t_wall_ns=WALL_NS + ns
    )
    tracks = said.tracks
    tracks.track_ids = np.array([make_id(3, i) for i in ids], np.int64)
    tracks.places = np.tile(PLACE, (len(ids), 1))
    tracks.place_codes = np.array(codes or [places.PLACE_GOOD] * len(ids), np.uint8)
    if states is not None:
        tracks.states = np.array(states, np.uint8)
    if scores is not None:
        tracks.scores = np.array(scores, np.float32)
    said.names = {0: "car"}
    return said


class Listener:
    """A udp socket that keeps what comes."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"udp://127.0.0.1:{self._socket.getsockname()[1]}"

    def events(self, count, quiet_s=0.3):
        """Return `count` events, checked; there is none more for a while."""
        found = []
        self._socket.settimeout(5)
        for _ in range(count):
            found.append(check(self._socket.recv(65536)))
        self._socket.settimeout(quiet_s)
        with pytest.raises(TimeoutError):
            self._socket.recv(65536)
        return found

    def all_so_far(self):
        """Return the events that have come, checked."""
        found = []
        self._socket.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                found.append(check(self._socket.recv(65536)))
        return found

    def close(self):
        self._socket.close()


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


def sender(url, **options):
    return CotTracks(TrackOptions(url=url, **options))


def test_a_track_has_one_uid_its_place_speed_and_stale_time(listener):
    cot = sender(listener.url, stale_s=7, types={"car": "a-u-G-E-V"})
    cot.take(frame(0.0, [7]))
    ((root, times),) = listener.events(1)
    assert root.attrib["uid"] == "perception.down.3-7"
    assert root.attrib["type"] == "a-u-G-E-V"
    assert (root[0].attrib["lat"], root[0].attrib["lon"]) == ("46.5000000", "6.2500000")
    assert float(root[0].attrib["ce"]) == pytest.approx(2 * 2.448, abs=0.05)
    assert (times["stale"] - times["time"]).total_seconds() == 7
    going = root.find("detail/track").attrib
    assert float(going["speed"]) == 5.0
    assert float(going["course"]) == pytest.approx(36.9, abs=0.05)
    cot.take(frame(1.0, [7]))
    ((again, later),) = listener.events(1)
    assert again.attrib["uid"] == root.attrib["uid"]
    assert again.attrib["start"] == root.attrib["start"]
    assert (later["time"] - times["time"]).total_seconds() == 1
    cot.close()


def test_it_keeps_its_rate_and_sends_the_best_of_many(listener):
    cot = sender(listener.url, every_s=1.0, most=2)
    for n in range(25):
        cot.take(frame(n * 0.1, [1, 2, 3], scores=[0.9, 0.3, 0.8]))
        time.sleep(0.01)
    found = listener.events(6)
    uids = sorted(root.attrib["uid"].rpartition("-")[2] for root, _ in found)
    assert uids == ["1", "1", "1", "3", "3", "3"]
    assert cot.counters["left_out"] == 3
    cot.close()


def test_a_track_that_ends_is_stale_at_once_and_one_without_a_place_is_not_sent(listener):
    cot = sender(listener.url)
    cot.take(frame(0.0, [1, 2], codes=[places.PLACE_GOOD, places.OLD]))
    ((root, _),) = listener.events(1)
    assert root.attrib["uid"].endswith("-1")
    cot.take(frame(1.0, [1, 2], codes=[places.OLD, places.OLD]))
    listener.events(0)
    cot.take(frame(2.0, [1, 2], codes=[places.OLD] * 2, states=[REMOVED, 1]))
    ((last, times),) = listener.events(1)
    assert last.attrib["uid"] == root.attrib["uid"]
    assert times["stale"] == times["time"]
    cot.take(frame(3.0, []))
    listener.events(0)
    cot.close()


def test_an_ellipse_that_is_no_measure_is_said_to_be_unknown(listener):
    cot = sender(listener.url)
    cot.take(frame(0.0, [1], codes=[places.PLACE_FLAT]))
    ((root, _),) = listener.events(1)
    assert root[0].attrib["ce"] == UNKNOWN_M
    assert "too flat" in root.find("detail/remarks").text
    cot.close()


def test_a_server_that_is_away_delays_nobody_and_gets_the_newest_when_it_is_back():
    with Server() as server:
        port = server.port
    cot = sender(f"tcp://127.0.0.1:{port}", timeout_s=1)
    begin = time.monotonic()
    for n in range(30):
        cot.take(frame(float(n), [1]))
    assert time.monotonic() - begin < 1.0
    until(lambda: "refused" in cot.why, 5)
    assert cot.counters["replaced"] > 20
    cot.close()


def test_over_tcp_events_come_one_after_the_other():
    with Server() as server:
        cot = sender(f"tcp://127.0.0.1:{server.port}")
        for n in range(3):
            cot.take(frame(float(n), [1, 2]))
            until(lambda n=n: len(server.events) == 2 * n + 2, 5)
        found = [check(data.strip())[0].attrib["uid"] for data in server.events]
        assert found == ["perception.down.3-1", "perception.down.3-2"] * 3
        cot.close()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"url": "http://x:1"},
        {"url": "udp://x:1", "every_s": 0},
        {"url": "udp://x:1", "ca": "a"},
        {"url": "udp://x:1", "types": {"car": "<x>"}},
        {"url": "udp://x:1", "only": {}},
    ],
)
def test_options_that_are_refused(options):
    with pytest.raises(ValidationError):
        TrackOptions(**options)
