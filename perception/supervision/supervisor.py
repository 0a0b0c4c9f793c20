"""Starts the processes of a plan, restarts them, stops them in order.

Child processes are killed when this process ends (PDEATHSIG follows the thread that starts them, so
that is the main thread). Used by the command line.
"""

import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from perception import clock, logs, metrics
from perception.errors import EXIT_DONE, EXIT_SOURCE
from perception.recording import report
from perception.recording.output import clear
from perception.recording.summary import ProcessSummary, Summary
from perception.supervision.alert_count import RaisedAlerts
from perception.supervision.child import Child
from perception.supervision.locks import StoreLock, take_folder
from perception.supervision.reload import Reload
from perception.transport import ring, rundir
from perception.transport.bus import Inbox
from perception.transport.rundir import RunDir
from perception.wire import Alert, plan
from perception.wire.plan import Plan

TICK_MS = 50
WATCH_NS = 500 * clock.NS_PER_MS
STOP_S = 4.5
"""A line that is told to stop ends within this time; then its processes are killed."""
DRAIN_S = 60.0
"""Once all sources have ended, each stage has so long to finish what is in flight."""
_SUSPENDED_NS = clock.NS_PER_S
_SAME_SIGNAL_NS = clock.NS_PER_S
"""Signals within this time of the first one count as that one: `timeout` sends two at once."""
_NEEDED = ("detection", "tracking", "alert")
"""A camera counts as over where its process of one of these kinds has failed."""
_ORDER = (
    "show", "camera", "detection", "lanes", "tracking", "identity", "alert", "recorder", "output",
    "web",
)  # fmt: skip
"""Stop order; processes start in the reverse of it."""


