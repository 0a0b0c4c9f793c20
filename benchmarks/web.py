"""What the page costs and how late it is: viewers that read, viewers that are stuck, wrong logins.

A 720p camera at 30 frames/s (MPEG-TS over tcp, H.264, each picture bears its number) is detected at
10 frames/s. The line runs without anybody, with viewers over TLS, and with stuck ones, in turns.
Latency is from the send of a picture by the camera to its pixels on the canvas of Chromium on the
same host; its own part from the packet's arrival in the line.
"""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import harness
from benchmarks.harness import Report, Worker, median
from benchmarks.lines import Watched, detector, watch
from benchmarks.viewers import percentiles
from perception.web.accounts import Accounts
from perception.web.sessions import Sessions
from perception.web.users_file import UsersFile

FPS, WARM_S = 30, 6.0
USER = ["bench", "correct horse battery"]


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Line:
    """Runs of the same line with its page. camera: port of the stream."""

    def __init__(self, camera: int, folder: Path, viewers: Worker) -> None:
        self._camera, self._folder, self._viewers = camera, folder, viewers
        file = UsersFile(folder)
        Accounts(file).add(*USER, "admin")
        self.token = Sessions(file).new_token(USER[0], "bench", "viewer", None, 1)
        file.close()
        self.rss: dict[str, list[int]] = {}
        self.connected: dict[str, list[tuple[float, float]]] = {}

    def run(self, name: str, seconds: float, begin: Any = None) -> Watched:
        """Run it for so long; begin: called once with the port, 2 s after it is ready."""
        port, begun = free_port(), [False]

        def meanwhile(supervisor: Any, t: float) -> None:
            if t > 2.0 and not begun[0]:
                begun[0] = True
                if begin is not None:
                    threading.Thread(target=begin, args=(port,), daemon=True).start()
            for child in supervisor.children:
                if child.name == "web" and child.pid and t > WARM_S:
                    rss = psutil.Process(child.pid).memory_info().rss
                    self.rss.setdefault(name, []).append(rss)
                if child.name == "web" and child.health is not None:
                    count = child.health.gauges.get("viewers", 0.0)
                    self.connected.setdefault(name, []).append((t, count))

        launch = {
            "cameras": {
                "front": {
                    "source": f"tcp://127.0.0.1:{self._camera}", "detect": {"rate_hz": 10},
                }
            },
            "detectors": {"default": detector("f32", size=320)},
            "web": {"host": "127.0.0.1", "port": port, "folder": str(self._folder)},
        }  # fmt: skip
        watched = watch(launch, seconds, meanwhile=meanwhile)
        self._viewers.call("close")
        return watched


def load(report: Report, line: Line, viewers: Worker, rounds: int, seconds: float) -> None:
    """Add the rows of I3 and F20."""

    def looked(count: int, reads: bool) -> Any:
        return lambda port: viewers.call(
            "open", count=count, port=port, token=line.token, camera="front", reads=reads
        )

    runs = harness.interleave(
        {
            "nobody": lambda: line.run("nobody", seconds),
            "ten": lambda: line.run("ten", seconds, looked(10, True)),
            "thirty": lambda: line.run("thirty", seconds, looked(30, True)),
            "stuck": lambda: line.run("stuck", seconds, looked(20, False)),
        },
        rounds,
    )

    def of(name: str, value: Any) -> float:
        return median([value(watched) for watched in runs[name]])

    for name, title in (("nobody", "nobody"), ("ten", "10 viewers"), ("thirty", "30 viewers")):
        report.add(
            f"I3 web process, {title} over TLS", "% of a core",
            of(name, lambda w: 100 * w.cpu_share(WARM_S, "web")),
            target="at most 10" if name == "ten" else "",
            met=(lambda v: v <= 10) if name == "ten" else None, of="ours",
        )  # fmt: skip
    for name in ("ten", "thirty", "stuck"):
        read = {n: of(n, lambda w: w.rate("camera-front", "read.front", WARM_S)) for n in runs}
        tracked = {n: of(n, lambda w: w.rate("tracking", "tracked.front", WARM_S)) for n in runs}
        for what, rates in (("read", read), ("tracked", tracked)):
            report.add(
                f"frames {what} a second, {name}", "", rates[name], "nobody", rates["nobody"],
                higher=True, target="x0.97", met=lambda r: r >= 0.97,
            )  # fmt: skip
        ages = {
            n: of(n, lambda w: w.times("tracking", "tracking.front", WARM_S).percentile(95))
            for n in (name, "nobody")
        }
        report.add(
            f"age when tracked, p95, {name}", "ms", ages[name], "nobody", ages["nobody"],
            target="x0.97", met=lambda r: r >= 0.97,
        )  # fmt: skip
    grown = median(line.rss["stuck"]) - median(line.rss["nobody"])
    report.add(
        "F20 memory of the web process, 20 stuck viewers, more", "MB", grown / 1e6,
        target="at most 20", met=lambda v: v <= 20, of="ours",
    )  # fmt: skip


