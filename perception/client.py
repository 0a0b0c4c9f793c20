"""A running line from user code: typed tracks, detections and alerts with their age; frames in.

    import perception
    for frame in perception.connect("demo").tracks("highway"):
        for track in frame:
            print(track.class_name, track.track_id, track.box, frame.age_ms)

Listeners get the newest message and never slow the line. Imports transport, plan and below.
"""

import contextlib
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from perception.clock import monotonic_ns, to_ns
from perception.errors import ConfigError, unknown
from perception.recording.ledger import WINDOW_S, Ledger
from perception.remote import RemoteRun
from perception.sources.push import Pusher
from perception.transport import push_queue, rundir
from perception.transport.bus import Inbox
from perception.transport.ring import RingReader
from perception.transport.sockets import OWN_MOTION
from perception.wire import Alert, DetectionMessage, LaneMessage, OwnMotion, TrackMessage, plan

_POLL_MS = 200
_CONNECT_S = 0.5
_LEDGER_NS = 250_000_000


@overload
def connect(run: str, timeout_s: float = 0.0) -> "Run": ...
@overload
def connect(
    run: str, timeout_s: float = 0.0, *, token: str, certificate: str | Path | None = None
) -> RemoteRun: ...
def connect(
    run: str,
    timeout_s: float = 0.0,
    *,
    token: str | None = None,
    certificate: str | Path | None = None,
) -> "Run | RemoteRun":
    """Join a run of this user on this host by its name (`perception run` prints it).

    timeout_s: how long to wait for it to begin. Raises ConfigError, which names those alive.
    token: join a run on another host; `run` is the address of its page, https://host:8443, and
    certificate the PEM file of its own certificate (None: one that this host trusts).
    """
    if token is not None:
        return RemoteRun(run, token, certificate, timeout_s)
    if "://" in run:
        raise ConfigError(f"{run}: needs a token: `perception users token NAME` makes one")
    deadline = monotonic_ns() + to_ns(timeout_s)
    while monotonic_ns() < deadline:
        with contextlib.suppress(ConfigError, FileNotFoundError):
            return Run(rundir.find(run))
        rundir.wait_for_change()
    try:
        return Run(rundir.find(run))
    except FileNotFoundError:
        raise ConfigError(f"run {run!r} has only just begun: wait for it") from None


