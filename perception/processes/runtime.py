"""What every process of a line has: plan, metrics, log, stop flag and health messages.

A side thread sends a HealthMessage every 0.25 s. `turns` in it counts turns of the work loop: it
stands still when the loop hangs, although the thread goes on. Imported by the processes only.
"""

import contextlib
import ctypes
import math
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import zmq

from perception import clock, logs
from perception.errors import ConfigError
from perception.metrics import Metrics
from perception.transport import rundir
from perception.transport.bus import Inbox, Publisher
from perception.wire import HealthMessage, plan
from perception.wire.codec import encode

HEALTH_S = 0.25
IDLE_MS = 100
"""How long a work loop waits for input in one turn."""
CONNECT_S = 3.0
FINISH_S = 3.5
"""How long one process may go on after Ctrl-C: the whole line ends within 5 s."""
_PR_SET_PDEATHSIG = 1
_EPOCH_ZERO_S = 1_577_836_800
_THREAD_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "NUMBA")


class Runtime:
    """A process of a running line.

    run_dir: directory of the run, with its plan. process: name in the plan. epoch: high half of the
    ids this process gives. parent: pid of the supervisor; this process is killed when that ends. 0:
    started by hand; it stops when the run ends. restarted: whether the process ran before in this
    run.
    """

    def __init__(self, run_dir: Path, process: str, epoch: int, parent: int = 0) -> None:
        if parent:
            _die_with(parent)
        self.run_dir, self._by_hand = run_dir, not parent
        self._plan_ns = (run_dir / rundir.PLAN).stat().st_mtime_ns
        self.plan = plan.decode((run_dir / rundir.PLAN).read_bytes())
        self.process = self.plan.process(process)
        self._place, self.epoch, self.restarted = rundir.hold(run_dir, process, epoch)
        self.metrics = Metrics()
        self.log: Any = logs.setup(process)
        self._stop = threading.Event()
        self._hurry_ns: int | None = None
        self._died: BaseException | None = None
        threading.excepthook = self._note_death
        self._state: Literal["starting", "ready", "stopping"] = "starting"
        self._note = ""
        self._connecting: list[Inbox | Publisher] = []
        self._connect_until_ns = 0
        self._turns = self._looked_ns = 0
        self._rejected: list[Mapping[str, int]] = []
        self._end = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_at_signal)
        self._thread = threading.Thread(target=self._beat, name="health", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether the process has to finish what is in flight and end."""
        return self._stop.is_set()

    def took_new_plan(self) -> bool:
        """Whether `plan` is another one since the last call; looks once a second."""
        now = clock.monotonic_ns()
        if now - self._looked_ns < clock.NS_PER_S:
            return False
        self._looked_ns = now
        with contextlib.suppress(OSError, ConfigError):
            path = self.run_dir / rundir.PLAN
            written = path.stat().st_mtime_ns
            if written != self._plan_ns:
                self._plan_ns, before = written, self.plan
                self.plan = plan.decode(path.read_bytes())
                return self.plan != before
        return False

    @property
    def is_over(self) -> bool:
        """Whether the whole run stops; then this process is not started again."""
        return (self.run_dir / rundir.STOPPING).exists() or not rundir.is_live(self.run_dir)

    def has_time_for(self, seconds: float) -> bool:
        """Whether work of that length still fits before the end of a stop by Ctrl-C."""
        if self._hurry_ns is None:
            return True
        return clock.seconds(clock.monotonic_ns() - self._hurry_ns) + seconds < FINISH_S

    def turn(self) -> None:
        """Count one turn of the work loop. Call it at least once a second.

        Raises the exception that ended a thread of this process.
        """
        if self._died is not None:
            raise self._died
        self._turns += 1
        if self._connecting:
            self._connect()

    def count_rejected(self, rejected: Mapping[str, int]) -> None:
        """Report a receiver's refused messages by reason as `rejected.<reason>` from now on."""
        self._rejected.append(rejected)

    def ready(self, *ends: Inbox | Publisher) -> None:
        """Report the state `ready` once the sockets are connected, after CONNECT_S at most.

        Call it when models are loaded and kernels compiled.
        """
        self._connect_until_ns = clock.monotonic_ns() + clock.to_ns(CONNECT_S)
        self._connecting = list(ends)
        self._connect()

    def _connect(self) -> None:
        while self._connecting and self._connecting[0].is_connected():
            del self._connecting[0]
        if not self._connecting or clock.monotonic_ns() > self._connect_until_ns:
            self._connecting, self._state = [], "ready"

    def note(self, text: str) -> None:
        """Set the note of the health message, e.g. why a camera is offline; empty: no fault."""
        self._note = logs.mask(text)[:500]

    def wait(self, seconds: float) -> None:
        """Sleep; return early when the process has to stop."""
        self._stop.wait(seconds)

    def close(self) -> None:
        """Send the last health message and end the side thread.

        The message is written into a file too: a short-lived process ends before the supervisor
        is connected.
        """
        self._state = "stopping"
        self._end.set()
        self._thread.join(timeout=2)
        with contextlib.suppress(OSError):
            rundir.final_health(self.run_dir, self.process.name).write_bytes(encode(self._health()))
        os.close(self._place)

    def _note_death(self, died: threading.ExceptHookArgs) -> None:
        self._died = died.exc_value

    def _stop_at_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and self._hurry_ns is None:
            self._hurry_ns = clock.monotonic_ns()
        self._stop.set()

    def _beat(self) -> None:
        publisher = Publisher(self.run_dir, "health", self.process.name)
        with contextlib.suppress(zmq.ZMQError):
            while True:
                last = self._end.wait(HEALTH_S)
                publisher.send(self._health())
                if last:
                    break
                if self._by_hand and not rundir.is_live(self.run_dir):
                    self._stop.set()
        publisher.close(linger_ms=500)

    def _health(self) -> HealthMessage:
        for reason in {reason for rejected in self._rejected for reason in tuple(rejected)}:
            count = sum(rejected.get(reason, 0) for rejected in self._rejected)
            self.metrics.counters[f"rejected.{reason}"] = count
        snapshot = self.metrics.snapshot()
        return HealthMessage(
            process=self.process.name,
            pid=os.getpid(),
            epoch=self.epoch,
            state=self._state,
            turns=self._turns,
            t_monotonic_ns=clock.monotonic_ns(),
            note=self._note,
            cpu_s=clock.cpu_s(),
            rss_bytes=peak_bytes(),
            counters=dict(snapshot.counters),
            gauges={k: v for k, v in snapshot.gauges.items() if math.isfinite(v)},
            latencies=snapshot.latencies,
        )


def wall_epoch() -> int:
    """Return seconds since 2020 UTC: the first epoch of a process, so that ids of runs rise."""
    return int(clock.wall_ns() // clock.NS_PER_S) - _EPOCH_ZERO_S


def peak_bytes() -> int:
    """Return the peak resident set of this process. getrusage would count its parent's too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment variables that set the number of threads of every library."""
    count = str(threads)
    pinned = {f"{library}_NUM_THREADS": count for library in _THREAD_LIBRARIES}
    return {**pinned, "OPENCV_FOR_THREADS_NUM": count, "OMP_WAIT_POLICY": "PASSIVE"}


def drain(inbox: Any, quiet_ms: int = 100) -> Iterator[Any]:
    """Yield messages in flight until none came for quiet_ms, or only frames newer than the call."""
    since_ns = clock.monotonic_ns()
    while messages := list(inbox.poll(quiet_ms)):
        before = [message for message in messages if message.stamp.t_arrival_ns <= since_ns]
        if not before:
            return
        yield from before


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, also by SIGKILL (PDEATHSIG)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise ConfigError("the supervisor ended before this process began")