def stuck(report: Report, line: Line, viewers: Worker) -> None:
    """Add when stuck viewers are cut."""

    def begin(port: int) -> None:
        viewers.call(
            "open", count=20, port=port, token=line.token, camera="front", reads=False
        )  # fmt: skip

    line.run("cut", 55, begin)
    counts = line.connected["cut"]
    first = next(t for t, count in counts if count == 20)
    gone = [t for t, count in counts if t > first and count == 0]
    report.add(
        "F20 20 stuck viewers are cut after", "s", gone[0] - first if gone else 99.0,
        target="at most 40", met=lambda v: v <= 40, of="ours",
    )  # fmt: skip


def logins(report: Report, line: Line, viewers: Worker) -> None:
    """Add the rows of K3: 200 wrong logins in 10 s while ten look."""
    said: list[dict[str, Any]] = []

    def begin(port: int) -> None:
        viewers.call("open", count=10, port=port, token=line.token, camera="front", reads=True)
        time.sleep(2)
        said.append(viewers.call("logins", count=200, seconds=10.0, port=port, right=USER))

    line.run("logins", 18, begin)
    grown = max(line.rss["logins"]) - median(line.rss["nobody"])
    report.add(
        "K3 memory of the web process, 200 wrong logins, more", "MB", grown / 1e6,
        target="at most 60", met=lambda v: v <= 60, of="ours", note=f"answers {said[0]['codes']}",
    )  # fmt: skip
    report.add(
        "K3 a right login from elsewhere meanwhile", "s", said[0]["right_s"], target="at most 2",
        met=lambda v: v <= 2, of="ours",
    )  # fmt: skip


def latency(report: Report, line: Line, camera: Worker, viewers: Worker, seconds: float) -> None:
    """Add the rows of I1."""
    seen: list[list[float]] = []

    def begin(port: int) -> None:
        seen.extend(
            viewers.call(
                "browse", address=f"https://127.0.0.1:{port}", user=USER, camera="front",
                seconds=seconds,
            )
        )  # fmt: skip

    line.run("browser", seconds + 25, begin)
    sent = {int(n): t for n, t in camera.call("sent").items()}
    wall = time.time_ns() - time.monotonic_ns()
    whole = [ms - (sent[int(n)] + wall) / 1e6 for n, ms, _ in seen if int(n) in sent]
    p50, p95 = percentiles(whole)
    note = f"{len(whole)} pictures"
    report.add(
        "I1 camera to canvas, MPEG-TS, p50", "ms", p50, target="at most 110",
        met=lambda v: v <= 110, of="ours", note=note,
    )  # fmt: skip
    report.add(
        "I1 camera to canvas, MPEG-TS, p95", "ms", p95, target="at most 160",
        met=lambda v: v <= 160, of="ours",
    )  # fmt: skip
    own = percentiles([ms for _, _, ms in seen if ms is not None])
    report.add(
        "I1 own part, packet to canvas, p95", "ms", own[1], target="at most 50",
        met=lambda v: v <= 50, of="ours", note=f"p50 {own[0]:.0f}",
    )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("web", __doc__)
    seconds = 12.0 if asked.short else 20.0
    with (
        harness.report("web", asked.out) as report,
        tempfile.TemporaryDirectory(prefix="perception-users-") as folder,
        Worker("benchmarks.streams") as camera,
        Worker("benchmarks.viewers") as viewers,
    ):
        port = camera.call("open", fps=FPS, frames=round((seconds + 70) * FPS))
        line = Line(port, Path(folder), viewers)
        latency(report, line, camera, viewers, 10.0)
        load(report, line, viewers, 1 if asked.short else 3, seconds)
        logins(report, line, viewers)
        stuck(report, line, viewers)


if __name__ == "__main__":
    main()
