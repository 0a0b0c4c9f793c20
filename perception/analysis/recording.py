"""One recording through detector, camera motion, tracker and rules; the files of a live run.

Decoding runs in a thread ahead of the network. Imports plan and below.
"""

import os
import queue
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from perception import clock, plan, report
from perception.alerts.book import AlertBook
from perception.errors import SinkError, SourceEnded
from perception.messages import Alert, Stamp, TrackMessage, make_id
from perception.metrics import Metrics
from perception.plan import CameraPlan, Plan
from perception.processes.runtime import peak_bytes
from perception.recording.output import CameraOutput
from perception.recording.summary import ProcessSummary, Summary
from perception.rules.zones import Line, Zone
from perception.sinks.snapshot import SnapshotSink
from perception.sources import Frame, allocate_new
from perception.trackers.camera_motion import CameraMotion
from perception.trackers.grey import small_grey
from perception.trackers.scene_cut import SceneCut

AHEAD = 4
INSTANT_SHOWN_NS = 1_500_000_000


def analyze(
    what: Plan, progress: Callable[[int, int | None], None], *, threads: int = 1
) -> Summary:
    """Analyse the plan's one camera, every frame; return the summary, also written to the folder.

    progress: called with frames done and frames in all (None: not known). Raises SourceError and
    ModelError; a file that cannot be written is named in the summary's problems.
    """
    camera = next(iter(what.cameras.values()))
    started_wall_ns, started_ns = clock.wall_ns(), clock.monotonic_ns()
    work = _Work(what, camera, threads)
    frames = _Frames(camera)
    expected = frames.expected
    for n, frame in enumerate(frames):
        work.take(n, frame)
        progress(n + 1, expected)
    work.close()
    for cause, count in frames.counters.items():
        work.metrics.counters[f"source.{camera.name}.{cause}"] = count
    usage = resource.getrusage(resource.RUSAGE_SELF)
    process = ProcessSummary(
        pids=[os.getpid()],
        cpu_s=round(usage.ru_utime + usage.ru_stime, 2),
        peak_memory_bytes=peak_bytes(),
        exit_code=0,
    )
    summary = report.summarise(
        what,
        work.metrics,
        {camera.name: work.raised},
        {"analyze": process},
        mode="analyze",
        started_wall_ns=started_wall_ns,
        duration_s=clock.seconds(clock.monotonic_ns() - started_ns),
        exit_code=0,
        problems={camera.name: work.problems},
    )
    summary.write(Path(what.folder) / "summary.json")
    return summary


class _Frames:
    """Iterates over a source's frames, decoded ahead in a thread."""

    def __init__(self, camera: CameraPlan) -> None:
        self._source = plan.make_source(camera, None)
        self._source.open()
        self.counters = self._source.counters
        self._queue: queue.Queue[Frame | BaseException] = queue.Queue(AHEAD)
        threading.Thread(target=self._read, name="decode", daemon=True).start()

    @property
    def expected(self) -> int | None:
        """Frames the source says it has; headers lie, so this is for a progress bar only."""
        return getattr(self._source, "expected_frames", None)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            item = self._queue.get()
            if isinstance(item, SourceEnded):
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read(self) -> None:
        try:
            while True:
                frame = self._source.read(allocate_new)
                if frame is not None:
                    self._queue.put(frame)
        except BaseException as error:  # handed to the reading thread, which raises it
            self._queue.put(error)
        finally:
            self._source.close()


