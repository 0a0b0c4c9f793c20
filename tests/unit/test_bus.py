import os
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import zmq

from perception import wire as m
from perception.errors import ConfigError
from perception.transport import bus, catch_up, push_queue, sockets
from perception.wire import codec


def stamp(n, camera="a"):
    return m.Stamp(camera=camera, frame_id=n, t_media_ns=n, t_arrival_ns=n, t_wall_ns=n)


def frame(n, camera="a"):
    return m.FrameMessage(
        stamp=stamp(n, camera), ring="perception-x.1", slot=0, generation=2, width=4, height=4
    )


def alert_free_tracks(n, camera="a"):
    import numpy as np

    return m.TrackMessage(
        stamp=stamp(n, camera), width=4, height=4, names={}, dropped={}, t_detected_ns=0,
        t_tracked_ns=0,
        tracks=m.Tracks.none(), warp=np.eye(2, 3, dtype=np.float32),
    )  # fmt: skip


def wait_for(inbox, publisher, message):
    """Send until the connection stands, so that nothing after is lost; drain the rest."""
    for _ in range(200):
        publisher.send(message)
        if list(inbox.poll(20)):
            break
    else:
        pytest.fail("never connected")
    while list(inbox.poll(50)):
        pass


@pytest.mark.parametrize(("topic", "make"), [("frames", frame), ("tracks", alert_free_tracks)])
@pytest.mark.parametrize("count", [100, 6000], ids=["a moment", "till some are lost"])
def test_only_the_newest(tmp_path, topic, make, count):
    publisher = bus.Publisher(tmp_path, topic, "a")
    inbox = bus.Inbox(tmp_path, topic, ["a"], newest=True)
    wait_for(inbox, publisher, make(0))
    for n in range(1, count + 1):
        publisher.send(make(n))
    time.sleep(0.5)  # the pause: what can be on its way waits at the reader now
    received = []
    for n in range(count + 1, count + 101):
        received += [message.stamp.frame_id for message in inbox.poll(50)]
        if received and received[-1] > count:
            break
        publisher.send(make(n))
    assert received[-1] > count
    assert len(received) < 20
    if count > 2000:
        assert received[0] >= count, "not one from before the pause"
    publisher.close()
    inbox.close()


def test_tracks_are_a_queue(tmp_path):
    publisher, inbox = bus.Publisher(tmp_path, "tracks", "a"), bus.Inbox(tmp_path, "tracks", ["a"])
    wait_for(inbox, publisher, alert_free_tracks(0))
    for n in range(1, 101):
        publisher.send(alert_free_tracks(n))
    received = []
    while got := list(inbox.poll(200)):
        received += [message.stamp.frame_id for message in got]
    assert received == list(range(1, 101))
    publisher.close()
    inbox.close()


def test_no_camera_starves(tmp_path):
    names = ["a", "b", "c"]
    publishers = {n: bus.Publisher(tmp_path, "frames", n) for n in names}
    inbox = bus.Inbox(tmp_path, "frames", names)
    for name in names:
        wait_for(inbox, publishers[name], frame(0, name))
    seen = {name: 0 for name in names}
    end, n = time.monotonic() + 10, 0
    while min(seen.values()) < 5 and time.monotonic() < end:
        n += 1
        for name in names:
            publishers[name].send(frame(n, name))
        for message in inbox.poll(200):
            seen[message.stamp.camera] += 1
    assert min(seen.values()) >= 5, "each has its turn while the others always have something"
    for publisher in publishers.values():
        publisher.close()
    inbox.close()


@contextmanager
def whoever_sends(run_dir, topic):
    """A sender of any bytes on a topic of camera a, and a function that makes an Inbox for it."""
    context = zmq.Context()
    raw = context.socket(zmq.PUB)
    raw.linger = 0
    raw.bind(sockets.endpoint(run_dir, topic, "a"))
    with ExitStack() as inboxes:

        def listen(**options):
            inbox = bus.Inbox(run_dir, topic, ["a"], **options)
            inboxes.callback(inbox.close)
            return inbox

        try:
            yield raw, listen
        finally:
            raw.close()
            context.term()


