"""Live messages: what a slow viewer loses, what a new one gets, alerts as a stream."""

import asyncio
import json
import struct
import time

import numpy as np
import pytest

from perception.web import hub as hubs
from perception.web.api.alerts import _stream
from perception.web.hub import Hub, Viewer
from perception.web.users_file import Who
from perception.wire import AlertMessage, PacketMessage, Stamp, TrackMessage, Tracks, make_id
from tests.page import HEADERS, make_page
from tests.scenes import alert

ALL = Who("r", "admin", None)
OF_DOOR = Who("a", "viewer", frozenset(["door"]))


def stamp(n, camera="door"):
    return Stamp(
        camera=camera, frame_id=make_id(1, n), t_media_ns=n * 40_000_000, t_arrival_ns=1,
        t_wall_ns=1_700_000_000_000_000_000 + n * 40_000_000,
    )  # fmt: skip


def packet(n, *, key=False, size=1500, camera="door"):
    rows = -(-size // 1024)
    blocks = np.full((rows, 1024), n % 251, np.uint8)
    return PacketMessage(
        stamp=stamp(n, camera), stream=0, key=key, pts=n * 3600, timescale=90_000, codec="h264",
        width=64, height=48, header_bytes=100 if key else 0, lost=0, size=size, blocks=blocks,
    )  # fmt: skip


def head(data):
    size = struct.unpack_from("<I", data)[0]
    return json.loads(data[4 : 4 + size]), data[4 + size :]


async def taken(viewer, count):
    return [head(await asyncio.wait_for(viewer.next(), 1)) for _ in range(count)]


def joined(hub, kind="packets"):
    viewer = Viewer()
    hub.viewers.add(viewer)
    hub.watch(viewer, "door", kind)
    return viewer


def test_a_new_viewer_begins_at_the_last_key_frame():
    async def run():
        hub = Hub(["door"], "b")
        for n in range(25):
            hub.take(packet(n, key=n % 10 == 0))
        viewer = joined(hub)
        hub.take(packet(25))
        got = await taken(viewer, 6)
        assert [h["t"] // 40_000 for h, _ in got] == [20, 21, 22, 23, 24, 25]
        assert [h["key"] for h, _ in got] == [True] + [False] * 5
        assert all(len(data) == 1500 and set(data) == {h["t"] // 40_000} for h, data in got)
        assert got[1][0]["pts"] == pytest.approx(21 * 0.04)

    asyncio.run(run())


def test_f20_a_stuck_viewer_loses_up_to_the_next_key_frame_and_holds_little(monkeypatch):
    async def run():
        now = [0]
        monkeypatch.setattr(hubs.clock, "monotonic_ns", lambda: now[0])
        hub = Hub(["door"], "b")
        viewer, other = joined(hub), joined(hub)
        for n in range(1000):
            now[0] = n * 40_000_000
            hub.take(packet(n, key=n % 50 == 0, size=20_000))
            await other.next()
            assert viewer._bytes < 15 * 21_000
        assert not other.skipped
        assert viewer.skipped["door"] > 900
        now[0] += 40_000_000
        viewer._waiting.clear()
        viewer._bytes = 0
        hub.take(packet(1000, key=True))
        (got,) = await taken(viewer, 1)
        assert got[0]["key"]

    asyncio.run(run())


def test_after_a_gap_nothing_comes_before_a_key_frame(monkeypatch):
    async def run():
        now = [0]
        monkeypatch.setattr(hubs.clock, "monotonic_ns", lambda: now[0])
        hub = Hub(["door"], "b")
        viewer = joined(hub)
        hub.take(packet(0, key=True))
        now[0] = hubs.LATE_NS + 1
        hub.take(packet(1))
        hub.take(packet(2))
        hub.take(packet(3, key=True))
        hub.take(packet(4))
        got = await taken(viewer, 2)
        assert [h["t"] // 40_000 for h, _ in got] == [3, 4]
        assert viewer.skipped == {"door": 3}

    asyncio.run(run())


def test_what_is_not_watched_is_not_sent_nor_encoded(monkeypatch):
    async def run():
        hub = Hub(["door", "yard"], "b")
        viewer = joined(hub)
        encoded = []
        monkeypatch.setattr(hubs, "encoded_tracks", lambda m, w: encoded.append(m) or b"{}")
        hub.take(packet(0, key=True, camera="yard"))
        for camera in ("yard", "door"):
            hub.take(TrackMessage(
                stamp=stamp(1, camera), width=64, height=48, names={}, dropped={},
                t_detected_ns=0, t_tracked_ns=0, tracks=Tracks.none(),
                warp=np.eye(2, 3, dtype=np.float32),
            ))  # fmt: skip
        assert [m.stamp.camera for m in encoded] == ["door"]
        viewer.unwatch("door")
        hub.take(packet(1, key=True))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(viewer.next(), 0.05)

    asyncio.run(run())


class Connected:
    """A request whose client stays."""

    async def is_disconnected(self):
        return False


def events(hub, who, after, count):
    async def run():
        stream = _stream(hub, who, after, Connected())
        got = [await asyncio.wait_for(anext(stream), 1) for _ in range(count)]
        await stream.aclose()
        return got

    return asyncio.run(run())


def test_events_go_on_after_the_last_one_and_show_own_cameras_only():
    hub = Hub(["door", "yard"], "boot")
    for n in range(4):
        one = alert(n, camera=("door", "yard")[n % 2])
        hub.take(AlertMessage(stamp=stamp(n), t_alerted_ns=1, alert=one))
    opened, first, second = events(hub, ALL, "boot-2", 3)
    assert opened == ": open\n\n"
    assert [text.splitlines()[1] for text in (first, second)] == ["id: boot-3", "id: boot-4"]
    _, only = events(hub, OF_DOOR, "boot-0", 2)
    assert '"camera":"door"' in only
    _, only = events(hub, OF_DOOR, "boot-2", 2)
    assert only.splitlines()[1] == "id: boot-3"
    for unknown in ("other-2", "boot-99", "boot-x", ""):
        assert events(hub, ALL, unknown, 1)[0].startswith("event: reset\nid: boot-4")


def test_alerts_come_in_pages_that_stay_when_new_ones_come(memory):
    page = make_page(memory)
    store = page.site.alerts()
    for n in range(20, 45):
        at = 1_700_000_000_000_000_000 + (n // 3)  # several at the same time
        store.commit("door", n, [alert(n, start_t_wall_ns=at)], dict, now=True)
    client, seen, after = page.client("a"), [], ""
    while True:
        got = client.get(f"/api/v1/alerts?limit=4{after}").json()
        seen += [one["key"] for one in got["items"]]
        store.commit("door", 1, [alert(100 + len(seen), start_t_wall_ns=2**60 * 2)], dict, now=True)
        if got["next"] is None:
            break
        after = f"&after={got['next']}"
    assert len(seen) == len(set(seen)) == 26
    assert seen == sorted(seen, key=lambda key: (-_start(store, key), key))
    for bad in ("x", "1", "1-", "-1-a", "9" * 30 + "-a"):
        assert client.get(f"/api/v1/alerts?after={bad}").status_code == 422


def _start(store, key):
    return store.show(key).alert.start_t_wall_ns


def test_seen_is_noted(memory):
    page = make_page(memory)
    key = f"{1:032x}"
    client = page.client("o")
    assert client.get(f"/api/v1/alerts/{key}").json()["seen_ms"] is None
    assert client.post(f"/api/v1/alerts/{key}/seen", headers=HEADERS).json()["seen_ms"]
    assert page.site.alerts().show(key).t_acked_wall_ns


def test_wrong_is_noted_with_user_and_time_and_taken_back(memory):
    page = make_page(memory)
    one, client = f"/api/v1/alerts/{1:032x}", page.client("o")
    assert client.get(one).json()["wrong"] is None
    before_ms = time.time_ns() // 1_000_000
    said = client.post(f"{one}/wrong", headers=HEADERS).json()["wrong"]
    assert said["user"] == "o"
    assert before_ms <= said["at_ms"] <= time.time_ns() // 1_000_000
    wrong = client.get("/api/v1/alerts?wrong=true").json()["items"]
    assert [(item["key"], item["wrong"]) for item in wrong] == [(f"{1:032x}", said)]
    assert page.client("a").post(f"{one}/wrong", headers=HEADERS).status_code == 403
    assert client.delete(f"{one}/wrong", headers=HEADERS).json()["wrong"] is None
    assert client.get("/api/v1/alerts?wrong=true").json()["items"] == []


def test_timeline_and_segment_of_a_time(memory):
    from perception.footage.catalog import Catalog
    from tests.page import segment
    from tests.scenes import WALL_NS

    page = make_page(memory)
    catalog = Catalog(memory / "out" / "footage")
    for n in (1, 2, 5):
        catalog.add(segment("door", n))
    catalog.close()
    ms = WALL_NS // 1_000_000
    client = page.client("a")
    got = client.get(
        f"/api/v1/recordings/timeline?from_ms={ms}&to_ms={ms + 600_000}&steps=10"
    ).json()
    (row,) = got["rows"]
    assert [(s["from_ms"] - ms, s["to_ms"] - ms) for s in row["recorded"]] == [
        (0, 180_000), (300_000, 360_000),
    ]  # fmt: skip
    assert row["busy"] == [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert [mark["key"] for mark in row["alerts"]] == [f"{1:032x}"]

    def at(offset):
        answer = client.get(f"/api/v1/recordings/at?camera=door&at_ms={ms + offset}")
        found = answer.json()
        return (found["id"], found["offset_s"]) if answer.status_code == 200 else None

    assert at(61_000) == ("door~day~door-1", 1.0)
    assert at(200_000) == ("door~day~door-5", 0.0)
    assert at(361_000) is None
    for bad in ("from_ms=5&to_ms=5", f"from_ms=0&to_ms={33 * 86_400_000}", "from_ms=-1&to_ms=4"):
        assert client.get(f"/api/v1/recordings/timeline?{bad}").status_code == 422


def test_search_knows_the_lines_names_and_own_cameras_only(memory):
    page = make_page(memory)
    got = page.client("a").get("/api/v1/search?words=person at door-zone").json()
    assert [one["camera"] for one in got["items"]] == ["door"]
    assert got["ignored"] == []
    got = page.client("a").get("/api/v1/search?words=person at yard").json()
    assert got["ignored"] == ["yard"]
    assert {one["camera"] for one in got["items"]} <= {"door"}