class _Work:
    """The stages of one recording and what they count."""

    def __init__(self, what: Plan, camera: CameraPlan, threads: int) -> None:
        folder = Path(what.folder)
        self._camera = camera
        self._detector = plan.make_detector(what, camera.detector, threads)
        self._keep = plan.class_filter(self._detector, camera.objects)
        self._motion = CameraMotion()
        self._cuts = SceneCut()
        self._tracker = plan.make_tracker(what, 0)
        self._who = plan.make_recognisers(what, [camera.name]).get(camera.name)
        self._book = AlertBook(camera.name, plan.make_rules(camera))
        self._sinks = plan.make_sinks(what)
        self._output = CameraOutput(
            folder,
            camera.name,
            {k: Zone.model_validate(v).points for k, v in camera.zones.items()},
            {k: Line.model_validate(v).points for k, v in camera.lines.items()},
            video=what.video,
            tracks=what.tracks,
            deterministic=True,
        )
        self._open: dict[str, Alert] = {}
        self._confirmed: set[int] = set()
        self._last: Stamp | None = None
        self._names: dict[int, str] = {}
        self.metrics, self.raised, self.problems = Metrics(), dict[str, int](), list[str]()

    def take(self, n: int, frame: Frame) -> None:
        """Look at one frame."""
        name, metrics = self._camera.name, self.metrics
        height, width = frame.image.shape[:2]
        t_ns = frame.t_media_ns
        stamp = Stamp(
            camera=name,
            frame_id=make_id(0, n),
            t_media_ns=t_ns,
            t_arrival_ns=frame.t_arrival_ns,
            t_wall_ns=max(0, t_ns),
        )
        started_ns = clock.monotonic_ns()
        found = self._keep(self._detector.detect(frame.image))
        detected_ns = clock.monotonic_ns()
        grey = small_grey(frame.image)
        warp = self._motion.estimate(grey, found.boxes, width, height)
        cut = self._cuts.is_cut(grey)
        if cut:
            self._tracker.end_all()
            metrics.count(f"cuts.{name}")
        tracks = self._tracker.update(found, t_ns, warp, 0)
        tracked_ns = clock.monotonic_ns()
        ids = set(found.class_ids.tolist()) | set(tracks.class_ids.tolist())
        message = TrackMessage(
            stamp=stamp,
            width=width,
            height=height,
            names={i: self._detector.names.get(i, str(i)) for i in sorted(ids)},
            dropped={},
            t_detected_ns=detected_ns,
            t_tracked_ns=tracked_ns,
            tracks=tracks,
            warp=warp,
            cut=cut,
        )
        for counter in ("read", "detected", "tracked"):
            metrics.count(f"{counter}.{name}")
        metrics.latency(f"inference.{name}", detected_ns - started_ns)
        metrics.latency(f"tracker.{name}", tracked_ns - detected_ns)
        confirmed = plan.confirmed_ids(tracks)
        metrics.count(f"confirmed.{name}", len(confirmed - self._confirmed))
        self._confirmed = (self._confirmed | confirmed) & set(tracks.track_ids.tolist())
        for who in self._who.update(message, frame.image) if self._who else ():
            self._book.name(who.track_id, who.details)
        self._alert(self._book.update(message), frame)
        self._write(message, frame)
        self._last = stamp

    def close(self) -> None:
        """Clear open alerts and end the files."""
        if self._last is not None:
            self._alert(self._book.finish(self._last), None)
        for rule, counts in self._book.counts.items():
            for what, count in counts.items():
                self.metrics.gauge(f"crossings.{self._camera.name}.{rule}:{what}", count)
        try:
            self._output.close()
        except SinkError as error:
            self.problems.append(str(error))

    def _alert(self, alerts: list[Alert], frame: Frame | None) -> None:
        image = frame.image if frame is not None else None
        for alert in alerts:
            if alert.state == "raised":
                self.raised[alert.rule] = self.raised.get(alert.rule, 0) + 1
            if alert.state == "cleared":
                self._open.pop(alert.key, None)
            else:
                self._open[alert.key] = alert
            self._send(alert, image)

    def _send(self, alert: Alert, image: object) -> None:
        pictures_first = sorted(self._sinks.values(), key=lambda s: not isinstance(s, SnapshotSink))
        for sink in pictures_first:
            try:
                if isinstance(sink, SnapshotSink) and sink.wants(alert) and image is not None:
                    path = sink.save(alert, image)  # pyright: ignore[reportArgumentType]
                    alert = msgspec.structs.replace(
                        alert, snapshot=str(path), picture_offset_ms=0.0
                    )
                elif not isinstance(sink, SnapshotSink):
                    sink.send(alert, None)
            except SinkError as error:
                self.problems.append(str(error))

    def _write(self, message: TrackMessage, frame: Frame) -> None:
        t_ns = message.stamp.t_media_ns
        for key, alert in list(self._open.items()):
            if alert.kind == "line" and t_ns - alert.t_media_ns > INSTANT_SHOWN_NS:
                del self._open[key]
        counts = {
            way: count for by_way in self._book.counts.values() for way, count in by_way.items()
        }
        try:
            self._output.add(message, frame.image, list(self._open.values()), counts)
        except SinkError as error:
            self.problems.append(str(error))