def test_what_is_no_message_is_dropped_and_counted(tmp_path):
    good = codec.encode(alert_free_tracks(5))
    hostile = [
        [b""], [b"x"], [os.urandom(4000)], [good[:-1]], [good + b"z"],
        [codec.encode(frame(1))], [codec.encode(alert_free_tracks(1, "b"))], [good, good],
        [good] + [b""] * 50, [b"prc2" + b"\xff" * 60],
    ]  # fmt: skip
    with whoever_sends(tmp_path, "tracks") as (raw, listen):
        inbox = listen()
        for _ in range(200):
            raw.send(good)
            if list(inbox.poll(20)):
                break
        for parts in hostile:
            raw.send_multipart(parts)
        raw.send(good)
        received = []
        for _ in range(100):
            received += list(inbox.poll(50))
            if sum(inbox.rejected.values()) == len(hostile) and received:
                break
        assert sum(inbox.rejected.values()) == len(hostile)
        assert inbox.rejected["parts"] == 2
        assert inbox.rejected["sender"] == 1
        assert all(message.stamp.frame_id == 5 for message in received)


@pytest.mark.parametrize("topic", ["frames", "tracks"])
def test_parts_to_who_takes_only_the_newest_end_nothing(tmp_path, topic):
    """ZeroMQ's own newest-only aborts the process here, sooner or later: it bears no parts."""
    good = codec.encode(frame(5) if topic == "frames" else alert_free_tracks(5))
    with whoever_sends(tmp_path, topic) as (raw, listen):
        inbox, received = listen(newest=True), []
        for n in range(4000):
            raw.send_multipart([good, *[b"?"] * (n % 7)])
            received += list(inbox.poll(0))
            if n > 2000 and received and inbox.rejected.get("parts", 0) > 100:
                break
            if n < 50:
                threading.Event().wait(0.01)
        assert {message.stamp.frame_id for message in received} == {5}
        assert inbox.rejected["parts"] > 100
        assert set(inbox.rejected) == {"parts"}


def test_catch_up_returns_what_was_kept(tmp_path):
    server = catch_up.CatchUpServer(tmp_path)
    kept = [alert_free_tracks(n) for n in range(10)]
    stop = threading.Event()

    def serve():
        while not stop.wait(0.01):
            for who, request in server.requests():
                newer = [t for t in kept if t.stamp.frame_id > request.after_frame_id]
                server.answer(who, request.camera, newer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        got = [t.stamp.frame_id for t in catch_up.catch_up(tmp_path, "a", 6)]
        assert got == [7, 8, 9]
        slow = []
        for message in catch_up.catch_up(tmp_path, "a", -1, timeout_s=0.3):
            slow.append(message.stamp.frame_id)
            stop.wait(0.1)  # the work of ten messages takes longer than the timeout
        assert slow == list(range(10))
    finally:
        stop.set()
        thread.join()
        server.close()


def test_catch_up_without_a_tracker_ends_by_itself(tmp_path):
    assert list(catch_up.catch_up(tmp_path, "front", 0, timeout_s=0.2)) == []


def test_a_path_too_long_for_a_socket_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="107 bytes"):
        sockets.endpoint(tmp_path / ("x" * 120), "tracks", "a")


def test_push_reaches_the_puller_and_says_when_nobody_takes(tmp_path):
    pusher = push_queue.Pusher(tmp_path, "a")
    assert not pusher.send(frame(1), timeout_s=0.1)
    puller = push_queue.Puller(tmp_path, "a")
    assert pusher.send(frame(2), timeout_s=5)
    assert puller.receive(2000).stamp.frame_id == 2
    assert puller.receive(10) is None
    pusher.close()
    puller.close()


def test_a_socket_path_may_have_107_bytes():
    folder = Path("/run/line")
    longest = "n" * (107 - len(f"{folder}/tracks.".encode()))
    assert sockets.endpoint(folder, "tracks", longest).endswith(longest)
    with pytest.raises(ConfigError, match="more than 107 bytes"):
        sockets.endpoint(folder, "tracks", longest + "n")
