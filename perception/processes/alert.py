"""The alert process: tracks -> rules -> alerts, in the store first, then to every sink.

Each alert is committed together with the last frame dealt with; after a restart tracking is asked
for what was missed. Delivery runs in threads, one a sink, so that a slow one delays nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from perception import clock, pixels
from perception.alerts.retention import Retention
from perception.alerts.store import AlertStore
from perception.errors import ConfigError, SinkError
from perception.launchfile.build import make_sinks
from perception.processes.alert_line import RETRY_S, AlertLine
from perception.processes.posting import Connectivity, Post
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.processes.watching import CameraWatches
from perception.sinks.snapshot import SnapshotSink
from perception.transport.bus import Inbox

STORE_WAIT_S = 30.0
"""How long another program that holds the store is waited for when a line begins."""


def run(runtime: Runtime) -> None:
    """Apply rules until the run stops, then to what still waits in the queue."""
    sinks = make_sinks(runtime.plan)
    snapshots = [sink for sink in sinks.values() if isinstance(sink, SnapshotSink)]
    if snapshots:
        pixels.warm_up()
    others = {name: sink for name, sink in sinks.items() if not isinstance(sink, SnapshotSink)}
    inbox = Inbox(runtime.run_dir, "tracks", runtime.process.cameras)
    runtime.count_rejected(inbox.rejected)
    store = _open_store(runtime, list(others))
    if store.path != Path(runtime.plan.store):
        why = f"store: {runtime.plan.store} is of a newer version: alerts go into {store.path}"
        runtime.log.error(why)
        runtime.note(why)
    if store.set_aside is not None:
        runtime.log.error("store was corrupt and set aside", moved_to=str(store.set_aside))
    post = Post(runtime, store, others)
    asked = runtime.plan.cameras_of("identity")
    names = Inbox(runtime.run_dir, "identities", asked)
    runtime.count_rejected(names.rejected)
    lanes = Inbox(runtime.run_dir, "lanes", runtime.plan.cameras_of("lanes"))
    runtime.count_rejected(lanes.rejected)
    lines = {
        name: AlertLine(runtime, name, store, snapshots, post) for name in runtime.process.cameras
    }
    watching = CameraWatches(runtime, store, {name: line.tell for name, line in lines.items()})
    connectivity = Connectivity(post, runtime.process.cameras)
    retention = Retention(store.database, runtime.plan.retain_days, clock.monotonic_ns())
    runtime.ready(inbox)
    try:
        while not runtime.stopping:
            runtime.turn()
            if watching.turn():
                post.wake()
            for line in lines.values():
                line.step()
            connectivity.turn()
            _prune(runtime, retention)
            for said in names.poll(0):
                lines[said.stamp.camera].name(said)
            for seen in lanes.poll(0):
                lines[seen.stamp.camera].see(seen)
            for message in inbox.poll(IDLE_MS):
                runtime.turn()
                connectivity.heard(message.stamp.camera)
                lines[message.stamp.camera].take(message)
        for message in drain(inbox):
            runtime.turn()
            lines[message.stamp.camera].take(message)
        for line in lines.values():
            line.close()
        watching.close()
    finally:
        inbox.close()
        names.close()
        lanes.close()
        post.close()
        store.close()


def _prune(runtime: Runtime, retention: Retention) -> None:
    try:
        if count := retention.turn(clock.monotonic_ns(), clock.wall_ns()):
            runtime.metrics.count("pruned", count)
    except SinkError as error:
        runtime.metrics.count("sink_errors.store")
        runtime.log.warning("old alerts stay", reason=str(error))


def _open_store(runtime: Runtime, sinks: Sequence[str]) -> AlertStore:
    """Open the store; where another program holds it, wait for it a while.

    A line does not begin where its alerts cannot be stored. In one that runs, whatever has become
    of the store meanwhile is waited for: the rest goes on.
    """
    deadline, told = clock.monotonic_ns() + clock.to_ns(STORE_WAIT_S), ""
    while True:
        try:
            return AlertStore(Path(runtime.plan.store), sinks, beside=True)
        except (SinkError, ConfigError) as error:
            why = str(error)
            patient = "locked" in why and clock.monotonic_ns() < deadline
            if runtime.stopping or not (patient or runtime.restarted):
                raise ConfigError(f"alerts cannot be stored: {why}") from None
        if why != told:
            runtime.log.error("store", reason=why)
        told = why
        runtime.note(f"store: {why}")
        runtime.turn()
        runtime.wait(RETRY_S)
