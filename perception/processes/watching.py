"""Checks the newest frame of each watched camera once a second, for the alert process.

It reads the ring, so it does not depend on detection or tracking.
"""

from collections.abc import Callable, Mapping

from perception import clock
from perception.alerts.store import AlertStore
from perception.alerts.watch import RULE, CameraWatch, WatchOptions
from perception.errors import RingError, SinkError
from perception.processes.runtime import Runtime
from perception.transport.bus import Inbox
from perception.transport.ring import Picture, RingReader
from perception.transport.rundir import ring_base
from perception.wire import Alert, Stamp

LOOK_NS = clock.NS_PER_S
SILENT_NS = 4 * clock.NS_PER_S
"""A recorder that sent no health for so long does not run."""

Tell = Callable[[Stamp, Alert], None]


class CameraWatches:
    """The watches of the alert process's cameras. tell: publishes an alert, by camera."""

    def __init__(self, runtime: Runtime, store: AlertStore, tell: Mapping[str, Tell]) -> None:
        self._runtime, self._store, self._tell = runtime, store, tell
        self._watches: dict[str, CameraWatch] = {}
        self._budgets: dict[str, float | None] = {}
        self._over = dict.fromkeys(runtime.process.cameras, 0)
        self._recorded = runtime.plan.cameras_of("recorder")
        for name in runtime.process.cameras:
            options = runtime.plan.cameras[name].watch
            self._budgets[name] = runtime.plan.cameras[name].budget_ms
            if options is not None or name in self._recorded or self._budgets[name]:
                opened = store.open_alerts(name, RULE)
                checked = WatchOptions.model_validate(options or {})
                self._watches[name] = CameraWatch(name, checked, opened)
        self._looked = [n for n in self._watches if runtime.plan.cameras[n].watch is not None]
        self._readers = {name: RingReader() for name in self._looked}
        self._last = dict.fromkeys(self._looked, -1)
        cameras = [f"camera-{name}" for name in self._looked]
        cameras += ["recorder"] if self._recorded else []
        self._heard_ns = clock.monotonic_ns()
        self._health = Inbox(runtime.run_dir, "health", cameras, newest=True)
        self._notes: dict[str, str] = {}
        self._unsaved: list[Alert] = []
        self._due_ns = clock.monotonic_ns()

    def turn(self) -> bool:
        """Check all cameras where it is due; return whether there is an alert to deliver."""
        now_ns = clock.monotonic_ns()
        if not self._watches or now_ns < self._due_ns:
            return False
        self._due_ns = now_ns + LOOK_NS
        for health in self._health.poll(0):
            self._notes[health.process] = health.note.removeprefix("offline: ")
            if health.process == "recorder":
                self._heard_ns = now_ns
        for name in self._looked:
            watch = self._watches[name]
            picture = self._newest(name)
            frame_id, image = (picture.frame_id, picture.image) if picture else (None, None)
            why = self._notes.get(f"camera-{name}", "")
            for alert in watch.look(frame_id, image, now_ns, clock.wall_ns(), why):
                self._runtime.log.warning("camera", camera=name, kind=alert.kind, state=alert.state)
                self._unsaved.append(alert)
        for name in self._watches:
            if name in self._recorded:
                self._tell_if(name, "recording", self._recording_trouble(now_ns), now_ns)
            if self._budgets[name]:
                self._tell_if(name, "late", self._lateness(name), now_ns)
        return self._save(now_ns)

    def _recording_trouble(self, now_ns: int) -> str:
        """Return what the recorder says of itself; one that says nothing is a trouble too."""
        if now_ns - self._heard_ns > SILENT_NS:
            return "the recorder does not run"
        return self._notes.get("recorder", "").removeprefix("recording: ")

    def _lateness(self, name: str) -> str:
        """Return how many frames were older than the budget since the last look."""
        count = self._runtime.metrics.counters.get(f"over_budget.{name}", 0)
        new, self._over[name] = count - self._over[name], count
        return f"{new} frames older than {self._budgets[name]:g} ms" if new else ""

    def _tell_if(self, name: str, kind: str, trouble: str, now_ns: int) -> None:
        for alert in self._watches[name].report(kind, trouble, now_ns, clock.wall_ns()):
            self._runtime.log.warning("camera", camera=name, kind=alert.kind, state=alert.state)
            self._unsaved.append(alert)

    def close(self) -> None:
        """Commit the alerts that are left; retry for LAST_NS."""
        self._health.close()
        self._save(clock.monotonic_ns())
        while self._unsaved and self._store.wait_to_retry():
            self._save(clock.monotonic_ns())
        if self._unsaved:
            self._runtime.log.error("alerts lost", count=len(self._unsaved))

    def _newest(self, name: str) -> Picture | None:
        """Return the newest frame, None where it was checked before."""
        try:
            base = ring_base(self._runtime.run_dir, name)
            picture = self._readers[name].picture(base, self._last[name] + 1, newest=True)
        except RingError:
            return None  # the ring is being made or removed
        if picture is not None:
            self._last[name] = picture.frame_id
        return picture

    def _save(self, now_ns: int) -> bool:
        saved = 0
        try:
            for alert in self._unsaved:
                self._store.put(alert)
                saved += 1
        except SinkError as error:
            self._runtime.metrics.count("sink_errors.store")
            self._runtime.note(f"store: {error}")
        for alert in self._unsaved[:saved]:
            stamp = Stamp(
                camera=alert.camera,
                frame_id=max(alert.frame_id, 0),
                t_media_ns=0,
                t_arrival_ns=now_ns,
                t_wall_ns=alert.t_wall_ns,
            )
            self._tell[alert.camera](stamp, alert)
        del self._unsaved[:saved]
        return saved > 0
