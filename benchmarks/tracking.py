"""Tracking against peers: accuracy by TrackEval on a labelled suite, microseconds on made scenes.

    python benchmarks/tracking.py --data DIR --suite mot17val [--gmc] [--drop 0.2 --seed 0]
                                  [--peers ultralytics-botsort,sort] [--json FILE]
                                  [--as-shipped]

DIR holds suites of the form that benchmarks/suites.py describes. Peers that are not installed are
named and left out; "NAME:default" runs a peer as it ships. All trackers of a run see the same
frames, and their updates are timed in turns, one thread: some frames at a stretch, and one at a
time after OTHER_WORK_S of other work, as between two frames of a camera.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", YOLO_OFFLINE="true")
sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from numpy.typing import NDArray
from suites import Judge, Sequence, load, sequence_names
from tracking_peers import PEERS, make, missing

from perception.launchfile.build import make_tracker
from perception.launchfile.config import Launch
from perception.launchfile.document import parse
from perception.launchfile.resolve import resolve
from perception.recording.mot import MotWriter, read_mot
from perception.trackers.options import TwoStageOptions
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED, Detections, Stamp, TrackMessage, Tracks, short_id

OURS, SHIPPED = "perception", "perception as shipped"
SCORES = ("HOTA", "IDF1", "MOTA", "IDSW")
OBJECTS = (10, 50, 100, 300, 1000)
TURN, TURN_BOXES = 30, 3000
"""Frames of a turn, at least: one second of video; and boxes: of few objects it takes more frames,
or the caches of whoever was before would be all that is measured."""
OTHER_WORK_S = 1 / 30
OTHER_WORK_BYTES = 64 << 20
"""Rewritten between two frames: twice the last cache of the largest machine measured on."""


LAUNCH = """
cameras: {suite: {source: push}}
detectors: {default: {levels: {high: 0.6, new: 0.7}}}   # the suites' detections score like YOLOX
"""


class Shipped:
    """The tracker and the rows of a run: made by the plan of a launch file, read from its MOT file.

    Nothing of the launch file is set but the score levels of the detector.
    """

    def __init__(self) -> None:
        document = parse(LAUNCH)
        plan = resolve(document.validate(Launch, document.data), document)
        self.tracker = make_tracker(plan, "suite", 0)
        self._file = tempfile.TemporaryDirectory()
        self._path = Path(self._file.name) / "mot.txt"
        self._writer = MotWriter(self._path)

    def rows(self, sequence: Sequence) -> list[NDArray[np.float64]]:
        """Return ids and boxes (k, 5) for each kept frame of a sequence."""
        frames = zip(sequence.detections, sequence.warps, sequence.times_ns, strict=True)
        for n, (rows, warp, t_ns) in enumerate(frames):
            seen = Detections(rows[:, :4], rows[:, 4], np.zeros(len(rows), np.int32))
            tracks = self.tracker.update(seen, t_ns, warp)
            self._writer.add(_message(sequence, n, t_ns, tracks))
        self._writer.close()
        written = read_mot(self._path) if self._path.exists() else np.zeros((0, 7))
        boxes = np.column_stack((written[:, 1:4], written[:, 2:4] + written[:, 4:6]))
        return [boxes[written[:, 0] == n + 1] for n in range(len(sequence.frames))]


def _message(sequence: Sequence, n: int, t_ns: int, tracks: Tracks) -> TrackMessage:
    stamp = Stamp(camera="suite", frame_id=n, t_media_ns=t_ns, t_arrival_ns=0, t_wall_ns=0)
    size = {"width": sequence.width, "height": sequence.height}
    times = {"t_detected_ns": 0, "t_tracked_ns": 0}
    warp = np.eye(2, 3, dtype=np.float32)
    return TrackMessage(
        stamp=stamp, **size, **times, names={0: "object"}, dropped={}, tracks=tracks, warp=warp
    )


class Ours:
    """Our tracker behind the call of the peers: confirmed tracks, ids and boxes."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        self._tracker = TwoStageTracker(TwoStageOptions(**(options or {})))

    def update(
        self, rows: NDArray[np.float32], warp: Any, t_s: float, dropped: int = 0
    ) -> NDArray[np.float64]:
        seen = Detections(rows[:, :4], rows[:, 4], np.zeros(len(rows), np.int32))
        tracks = self._tracker.update(seen, round(t_s * 1e9), warp, dropped)
        keep = tracks.states == CONFIRMED
        ids = [short_id(int(i)) for i in tracks.track_ids[keep]]
        return np.column_stack((ids, tracks.boxes[keep])).reshape(-1, 5).astype(np.float64)


