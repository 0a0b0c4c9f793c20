"""The hop from camera to detection: our ring and bus against pyzmq, multiprocessing.Queue and
iceoryx2, 480p to 4K, one and three readers; and how old a frame is that a slow reader gets.

Latency: from "the frame stands in the writer's memory" to "the reader has an array of it", paced so
that no queue forms. In place: the decoder has written into the slot, so nothing is copied. CPU:
writer and readers together. Every contender is a process of its own per reader, in turns.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, median, percentile

SIZES = {"480p": (480, 640), "720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
RATES_HZ = {"480p": 150, "720p": 150, "1080p": 100, "4K": 40}
OURS = ("ours in place", "ours one copy")
PEERS = (
    *("pyzmq no-copy", "pyzmq copy", "mp.Queue"),
    *("iceoryx2 in place", "iceoryx2 one copy"),
)
WORK_S, FPS = 0.1, 30.0
CELL_S = 40.0
"""Within which one contender has sent its frames; one that hangs is a row."""


class OursWriter:
    """Ring and bus as the camera process uses them."""

    def __init__(self, where: Path, height: int, width: int, *, copy: bool) -> None:
        from perception.transport.bus import Publisher
        from perception.transport.ring import RingWriter
        from perception.wire import FrameMessage, Stamp

        self._message, self._stamp = FrameMessage, Stamp
        self._ring = RingWriter(f"bench{os.getpid()}-transport", 8)
        self._publisher = Publisher(where, "frames", "camera")
        self._copy, self._size, self._n = copy, (height, width), 0

    def send(self, frame: Any) -> None:
        image = self._ring.begin(*self._size)
        if self._copy:
            stamp(frame)
            np.copyto(image, frame)
        else:
            stamp(image)
        ring, slot, generation = self._ring.commit(self._n, self._n)
        self._n += 1
        height, width = self._size
        said = self._stamp(
            camera="camera", frame_id=self._n, t_media_ns=0, t_arrival_ns=0, t_wall_ns=0
        )
        self._publisher.send(
            self._message(
                stamp=said, ring=ring, slot=slot, generation=generation,
                width=width, height=height,
            )
        )  # fmt: skip

    def close(self) -> None:
        self._publisher.close()
        self._ring.close()


class OursReader:
    """Inbox and ring as the detection process uses them."""

    def __init__(self, where: Path, height: int, width: int) -> None:
        from perception.errors import SlotOverwritten
        from perception.transport.bus import Inbox
        from perception.transport.ring import RingReader

        del height, width
        self._inbox, self._ring = Inbox(where, "frames", ["camera"]), RingReader()
        self._gone = SlotOverwritten

    def receive(self) -> Any:
        for m in self._inbox.poll(200):
            try:
                return self._ring.image(m.ring, m.slot, m.generation, m.height, m.width)
            except self._gone:
                return None
        return None


class ZmqWriter:
    """PUB with frames as messages."""

    def __init__(self, where: Path, height: int, width: int, *, copy: bool, hwm: int = 0) -> None:
        import zmq

        del height, width
        self._copy = copy
        self._socket = zmq.Context().socket(zmq.PUB)
        if hwm:
            self._socket.setsockopt(zmq.SNDHWM, hwm)
        self._socket.bind(f"ipc://{where}/zmq")

    def send(self, frame: Any) -> None:
        stamp(frame)
        self._socket.send(frame, copy=self._copy)

    def close(self) -> None:
        self._socket.close(linger=0)


class ZmqReader:
    """SUB; drain: take what waits and keep the newest."""

    def __init__(
        self, where: Path, height: int, width: int, *, copy: bool, hwm: int = 0, drain: bool = False
    ) -> None:
        import zmq

        self._zmq, self._copy, self._shape, self._drain = zmq, copy, (height, width, 3), drain
        self._socket = zmq.Context().socket(zmq.SUB)
        if hwm:
            self._socket.setsockopt(zmq.RCVHWM, hwm)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(f"ipc://{where}/zmq")

    def receive(self) -> Any:
        if not self._socket.poll(200):
            return None
        data = self._socket.recv(copy=self._copy)
        while self._drain and self._socket.poll(0):
            data = self._socket.recv(copy=self._copy)
        return np.frombuffer(data if self._copy else data.buffer, np.uint8).reshape(self._shape)


class QueueWriter:
    """A multiprocessing.Queue a reader, arrays pickled."""

    def __init__(self, queues: list[Any]) -> None:
        self._queues = queues

    def send(self, frame: Any) -> None:
        stamp(frame)
        for queue in self._queues:
            queue.put(frame)

    def close(self) -> None:
        for queue in self._queues:
            queue.cancel_join_thread()


class QueueReader:
    """The other end."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def receive(self) -> Any:
        import queue

        with contextlib.suppress(queue.Empty):
            return self._queue.get(timeout=0.2)
        return None


