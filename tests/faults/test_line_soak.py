"""Two minutes of a stream that hangs up after 5 s: memory, open files and threads do not grow.

benchmarks/soak.py is the long run.
"""

import contextlib
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.clips import write_clip
from tests.line import running, synthetic

SECONDS, WARM_S, CUT_S = 120.0, 40.0, 5.0
MAX_MB_MIN = 3.0
"""Least squares over 80 s: a page table or a pool that grows once is 1 to 2 MB of that. The long
run has to stay under 1."""


@contextlib.contextmanager
def stream(clip: bytes, seconds: float) -> Iterator[tuple[int, list[float]]]:
    """Send a clip of so many seconds to each that connects, hang up after CUT_S; give the port and
    the times of connections."""
    stop, connected = threading.Event(), list[float]()

    def serve(listener: socket.socket) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):
                peer, _ = listener.accept()
                connected.append(time.monotonic())
                with peer:
                    for at in range(0, round(len(clip) * CUT_S / seconds), 1316):
                        peer.sendall(clip[at : at + 1316])
                        if stop.wait(1316 * seconds / len(clip)):
                            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1], connected
        finally:
            stop.set()
            thread.join()


@pytest.mark.timeout(300)
@pytest.mark.fault("F28")
def test_two_minutes_of_a_stream_that_hangs_up(home: Path) -> None:
    clip = write_clip(home / "clip.ts", frames=150, fps=15).read_bytes()
    samples: dict[str, list[tuple[float, int, int, int]]] = {}
    with stream(clip, 10.0) as (port, connected):
        cameras = {"stream": {"source": f"tcp://127.0.0.1:{port}"}, "shapes": synthetic()}
        with running(home, {"cameras": cameras, "output": {"tracks": True}}) as line:
            line.wait_ready()
            began = time.monotonic()
            processes = {name: psutil.Process(pid) for name, pid in line.note_pids().items()}
            processes["supervisor"] = psutil.Process(line.process.pid)
            while (now := time.monotonic() - began) < SECONDS:
                for name, process in processes.items():
                    rss = process.memory_info().rss
                    seen = now, rss, process.num_fds(), process.num_threads()
                    samples.setdefault(name, []).append(seen)
                assert line.process.poll() is None, line.says
                time.sleep(1.0)
            zombies = [
                child.pid
                for child in psutil.Process(line.process.pid).children(recursive=True)
                if child.status() == psutil.STATUS_ZOMBIE
            ]
            assert line.stop() == 0
    assert zombies == []
    assert len(connected) >= 5, "the stream was opened again and again; the waits double"
    assert {p["restarts"] for p in line.summary()["processes"].values()} == {0}
    for name, seen in samples.items():
        late = [sample for sample in seen if sample[0] > WARM_S]
        times, rss, files, threads = zip(*late, strict=True)
        slope = statistics.linear_regression(times, rss).slope * 60 / 1e6
        assert slope < MAX_MB_MIN, f"{name}: {slope:.1f} MB/min"
        third = len(late) // 3
        for what, counts in (("open files", files), ("threads", threads)):
            grew = max(counts[-third:]) - max(counts[:third])
            assert grew <= 0, f"{name}: {grew} more {what}"
