"""One recording through detector, camera motion, tracker and rules; the files of a live run.

Decoding and the network run in threads of their own, ahead of the rest. Imports plan and below.
"""

import os
import resource
from collections.abc import Callable
from pathlib import Path

import msgspec

from perception import clock
from perception.alerts.book import AlertBook
from perception.analysis.detection import DetectedFrame, DetectionStage
from perception.analysis.frames import Frames, Picture
from perception.analysis.offset import NOT_FOUND, OffsetWatch
from perception.errors import SinkError
from perception.geometry.grey import small_grey
from perception.launchfile import build as stages
from perception.launchfile.mapping import make_placer
from perception.metrics import Metrics
from perception.processes.runtime import peak_bytes
from perception.recording import report
from perception.recording.output import CameraOutput, Shown
from perception.recording.stills import StillsWriter
from perception.recording.summary import ProcessSummary, Summary
from perception.rules.zones import Line, Zone
from perception.sinks.snapshot import SnapshotSink
from perception.sinks.when import SinkFilter
from perception.sources import Frame
from perception.wire import (
    Alert,
    DetectionMessage,
    Detections,
    LaneMessage,
    Stamp,
    TrackMessage,
    make_id,
)
from perception.wire.plan import CameraPlan, Plan


def analyze(
    what: Plan,
    progress: Callable[[int, int | None], None],
    *,
    threads: int = 1,
    requests: int = 1,
) -> Summary:
    """Analyse the plan's one camera, every frame; return the summary, also written to the folder.

    progress: called with frames done and frames in all (None: not known). threads: of the network
    for one frame; requests: frames that it looks at at the same time. Raises SourceError and
    ModelError; a file that cannot be written is named in the summary's problems.
    """
    camera = next(iter(what.cameras.values()))
    started_wall_ns, started_ns = clock.wall_ns(), clock.monotonic_ns()
    stage = DetectionStage(what, camera, threads, requests)
    work = _Work(what, camera, stage)
    frames = Frames(camera)
    expected = frames.expected
    for n, one in enumerate(stage.detect(frames)):
        work.take(n, one)
        progress(n + 1, expected)
    work.close()
    work.problems += frames.problems
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


