"""Ours in benchmarks: a live line watched from its supervisor, and `analyze` stepped in blocks.

As a module `python -m benchmarks.lines` it is the worker that runs `analyze`, so that its CPU time
is its own.
"""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks import harness
from perception import assets
from perception.launchfile import config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import parse
from perception.metrics import Histogram
from perception.recording.video import VideoWriter
from perception.wire.plan import Plan


def clip_720p() -> Path:
    """Return the highway clip as 1280x720 H.264, scaled once into the cache."""
    import av
    import cv2

    folder = assets.cache_dir() / "benchmarks"
    path = folder / "highway-720p.mp4"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.mp4")
    with av.open(str(assets.fetch("highway"))) as container, VideoWriter(part) as writer:
        stream = container.streams.video[0]
        for n, frame in enumerate(container.decode(stream)):
            image = cv2.resize(frame.to_ndarray(format="bgr24"), (1280, 720))
            writer.add(image, n * 1_000_000_000 // 30)
    part.rename(path)
    return path


def make_plan(launch: Mapping[str, Any], folder: Path, *, realtime: bool = True) -> Plan:
    """Return the plan of a launch file given as a mapping; what it writes goes to `folder`."""
    given = {"name": "bench", "output": {"folder": str(folder)}, "alerts": {"sinks": {}}, **launch}
    document = parse(yaml.safe_dump(given), "benchmark")
    checked = document.validate(config.Launch, document.data)
    return resolving.resolve(checked, document, realtime=realtime)


def detector(precision: str = "f32", runtime: str = "openvino", **more: Any) -> dict[str, Any]:
    """Return the options of the detector that all benchmarks of lines use."""
    return {"type": "onnx", "model": "yolo11n", "runtime": runtime, "precision": precision, **more}


@dataclass
class Seen:
    """What one process of a line had done by a moment of its own clock."""

    t_ns: int
    cpu_s: float
    rss: int
    pss: int
    files: int
    counters: dict[str, int]
    latencies: dict[str, dict[int, int]]
    pid: int


@dataclass
class Watched:
    """A line's samples by process, oldest first; own_cpu_s: of the supervisor."""

    samples: dict[str, list[Seen]] = field(default_factory=dict)
    own_cpu: list[tuple[int, float]] = field(default_factory=list)

    def ends(self, process: str, warm_s: float) -> tuple[Seen, Seen]:
        """Return the first sample after the warm-up and the last of a process."""
        seen = self.samples[process]
        start = max(samples[0].t_ns for samples in self.samples.values())
        late = [s for s in seen if s.t_ns - start >= warm_s * 1e9]
        if len(late) < 2:
            raise RuntimeError(f"{process} was watched for too short a time")
        return late[0], late[-1]

    def rate(self, process: str, counter: str, warm_s: float) -> float:
        """Return counts a second after the warm-up."""
        a, b = self.ends(process, warm_s)
        return (b.counters.get(counter, 0) - a.counters.get(counter, 0)) / (b.t_ns - a.t_ns) * 1e9

    def cpu_share(self, warm_s: float, kind: str = "") -> float:
        """Return CPU seconds a second of all processes whose name begins so, supervisor's too."""
        total = 0.0
        for name in self.samples:
            if name.startswith(kind):
                a, b = self.ends(name, warm_s)
                total += (b.cpu_s - a.cpu_s) / (b.t_ns - a.t_ns) * 1e9
        if not kind:
            (t0, c0), (t1, c1) = self.own_cpu[len(self.own_cpu) // 4], self.own_cpu[-1]
            total += (c1 - c0) / (t1 - t0) * 1e9
        return total

    def times(self, process: str, latency: str, warm_s: float) -> Histogram:
        """Return the histogram of what was counted after the warm-up."""
        a, b = self.ends(process, warm_s)
        before = a.latencies.get(latency, {})
        bins = b.latencies.get(latency, {})
        return Histogram.from_sparse({at: n - before.get(at, 0) for at, n in bins.items()})


def watch(
    launch: Mapping[str, Any],
    seconds: float,
    *,
    memory: bool = False,
    every_s: float = 0.5,
    meanwhile: Callable[[Any, float], None] | None = None,
) -> Watched:
    """Run a line for so long after all its cameras are ready, and return what it said.

    memory: look at PSS and open files too. meanwhile: called at each look with the supervisor and
    the seconds since then. Call from the main thread.
    """
    from perception.supervision.supervisor import Supervisor

    watched = Watched()
    began: list[float] = []
    looked, stopped = [0.0], [False]

    def look(supervisor: Any) -> None:
        now = time.monotonic()
        if stopped[0]:
            return
        if not began:
            ready = all(child.state in ("ready", "done") for child in supervisor.children)
            if ready:
                began.append(now)
            return
        if meanwhile is not None:
            meanwhile(supervisor, now - began[0])
        if now - looked[0] >= every_s:
            looked[0] = now
            watched.own_cpu.append((time.monotonic_ns(), time.process_time()))
            for child in supervisor.children:
                if child.health is not None:
                    watched.samples.setdefault(child.name, []).append(_seen(child, memory))
        if now - began[0] > seconds:
            stopped[0] = True  # a second signal kills at once
            os.kill(os.getpid(), signal.SIGTERM)

    with tempfile.TemporaryDirectory(prefix="perception-bench-") as folder:
        Supervisor(make_plan(launch, Path(folder)), watch=look).run()
    return watched


def _seen(child: Any, memory: bool) -> Seen:
    health, pss, files, rss = child.health, 0, 0, 0
    if memory:
        try:
            process = psutil.Process(health.pid)
            rss, pss, files = process.memory_info().rss, _own_pss(health.pid), process.num_fds()
        except (psutil.Error, OSError):
            pass
    return Seen(
        health.t_monotonic_ns, health.cpu_s, rss, pss, files, dict(health.counters),
        {k: dict(v) for k, v in health.latencies.items()}, health.pid,
    )  # fmt: skip


def _own_pss(pid: int) -> int:
    """Return the proportional set size in bytes, without what lies in shared memory (rings)."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size) * 1024
    return sizes["Pss:"] - sizes.get("Pss_Shmem:", 0)


class Analysis:
    """`analyze` in a thread that stops after each block of frames until the next is asked for."""

    def __init__(self) -> None:
        self._go, self._done = threading.Semaphore(0), threading.Event()
        self._times: list[float] = []
        self._left = 0
        self._tracked = 0
        self._failed: list[BaseException] = []
        self._over = False

    def begin(self, clip: str, options: dict[str, Any], threads: int = 1) -> None:
        """Load the stages; frames come when asked for, the clip over again at its end."""
        import cv2

        from perception.analysis.recording import analyze

        cv2.setNumThreads(threads)
        launch = {
            "cameras": {"clip": {"source": {"type": "video", "path": clip, "loop": True}}},
            "detectors": {"default": options},
        }
        folder = tempfile.mkdtemp(prefix="perception-bench-")
        what = make_plan(launch, Path(folder), realtime=False)

        def work() -> None:
            try:
                analyze(what, self._step, threads=threads)
            except BaseException as error:  # told by frames()
                self._failed.append(error)
                self._done.set()

        threading.Thread(target=work, daemon=True).start()

    def _step(self, done: int, expected: int | None) -> None:
        del expected
        self._times.append(time.perf_counter())
        self._left -= 1
        if self._left <= 0:
            self._done.set()
            self._go.acquire()

    def frames(self, count: int) -> dict[str, Any]:
        """Analyse that many frames; return ms of each and CPU ms of all."""
        self._times, self._left = [], count
        self._done.clear()
        cpu, start = time.process_time(), time.perf_counter()
        self._go.release()
        self._done.wait()
        if self._failed:
            raise self._failed[0]
        ends = [start, *self._times]
        return {
            "ms": [(b - a) * 1e3 for a, b in itertools.pairwise(ends)],
            "cpu_ms": (time.process_time() - cpu) * 1e3,
        }


def main() -> None:
    """Serve `analyze` in blocks."""
    analysis = Analysis()
    harness.serve({"begin": analysis.begin, "frames": analysis.frames})


if __name__ == "__main__":
    main()
    os._exit(0)  # the thread of analyze still waits for a block
