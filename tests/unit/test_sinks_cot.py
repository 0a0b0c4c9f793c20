"""Cursor-on-Target over udp, tcp and TLS to real sockets, checked against the base schema."""

import contextlib
import re
import socket
import ssl
import threading
from datetime import datetime
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from perception.errors import SinkError, SinkRefused
from perception.sinks.cot import UNKNOWN_M, CotSink, event
from perception.web.certificate import own
from perception.wire import make_id
from tests.receivers import until
from tests.scenes import WALL_NS, alert

PLACE = {"lat": 46.5123456, "lon": -6.25, "error_m": 7.25}
NUMBER, TIME = r"-?\d+(\.\d+)?", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
EVENT = {
    "version": r"2\.0", "uid": r"\S+", "type": r"\w+(-\w+)*(;[^;]*)?", "how": r"\w(-\w+)*",
    "time": TIME, "start": TIME, "stale": TIME,
}  # fmt: skip
POINT = {"lat": 90.0, "lon": 180.0, "hae": 1e7, "ce": 1e7, "le": 1e7}
"""The required attributes of event and point in the base schema (MITRE MP 090284)."""


def placed(n, **changes):
    details = changes.pop("details", PLACE)
    return alert(n, track_id=make_id(3, n), details=details, **changes)


def check(data):
    """Return the attributes of an event that is valid by the schema, and of its point."""
    root = ElementTree.fromstring(data)
    assert root.tag == "event"
    for name, form in EVENT.items():
        assert re.fullmatch(form, root.attrib[name]), (name, root.attrib[name])
    assert set(root.attrib) <= {*EVENT, "access", "qos", "opex"}
    assert [child.tag for child in root] == ["point", "detail"]
    point = root[0].attrib
    assert set(point) == set(POINT)
    for name, most in POINT.items():
        assert re.fullmatch(NUMBER, point[name])
        assert abs(float(point[name])) <= most
    times = {n: datetime.fromisoformat(root.attrib[n]) for n in ("time", "start", "stale")}
    assert times["start"] <= times["time"] <= times["stale"]
    return root, times


def make(url, **options):
    return CotSink(CotSink.Options(url=url, **options), None)


class Server:
    """A TAK server as far as a sender knows it: takes bytes, over TLS where given a context."""

    def __init__(self, tls=None):
        self.got, self._tls, self.links = b"", tls, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            if self._tls is not None:
                options = {"server_side": True, "do_handshake_on_connect": False}
                link = self._tls.wrap_socket(link, **options)
                try:
                    link.do_handshake()
                except OSError:
                    link.close()
                    continue
            self.links.append(link)
            threading.Thread(target=self._read, args=(link,)).start()

    def _read(self, link):
        try:
            while data := link.recv(65536):
                self.got += data
        except OSError:
            return

    @property
    def events(self):
        return [part + b"</event>" for part in self.got.split(b"</event>")[:-1]]

    def hang_up(self):
        for link in self.links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self.links.clear()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def test_an_event_over_udp_is_valid_and_bears_the_place():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        sink = make(f"udp://127.0.0.1:{receiver.getsockname()[1]}", stale_s=20)
        sink.send(placed(7), None)
        root, times = check(receiver.recv(65536))
    assert root[0].attrib["lat"] == "46.5123456"
    assert root[0].attrib["lon"] == "-6.2500000"
    assert root[0].attrib["ce"] == "7.2"
    assert root.attrib["uid"] == "perception.door.3-7"
    assert (times["stale"] - times["time"]).total_seconds() == 20
    assert times["time"].timestamp() == pytest.approx(WALL_NS / 1e9, abs=0.002)
    assert root.find("detail/contact").attrib["callsign"] == "person 7"


def test_over_tcp_a_track_keeps_its_uid_and_a_lost_link_is_made_again():
    with Server() as server:
        sink = make(f"tcp://127.0.0.1:{server.port}")
        sink.send(placed(1), None)
        sink.send(placed(1, state="updated", t_wall_ns=WALL_NS + 10**9), None)
        sink.send(placed(2), None)
        until(lambda: len(server.events) == 3, 5)
        assert len(server.links) == 1
        server.hang_up()
        sink.send(placed(1, state="cleared", t_wall_ns=WALL_NS + 2 * 10**9), None)
        until(lambda: len(server.events) == 4, 5)
        found = [check(data.strip()) for data in server.events]
        uids = [root.attrib["uid"] for root, _ in found]
        assert uids[0] == uids[1] == uids[3] != uids[2]
        assert found[3][1]["stale"] == found[3][1]["time"], "what is over is stale at once"
        sink.close()


def test_over_tls_to_a_server_whose_certificate_we_know(tmp_path):
    mine = own(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    assert mine is not None
    with Server(context) as server:
        sink = make(f"tls://127.0.0.1:{server.port}", ca=tmp_path / "certificate.pem")
        sink.send(placed(1), None)
        until(lambda: len(server.events) == 1, 5)
        check(server.events[0].strip())
        sink.close()
        stranger = make(f"tls://127.0.0.1:{server.port}")
        with pytest.raises(SinkError, match="certificate"):
            stranger.send(placed(1), None)
        assert len(server.events) == 1


def test_no_place_is_refused_for_good_and_no_server_for_now():
    sink = make("tcp://127.0.0.1:9", timeout_s=1)
    with pytest.raises(SinkRefused, match="no position"):
        sink.send(placed(1, details={}), None)
    with pytest.raises(SinkError, match="refused") as caught:
        sink.send(placed(1), None)
    assert not isinstance(caught.value, SinkRefused)


def test_what_is_not_known_is_said_so():
    sink_free = placed(1, details={"lat": 1.0, "lon": 2.0}, class_name='a<b>&"')
    root, _ = check(event(sink_free, "a-u-G", 60))
    assert root[0].attrib["hae"] == root[0].attrib["ce"] == UNKNOWN_M
    assert root.find("detail/contact").attrib["callsign"].startswith('a<b>&"')


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://host:1"},
        {"url": "udp://host"},
        {"url": "tcp://host:1/path"},
        {"url": "udp://host:1", "ca": "a.pem"},
        {"url": "tls://host:1", "cert": "a.pem"},
        {"url": "udp://host:1", "cot_type": "<x>"},
    ],
)
def test_options_that_are_refused(options):
    with pytest.raises(ValidationError):
        CotSink.Options(**options)