def build(name: str, sequence: Sequence) -> Any:
    """Return a fresh tracker for a sequence."""
    if name == OURS:
        return Ours()
    if name == SHIPPED:
        return Shipped()
    return make(name, sequence.rate_hz, any(w is not None for w in sequence.warps))


def follow(tracker: Any, sequence: Sequence) -> list[NDArray[np.float64]]:
    """Return ids and boxes (k, 5) for each kept frame of a sequence."""
    if isinstance(tracker, Shipped):
        return tracker.rows(sequence)
    frames = zip(sequence.detections, sequence.warps, sequence.times_ns, strict=True)
    return [tracker.update(rows, warp, t_ns * 1e-9) for rows, warp, t_ns in frames]


def accuracy(folder: Path, names: list[str], **kept: Any) -> dict[str, dict[str, Any]]:
    """Return the scores of each tracker, combined and per sequence."""
    judge = Judge(folder.name)
    sequences = [load(folder, name, **kept) for name in sequence_names(folder)]
    out: dict[str, dict[str, Any]] = {}
    for name in names:
        parts = {s.name: judge.sequence(s, follow(build(name, s), s)) for s in sequences}
        scores = judge.summary(parts)
        out[name] = {
            "combined": {k: round(scores["combined"][k], 3) for k in SCORES},
            "sequences": {
                s.name: {k: round(scores[s.name][k], 3) for k in SCORES} for s in sequences
            },
        }
        combined = out[name]["combined"]
        print(f"{name:32s}" + "".join(f"  {k} {combined[k]:6.2f}" for k in SCORES), flush=True)
    return out


def scene(objects: int, frames: int, seed: int = 0) -> list[NDArray[np.float32]]:
    """Return detections (N, 5) of people who walk about a square, 5 % missed, scores .3 to .95.

    100 people stand in 1920x1080; more have more room, so that neighbours overlap as often.
    """
    rng = np.random.default_rng(seed)
    side = np.sqrt(1920 * 1080 * max(objects, 10) / 100)
    places, speeds = rng.random((objects, 2)) * side, rng.normal(0, 60, (objects, 2))
    heights = rng.uniform(60, 160, objects)
    sizes = np.column_stack((heights * 0.4, heights))
    out: list[NDArray[np.float32]] = []
    for f in range(frames):
        centres = (places + speeds * f / 30) % side + rng.normal(0, 1, (objects, 2))
        rows = np.column_stack((centres - sizes / 2, centres + sizes / 2))
        rows = np.column_stack((rows, rng.uniform(0.3, 0.95, objects)))
        out.append(rows[rng.random(objects) > 0.05].astype(np.float32))
    return out


class Stopwatch:
    """A tracker and the microseconds of its updates, by the wall and by the thread's CPU clock."""

    def __init__(self, name: str) -> None:
        self._is_ours = name == OURS
        self._tracker: Any = TwoStageTracker() if name == OURS else make(name, 30.0, False)
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def update(self, rows: NDArray[np.float32], f: int) -> None:
        seen = Detections.of(rows[:, :4], rows[:, 4], np.zeros(len(rows)))
        start_cpu, start = time.thread_time_ns(), time.perf_counter_ns()
        if self._is_ours:
            self._tracker.update(seen, f * 33_333_333)
        else:
            self._tracker.update(rows, None, f / 30)
        self.wall.append((time.perf_counter_ns() - start) / 1e3)
        self.cpu.append((time.thread_time_ns() - start_cpu) / 1e3)