class IceoryxWriter:
    """iceoryx2 publisher of byte slices, and an event so that readers can block."""

    def __init__(self, where: Path, height: int, width: int, *, copy: bool) -> None:
        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Fatal)
        self._copy, self._shape, self._size = copy, (height, width, 3), height * width * 3
        node, service, event = _iceoryx(where)
        self._keep = node
        self._publisher = service.publisher_builder().initial_max_slice_len(self._size).create()
        self._notifier = event.notifier_builder().create()

    def send(self, frame: Any) -> None:
        sample = self._publisher.loan_slice_uninit(self._size)
        image = _view(sample.payload_ptr, self._shape)
        if self._copy:
            stamp(frame)
            np.copyto(image, frame)
        else:
            stamp(image)
        sample.assume_init().send()
        self._notifier.notify()

    def close(self) -> None:
        pass


class IceoryxReader:
    """iceoryx2 subscriber that waits for the event."""

    def __init__(self, where: Path, height: int, width: int) -> None:
        import iceoryx2 as iox

        iox.set_log_level(iox.LogLevel.Fatal)
        self._shape = (height, width, 3)
        node, service, event = _iceoryx(where)
        self._keep: list[Any] = [node]
        self._subscriber = service.subscriber_builder().create()
        self._listener = event.listener_builder().create()
        self._wait = iox.Duration.from_millis(200)

    def receive(self) -> Any:
        self._listener.timed_wait(self._wait)
        sample = newest = self._subscriber.receive()
        while sample is not None:
            newest, sample = sample, self._subscriber.receive()
        if newest is None:
            return None
        self._keep[1:] = [newest]
        return _view(newest.payload_ptr, self._shape)


def _iceoryx(where: Path) -> tuple[Any, Any, Any]:
    import iceoryx2 as iox

    node = iox.NodeBuilder.new().create(iox.ServiceType.Ipc)
    name = iox.ServiceName.new(f"perception-bench-{where.name}")
    frames = node.service_builder(name).publish_subscribe(iox.Slice[ctypes.c_uint8])
    frames = frames.enable_safe_overflow(True).subscriber_max_buffer_size(2)
    return node, frames.open_or_create(), node.service_builder(name).event().open_or_create()


def _view(pointer: int, shape: tuple[int, ...]) -> Any:
    size = int(np.prod(shape))
    memory = (ctypes.c_uint8 * size).from_address(pointer)
    return np.frombuffer(memory, np.uint8).reshape(shape)


def stamp(frame: Any) -> None:
    """Write the time into the first eight bytes of a frame."""
    frame.reshape(-1)[:8].view(np.int64)[0] = time.monotonic_ns()


def age_ns(frame: Any) -> int:
    """Return how long ago a frame was stamped."""
    return time.monotonic_ns() - int(frame.reshape(-1)[:8].view(np.int64)[0])


def make_writer(method: str, where: Path, size: tuple[int, int], queues: list[Any]) -> Any:
    """Return the writing end of a contender."""
    if method.startswith("ours"):
        return OursWriter(where, *size, copy="copy" in method)
    if method.startswith("iceoryx2"):
        return IceoryxWriter(where, *size, copy="copy" in method)
    if method.startswith("pyzmq"):
        return ZmqWriter(where, *size, copy=method == "pyzmq copy", hwm=_hwm(method))
    return QueueWriter(queues)