class _Work:
    """The stages of one recording and what they count."""

    def __init__(self, what: Plan, camera: CameraPlan, stage: DetectionStage) -> None:
        folder = Path(what.folder)
        self._camera, self._stage = camera, stage
        self._follower = stages.make_follower(what, camera.name, 0)
        self._analysers = stages.make_analysers(camera)
        self._who = stages.make_recognisers(what, [camera.name]).get(camera.name)
        self._book = AlertBook(camera.name, stages.make_rules(camera))
        self._sinks = stages.make_sinks(what)
        self._filters = {name: SinkFilter(sink.when) for name, sink in self._sinks.items()}
        self._place, self._feed, why = make_placer(camera) or (None, None, "")
        self._offset = OffsetWatch(self._feed)
        stills = stages.is_stills(camera)
        page = what.map_page(camera.name)
        self._stills = StillsWriter(folder, camera.name, what.video, page) if stills else None
        self._output = CameraOutput(
            folder,
            camera.name,
            {k: Zone.model_validate(v).points for k, v in camera.zones.items()},
            {k: Line.model_validate(v).points for k, v in camera.lines.items()},
            video=what.video and not stills,
            tracks=what.tracks and not stills,
            kitti=what.kitti and not stills,
            lanes=what.tracks and camera.lanes is not None,
            map_page=None if stills else page,
            deterministic=True,
        )
        self._video = what.video and not stills
        self._shown = Shown()
        self._last: Stamp | None = None
        self.metrics, self.raised = Metrics(), dict[str, int]()
        self.problems = [why] if why else list[str]()

    def take(self, n: int, one: DetectedFrame) -> None:
        """Track and judge what was found in one frame, and write it."""
        name, metrics, frame, found = self._camera.name, self.metrics, one.frame, one.detections
        picture = Picture(frame)
        stamp = Stamp(
            camera=name,
            frame_id=make_id(0, n),
            t_media_ns=frame.t_media_ns,
            t_arrival_ns=frame.t_arrival_ns,
            t_wall_ns=max(0, frame.t_media_ns),
        )
        known = self._stage.names
        names = {i: known.get(i, str(i)) for i in set(found.class_ids.tolist())}
        began_ns, grey = clock.monotonic_ns(), small_grey(frame.pixels)
        message = self._follower.follow(
            DetectionMessage(
                stamp=stamp,
                width=frame.pixels.width,
                height=frame.pixels.height,
                names=names,
                dropped={},
                t_taken_ns=one.started_ns,
                t_detected_ns=one.detected_ns,
                inference_ns=one.detected_ns - one.started_ns,
                detections=found,
                grey=grey,
                damage=frame.damage,
            ),
            own=frame.own,
        )
        self._offset.see(frame.t_media_ns, grey)
        if self._place is not None:
            self._place.place(message)
        for counter in ("read", "detected", "tracked"):
            metrics.count(f"{counter}.{name}")
        if frame.damage != "none":
            metrics.count(f"damaged.{name}.{frame.damage}")
        for kind, count in self._stage.looks.items():
            metrics.counters[f"looks.{name}.{kind}"] = count
        metrics.counters[f"confirmed.{name}"] = self._follower.confirmed
        metrics.counters[f"cuts.{name}"] = self._follower.cuts
        metrics.latency(f"inference.{name}", one.detected_ns - one.started_ns)
        metrics.latency(f"tracker.{name}", message.t_tracked_ns - began_ns)
        self._analyse(frame, stamp)
        self._name(message, picture)
        self._alert(self._book.update(message), picture)
        if self._stills is None:
            self._write(message, picture)
        else:
            self._write_still(self._stills, frame.name, message, found, picture)
        self._last = stamp

    def _analyse(self, frame: Frame, stamp: Stamp) -> None:
        """Look at a frame with what looks at pictures beside the detectors."""
        if frame.damage == "direct":
            return
        for analyser in self._analysers:
            began_ns = clock.monotonic_ns()
            said = analyser.analyse(analyser.prepare(frame.pixels), stamp)
            self.metrics.latency(
                f"{analyser.topic}.{self._camera.name}", clock.monotonic_ns() - began_ns
            )
            if isinstance(said, LaneMessage):
                self._book.see(said.own())
                if self._stills is not None:
                    self._stills.see(said)
                try:
                    self._output.see(said)
                except SinkError as error:
                    self.problems.append(str(error))

    def close(self) -> None:
        """Clear open alerts and end the files."""
        self._compare_clocks()
        if self._last is not None:
            self._alert(self._book.finish(self._last), None)
        for rule, counts in self._book.counts.items():
            for what, count in counts.items():
                self.metrics.gauge(f"crossings.{self._camera.name}.{rule}:{what}", count)
        if self._place is not None and self._feed is not None:
            for kind, counts in (
                ("unplaced", self._place.reasons),
                ("telemetry", self._feed.counters),
            ):
                for cause, count in counts.items():
                    self.metrics.counters[f"{kind}.{self._camera.name}.{cause}"] = count
        for output in filter(None, (self._output, self._stills)):
            try:
                output.close()
            except SinkError as error:
                self.problems.append(str(error))

    def _compare_clocks(self) -> None:
        if (found := self._offset.find()) is not None:
            for key in ("seconds", "sigma_s", "explained"):
                self.metrics.gauge(f"clock_offset.{self._camera.name}.{key}", getattr(found, key))
        elif self._offset.has_gyro:
            self.problems.append(NOT_FOUND)

    def _name(self, message: TrackMessage, picture: Picture) -> None:
        if self._who is not None:
            wanted = bool(self._who.wanted(message))
            for who in self._who.update(message, picture.image if wanted else None):
                self._book.name(who.track_id, who.details)

    def _alert(self, alerts: list[Alert], picture: Picture | None) -> None:
        for alert in alerts:
            if alert.state == "raised":
                self.raised[alert.rule] = self.raised.get(alert.rule, 0) + 1
            self._shown.note(alert)
            self._send(alert, picture)

    def _send(self, alert: Alert, picture: Picture | None) -> None:
        pictures_first = sorted(
            self._sinks.items(), key=lambda item: not isinstance(item[1], SnapshotSink)
        )
        for name, sink in pictures_first:
            try:
                if isinstance(sink, SnapshotSink) and sink.wants(alert) and picture is not None:
                    path = sink.save(alert, picture.image)
                    alert = msgspec.structs.replace(
                        alert, snapshot=str(path), picture_offset_ms=0.0
                    )
                elif not isinstance(sink, SnapshotSink) and self._filters[name].sends(alert):
                    sink.send(alert, None)
            except SinkError as error:
                self.problems.append(str(error))

    def _write_still(
        self,
        writer: StillsWriter,
        name: str,
        message: TrackMessage,
        found: Detections,
        picture: Picture,
    ) -> None:
        known = self._stage.names
        classes = {i: known.get(i, str(i)) for i in set(found.class_ids.tolist())}
        try:
            writer.add(name, message, found, classes, picture.image)
        except SinkError as error:
            self.problems.append(str(error))

    def _write(self, message: TrackMessage, picture: Picture) -> None:
        shown = self._shown.at(message.stamp.t_media_ns)
        counts = {
            way: count for by_way in self._book.counts.values() for way, count in by_way.items()
        }
        try:
            image = picture.image if self._video else None
            self._output.add(message, image, shown, counts)
        except SinkError as error:
            self.problems.append(str(error))
