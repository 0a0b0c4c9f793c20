"""Frames from one real process to another, and a pusher that is killed."""

import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from perception.sources import Frame, allocate_new
from perception.sources.push import Pusher, PushSource
from perception.transport import ring_map
from perception.transport.rundir import ring_base

_PUSHER = """
import sys, time
from pathlib import Path
import numpy as np
from perception.sources.push import Pusher

with Pusher(Path(sys.argv[1]), "front") as pusher:
    n = 0
    while True:
        n += 1
        pusher.send(np.full((720, 1280, 3), n % 256, np.uint8), t_ns=n)
        time.sleep(0.005)
"""


def next_frame(source: PushSource) -> Frame:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        frame = source.read(allocate_new)
        if frame is not None:
            return frame
    raise TimeoutError("no frame in 20 s")


def rings(run_dir: Path) -> set[str]:
    pattern = f"perception-{ring_base(run_dir, 'front')}-push-*"
    return {path.name for path in ring_map.SHM_DIR.glob(pattern)}


def test_a_killed_pusher_is_followed_by_the_next(tmp_path: Path) -> None:
    source = PushSource(PushSource.Options(), camera="front", run_dir=tmp_path)
    last = 0
    with closing(source):
        source.open()
        for _ in range(2):
            with subprocess.Popen([sys.executable, "-c", _PUSHER, str(tmp_path)]) as process:
                try:
                    for _ in range(50):
                        frame = next_frame(source)
                        assert (frame.image == frame.image[0, 0, 0]).all()
                        assert frame.t_media_ns > last
                        last = frame.t_media_ns
                        assert time.monotonic_ns() - frame.t_arrival_ns < 2_000_000_000
                finally:
                    process.kill()
            assert rings(tmp_path)
    with Pusher(tmp_path, "front"):
        assert not rings(tmp_path)