class Supervisor:
    """A running line.

    children: its processes. on_alert: called with every new state of an alert. watch: called twice
    a second, for displays. without: names of processes that a person starts by hand. fresh: delete
    the results of an earlier run from the output folder. load: returns the plan of the launch file
    as it is now, for a reload.
    """

    def __init__(
        self,
        what: Plan,
        *,
        watch: Callable[["Supervisor"], None] | None = None,
        on_alert: Callable[[Alert], None] | None = None,
        without: Sequence[str] = (),
        fresh: bool = False,
        load: Callable[[], Plan] | None = None,
    ) -> None:
        self.started_wall_ns = clock.wall_ns()
        self._started_ns = clock.monotonic_ns()
        self.swept = rundir.sweep()
        self._watch, self._on_alert = watch, on_alert
        self.plan, self._log = take_folder(what)
        what = self.plan
        with contextlib.ExitStack() as undo:
            self.run_dir = RunDir(what.name)
            undo.callback(self.run_dir.close)
            self._store = StoreLock(Path(what.store), self.run_dir.name)
            undo.callback(self._store.close)
            if fresh:
                clear(Path(what.folder))
            self.children = [
                Child(process, self.run_dir.path, self._log, by_hand=process.name in without)
                for process in sorted(what.processes, key=lambda p: _ORDER.index(p.kind))
            ]
            plan.write(what, self.run_dir.path / rundir.PLAN)
            self._health = Inbox(self.run_dir.path, "health", [c.name for c in self.children])
            self._alerts = Inbox(self.run_dir.path, "alerts", list(what.cameras))
            undo.pop_all()
        self._metrics_server: metrics.MetricsServer | None = None
        self._raised = RaisedAlerts(what.cameras, Path(what.store), self.started_wall_ns)
        self._reload = Reload(self.run_dir.path, load)
        self._states: dict[str, str] = {}
        self._interrupts = 0
        self._interrupted_ns = 0
        self._last_watch_ns = self._last_tick_ns = 0

    def run(self) -> int:
        """Run until every source has ended or a signal comes; return the exit code.

        SIGINT and SIGTERM stop it in order; one that comes more than 1 s later kills at once.
        """
        before = {n: signal.signal(n, self._interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            if self.plan.metrics_port is not None:
                self._metrics_server = metrics.serve(self.plan.metrics_port, self._families)
            self._start()
            while not self._interrupts and not self._is_over():
                self._tick()
            self._stop(STOP_S if self._interrupts else DRAIN_S)
            return self._exit_code()
        finally:
            # The handlers stay until all is removed: a late Ctrl-C must not interrupt that.
            self._kill_all()
            if self._metrics_server is not None:
                self._metrics_server.close()
            self._health.close()
            self._alerts.close()
            self._log.close()
            ring.sweep()
            self._store.close()
            self.run_dir.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    @property
    def is_stopping(self) -> bool:
        """Whether a signal has asked it to stop."""
        return self._interrupts > 0

    def _start(self) -> None:
        """Start the stages; start the sources once every stage is ready."""
        own = [child for child in self.children if not child.by_hand]
        stages = [child for child in own if child.process.kind != "camera"]
        for child in reversed(stages):
            child.start()
        while not self._interrupts and any(
            child.state in ("starting", "waiting") for child in stages
        ):
            self._tick()
        if not self._interrupts and not self._is_over():
            for child in own:
                if child.process.kind == "camera":
                    child.start()

    def _tick(self) -> None:
        """Take health and alerts, step every process, update the display."""
        for message in self._health.poll(TICK_MS):
            for child in self.children:
                if child.name == message.process:
                    child.take_health(message)
        for message in self._alerts.poll(0):
            self._take_alert(message.alert)
        now = clock.monotonic_ns()
        if self._last_tick_ns and now - self._last_tick_ns > _SUSPENDED_NS:
            for child in self.children:
                child.reset_stall_clock()
        self._last_tick_ns = now
        for child in self.children:
            child.step()
        if not self._interrupts:
            self.plan = self._reload.turn(self.plan, self.children)
        self._log_changes()
        if self._watch is not None and now - self._last_watch_ns > WATCH_NS:
            self._last_watch_ns = now
            self._watch(self)

    def _log_changes(self) -> None:
        """Log every change of a process's state. With a full disk the line is lost."""
        for child in self.children:
            if self._states.get(child.name) == child.state:
                continue
            self._states[child.name] = child.state
            bad = child.state in ("stalled", "failed") or (child.state == "waiting" and child.why)
            fields = {"child": child.name, "pid": child.pid, "restarts": child.restarts}
            why = {"reason": child.why} if bad else {}
            level = "warning" if bad else "info"
            with contextlib.suppress(OSError):
                self._log.write(logs.line("supervisor", child.state, level, **fields, **why))
                self._log.flush()

    def _take_alert(self, alert: Alert) -> None:
        if self._raised.is_news(alert) and self._on_alert is not None:
            self._on_alert(alert)

    def summary(self, exit_code: int) -> Summary:
        """Return the summary of the run so far."""
        problems: dict[str, list[str]] = {}
        restarted = {
            camera
            for child in self.children
            if child.process.kind == "camera" and child.restarts
            for camera in child.process.cameras
        }
        for child in self.children:
            if child.state == "failed":
                for camera in child.process.cameras:
                    problems.setdefault(camera, []).append(f"{child.name} failed: {child.why}")
            elif child.process.kind == "camera" and child.note:
                problems.setdefault(child.process.cameras[0], []).append(child.note)
        return report.summarise(
            self.plan,
            report.merge([child.metrics() for child in self.children]),
            self._raised.counts(),
            {
                child.name: ProcessSummary(
                    pids=child.totals.pids,
                    cpu_s=round(child.totals.cpu_s, 2),
                    peak_memory_bytes=child.totals.peak_bytes,
                    exit_code=child.totals.exit_codes[-1] if child.totals.exit_codes else None,
                    restarts=child.restarts,
                )
                for child in self.children
            },
            mode="run",
            started_wall_ns=self.started_wall_ns,
            duration_s=clock.seconds(clock.monotonic_ns() - self._started_ns),
            exit_code=exit_code,
            problems=problems,
            restarted=restarted,
        )

    def _is_over(self) -> bool:
        """Whether every camera is over: its source ended, or a process it needs has failed."""
        failed = [child for child in self.children if child.state == "failed"]
        lost = {
            camera
            for child in failed
            if child.process.kind in _NEEDED
            for camera in child.process.cameras
        }
        over = {
            child.process.cameras[0]
            for child in self.children
            if child.process.kind == "camera" and child.is_over
        }
        return set(self.plan.cameras) == over | lost

    def _stop(self, limit_s: float) -> None:
        """Stop the sources, then each stage once the one before it has ended."""
        with contextlib.suppress(OSError):
            (self.run_dir.path / rundir.STOPPING).touch()
        deadline = clock.monotonic_ns() + clock.to_ns(limit_s)
        for kind in _ORDER:
            group = [c for c in self.children if c.process.kind == kind and not c.is_over]
            for child in group:
                child.ask_to_stop(hurry=self._interrupts > 0)
            interrupts = self._interrupts
            while any(not child.is_over for child in group):
                self._tick()
                if self._interrupts > interrupts and interrupts:
                    return
                if clock.monotonic_ns() > deadline or self._interrupts > 1:
                    for child in group:
                        child.kill()
                if self._interrupts and limit_s > STOP_S:
                    deadline = min(deadline, clock.monotonic_ns() + clock.to_ns(STOP_S))
                    limit_s = STOP_S
                    for child in group:
                        child.ask_to_stop(hurry=True)
        for _ in range(2):
            self._tick()

    def _kill_all(self) -> None:
        for child in self.children:
            child.kill()
        while any(child.pid for child in self.children):
            for child in self.children:
                if child.pid:
                    child.ask_to_stop()
                    child.kill()
                    child.step()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        now = clock.monotonic_ns()
        if self._interrupts and now - self._interrupted_ns < _SAME_SIGNAL_NS:
            return
        if not self._interrupts:
            self._interrupted_ns = now
        self._interrupts += 1
        if self._interrupts > 1:
            for child in self.children:
                child.kill()

    def _exit_code(self) -> int:
        failed = [child for child in self.children if child.state == "failed"]
        if not failed or self._interrupts:
            return EXIT_DONE
        codes = [child.totals.exit_codes[-1] for child in failed if child.totals.exit_codes]
        return max((code for code in codes if code > 0), default=EXIT_SOURCE)

    def _families(self) -> Any:
        health = {child.name: child.health for child in self.children if child.health is not None}
        return metrics.exposition(
            health,
            {child.name: child.restarts for child in self.children},
            {child.name: child.state for child in self.children},
        )
