"""A door watched with `detect: auto` against every frame: CPU, missed track-seconds, alerts.

Used by benchmarks.attention. Live parts run the file launch/doorway.yaml with nothing replaced but
the source (and `every` in place of `auto` for the comparison); the frame-by-frame part uses its
detector and tracker. Frigate's way stands here as a plain reference in our own words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import yaml

from benchmarks import harness
from benchmarks.harness import Report
from perception import assets
from perception.kernels.boxes import iou_matrix
from perception.launchfile import build, config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import parse
from perception.pixels import Pixels
from perception.wire import CONFIRMED, Detections
from perception.wire.plan import Plan

LAUNCH = harness.ROOT / "launch" / "doorway.yaml"
ONE_BY_ONE = "doorway/intel_one_by_one_person.mp4"
CAR_PARK = "surveillance/intel_person_bicycle_car.mp4"
VTEST = "surveillance/vtest_PETS09-S2L1.avi"
QUIET = {ONE_BY_ONE: (0.0, 5.4), CAR_PARK: (4.2, 4.2), "driveway": (41.0, 19.0)}
"""Start and length of a part in which nothing moves by eye, s. In one_by_one the shadow of the
first person comes at 5.4 s."""
TRUE_FPS = {VTEST: 7.0}
NOISE = 6.0
SETTLE_S, WATCH_S = 14.0, 24.0


def path_of(clip: str) -> Path:
    """Return where a clip is."""
    return assets.fetch(clip) if clip == "driveway" else harness.FOOTAGE / "video" / clip


def quiet_clip(clip: str, noise: float, folder: Path) -> Path:
    """Write the quiet part of a clip, with sensor noise of so many grey levels (1 sigma)."""
    start, length = QUIET[clip]
    path = folder / f"quiet-{Path(clip).stem}-{noise:g}.mp4"
    rng = np.random.default_rng(0)
    with av.open(str(path_of(clip))) as source, av.open(str(path), "w") as out:
        given: Any = source.streams.video[0]
        rate = round(float(given.average_rate))
        stream: Any = out.add_stream("libx264", rate=rate, options={"crf": "14"})
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        for frame in source.decode(given):
            t = float(frame.time or 0.0)
            if t < start:
                continue
            if t > start + length:
                break
            image = frame.to_ndarray(format="bgr24").astype(np.float32)
            image += rng.normal(0, noise, image.shape[:2])[:, :, None] if noise else 0
            made = av.VideoFrame.from_ndarray(np.clip(image, 0, 255).astype(np.uint8), "bgr24")
            out.mux(stream.encode(made))
        out.mux(stream.encode())
    return path


def launch(source: dict[str, Any], mode: str, *, everywhere: bool = False) -> dict[str, Any]:
    """Return doorway.yaml with another source. everywhere: its zone is the whole picture."""
    given: dict[str, Any] = yaml.safe_load(LAUNCH.read_text())
    door = given["cameras"]["door"]
    door["source"] = source
    if mode == "every":
        door["detect"] = {k: v for k, v in door["detect"].items() if k not in ("mode", "sweep_s")}
    if everywhere:
        door["zones"] = {"porch": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    return given


@dataclass(slots=True)
class Live:
    """What one live run used and said. cpu: of a core, all processes; looks: by kind."""

    cpu: float
    looks: dict[str, int]
    alerts: list[dict[str, Any]] = field(default_factory=list)
    age_at_alert_p95_ms: float | None = None
    dropped: int = 0


def run_live(given: dict[str, Any], *, settle_s: float, watch_s: float | None) -> Live:
    """Run a launch file as a user would; CPU from `settle_s` after its start on.

    watch_s: for so long, then it is stopped; None: until its source ends.
    """
    with tempfile.TemporaryDirectory(prefix="att-") as name:
        folder = Path(name)
        (folder / "doorway.yaml").write_text(yaml.safe_dump(given))
        # Its own gallery and runs: the user's are left alone.
        own = {"XDG_DATA_HOME": name, "XDG_RUNTIME_DIR": name, "PYTHONPATH": str(harness.ROOT)}
        command = [sys.executable, "-m", "perception", "run", "doorway.yaml"]
        with subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **own},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                time.sleep(settle_s)
                begun, before = time.monotonic(), _cpu_s(process.pid)
                now, last = begun, before
                while process.poll() is None and (watch_s is None or now - begun < watch_s):
                    time.sleep(0.5)
                    seen = _cpu_s(process.pid)
                    if seen >= last:
                        now, last = time.monotonic(), seen
            finally:
                process.terminate()
                process.wait(30)
        out = folder / "recordings" / "doorway"
        camera = json.loads((out / "summary.json").read_text())["cameras"]["door"]
        told = out / "alerts.jsonl"
        lines = told.read_text().splitlines() if told.exists() else []
        return Live(
            (last - before) / max(now - begun, 1e-9),
            camera["looks"],
            [json.loads(line) for line in lines],
            camera["age_at_alert"]["p95_ms"],
            sum(camera["dropped"].values()),
        )


def _cpu_s(pid: int) -> float:
    """Return CPU seconds of a process and those it started, while they live."""
    total = 0.0
    try:
        own = psutil.Process(pid)
        for process in (own, *own.children(recursive=True)):
            times = process.cpu_times()
            total += times.user + times.system
    except psutil.Error:
        return 0.0
    return total


def quiet(report: Report, short: bool) -> None:
    """Add the rows of empty scenes, in turns with every frame."""
    with tempfile.TemporaryDirectory() as name:
        for clip in QUIET:
            for noise in (0.0, NOISE):
                source = {"type": "video", "loop": True}
                source["path"] = str(quiet_clip(clip, noise, Path(name)))
                watch = WATCH_S / 2 if short else WATCH_S
                every, auto = (
                    run_live(launch(source, mode), settle_s=SETTLE_S, watch_s=watch)
                    for mode in ("every", "auto")
                )
                label = f"empty, {Path(clip).stem}, noise {noise:g}"
                report.add(
                    f"{label}: CPU of all processes",
                    "% of a core",
                    100 * auto.cpu,
                    "every frame",
                    100 * every.cpu,
                    target="at most 10",
                    met=lambda percent: percent <= 10,
                    of="ours",
                )
                frames = sum(auto.looks.values())
                report.add(
                    f"{label}: frames without the network",
                    "%",
                    100 * auto.looks["still"] / max(1, frames),
                    target="at least 80",
                    met=lambda percent: percent >= 80,
                    of="ours",
                    note=f"{auto.looks}",
                )


def people(report: Report) -> None:
    """Add the rows of the labelled clips, live and whole."""
    labels = json.loads((harness.ROOT / "tests" / "golden" / "visits.json").read_text())
    for clip in (ONE_BY_ONE, CAR_PARK):
        most = len(labels[clip]["visits"])
        source = {"type": "video", "path": str(path_of(clip))}
        every, auto = (
            run_live(launch(source, mode, everywhere=True), settle_s=8.0, watch_s=None)
            for mode in ("every", "auto")
        )
        stem = Path(clip).stem
        report.add(
            f"people, {stem}: CPU of all processes",
            "% of a core",
            100 * auto.cpu,
            "every frame",
            100 * every.cpu,
            target="at most half",
            met=lambda ratio: ratio >= 2,
            note=f"{auto.looks}",
        )
        raised = [
            [a for a in run.alerts if a["state"] == "raised" and a["rule"] == "visitor"]
            for run in (every, auto)
        ]
        report.add(
            f"people, {stem}: visits with exactly one alert",
            "",
            float(len(raised[1])),
            "every frame",
            float(len(raised[0])),
            target=f"{most}",
            met=lambda count, most=most: count == most,
            of="ours",
        )
        report.add(
            f"people, {stem}: age of the frame at the alert, p95",
            "ms",
            auto.age_at_alert_p95_ms,
            "every frame",
            every.age_at_alert_p95_ms,
            target="at most 300",
            met=lambda ms: ms <= 300,
            of="ours",
        )


def plan_of(mode: str) -> Plan:
    """Return the plan of doorway.yaml for pictures that are handed over one by one."""
    given = launch({"type": "push"}, mode)
    given.pop("identity", None)
    document = parse(yaml.safe_dump(given), "benchmark")
    checked = document.validate(config.Launch, document.data)
    return resolving.resolve(checked, document, realtime=False)


class Frigate:
    """Motion boxes and square crops at 5 pictures a second, as Frigate's documentation tells it.

    Difference to a running average of a small blurred picture, threshold 30; each motion box or
    tracked object gets a square crop of at least 320 px, scaled to 320x320 for the network.
    """

    threshold, least_area, period_ns, alpha = 30, 10, 200_000_000, 0.1

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self._average: Any = None
        self._next_ns = 0
        self._known = Detections.none()

    def detect(self, image: Any, t_ns: int) -> Detections:
        """Return what is known after this picture; between its turns what was found last."""
        if t_ns < self._next_ns:
            return self._known
        self._next_ns = t_ns + self.period_ns
        small = cv2.resize(image, (image.shape[1] * 100 // image.shape[0], 100))
        grey: Any = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (3, 3), 0)
        if self._average is None:
            self._average = grey.astype(np.float32)
        delta = cv2.absdiff(grey, cv2.convertScaleAbs(self._average))
        cv2.accumulateWeighted(grey, self._average, self.alpha)
        mask = cv2.dilate(cv2.threshold(delta, self.threshold, 255, 0)[1], np.ones((3, 3)))
        contours: Any = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        ratio = image.shape[0] / 100
        places = [
            [v * ratio for v in (x, y, x + w, y + h)]
            for x, y, w, h in map(cv2.boundingRect, contours)
            if w * h >= self.least_area
        ]
        places += self._known.boxes[self._known.scores > 0.4].tolist()
        found = [self._crop(image, place) for place in _clusters(places)]
        boxes = np.concatenate([f.boxes for f in found] or [np.zeros((0, 4), np.float32)])
        scores = np.concatenate([f.scores for f in found] or [np.zeros(0, np.float32)])
        kinds = np.concatenate([f.class_ids for f in found] or [np.zeros(0, np.int32)])
        from perception.kernels.nms import nms

        keep = nms(boxes, scores, kinds, 0.5)
        self._known = Detections(boxes[keep], scores[keep], kinds[keep])
        return self._known

    def _crop(self, image: Any, place: list[float]) -> Detections:
        x1, y1, x2, y2 = place
        side = max(320.0, 1.2 * max(x2 - x1, y2 - y1))
        side = min(side, image.shape[0], image.shape[1])
        left = min(max(0.0, (x1 + x2 - side) / 2), image.shape[1] - side)
        top = min(max(0.0, (y1 + y2 - side) / 2), image.shape[0] - side)
        crop = image[int(top) : int(top + side), int(left) : int(left + side)]
        canvas: Any = cv2.resize(crop, (320, 320))
        found = self._detector.look(np.ascontiguousarray(canvas))
        scale = np.float32(crop.shape[0] / 320)
        corner = np.array([int(left), int(top)] * 2, np.float32)
        return Detections(found.boxes * scale + corner, found.scores, found.class_ids)


def _clusters(places: list[list[float]]) -> list[list[float]]:
    """Join places that a crop of 320 px holds together."""
    left, made = [list(p) for p in places], list[list[float]]()
    while left:
        a = left.pop()
        for b in made:
            union = [min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])]
            if max(union[2] - union[0], union[3] - union[1]) <= 300:
                made.remove(b)
                left.append(union)
                break
        else:
            made.append(a)
    return made


def frames_of(clip: str) -> Iterator[tuple[int, Any]]:
    """Yield media time and BGR picture of each frame."""
    with av.open(str(path_of(clip))) as container:
        stream: Any = container.streams.video[0]
        fps = TRUE_FPS.get(clip) or float(stream.average_rate)
        for n, frame in enumerate(container.decode(stream)):
            yield round(n / fps * 1e9), frame.to_ndarray(format="bgr24")


def missed(report: Report, clip: str) -> None:
    """Add missed track-seconds of one clip and CPU: auto, auto at Frigate's rate, Frigate's way."""
    plan = plan_of("auto")
    camera = plan.cameras["door"]
    base: Any = build.make_detector(plan, camera.detectors, 1)
    keep = build.class_filter(base, camera.objects)
    auto: Any = build.camera_detector(camera, base)
    seldom: Any = build.camera_detector(camera, base)
    reference = Frigate(base)
    ways = ("every", "auto", "auto at 5/s", "Frigate's way, 5/s")
    due_ns, held = 0, Detections.none()
    trackers = {way: build.make_tracker(plan, "door", 0) for way in ways}
    cpu, lost = dict.fromkeys(ways, 0.0), dict.fromkeys(ways, 0)
    seen = frames = 0
    step_s = 0.0
    last_ns = 0
    for t_ns, image in frames_of(clip):
        step_s, last_ns, frames = (t_ns - last_ns) * 1e-9, t_ns, frames + 1
        shown: dict[str, Any] = {}
        for way in ways:
            start = time.process_time()
            if way == "every":
                found = base.detect(image)
            elif way == "auto":
                found = auto.infer(auto.prepare_at(Pixels(image), t_ns))
            elif way == "auto at 5/s":
                if t_ns >= due_ns:
                    due_ns = t_ns + Frigate.period_ns
                    held = seldom.infer(seldom.prepare_at(Pixels(image), t_ns))
                found = held
            else:
                found = reference.detect(image, t_ns)
            cpu[way] += time.process_time() - start
            tracks = trackers[way].update(keep(found), t_ns)
            shown[way] = tracks.boxes[tracks.states == CONFIRMED]
        seen += len(shown["every"])
        for way in ways[1:]:
            best = iou_matrix(shown["every"], shown[way]).max(axis=1, initial=0)
            lost[way] += int((best < 0.3).sum())
    stem = Path(clip).stem
    for way in ways[1:]:
        target = "at most 1" if way == "auto" else ""
        report.add(
            f"{stem}: missed track-seconds, {way}",
            "%",
            100 * lost[way] / max(1, seen),
            target=target,
            met=(lambda percent: percent <= 1) if target else None,
            of="ours",
            note=f"of {seen * step_s:.0f} s; CPU a frame {1e3 * cpu[way] / frames:.1f} ms, "
            f"of every frame {1e3 * cpu['every'] / frames:.1f}",
        )
