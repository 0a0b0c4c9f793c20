"""A downlink that loses: a sender of MPEG-TS in a process of its own, and a relay on the way.

python -m tests.downlink CLIP URL FORMAT
"""

import contextlib
import heapq
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import av

from tests.namespaces import ROOT


@dataclass
class Link:
    """What the relay does with datagrams. drop, reorder: shares. jitter_s: delays from 0 to that,
    in order. reordered ones come hold_s late. dark: from and to, s after the first datagram."""

    drop: float = 0.0
    jitter_s: float = 0.0
    reorder: float = 0.0
    hold_s: float = 0.01
    dark: tuple[float, float] = (0.0, 0.0)
    seed: int = 1
    passed: int = 0
    dropped: int = 0
    late: int = 0
    light_again_ns: int = field(default=0)
    """CLOCK_MONOTONIC of the first datagram after the dark."""


def _relay(link: Link, inner: socket.socket, out: tuple[str, int], over: threading.Event) -> None:
    rng, waiting, n = Random(link.seed), list[tuple[float, int, bytes]](), 0
    begin, last = 0.0, 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while not over.is_set():
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                sender.sendto(heapq.heappop(waiting)[2], out)
            wait = min(0.05, waiting[0][0] - now) if waiting else 0.05
            if not select.select([inner], [], [], max(0.0, wait))[0]:
                continue
            data, now = inner.recv(65536), time.monotonic()
            begin = begin or now
            if link.dark[0] <= now - begin < link.dark[1]:
                link.dropped += 1
                continue
            if link.dark[1] and now - begin >= link.dark[1] and not link.light_again_ns:
                link.light_again_ns = time.monotonic_ns()
            if rng.random() < link.drop:
                link.dropped += 1
                continue
            at = max(last, now + rng.random() * link.jitter_s)
            last = at
            if rng.random() < link.reorder:
                link.late += 1
                at += link.hold_s
            link.passed, n = link.passed + 1, n + 1
            heapq.heappush(waiting, (at, n, data))


@contextlib.contextmanager
def relay(link: Link, port: int) -> Iterator[int]:
    """Yield the port of a relay to `port` on this host."""
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner:
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        inner.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_relay, args=(link, inner, ("127.0.0.1", port), over))
        thread.start()
        try:
            yield inner.getsockname()[1]
        finally:
            over.set()
            thread.join(10)


@contextlib.contextmanager
def downlink(clip: Path, port: int, link: Link, form: str = "mpegts") -> Iterator[None]:
    """Play a clip over and over through the relay to a port of this host."""
    with relay(link, port) as entry:
        scheme = "udp" if form == "mpegts" else "rtp"
        url = f"{scheme}://127.0.0.1:{entry}?pkt_size=1316"
        sender = subprocess.Popen(
            [sys.executable, "-m", "tests.downlink", str(clip), url, form], cwd=ROOT
        )
        try:
            yield
        finally:
            sender.kill()
            sender.wait(10)


def send(clip: str, url: str, form: str) -> None:
    """Send a clip in real time without end; its stamps rise on."""
    with av.open(url, "w", format=form) as out:
        shift, begin, stream = 0, time.monotonic(), None
        while True:
            with av.open(clip) as file:
                source = file.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(source)
                base, end = float(source.time_base or 0), 0
                for packet in file.demux(source):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    time.sleep(max(0.0, begin + packet.dts * base - time.monotonic()))
                    packet.stream = stream
                    out.mux(packet)
                shift += end


if __name__ == "__main__":
    send(*sys.argv[1:4])
