"""The output process: what a run leaves behind: annotated video and tracks of every camera.

It reads frames from shared memory after tracking; one that is gone by then is counted, its tracks
are written all the same.
"""

from pathlib import Path

from perception.errors import SinkError
from perception.processes.gaps import Gaps
from perception.processes.runtime import IDLE_MS, Runtime, drain
from perception.recording.output import CameraOutput, Shown, set_aside
from perception.rules.zones import Line, Zone
from perception.sinks.cot_tracks import CotTracks, TrackOptions
from perception.transport.bus import Inbox
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base
from perception.wire import LaneMessage, TrackMessage


def run(runtime: Runtime) -> None:
    """Write until the run stops, then what still waits."""
    names = runtime.process.cameras
    tracks = Inbox(runtime.run_dir, "tracks", names)
    alerts = Inbox(runtime.run_dir, "alerts", names)
    lanes = Inbox(runtime.run_dir, "lanes", runtime.plan.cameras_of("lanes"))
    lines = {name: _Line(runtime, name) for name in names}
    cot = _Cot(runtime)
    runtime.count_rejected(tracks.rejected)
    runtime.count_rejected(alerts.rejected)
    runtime.count_rejected(lanes.rejected)
    runtime.ready(tracks, alerts)
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in alerts.poll(0):
                lines[message.stamp.camera].shown.note(message.alert)
            for message in lanes.poll(0):
                lines[message.stamp.camera].see(message)
            for message in tracks.poll(IDLE_MS):
                lines[message.stamp.camera].take(message)
                cot.take(message)
        for message in drain(alerts, quiet_ms=10):
            lines[message.stamp.camera].shown.note(message.alert)
        for message in drain(lanes, quiet_ms=10):
            lines[message.stamp.camera].see(message)
        for message in drain(tracks):
            runtime.turn()
            lines[message.stamp.camera].take(message)
    finally:
        for line in lines.values():
            line.close()
        cot.close()
        tracks.close()
        alerts.close()
        lanes.close()


class _Cot:
    """Hands frames to who sends their tracks; a way that fails is noted and counted."""

    def __init__(self, runtime: Runtime) -> None:
        asked = runtime.plan.cot
        self._runtime, self._told = runtime, ""
        self._tracks = None if asked is None else CotTracks(TrackOptions.model_validate(asked))

    def take(self, message: TrackMessage) -> None:
        """Take one frame."""
        if self._tracks is None:
            return
        self._tracks.take(message)
        for name, count in self._tracks.counters.items():
            self._runtime.metrics.counters[f"cot.{name}"] = count
        if self._tracks.why != self._told:
            self._told = self._tracks.why
            self._runtime.note(self._told)
            self._runtime.log.warning("cot", reason=self._told or "works again")

    def close(self) -> None:
        """Send what waits, and end."""
        if self._tracks is not None:
            self._tracks.close()


class _Line:
    """One camera's files."""

    def __init__(self, runtime: Runtime, name: str) -> None:
        plan, camera = runtime.plan, runtime.plan.cameras[name]
        self._runtime, self._name = runtime, name
        self._base = ring_base(runtime.run_dir, name)
        self._reader = RingReader()
        self._gaps = Gaps()
        self.shown = Shown()
        zones = {k: Zone.model_validate(v).points for k, v in camera.zones.items()}
        lines = {k: Line.model_validate(v).points for k, v in camera.lines.items()}
        if runtime.restarted:
            set_aside(Path(plan.folder), name)
        self._output = CameraOutput(
            Path(plan.folder),
            name,
            zones,
            lines,
            video=plan.video,
            tracks=plan.tracks,
            kitti=plan.kitti,
            lanes=plan.tracks and camera.lanes is not None,
            map_page=plan.map_page(name),
        )

    def take(self, message: TrackMessage) -> None:
        """Write one frame."""
        metrics, stamp = self._runtime.metrics, message.stamp
        if missed := self._gaps.missed(message.message_id):
            metrics.count(f"missed.{self._name}.output_lost", missed)
        picture = None
        if self._runtime.plan.video:
            picture = self._reader.picture(self._base, stamp.frame_id)
            if picture is None or picture.frame_id != stamp.frame_id:
                metrics.count(f"dropped.{self._name}.not_drawn")
                picture = None
        image = picture.image if picture else None
        shown = self.shown.at(stamp.t_media_ns)
        try:
            self._output.add(message, image, shown, self.shown.counts)
        except SinkError as error:
            self._refused(error)
        metrics.count(f"written.{self._name}")

    def see(self, lanes: LaneMessage) -> None:
        """Write the lanes of one frame."""
        try:
            self._output.see(lanes)
        except SinkError as error:
            self._refused(error)

    def _refused(self, error: SinkError) -> None:
        self._runtime.metrics.count("sink_errors.output")
        self._runtime.note(str(error))
        self._runtime.log.error("output", reason=str(error))

    def close(self) -> None:
        """End the files so that they play."""
        try:
            self._output.close()
        except SinkError as error:
            self._runtime.log.error("output", reason=str(error))
