"""One process of a line for the supervisor: start, health, stall, restart, totals.

Imported by the supervisor only.
"""

import os
import random
import signal
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from perception import clock
from perception.errors import EXIT_CONFIG, EXIT_DONE, EXIT_MODEL, EXIT_SOURCE, MessageError
from perception.metrics import Metrics
from perception.processes.runtime import thread_environment, wall_epoch
from perception.transport import rundir
from perception.wire import HealthMessage
from perception.wire.codec import decode
from perception.wire.plan import ProcessPlan

START_S = 180.0
STALL_S = 2.5
BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
BUDGET, BUDGET_S = 5, 60.0
_FINAL = (EXIT_CONFIG, EXIT_SOURCE, EXIT_MODEL)
"""Exit codes after which a restart would fail again: no restart."""
_MAY_END = ("camera", "show")
"""Kinds that may end: the source has no more frames, the window was closed."""

_TOLD_TO = (EXIT_DONE, -signal.SIGINT, -signal.SIGTERM)
"""Exit codes of a process that was told to stop. The signal itself: it had just started."""

State = Literal["waiting", "starting", "ready", "stalled", "stopping", "done", "failed"]


@dataclass
class Totals:
    """Counters and resources of all starts of a process together."""

    metrics: Metrics = field(default_factory=Metrics)
    cpu_s: float = 0.0
    peak_bytes: int = 0
    pids: list[int] = field(default_factory=list[int])
    exit_codes: list[int] = field(default_factory=list[int])