class Run:
    """A live run. Iterators end when the run ends; Ctrl-C is KeyboardInterrupt, to you."""

    def __init__(self, run_dir: Path) -> None:
        self._dir = run_dir
        self._plan = plan.decode((run_dir / rundir.PLAN).read_bytes())
        self._reader = RingReader()
        self._motion: push_queue.Pusher | None = None

    @property
    def name(self) -> str:
        """Name of the run."""
        return self._dir.name

    @property
    def cameras(self) -> list[str]:
        """Names of its cameras."""
        return list(self._plan.cameras)

    def tracks(self, camera: str, *, every: bool = False) -> Iterator[TrackMessage]:
        """Yield tracks of a camera as frames are tracked; iterate over one to get its Tracks.

        every: all messages in order instead of the newest; those you are too slow for are lost
        once 1024 wait. Raises ConfigError where there is no such camera.
        """
        return self._messages("tracks", [self._known(camera)], newest=not every)

    def detections(self, camera: str, *, every: bool = False) -> Iterator[DetectionMessage]:
        """Yield detections of a camera as frames are detected; `every` as for tracks."""
        return self._messages("detections", [self._known(camera)], newest=not every)

    def lanes(self, camera: str, *, every: bool = False) -> Iterator[LaneMessage]:
        """Yield the lines of a camera's lanes; iterate over one to get its LaneLines.

        `every` as for tracks. Raises ConfigError where the camera has no `lanes:`.
        """
        if self._plan.cameras[self._known(camera)].lanes is None:
            raise ConfigError(f"camera {camera!r} has no `lanes:`")
        return self._messages("lanes", [camera], newest=not every)

    def alerts(self, camera: str | None = None) -> Iterator[Alert]:
        """Yield alerts of a camera, or of all, as they are raised, updated and cleared."""
        names = self.cameras if camera is None else [self._known(camera)]
        messages = self._messages("alerts", names, newest=False)
        return (message.alert for message in messages)

    def ledger(self, window_s: float = WINDOW_S) -> Iterator[Ledger]:
        """Yield, about four times a second, where the time of frames went in the last window_s.

        It is the same object each time; `steps(camera)` has p50, p95 and p99 in ms by step.
        """
        ledger = Ledger(window_s)
        names = [process.name for process in self._plan.processes]
        said = self._messages("health", names, newest=False)
        return self._ledgers(ledger, said)

    def _ledgers(self, ledger: Ledger, said: Iterator[Any]) -> Iterator[Ledger]:
        last_ns = 0
        for message in said:
            ledger.take(message)
            if monotonic_ns() - last_ns >= _LEDGER_NS:
                last_ns = monotonic_ns()
                yield ledger

    def picture(self, message: TrackMessage | DetectionMessage) -> NDArray[np.uint8] | None:
        """Return a copy of the message's frame, uint8 (H, W, 3) BGR, or None where it is gone.

        Frames live for the camera's `keep_s`.
        """
        base = rundir.ring_base(self._dir, message.stamp.camera)
        found = self._reader.picture(base, message.stamp.frame_id)
        same = found is not None and found.frame_id == message.stamp.frame_id
        return found.image if found is not None and same else None

    def push(self, camera: str) -> Pusher:
        """Return what hands frames to a camera whose source is `push`: `.send(image, t_ns)`.

        Raises ConfigError where the camera has another source.
        """
        source = self._plan.cameras[self._known(camera)].source
        if source.type != "push":
            raise ConfigError(f"camera {camera!r} has source {source.type}, not push")
        return Pusher(self._dir, camera)

    def state(
        self, speed_m_s: float, yaw_rate: float | None = None, *, timeout_s: float = 0.1
    ) -> bool:
        """Say how the vehicle that bears the cameras moves now; it holds for 1 s.

        speed_m_s: forwards. yaw_rate: rad/s, to the left positive. Return False where the run did
        not take it within timeout_s. Raises ValueError for what no vehicle does (200 m/s, 10 rad/s)
        and where a value is not finite.
        """
        if not (abs(speed_m_s) <= 200.0 and (yaw_rate is None or abs(yaw_rate) <= 10.0)):
            raise ValueError(f"speed_m_s {speed_m_s}, yaw_rate {yaw_rate}: not the motion of a car")
        if self._motion is None:
            self._motion = push_queue.Pusher(self._dir, OWN_MOTION)
            weakref.finalize(self, self._motion.close)
        said = OwnMotion(t_monotonic_ns=monotonic_ns(), speed_m_s=speed_m_s, yaw_rate=yaw_rate)
        return self._motion.send(said, timeout_s)

    def _known(self, camera: str) -> str:
        if camera not in self._plan.cameras:
            raise ConfigError(unknown(camera, self.cameras, f"cameras of {self.name}"))
        return camera

    def _messages(self, topic: str, names: list[str], *, newest: bool) -> Iterator[Any]:
        """Listen from now on, not from the first `next`: what is pushed in between is answered."""
        messages = self._come(Inbox(self._dir, topic, names, newest=newest))
        next(messages)  # begun: the inbox closes with the iterator, also where nobody asks for more
        return messages

    def _come(self, inbox: Inbox) -> Iterator[Any]:
        try:
            inbox.is_connected(_CONNECT_S)
            yield None
            while True:
                got = False
                for message in inbox.poll(_POLL_MS):
                    got = True
                    yield message
                if not got and not rundir.is_live(self._dir):
                    return
        except KeyboardInterrupt as stop:
            raise stop.with_traceback(None) from None  # it is the user's; where we waited is not
        finally:
            inbox.close()