def make_reader(method: str, where: Path, size: tuple[int, int], queue: Any) -> Any:
    """Return a reading end of a contender."""
    if method.startswith("ours"):
        return OursReader(where, *size)
    if method.startswith("iceoryx2"):
        return IceoryxReader(where, *size)
    if method.startswith("pyzmq"):
        copy, drain = method == "pyzmq copy", "newest" in method
        return ZmqReader(where, *size, copy=copy, hwm=_hwm(method), drain=drain)
    return QueueReader(queue)


def _hwm(method: str) -> int:
    return int(method.rpartition("HWM ")[2].split()[0]) if "HWM " in method else 0


def _read(method: str, where: str, size: tuple[int, int], queue: Any, pipe: Any) -> None:
    reader = make_reader(method, Path(where), size, queue)
    pipe.send("ready")
    ages: list[int] = []
    while not pipe.poll():
        frame = reader.receive()
        if frame is not None:
            ages.append(age_ns(frame))
    pipe.recv()
    pipe.send("go")
    cpu = time.process_time()
    ages.clear()
    last = time.monotonic()
    while not pipe.poll() or time.monotonic() - last < 0.05:
        frame = reader.receive()
        if frame is not None:
            ages.append(age_ns(frame))
            last = time.monotonic()
    pipe.send((ages, time.process_time() - cpu))


def _read_slowly(method: str, where: str, size: tuple[int, int], queue: Any, pipe: Any) -> None:
    reader = make_reader(method, Path(where), size, queue)
    pipe.send("ready")
    ages: list[tuple[float, float]] = []
    start = time.monotonic()
    while not pipe.poll():
        frame = reader.receive()
        if frame is not None:
            ages.append((time.monotonic() - start, age_ns(frame) / 1e6))
            time.sleep(WORK_S)
    pipe.send(ages)