class Child:
    """A process. state: waiting (for back-off), starting, ready, stalled, stopping, done, failed.

    by_hand: a person starts it (`perception stage`). Its health is taken; it is not started, killed
    or restarted here.
    """

    def __init__(
        self, process: ProcessPlan, run_dir: Path, log: IO[bytes], *, by_hand: bool = False
    ) -> None:
        self.by_hand = by_hand
        self.process, self._run_dir, self._log = process, run_dir, log
        self.state: State = "waiting"
        self.health: HealthMessage | None = None
        self.note = ""
        """The last note of its health, also after its end."""
        self.totals = Totals()
        self.why = ""
        self.epoch = 0
        self._popen: subprocess.Popen[bytes] | None = None
        self._started_ns = self._turned_ns = self._retry_ns = 0
        self._deaths: deque[int] = deque(maxlen=BUDGET)
        self._asked_to_stop = self._renewed = False

    @property
    def name(self) -> str:
        """Name of the process in the plan."""
        return self.process.name

    @property
    def pid(self) -> int | None:
        """Process id while it lives."""
        return self._popen.pid if self._popen else None

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, len(self.totals.pids) - 1)

    @property
    def is_over(self) -> bool:
        """Whether it will not run again."""
        return self.state in ("done", "failed")

    @property
    def is_finished(self) -> bool:
        """Whether it ended without being told to: its source has no more frames."""
        return self.state == "done" and not self._asked_to_stop

    def start(self) -> None:
        """Start the process. Call from the main thread: PDEATHSIG follows the starting thread."""
        self.epoch = max(self.epoch + 1, wall_epoch())
        command = [
            sys.executable, "-m", "perception.processes",
            self.name, str(self._run_dir), str(self.epoch), str(os.getpid()),
        ]  # fmt: skip
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **thread_environment(self.process.threads)},
            process_group=0,
        )
        self.totals.pids.append(self._popen.pid)
        self.health, self.state = None, "starting"
        self._started_ns = self._turned_ns = clock.monotonic_ns()

    def take_health(self, message: HealthMessage) -> None:
        """Take a health message of this process; one of an earlier start is ignored."""
        if self.by_hand:
            return self._take_health_by_hand(message)
        if message.epoch != self.epoch or message.pid != self.pid:
            return None
        self.note = message.note
        if self.health is None or message.turns != self.health.turns:
            self._turned_ns = clock.monotonic_ns()
        self.health = message
        if self.state in ("starting", "ready") and message.state != "stopping":
            if message.state == "ready" and self.state == "starting":
                self._turned_ns = clock.monotonic_ns()
            self.state = message.state
        return None

    def _take_health_by_hand(self, message: HealthMessage) -> None:
        """Take a health message of a process that was started by hand."""
        if message.epoch < self.epoch:
            return
        if message.epoch > self.epoch:
            self._settle()
            self.totals.pids.append(message.pid)
        self.epoch, self.health = message.epoch, message
        self.state = "done" if message.state == "stopping" else message.state

    def reset_stall_clock(self) -> None:
        """Reset the stall clock, after the host was suspended."""
        self._turned_ns = clock.monotonic_ns()

    def step(self) -> None:
        """Reap the process where it ended, kill it where it hangs, start it after its back-off."""
        if self.by_hand:
            return
        now = clock.monotonic_ns()
        if self._popen is None:
            if self.state == "waiting" and self.totals.pids and now >= self._retry_ns:
                self.start()
            return
        if self._reap():
            return
        limit_s = START_S if self.state == "starting" else self._stall_limit_s()
        since_ns = self._started_ns if self.state == "starting" else self._turned_ns
        if self.state in ("starting", "ready") and now - since_ns > clock.to_ns(limit_s):
            self.why = f"no turn of its loop for {limit_s:.1f} s"
            self.state = "stalled"
            self.kill()

    def ask_to_stop(self, *, hurry: bool = False) -> None:
        """Send SIGTERM (finish what is in flight, then end), with `hurry` SIGINT (within 3.5 s)."""
        self._asked_to_stop = True
        if self._popen is None:
            if not self.is_over:
                self.state = "done"
            return
        self.state = "stopping"
        self._signal(signal.SIGINT if hurry else signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def renew(self) -> None:
        """End the process in order and start it again at once, with the plan as it is then."""
        if self._popen is not None and not self._asked_to_stop:
            self._renewed = True
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """Send a signal. Popen.send_signal would reap the process and lose its resource usage."""
        if self._popen is not None:
            os.kill(self._popen.pid, number)

    def _stall_limit_s(self) -> float:
        return max(STALL_S, self.health.gauges.get("stall_after_s", 0.0) if self.health else 0.0)

    def _reap(self) -> bool:
        """Take exit code and resource usage where it has ended; set the next state."""
        assert self._popen is not None
        pid, status, usage = os.wait4(self._popen.pid, os.WNOHANG)
        if pid == 0:
            return False
        code = os.waitstatus_to_exitcode(status)
        self._popen.returncode = code
        self._popen = None
        self.totals.exit_codes.append(code)
        self.totals.cpu_s += usage.ru_utime + usage.ru_stime
        peak = self.health.rss_bytes if self.health else 0
        self.totals.peak_bytes = max(self.totals.peak_bytes, peak)
        self._read_final_health(pid)
        note = self.health.note if self.health else ""
        self._settle()
        told = self._asked_to_stop and code in _TOLD_TO
        if self._renewed and not self._asked_to_stop and code in _TOLD_TO:
            self._renewed = False
            self.start()
            return True
        if told or (code == EXIT_DONE and self.process.kind in _MAY_END):
            self.state = "done"
        elif self._asked_to_stop:
            self.state, self.why = "failed", f"ended with {code} when told to stop"
        elif code in _FINAL:
            self.state, self.why = "failed", note or f"ended with {code}"
        else:
            self._plan_restart(f"ended with {code}" + (f": {note}" if code > 0 and note else ""))
        return True

    def _read_final_health(self, pid: int) -> None:
        try:
            data = rundir.final_health(self._run_dir, self.name).read_bytes()
            message = decode(data, "health")
        except (OSError, MessageError):
            return
        if message.pid == pid and message.epoch == self.epoch:
            self.health = message

    def _plan_restart(self, why: str) -> None:
        now = clock.monotonic_ns()
        self.why = self.why if self.state == "stalled" else why
        if len(self._deaths) == BUDGET and now - self._deaths[0] < clock.to_ns(BUDGET_S):
            self.state = "failed"
            self.why += f"; {BUDGET + 1} times within {BUDGET_S:.0f} s: given up"
            return
        recent = sum(now - death < clock.to_ns(BUDGET_S) for death in self._deaths)
        wait_s = BACKOFF_S[min(recent, len(BACKOFF_S) - 1)] * random.uniform(0.8, 1.2)
        self._deaths.append(now)
        self._retry_ns = now + clock.to_ns(wait_s)
        self.state = "waiting"

    def _settle(self) -> None:
        """Add the counters of this start, from its last health message, to the totals."""
        if self.health is None:
            return
        self.totals.metrics.add(self.health)
        self.health = None

    def metrics(self) -> Metrics:
        """Return the counters of all starts, the running one included."""
        merged = Metrics()
        merged.add(self.totals.metrics)
        if self.health is not None:
            merged.add(self.health)
        return merged
