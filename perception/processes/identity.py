"""The identity process: newest tracks of its cameras, faces from the ring, who is who to alert.

At low priority and its own pace: it takes the newest message only, and nothing waits for it. It
counts and times; no name, picture or number of a face is ever logged.
"""

import os
from pathlib import Path

from perception import clock, pixels
from perception.errors import ConfigError, RingError
from perception.identity.gallery import Gallery, Templates, version
from perception.identity.who import Recogniser, Who
from perception.launchfile.build import make_recognisers
from perception.processes.runtime import IDLE_MS, Runtime
from perception.transport.bus import Inbox, Publisher
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base
from perception.wire import IdentityMessage, TrackMessage
from perception.wire.plan import IdentityPlan

NICE = 10
STALL_S = 5.0
"""Everything else comes first on a busy host, so slow is not hung."""
RELOAD_NS = clock.NS_PER_S
_UNREADABLE = -1


def run(runtime: Runtime) -> None:
    """Look at faces until the run stops; nothing is left to finish then."""
    os.nice(NICE)
    asked = runtime.plan.identity
    if asked is None:
        raise ConfigError("this line has no `identity:`")
    runtime.metrics.gauge("stall_after_s", STALL_S)
    inbox = Inbox(runtime.run_dir, "tracks", runtime.process.cameras, newest=True)
    runtime.count_rejected(inbox.rejected)
    recognisers = make_recognisers(runtime.plan, runtime.process.cameras)
    lines = {name: _Line(runtime, name, who) for name, who in recognisers.items()}
    pixels.warm_up()
    people = _People(runtime, asked, next(iter(recognisers.values())).model)
    runtime.ready(inbox)
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in inbox.poll(IDLE_MS):
                runtime.turn()
                lines[message.stamp.camera].take(message)
            if people.changed():
                for line in lines.values():
                    line.recogniser.templates = people.templates
    finally:
        inbox.close()
        for line in lines.values():
            line.publisher.close()


class _People:
    """The gallery as it is now: who enrolls or erases somebody need not restart the line."""

    def __init__(self, runtime: Runtime, asked: IdentityPlan, model: str) -> None:
        self._runtime, self._asked, self._model = runtime, asked, model
        self._version, self._looked_ns = _UNREADABLE, -RELOAD_NS
        self.templates = Templates.of([], model)

    def changed(self) -> bool:
        """Look, at most once a second, whether the gallery is another; take it then."""
        now_ns = clock.monotonic_ns()
        if now_ns - self._looked_ns < RELOAD_NS:
            return False
        self._looked_ns = now_ns
        folder = Path(self._asked.gallery) if self._asked.gallery else None
        now = version(folder)
        if now == self._version:
            return False
        try:
            gallery = Gallery(folder, self._asked.key)
            self.templates = Templates.of(gallery.people(), self._model)
            self._version = now
        except ConfigError as error:
            self._version = _UNREADABLE
            self._runtime.note(f"gallery: {error}")
            return False
        self._runtime.note("" if self.templates.names else "the gallery is empty: all are unknown")
        self._runtime.metrics.gauge("gallery.people", len(self.templates.names))
        self._runtime.metrics.gauge("gallery.damaged", len(gallery.damaged))
        return True


class _Line:
    """One camera's people."""

    def __init__(self, runtime: Runtime, name: str, recogniser: Recogniser) -> None:
        self._runtime, self._name, self.recogniser = runtime, name, recogniser
        self._base = ring_base(runtime.run_dir, name)
        self._reader = RingReader()
        self.publisher = Publisher(runtime.run_dir, "identities", name)

    def take(self, message: TrackMessage) -> None:
        """Look at the faces that are due in one frame and tell what is new."""
        metrics, name, began_ns = self._runtime.metrics, self._name, clock.monotonic_ns()
        image = None
        if self.recogniser.wanted(message):
            try:
                picture = self._reader.picture(self._base, message.stamp.frame_id)
            except RingError as error:
                self._runtime.note(str(error))
                picture = None
            if picture is not None and picture.frame_id == message.stamp.frame_id:
                image = picture.image
            else:
                metrics.count(f"dropped.{name}.no_picture")
        for who in self.recogniser.update(message, image):
            self._tell(message, who)
        if image is not None:
            metrics.latency(f"looking.{name}", clock.monotonic_ns() - began_ns)
        for what, count in self.recogniser.counters.items():
            metrics.counters[f"faces.{name}.{what}"] = count

    def _tell(self, message: TrackMessage, who: Who) -> None:
        decision = who.decision
        self.publisher.send(
            IdentityMessage(
                stamp=message.stamp,
                track_id=who.track_id,
                state=decision.state,
                who=decision.who or "",
                confidence=decision.confidence,
                faces=decision.faces,
            )
        )
        if who.is_new:
            self._runtime.metrics.count(f"decided.{self._name}.{decision.state}")
            since_ns = clock.monotonic_ns() - message.stamp.t_arrival_ns
            self._runtime.metrics.latency(f"identity.{self._name}", since_ns)
