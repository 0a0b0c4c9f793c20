"""Tracking against peers: accuracy by TrackEval on a labelled suite, microseconds on made scenes.

    python benchmarks/tracking.py --data DIR --suite mot17val [--gmc] [--drop 0.2 --seed 0]
                                  [--peers ultralytics-botsort,sort] [--json FILE]

DIR holds suites of the form that benchmarks/suites.py describes. Peers that are not installed are
named and left out; "NAME:default" runs a peer as it ships. All trackers of a run see the same
frames, and their updates are timed in turns, one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
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

from perception.messages import CONFIRMED, Detections, short_id
from perception.trackers.two_stage import TwoStageOptions, TwoStageTracker

OURS = "perception"
SCORES = ("HOTA", "IDF1", "MOTA", "IDSW")
OBJECTS = (10, 50, 100, 300, 1000)
BLOCK = 20


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
    return make(name, sequence.rate_hz, any(w is not None for w in sequence.warps))


def follow(tracker: Any, sequence: Sequence) -> list[NDArray[np.float64]]:
    """Return ids and boxes (k, 5) for each kept frame of a sequence."""
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


def speed(names: list[str], objects: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return microseconds of an update, trackers taking turns every BLOCK frames.

    median and p99 by the wall; cpu_median and cpu_p99 of the thread, which neighbours on a shared
    machine disturb less. cpu_first: median of the first updates of a turn, after the others have
    filled the processor's caches; cpu_rest_p99: of the others. The first frames hold no tracks,
    imports and caches: left out.
    """
    frames = scene(objects, 300)
    trackers = {name: make(name, 30.0, False) for name in names if name != OURS}
    tracker = TwoStageTracker()
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    end = time.perf_counter() + seconds * len(names)
    for first in range(0, len(frames), BLOCK):
        for name in names:
            for f in range(first, first + BLOCK):
                rows = frames[f]
                seen = Detections.of(rows[:, :4], rows[:, 4], np.zeros(len(rows)))
                start_cpu, start = time.thread_time_ns(), time.perf_counter_ns()
                if name == OURS:
                    tracker.update(seen, f * 33_333_333)
                else:
                    trackers[name].update(rows, None, f / 30)
                wall[name].append((time.perf_counter_ns() - start) / 1e3)
                cpu[name].append((time.thread_time_ns() - start_cpu) / 1e3)
        if first >= 3 * BLOCK and time.perf_counter() > end:
            break
    return {
        name: {
            "median": float(np.median(wall[name][BLOCK:])),
            "p99": float(np.percentile(wall[name][BLOCK:], 99)),
            "cpu_median": float(np.median(cpu[name][BLOCK:])),
            "cpu_p99": float(np.percentile(cpu[name][BLOCK:], 99)),
            "cpu_first": float(np.median(cpu[name][BLOCK::BLOCK])),
            "cpu_rest_p99": float(np.percentile(np.delete(cpu[name], np.s_[::BLOCK])[BLOCK:], 99)),
        }
        for name in names
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of suites")
    parser.add_argument("--suite", required=True, help="name of a suite, or - for times only")
    parser.add_argument("--gmc", action="store_true", help="give the stored camera affines")
    parser.add_argument("--drop", type=float, default=0.0, help="share of frames lost at random")
    parser.add_argument("--seed", type=int, default=0, help="of the lost frames")
    parser.add_argument("--peers", default=",".join(PEERS), help='names, comma separated; "" none')
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--objects", default=",".join(map(str, OBJECTS)), help='"": no times')
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each tracker")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")

    names = [OURS]
    for name in filter(None, options.peers.split(",")):
        package = missing(name)
        if package:
            print(f"{name}: left out, {package} is not installed")
        else:
            names.append(name)
    results: dict[str, dict[str, Any]] = {name: {} for name in names}
    if options.suite != "-":
        folder = options.data / options.suite
        kept = {"gmc": options.gmc, "drop": options.drop, "seed": options.seed}
        for name, scores in accuracy(folder, names, **kept).items():
            results[name].update(scores)
    for count in map(int, filter(None, options.objects.split(","))):
        times = speed(names, count, options.seconds)
        for name, took in times.items():
            took = {key: round(value, 1) for key, value in took.items()}
            results[name].setdefault("microseconds", {})[str(count)] = took
            line = "  ".join(f"{key} {value:9.1f}" for key, value in took.items())
            print(f"{name:24s} {count:5d} objects, us: {line}")
        for key in ("median", "cpu_median"):
            fastest = min((t[key] for n, t in times.items() if n != OURS), default=float("nan"))
            print(f"{'':24s} fastest peer / {OURS}, {key}: {fastest / times[OURS][key]:.1f}")
    if options.json:
        head = {
            "suite": options.suite,
            "gmc": options.gmc,
            "drop": options.drop,
            "seed": options.seed,
            "trackers": results,
        }
        options.json.write_text(json.dumps(head, indent=1) + "\n")


if __name__ == "__main__":
    main()
