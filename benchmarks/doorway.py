"""From the first frame with somebody in the zone to the alert at a sink, on a line of processes.

The line is launch/doorway.yaml with another source (`push`) and one sink more (a webhook on
loopback); its zone, times, network and `detect` are the file's. A real person, cut out of
intel_one_by_one_person.mp4, walks into the zone of a 720p camera at 15 fps, again and again. The
truth is where the cut-out's feet were pasted. Time runs from the push of the first frame with the
feet in the zone to the arrival of the alert's POST: hysteresis (enter_s) included. The first run is
without the file's identity: what identity adds to the tracker's age is the last row.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

import perception
from benchmarks.harness import FOOTAGE, ROOT, Report, options, percentile, report
from perception.detectors.model import OnnxDetector, OnnxOptions

CLIP = FOOTAGE / "video/doorway/intel_one_by_one_person.mp4"
WIDTH, HEIGHT, FPS = 1280, 720, 15
LAUNCH = ROOT / "launch" / "doorway.yaml"
FEET_Y, SIZE = 0.7, 0.6
"""Where people's feet are, share of the height; how large people are, of their size in the clip."""
SPEED_PX_S, START_X, LEAVE_X = 500.0, 60.0, 1500.0
PAUSE_S = 2.8
"""With the way out of the zone more than the file's away_s: the next one is another visit."""


@dataclass
class Walks:
    """What happened: push times of entries by their media time, arrivals of alerts."""

    entries: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    alerts: list[tuple[dict[str, Any], int]] = field(
        default_factory=list[tuple[dict[str, Any], int]]
    )
    tracks: dict[int, tuple[int, int, int]] = field(default_factory=dict[int, tuple[int, int, int]])