def measure_cell(method: str, size: str, readers: int, frames: int) -> dict[str, Any]:
    """Return ages in us and CPU ms a frame of a contender; runs in its own environment."""
    context = multiprocessing.get_context("spawn")
    shape = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="pb-") as folder:
        queues = [context.Queue(4) for _ in range(readers)] if method == "mp.Queue" else []
        ends, processes = [], []
        writer = None if method.startswith("iceoryx2") else make_writer(
            method, Path(folder), shape, queues
        )  # fmt: skip
        for n in range(readers):
            mine, theirs = context.Pipe()
            queue = queues[n] if queues else None
            process = context.Process(
                target=_read, args=(method, folder, shape, queue, theirs), daemon=True
            )
            process.start()
            theirs.close()  # so that a reader that dies is an EOFError here
            ends.append(mine)
            processes.append(process)
        for end in ends:
            end.recv()
        writer = writer or make_writer(method, Path(folder), shape, queues)
        rng = np.random.default_rng(0)
        pictures = [rng.integers(0, 256, (*shape, 3), np.uint8) for _ in range(4)]
        time.sleep(0.1)
        _send(writer, pictures, size, max(10, frames // 5))
        time.sleep(0.05)
        for end in ends:
            end.send("begin")
        for end in ends:
            while end.recv() != "go":
                pass
        cpu = time.process_time()
        _send(writer, pictures, size, frames)
        used = time.process_time() - cpu
        for end in ends:
            end.send("end")
        ages: list[float] = []
        for end in ends:
            found, spent = end.recv()
            ages += [ns / 1e3 for ns in found]
            used += spent
        writer.close()
        for process in processes:
            process.join(5)
            process.kill()
    got = len(ages) / (frames * readers)
    return {
        "p50_us": median(ages), "p95_us": percentile(ages, 95), "cpu_ms": used / frames * 1e3,
        "received": got,
    }  # fmt: skip


def _send(writer: Any, pictures: list[Any], size: str, frames: int) -> None:
    period = 1 / RATES_HZ[size]
    due = time.monotonic()
    for n in range(frames):
        writer.send(pictures[n % len(pictures)])
        due = max(due + period, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def measure_slow(method: str, seconds: float) -> dict[str, Any]:
    """Return ages in ms, and how their median grows, that a slow reader sees at 720p30."""
    context = multiprocessing.get_context("spawn")
    shape = SIZES["720p"]
    with tempfile.TemporaryDirectory(prefix="pb-") as folder:
        queues = [context.Queue(1000)] if method == "mp.Queue" else []
        writer = make_writer(method, Path(folder), shape, queues)
        mine, theirs = context.Pipe()
        queue = queues[0] if queues else None
        process = context.Process(
            target=_read_slowly, args=(method, folder, shape, queue, theirs), daemon=True
        )
        process.start()
        theirs.close()
        mine.recv()
        picture = np.zeros((*shape, 3), np.uint8)
        start = time.monotonic()
        n = 0
        while time.monotonic() - start < seconds:
            writer.send(picture)
            n += 1
            time.sleep(max(0.0, start + n / FPS - time.monotonic()))
        mine.send("end")
        ages: list[tuple[float, float]] = mine.recv()
        writer.close()
        process.kill()
        process.join()
    late = [ms for at, ms in ages if at > 1.0]
    half = len(late) // 2
    growth = median(late[half:]) - median(late[:half])
    return {
        "p50_ms": median(late), "p99_ms": percentile(late, 99), "growth_ms": growth,
        "frames": len(late),
    }  # fmt: skip


def apart(function: str, python: Path, **arguments: Any) -> dict[str, Any]:
    """Call a function of this module in a process of another environment."""
    command = [str(python), "-m", "benchmarks.transport", "--cell"]
    with subprocess.Popen(
        [*command, json.dumps([function, arguments])], cwd=harness.ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, wrong = process.communicate(timeout=CELL_S + arguments.get("seconds", 0.0))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its readers too
            return {"failed": "hangs"}
    if process.returncode:
        return {"failed": (wrong.strip().splitlines() or ["?"])[-1]}
    return json.loads(said.splitlines()[-1])


def environments(report: Report) -> dict[str, Path]:
    """Return the Python of each contender that can run here; the others become rows."""
    here = Path(sys.executable)
    found = {method: here for method in (*OURS, *PEERS) if not method.startswith("iceoryx2")}
    iceoryx = harness.peer_python("iceoryx2", "numpy")
    for method in (m for m in PEERS if m.startswith("iceoryx2")):
        if iceoryx is None:
            report.missing(method)
        else:
            found[method] = iceoryx
    return found


def hop(report: Report, rounds: int, frames: int) -> None:
    """Add the rows of the hop."""
    pythons = environments(report)
    cells: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
    for size in SIZES:
        for readers in (1, 3) if size in ("720p", "1080p") else (1,):
            calls: dict[str, Callable[[], Any]] = {}
            for method, python in pythons.items():
                few = method == "mp.Queue"
                count = max(10, int(frames * RATES_HZ[size] / 150) // (6 if few else 1))
                calls[method] = lambda m=method, p=python, s=size, r=readers, c=count: apart(
                    "measure_cell", p, method=m, size=s, readers=r, frames=c
                )
            for method, results in harness.interleave(calls, rounds).items():
                good = [result for result in results if "failed" not in result]
                if good:
                    cells[method, size, readers] = good
                if len(good) < len(results):
                    why = next(r["failed"] for r in results if "failed" in r)
                    report.missing(method, f"{size}, {readers} readers: {why}")
    for (method, size, readers), results in cells.items():
        ours_name = "ours in place" if "in place" in method else "ours one copy"
        if method in OURS and readers == 3:
            _fan_out(report, method, size, results, cells[method, size, 1])
        if method not in PEERS:
            continue
        both = OURS if method == "pyzmq no-copy" else (ours_name,)
        for mine in (name for name in both if (name, size, readers) in cells):
            _compare(report, mine, cells[mine, size, readers], method, results, size, readers)


def _compare(
    report: Report, ours_name: str, ours: list[dict[str, Any]], peer: str,
    theirs: list[dict[str, Any]], size: str, readers: int,
) -> None:  # fmt: skip
    limit = None
    if peer == "pyzmq no-copy" and size == "1080p" and readers == 1:
        limit = 0.5 if "copy" in ours_name else 0.15
    if peer.startswith("iceoryx2"):
        limit = 1.1
    a, b = ([r["p50_us"] for r in results] for results in (ours, theirs))
    cpu_a, cpu_b = (median([r["cpu_ms"] for r in results]) for results in (ours, theirs))
    lost = min(r["received"] for r in ours)
    report.add(
        f"{size}, {readers} reader{'s' * (readers > 1)}, {ours_name}: p50", "us",
        median(a), peer, median(b),
        target=f"at most {limit} of it" if limit else "",
        met=(lambda r: 1 / r <= limit) if limit else None,
        note=f"{median(a) / median(b):.2f} of it; CPU ms a frame {cpu_a:.2f} / {cpu_b:.2f}"
        + (f"; received {lost:.0%}" if lost < 1 else ""),
    )  # fmt: skip


def _fan_out(
    report: Report, method: str, size: str, three: list[dict[str, Any]], one: list[dict[str, Any]]
) -> None:
    a, b = (median([r["cpu_ms"] for r in results]) for results in (three, one))
    wanted = size == "1080p" and "copy" in method
    report.add(
        f"{size}, {method}: CPU a frame at 3 readers", "ms", a, "itself at 1", b,
        target="at most 1.3 of it" if wanted else "",
        met=(lambda r: 1 / r <= 1.3) if wanted else None, note=f"{a / b:.2f} of it",
    )  # fmt: skip


def slow_reader(report: Report, seconds: float) -> None:
    """Add the rows of the slow reader."""
    here = Path(sys.executable)
    policies = {
        "pyzmq copy": min(seconds, 8.0),
        "pyzmq no-copy, HWM 2": min(seconds, 8.0),
        "pyzmq no-copy, HWM 1": min(seconds, 8.0),
        "pyzmq no-copy, HWM 1000 newest of all": min(seconds, 8.0),
        "mp.Queue": min(seconds, 8.0),
    }
    ours = apart("measure_slow", here, method="ours one copy", seconds=seconds)
    name = f"slow reader (100 ms, 30 fps, {seconds:.0f} s): "
    for what, value, limit in (
        ("median age", ours["p50_ms"], 30.0),
        ("p99 age", ours["p99_ms"], 60.0),
        ("growth of the median, second half", ours["growth_ms"], 5.0),
    ):
        report.add(
            name + what, "ms", value, target=f"at most {limit:.0f}",
            met=lambda v, limit=limit: v <= limit, of="ours",
        )  # fmt: skip
    for policy, duration in policies.items():
        theirs = apart("measure_slow", here, method=policy, seconds=duration)
        if "failed" in theirs:
            report.missing(policy, theirs["failed"])
            continue
        report.add(
            name + "median age", "ms", ours["p50_ms"], policy, theirs["p50_ms"],
            note=f"p99 {theirs['p99_ms']:.0f}, grew {theirs['growth_ms']:.0f} in {duration:.0f} s",
        )  # fmt: skip


def main() -> None:
    """Measure; with --cell, one cell of it."""
    if sys.argv[1:2] == ["--cell"]:
        function, arguments = json.loads(sys.argv[2])
        print(json.dumps(globals()[function](**arguments)))
        return
    asked = harness.options(
        "transport", __doc__, rounds=(int, 3, "rounds"),
        seconds=(float, 60.0, "seconds of the slow reader"),
    )  # fmt: skip
    with harness.report("transport", asked.out) as report:
        hop(report, 1 if asked.short else asked.rounds, 60 if asked.short else 150)
        slow_reader(report, 8.0 if asked.short else asked.seconds)


if __name__ == "__main__":
    main()
