"""Bytes of all kinds on every socket of a running line: dropped, counted, and it goes on."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
import pytest
import zmq

from perception import wire as m
from perception.transport.bus import Inbox
from perception.transport.sockets import endpoint
from perception.wire import codec
from tests.line import BACK_S, START_S, RunningLine, running, synthetic, wait_until

LATER = 1 << 62
CAMERA = "fake"
REASONS = ("size", "magic", "version", "header", "parts", "sender")


def stamp(n: int, camera: str = CAMERA) -> m.Stamp:
    t_ns = 1_000_000_000 + n * 100_000_000
    now = time.monotonic_ns()
    return m.Stamp(
        camera=camera, frame_id=m.make_id(1, n), t_media_ns=t_ns, t_arrival_ns=now, t_wall_ns=t_ns
    )


def frame(n: int, **changes: Any) -> m.FrameMessage:
    values = {"ring": "perception-none.1", "slot": 0, "generation": 2, "width": 64, "height": 48}
    return m.FrameMessage(stamp=stamp(n), **{**values, **changes})


def detections(n: int, camera: str = CAMERA, rows: int = 1) -> m.DetectionMessage:
    boxes = np.tile(np.array([[10.0, 10.0, 40.0, 40.0]], np.float32), (rows, 1))
    return m.DetectionMessage(
        stamp=stamp(n, camera),
        width=320,
        height=240,
        names={2: "car"},
        dropped={},
        t_taken_ns=0,
        t_detected_ns=0,
        inference_ns=0,
        detections=m.Detections.of(boxes, np.full(rows, 0.9), np.full(rows, 2)),
        grey=np.zeros((30, 40), np.uint8),
    )


def tracks(n: int, camera: str = CAMERA) -> m.TrackMessage:
    return m.TrackMessage(
        stamp=stamp(n, camera),
        width=320,
        height=240,
        names={},
        dropped={},
        t_detected_ns=0,
        t_tracked_ns=0,
        tracks=m.Tracks.none(),
        warp=np.eye(2, 3, dtype=np.float32),
    )


def hostile(good: bytes, other: bytes, seed: int = 3) -> Iterator[list[bytes]]:
    """Yield what is no message for a socket: good is one, other is of another camera."""
    chance = random.Random(seed)
    yield [b""]
    yield [b"\x80\x04\x95cposix\nsystem\n"]
    yield [b"GET / HTTP/1.1\r\n\r\n"]
    for size in (1, 7, 8, 9, 100, 65_536):
        yield [chance.randbytes(size)]
    for _ in range(40):
        cut = chance.randrange(len(good))
        yield [good[:cut]]
        at = chance.randrange(min(len(good), 200))
        yield [good[:at] + bytes([good[at] ^ (1 + chance.randrange(255))]) + good[at + 1 :] + b"!"]
    yield [good + b"\0"]
    yield [b"prc9" + good[4:]]
    yield [good[:4] + b"\xff\xff\xff\xff" + good[8:]]
    yield [good[:8] + b"\xdd\xff\xff\xff\xff" + good[13:]]
    yield [good[:8] + b"\x91" * 4000]
    yield [good, good]
    yield [b""] * 2000
    yield [good, *[os.urandom(50)] * 500]
    yield [bytes(m.MAX_MESSAGE_BYTES)]
    yield [other]


@contextlib.contextmanager
def socket_of(kind: int) -> Iterator[Any]:
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.linger = 0
        yield socket


def rss(pid: int) -> int:
    return psutil.Process(pid).memory_info().rss


def attack(line: RunningLine, topic: str, victims: list[str], good: Any, other: Any) -> None:
    """Stand in for a publisher that is not there; its listeners drop and count, and go on."""
    parts = list(hostile(codec.encode(good), codec.encode(other)))
    listener = Inbox(line.run_dir, "health", victims)
    health: dict[str, m.HealthMessage] = {}

    def hear() -> bool:
        for message in listener.poll(50):
            health[message.process] = message
        return len(health) == len(victims)

    try:
        wait_until(hear, START_S, f"health of {victims}")
        memory = {name: rss(message.pid) for name, message in health.items()}
        pids = {name: message.pid for name, message in health.items()}
        with socket_of(zmq.PUB) as socket:
            socket.bind(endpoint(line.run_dir, topic, CAMERA))
            tick = threading.Event()

            def refused(reasons: tuple[str, ...]) -> bool:
                hear()
                return all(
                    h.counters.get(f"rejected.{reason}", 0) > 0
                    for h in health.values()
                    for reason in reasons
                )

            def listens() -> bool:
                socket.send(b"?" * 20)
                return refused(("magic",))

            wait_until(listens, BACK_S, f"{victims} listen to the false {topic}")
            # Newest only loses most of a burst, and all parts but one of a message.
            newest = m.TOPICS[topic].delivery == "newest"
            for message in parts:
                socket.send_multipart(message)
                tick.wait(0.02 if newest else 0.002)
            reasons = ("size", "magic") if newest else REASONS
            wait_until(lambda: refused(reasons), BACK_S, f"{topic} was refused")
        for name, message in health.items():
            assert message.pid == pids[name], f"{name} was restarted"
            assert rss(message.pid) - memory[name] < 64 << 20, name
    finally:
        listener.close()


def assert_goes_on(line: RunningLine) -> None:
    run = line.connect()
    listen = run.tracks("true", every=True)
    for _ in range(5):
        next(listen)
    assert line.process.poll() is None


@pytest.mark.timeout(240)
@pytest.mark.fault("H01", "H04", "H05", "H06", "H07")
def test_sockets_of_a_camera_that_somebody_else_plays(home: Path) -> None:
    zone = {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    rules = {"inside": {"type": "zone", "zone": "all"}}
    launch = {
        "cameras": {
            "true": {**synthetic(), "zones": zone, "rules": rules},
            CAMERA: {"source": "push", "zones": zone, "rules": rules},
        },
        "output": {"tracks": True},
    }
    with running(home, launch, "--without", f"camera-{CAMERA}") as line:
        line.wait_ready("camera-true", "detection-default", "tracking", "alert", "output")
        attack(line, "frames", ["detection-default"], frame(1), frame(1, ring="../../etc/passwd"))
        with socket_of(zmq.PUB) as socket:
            socket.bind(endpoint(line.run_dir, "frames", CAMERA))
            lies = [
                frame(2, ring="perception-../../x.1"),
                frame(3, slot=LATER),
                frame(4, width=65535, height=65535),
                frame(5, ring=line.rings()[0].name, slot=0, width=65535, height=65535),
                frame(6, ring=line.rings()[0].name, slot=10**9),
            ]
            with line.health("detection-default") as listen:

                def refuses(health: m.HealthMessage) -> bool:
                    socket.send(codec.encode(lies[health.turns % len(lies)]))
                    return (
                        health.counters.get(f"dropped.{CAMERA}.refused", 0)
                        + health.counters.get(f"dropped.{CAMERA}.overwritten", 0)
                        >= 4
                    )

                listen(START_S, refuses)
        assert_goes_on(line)
        catch_up(line)
        assert_goes_on(line)
        assert line.stop() == 0
    assert all(p["restarts"] == 0 for p in line.summary()["processes"].values())


def catch_up(line: RunningLine) -> None:
    """Send nonsense to the socket where the alert process asks for what it missed."""
    good = codec.encode(m.CatchUpRequest(camera="true", after_frame_id=0))
    with socket_of(zmq.DEALER) as socket, line.health("tracking") as listen:
        socket.connect(endpoint(line.run_dir, "catchup", "tracking"))
        before = listen(START_S, lambda _: True)
        memory = rss(before.pid)
        refused = sum(n for k, n in before.counters.items() if k.startswith("rejected."))
        sent = 0
        for message in hostile(good, codec.encode(frame(1))):
            socket.send_multipart(message)
            sent += 1
        for camera in ("nobody", "true"):
            socket.send(codec.encode(m.CatchUpRequest(camera=camera, after_frame_id=-1)))
        listen(
            BACK_S,
            lambda h: (
                sum(n for k, n in h.counters.items() if k.startswith("rejected."))
                >= refused + 0.9 * sent
            ),
        )
        assert socket.poll(5000)
        end = codec.decode(socket.recv())
        assert (end.camera, end.sent) == ("nobody", 0)
        for _ in range(2_000):
            socket.send(codec.encode(m.CatchUpRequest(camera="nobody", after_frame_id=-1)))
        after = listen(BACK_S, lambda h: h.turns > before.turns + 5)
        assert after.pid == before.pid
        assert rss(after.pid) - memory < 64 << 20


@pytest.mark.timeout(240)
@pytest.mark.fault("H01", "H04", "H05", "H07")
def test_sockets_between_the_stages(home: Path) -> None:
    launch = {
        "cameras": {"true": synthetic(), CAMERA: {"source": "push"}},
        "detectors": {"default": {"type": "blobs"}, "other": {"type": "blobs"}},
        "output": {"tracks": True},
    }
    launch["cameras"][CAMERA]["detect"] = {"detector": "other"}
    with running(home, launch, "--without", "detection-other") as line:
        line.wait_ready("camera-true", "detection-default", "tracking", "alert", "output")
        attack(line, "detections", ["tracking"], detections(1), detections(1, "true"))
        with socket_of(zmq.PUB) as socket, line.health("tracking") as listen:
            socket.bind(endpoint(line.run_dir, "detections", CAMERA))
            n = iter(range(2, 10_000))

            def tracked(health: m.HealthMessage) -> bool:
                number = next(n)
                rows = m.MAX_ROWS // 4 if number % 5 == 0 else 1
                socket.send(codec.encode(detections(number, rows=rows)))
                return health.counters.get(f"tracked.{CAMERA}", 0) >= 5

            listen(START_S, tracked)
        assert_goes_on(line)
        push(line)
        assert_goes_on(line)
        assert line.stop() == 0
    assert all(p["restarts"] == 0 for p in line.summary()["processes"].values())


def push(line: RunningLine) -> None:
    """Send nonsense to the socket of a push source."""
    name = f"camera-{CAMERA}"
    with socket_of(zmq.PUSH) as socket, line.health(name) as listen:
        socket.connect(endpoint(line.run_dir, "push", CAMERA))
        before = listen(START_S, lambda h: h.state == "ready")
        memory, sent = rss(before.pid), 0
        for message in hostile(codec.encode(frame(1)), codec.encode(tracks(1))):
            socket.send_multipart(message)
            sent += 1
        key = f"source.{CAMERA}.refused"
        after = listen(BACK_S, lambda h: h.counters.get(key, 0) >= 0.9 * sent)
        assert after.pid == before.pid
        assert rss(after.pid) - memory < 64 << 20


@pytest.mark.timeout(240)
@pytest.mark.fault("H01", "H04", "H05", "H07")
def test_sockets_of_tracking_and_alert(home: Path) -> None:
    launch = {"cameras": {CAMERA: {"source": "push"}}, "output": {"tracks": True}}
    arguments = ("--without", "tracking", "--without", "alert")
    with running(home, launch, *arguments) as line:
        line.wait_ready(f"camera-{CAMERA}", "detection-default", "output")
        attack(line, "tracks", ["output"], tracks(1), tracks(1, "true"))
        alert = m.Alert(
            key="a" * 32, camera=CAMERA, rule="r", kind="zone", state="raised", track_id=1,
            class_name="car", score=0.5, box=(0.0, 0.0, 1.0, 1.0), frame_id=1,
            start_t_media_ns=0, t_media_ns=0, start_t_wall_ns=0, t_wall_ns=0,
        )  # fmt: skip
        good = m.AlertMessage(stamp=stamp(1), t_alerted_ns=0, alert=alert)
        stranger = m.AlertMessage(
            stamp=stamp(1), t_alerted_ns=0, alert=msgspec.structs.replace(alert, camera="nobody")
        )
        attack(line, "alerts", ["output"], good, stranger)
        assert line.process.poll() is None, line.says
        assert line.stop() == 0
    assert all(p["restarts"] == 0 for p in line.summary()["processes"].values())
