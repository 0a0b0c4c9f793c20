"""Too much of everything: a flood of messages from one peer, a storm of alerts."""

import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from perception.transport.sockets import endpoint
from perception.wire import HealthMessage
from perception.wire.codec import encode
from tests.line import SLOW, START_S, RunningLine, running, synthetic, wait_until
from tests.receivers import Hook
from tests.scenes import message

FLOOD_HZ, FLOOD_S, FPS = 10_000, 6.0, 12
TRACKS, FLICKERS = 1000, 6


def tracked_hz(line: RunningLine, seconds: float) -> float:
    """Return how many frames of camera `true` are tracked in a second."""
    with line.health("tracking") as listen:
        first: HealthMessage = listen(START_S, lambda _: True)
        due = first.t_monotonic_ns + seconds * 1e9
        last = listen(seconds + START_S, lambda m: m.t_monotonic_ns >= due)
    count = last.counters["tracked.true"] - first.counters["tracked.true"]
    return count / (last.t_monotonic_ns - first.t_monotonic_ns) * 1e9


@pytest.mark.timeout(180)
@pytest.mark.fault("H08")
@pytest.mark.parametrize("topic", ["detections", "frames"])
def test_a_flood_from_one_peer_leaves_the_others_their_rate(home: Path, topic: str) -> None:
    without = "camera-false" if topic == "frames" else "detection-other"
    false = {"source": "push", "detect": {"detector": "other"}}
    launch = {
        "cameras": {"true": synthetic(fps=FPS), "false": false},
        "detectors": {"default": {"type": "blobs"}, "other": {"type": "blobs"}},
    }
    with running(home, launch, "--without", without) as line:
        line.wait_ready("camera-true", "detection-default", "tracking")
        before = tracked_hz(line, 3.0)
        end, sent = threading.Event(), [0]

        def flood() -> None:
            with zmq.Context() as context, context.socket(zmq.PUB) as socket:
                socket.linger = 0
                socket.bind(endpoint(line.run_dir, topic, "false"))
                data = encode(message(1.0, camera="false"))
                while not end.wait(0.01):
                    for _ in range(FLOOD_HZ // 100):
                        socket.send(data)
                    sent[0] += FLOOD_HZ // 100

        thread = threading.Thread(target=flood)
        began = time.monotonic()
        thread.start()
        try:
            during = tracked_hz(line, FLOOD_S)
        finally:
            end.set()
            thread.join()
        rate = sent[0] / (time.monotonic() - began)
        assert rate > FLOOD_HZ / (4 * SLOW), f"only {rate:.0f} messages a second were sent"
        assert during >= 0.9 * before, f"{before:.1f} before, {during:.1f} frames/s in the flood"
        assert line.stop() == 0
    restarts = {p["restarts"] for p in line.summary()["processes"].values()}
    assert restarts == {0}


def storm() -> Iterator[bytes]:
    """Yield track messages, 10 a second: TRACKS people are in every third of them."""
    for n in range(3 * FLICKERS):
        rows = [(i + 1, 20 + i % 40 * 24, 150 + i // 40 * 14) for i in range(TRACKS)]
        said = message(1 + n * 0.1, *(rows if n % 3 == 0 else []), camera="door", frame=n)
        stamp = msgspec.structs.replace(said.stamp, t_wall_ns=time.time_ns())
        yield encode(dataclasses.replace(said, stamp=stamp))


@pytest.mark.timeout(180)
@pytest.mark.fault("H23")
def test_a_storm_of_alerts(home: Path, memory: Path) -> None:
    """The first alert is out within 1 s; a sink with a cool-down hears of one; all are stored."""
    zone = {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    rule = {"type": "zone", "zone": "all", "enter_s": 0, "leave_s": 0.1}
    with Hook() as hook:
        phone = {"type": "webhook", "url": hook.url, "cooldown_s": 600, "only": {"state": "raised"}}
        launch = {
            "cameras": {"door": {"source": "push", "zones": zone, "rules": {"inside": rule}}},
            "alerts": {"sinks": {"jsonl": {}, "phone": phone}},
            "output": {"folder": str(memory)},
        }
        with running(home, launch, "--without", "tracking") as line:
            line.wait_ready("alert")
            with zmq.Context() as context, context.socket(zmq.PUB) as socket:
                socket.linger = 0
                socket.bind(endpoint(line.run_dir, "tracks", "door"))
                time.sleep(2.0)  # for its listeners to connect
                began = time.monotonic()
                messages = storm()
                socket.send(next(messages))
                wait_until(lambda: hook.taken, 10 * SLOW, "the first alert is delivered")
                first_s = time.monotonic() - began
                for data in messages:
                    socket.send(data)
                    time.sleep(0.1)
                wait_until(
                    lambda: sum(a["state"] == "raised" for a in line.alerts()) >= TRACKS * FLICKERS,
                    60 * SLOW,
                    f"every alert stands in alerts.jsonl: {len(line.alerts())}; {line.says[-400:]}",
                )
            assert line.stop() == 0
        assert first_s <= 1.0 * SLOW
        assert len(hook.taken) == 1
    summary = line.summary()
    assert summary["processes"]["alert"]["restarts"] == 0
    assert summary["cameras"]["door"]["alerts"] == {"inside": TRACKS * FLICKERS}
    raised = [a["key"] for a in line.alerts() if a["state"] == "raised"]
    assert len(raised) == len(set(raised)) == TRACKS * FLICKERS