class Scene:
    """An empty room and people cut out of it, as an image for any moment of a walk."""

    def __init__(self, count: int) -> None:
        with av.open(str(CLIP)) as container:
            frames = [
                cv2.resize(frame.to_ndarray(format="bgr24"), (WIDTH, HEIGHT))
                for n, frame in enumerate(container.decode(video=0))
                if n % 7 == 0
            ]
        self.room = np.median(np.stack(frames[::4]), axis=0).astype(np.uint8)
        self.people = self._people(frames, count)

    def _people(
        self, frames: list[NDArray[np.uint8]], count: int
    ) -> list[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Return cut-outs, uint8 (h, w, 3), with their opacity, float32 (h, w, 1)."""
        detector = OnnxDetector(OnnxOptions(classes=["person"], score=0.85))
        found: list[tuple[NDArray[np.uint8], NDArray[np.float32]]] = []
        for frame in frames[:: max(1, len(frames) // (count * 6))]:
            boxes = detector.detect(frame).boxes.round().astype(int)
            if len(boxes) != 1:
                continue
            x1, y1, x2, y2 = boxes[0].tolist()
            if x1 < 8 or y1 < 2 or x2 > WIDTH - 8 or y2 > HEIGHT - 4:
                continue
            patch, room = frame[y1:y2, x1:x2], self.room[y1:y2, x1:x2]
            differs = (cv2.absdiff(patch, room).max(axis=2) > 24).astype(np.uint8)
            whole = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
            soft = cv2.GaussianBlur(whole.astype(np.float32), (9, 9), 0)[:, :, None]
            if 0.25 < whole.mean() < 0.95:
                size = round(SIZE * (x2 - x1)), round(SIZE * (y2 - y1))
                small = np.asarray(cv2.resize(soft, size), np.float32)[:, :, None]
                found.append((np.asarray(cv2.resize(patch, size), np.uint8), small))
        return found[:: max(1, len(found) // count)][:count]

    def picture(self, person: int, x: float) -> NDArray[np.uint8]:
        """Return the room with a person whose feet stand at x px."""
        patch, soft = self.people[person % len(self.people)]
        height, width = patch.shape[:2]
        left, top = round(x - width / 2), round(FEET_Y * HEIGHT) - height
        a, b = max(0, left), min(WIDTH, left + width)
        image = self.room.copy()
        if a < b:
            part = image[top : top + height, a:b]
            inside = slice(a - left, b - left)
            mixed = part * (1 - soft[:, inside]) + patch[:, inside] * soft[:, inside]
            part[:] = mixed.astype(np.uint8)
        return image


def main() -> None:
    """Measure without and with identity."""
    asked = options("doorway", __doc__, entries=(int, 60, "people who walk in, each run"))
    entries = max(10, asked.entries // (4 if asked.short else 1))
    with report("doorway", asked.out) as made:
        if not CLIP.exists():
            made.missing("doorway", f"needs {CLIP.name}: set PERCEPTION_TEST_DATA")
            return
        scene = Scene(8)
        plain, age = _run(scene, entries, identity=False)
        _rows(made, plain, entries)
        _, with_faces = _run(scene, max(10, entries // 3), identity=True)
        made.add(
            "tracker's age p95, identity on",
            "ms",
            with_faces,
            "identity off",
            age,
            target="at most 20 ms more",
            met=lambda ms: ms - age <= 20,
            of="ours",
        )


def _rows(made: Report, walks: Walks, entries: int) -> None:
    """Say how long it took, whole and stage by stage."""
    whole, missed = _delays(walks)
    made.add("people who walked in", "", float(entries), note=f"{missed} without an alert")
    made.add("in zone -> alert delivered, p50", "ms", percentile(whole, 50))
    made.add(
        "in zone -> alert delivered, p95",
        "ms",
        percentile(whole, 95),
        target="at most 400 ms",
        met=lambda ms: ms <= 400 and not missed,
        of="ours",
    )
    stages: dict[str, list[float]] = {}
    for entry_media, entry_push, alert, came_ns in _pairs(walks):
        times = walks.tracks.get(alert["t_media_ns"])
        if times is None:
            continue
        arrived, detected, tracked = times
        held = (alert["t_media_ns"] - entry_media) / 1e6
        stages.setdefault("1 hysteresis and frames between", []).append(held)
        stages.setdefault("2 arrival -> detected", []).append((detected - arrived) / 1e6)
        stages.setdefault("3 detected -> tracked", []).append((tracked - detected) / 1e6)
        stages.setdefault("4 tracked -> stored, delivered", []).append((came_ns - tracked) / 1e6)
        del entry_push
    for name, values in stages.items():
        made.add(f"stage {name}, p50", "ms", percentile(values, 50))
        made.add(f"stage {name}, p95", "ms", percentile(values, 95))


def _pairs(walks: Walks) -> list[tuple[int, int, dict[str, Any], int]]:
    """Return media and push time of each entry with the first alert between it and the next."""
    starts = [media for media, _ in walks.entries] + [1 << 62]
    pairs: list[tuple[int, int, dict[str, Any], int]] = []
    for n, (media, push) in enumerate(walks.entries):
        mine = [a for a in walks.alerts if media <= a[0]["t_media_ns"] < starts[n + 1]]
        if mine:
            pairs.append((media, push, *mine[0]))
    return pairs


def _delays(walks: Walks) -> tuple[list[float], int]:
    """Return ms from entry to delivery, and how many entries had no alert."""
    pairs = _pairs(walks)
    return [(came - push) / 1e6 for _, push, _, came in pairs], len(walks.entries) - len(pairs)


def _run(scene: Scene, entries: int, *, identity: bool) -> tuple[Walks, float]:
    """Run a line while people walk in; return what happened and the p95 of the age at track, ms."""
    walks = Walks()
    with tempfile.TemporaryDirectory(prefix="doorway-") as folder, _receiver(walks) as port:
        name = f"doorway-bench-{os.getpid()}"
        launch = _launch(Path(folder), name, port, identity=identity)
        with subprocess.Popen(
            [sys.executable, "-m", "perception", "run", str(launch)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        ) as process:
            try:
                run = perception.connect(name, timeout_s=60)
                listener = threading.Thread(target=_listen, args=(run, walks), daemon=True)
                listener.start()
                _walk(scene, run, walks, entries)
            finally:
                process.terminate()
                process.wait(20)
        summary = json.loads((Path(folder) / "out/summary.json").read_text())
        return walks, summary["cameras"]["door"]["age_at_track"]["p95_ms"]


def _launch(folder: Path, name: str, port: int, *, identity: bool) -> Path:
    """Write the door's launch file with another source, name and folder, and one sink more."""
    given: dict[str, Any] = yaml.safe_load(LAUNCH.read_text())
    given["name"], given["output"] = name, {"folder": str(folder / "out")}
    given["cameras"]["door"]["source"] = "push"
    given["alerts"]["sinks"]["webhook"] = {"url": f"http://127.0.0.1:{port}/"}
    if identity:
        given["identity"] |= {"gallery": str(folder / "gallery"), "key": str(folder / "key")}
    else:
        del given["identity"]
    path = folder / "doorway.yaml"
    path.write_text(yaml.safe_dump(given))
    return path


def _zone_from() -> float:
    """Return the x at which feet at FEET_Y enter the file's zone from the left, px."""
    zones = yaml.safe_load(LAUNCH.read_text())["cameras"]["door"]["zones"]
    points = np.array(next(iter(zones.values())), float)
    crossings: list[float] = []
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if min(y1, y2) <= FEET_Y < max(y1, y2):
            crossings.append(x1 + (x2 - x1) * (FEET_Y - y1) / (y2 - y1))
    return min(crossings) * WIDTH


def _walk(scene: Scene, run: Any, walks: Walks, entries: int) -> None:
    """Push frames in real time: somebody walks in, through, out; a pause; the next."""
    period = round(1e9 / FPS)
    t_media, due, zone_from = 0, time.monotonic_ns() + 10**9, _zone_from()
    with run.push("door") as door:
        for person in range(-1, entries):
            x, inside, pause = START_X, False, PAUSE_S
            while x < LEAVE_X or pause > 0:
                image = scene.picture(person, x) if person >= 0 and x < LEAVE_X else scene.room
                wait = due - time.monotonic_ns()
                if wait > 0:
                    time.sleep(wait / 1e9)
                pushed = time.monotonic_ns()
                door.send(image, t_media)
                if person >= 0 and not inside and x >= zone_from:
                    inside = True
                    walks.entries.append((t_media, pushed))
                if person < 0 or x >= LEAVE_X:
                    x, pause = LEAVE_X, pause - 1 / FPS
                x += SPEED_PX_S / FPS
                t_media, due = t_media + period, due + period


def _listen(run: Any, walks: Walks) -> None:
    for message in run.tracks("door", every=True):
        stamp = message.stamp
        walks.tracks[stamp.t_media_ns] = (
            stamp.t_arrival_ns,
            message.t_detected_ns,
            message.t_tracked_ns,
        )


@contextlib.contextmanager
def _receiver(walks: Walks) -> Generator[int]:
    """Receive alerts on a port of loopback and note when they came."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came = time.monotonic_ns()
            alert = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            if alert["state"] == "raised" and alert["rule"] == "visitor":
                walks.alerts.append((alert, came))

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    main()