def in_turns(names: list[str], objects: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return microseconds of an update, trackers taking turns.

    median and p99 of all, by the wall; cpu_ by the thread's clock, which neighbours on a shared
    machine disturb less. first: the first update of a turn, which finds the processor's caches
    full of the other trackers; rest: the others. The first turn holds no tracks, imports and
    caches: left out.
    """
    turn = max(TURN, TURN_BOXES // objects)
    frames = scene(objects, 10 * turn)
    watches = {name: Stopwatch(name) for name in names}
    end = time.perf_counter() + seconds * len(names)
    for begin in range(0, len(frames), turn):
        for watch in watches.values():
            for f in range(begin, begin + turn):
                watch.update(frames[f], f)
        if begin >= 3 * turn and time.perf_counter() > end:
            break
    out: dict[str, dict[str, float]] = {}
    for name, watch in watches.items():
        wall, cpu = np.array(watch.wall[turn:]), np.array(watch.cpu[turn:])
        rest = np.arange(len(wall)) % turn > 0
        out[name] = {
            "median": float(np.median(wall)),
            "p99": float(np.percentile(wall, 99)),
            "cpu_median": float(np.median(cpu)),
            "cpu_p99": float(np.percentile(cpu, 99)),
            "first": float(np.median(wall[~rest])),
            "rest_p99": float(np.percentile(wall[rest], 99)),
            "cpu_rest_p99": float(np.percentile(cpu[rest], 99)),
        }
    return out


def after_work(names: list[str], objects: int, updates: int) -> dict[str, dict[str, float]]:
    """Return microseconds of an update when every one follows OTHER_WORK_S of other work.

    That is how a tracker of a live camera runs: between two frames its caches belong to others.
    """
    frames = scene(objects, updates + TURN)
    watches = {name: Stopwatch(name) for name in names}
    others = np.zeros(OTHER_WORK_BYTES // 8)
    for f, rows in enumerate(frames):
        for watch in watches.values():
            end = time.perf_counter() + (OTHER_WORK_S if f >= TURN else 0.0)
            while time.perf_counter() < end:
                others += 1.0
            watch.update(rows, f)
    return {
        name: {
            "cold_median": float(np.median(watch.wall[TURN:])),
            "cold_p99": float(np.percentile(watch.wall[TURN:], 99)),
            "cold_cpu_median": float(np.median(watch.cpu[TURN:])),
            "cold_cpu_p99": float(np.percentile(watch.cpu[TURN:], 99)),
        }
        for name, watch in watches.items()
    }


def speed(names: list[str], objects: int, seconds: float, cold: int) -> dict[str, dict[str, float]]:
    """Time updates of so many objects and print them; cold: updates after other work, 0: none."""
    times = in_turns(names, objects, seconds)
    if cold:
        for name, more in after_work(names, objects, cold).items():
            times[name] |= more
    times = {name: {k: round(v, 1) for k, v in took.items()} for name, took in times.items()}
    for name, took in times.items():
        line = "  ".join(f"{key} {value:.1f}" for key, value in took.items())
        print(f"{name:24s} {objects:5d} objects, us: {line}")
    ours = times[OURS]
    for key in (key for key in ours if key.endswith("median")):
        fastest = min((t[key] for n, t in times.items() if n != OURS), default=float("nan"))
        print(f"{'':24s} fastest peer / {OURS}, {key}: {fastest / ours[key]:.1f}")
    for key in (key for key in ours if key.endswith("p99")):
        middle = key.replace("rest_", "").replace("p99", "median")
        print(f"{'':24s} {OURS}, {key} / {middle}: {ours[key] / ours[middle]:.1f}", flush=True)
    return times


def present(names: str) -> list[str]:
    """Return our tracker and, of the comma separated peers, those that are installed."""
    found = [OURS]
    for name in filter(None, names.split(",")):
        package = missing(name)
        if package:
            print(f"{name}: left out, {package} is not installed")
        else:
            found.append(name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of suites")
    parser.add_argument("--suite", required=True, help="name of a suite, or - for times only")
    parser.add_argument("--gmc", action="store_true", help="give the stored camera affines")
    parser.add_argument("--drop", type=float, default=0.0, help="share of frames lost at random")
    parser.add_argument("--seed", type=int, default=0, help="of the lost frames")
    parser.add_argument("--as-shipped", action="store_true", help="the rows that `run` writes too")
    parser.add_argument("--peers", default=",".join(PEERS), help='names, comma separated; "" none')
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--objects", default=",".join(map(str, OBJECTS)), help='"": no times')
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each tracker")
    parser.add_argument("--cold", type=int, default=300, help="updates after other work, 0: none")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")

    names = present(options.peers)
    if options.as_shipped:
        names.insert(1, SHIPPED)
    results: dict[str, dict[str, Any]] = {name: {} for name in names}
    kept = {"gmc": options.gmc, "drop": options.drop, "seed": options.seed}
    if options.suite != "-":
        for name, scores in accuracy(options.data / options.suite, names, **kept).items():
            results[name].update(scores)
    for count in map(int, filter(None, options.objects.split(","))):
        timed = [name for name in names if name != SHIPPED]
        for name, took in speed(timed, count, options.seconds, options.cold).items():
            results[name].setdefault("microseconds", {})[str(count)] = took
    if options.json:
        head = {"suite": options.suite, **kept, "trackers": results}
        options.json.write_text(json.dumps(head, indent=1) + "\n")


if __name__ == "__main__":
    main()
