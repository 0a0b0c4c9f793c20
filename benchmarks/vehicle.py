"""Vehicle: seconds to collision and metres against KITTI's 3D labels, with the tracker as it ships.

    python -m benchmarks.vehicle --data SUITE --labels LABELS [--drop 0.2 --seed 0] [--json FILE]

SUITE is a tracking suite as benchmarks/suites.py describes it (KITTI: 10 Hz), LABELS a folder of
KITTI tracking labels `<sequence>.txt` with 3D boxes. Boxes are the suite's detections; there are
no pictures, so the camera's motion is not given to the tracker. The camera is that of P2.txt in
LABELS, level and 1.65 m high.

Truth of a frame: the object's nearest point z - |l/2 sin ry| - |w/2 cos ry|, its speed by a linear
fit over +-0.3 s, time to collision z / -dz/dt. Counted are confirmed tracks at least 0.5 s old that
overlap the label by 0.5, 3 to 60 m away, whose detection the picture's border does not cut.
Distances are those of the nearest point, closing speeds from the same fit.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from kitti import Object, calibration, overlaps, read_labels
from numpy.typing import NDArray
from suites import Sequence, load, sequence_names
from tracking import Shipped
from vehicle_collision import Threats, Watch, figures

from perception.geometry.ahead import Ahead
from perception.geometry.looming import Looming
from perception.wire import CONFIRMED, Detections, Tracks, time_to_collision

LEAST_AGE_S, LEAST_IOU = 0.5, 0.5
NEAR_M, FAR_M, BORDER_PX = 3.0, 60.0, 2.0
TTC_BINS = ((0.0, 2.0), (2.0, 4.0), (4.0, 8.0))
TARGETS = {"median": (0.06, 0.10, 0.16), "p80": (0.13, 0.25, 0.38), "not_closing": 0.01}
DISTANCE_BINS = ((3.0, 30.0, 0.07), (30.0, 60.0, 0.10))
"""From and to m, and the largest median of the relative error."""
CLASSES = {0: "car"}


@dataclass(slots=True)
class Sample:
    """One track in one frame with its truth: depth m and rate m/s, m to the right; and what was
    estimated. place: the fields of wire.Metres, zeros where not known."""

    sequence: str
    depth_m: float
    rate_m_s: float
    lateral_m: float
    ttc_s: float | None
    interval_s: tuple[float, float]
    place: list[float]


def samples(sequence: Sequence, objects: list[Object], ahead: Ahead, watch: Watch) -> list[Sample]:
    """Return every counted track of a sequence, frame by frame."""
    out: list[Sample] = []
    for frame, rows, tracks in follow(sequence, ahead):
        watch.take(frame, tracks)
        here = [one for one in objects if frame in one.boxes]
        labels = np.array([one.boxes[frame] for one in here]).reshape(-1, 4)
        for i in counted(tracks):
            box = rows[tracks.detection_rows[i], :4].astype(np.float64)
            shares = overlaps(box, labels)
            if not len(shares) or shares.max() < LEAST_IOU or is_cut(box, sequence):
                continue
            one = here[int(shares.argmax())]
            truth = one.truth(frame)
            if truth is None or not NEAR_M <= truth[0] <= FAR_M:
                continue
            ttc_s, interval = time_to_collision(*tracks.closings[i].tolist())
            place = tracks.metres[i].tolist()
            right = one.places[frame][0]
            interval = interval or (np.nan, np.nan)
            out.append(Sample(sequence.name, *truth, right, ttc_s, interval, place))
    return out


def follow(sequence: Sequence, ahead: Ahead) -> Iterator[tuple[int, NDArray[np.float32], Tracks]]:
    """Yield frame number from 0, detections (N, 5) and tracks of every kept frame."""
    tracker, looming = Shipped().tracker, Looming()
    size = sequence.width, sequence.height
    for rows, t_ns, n in zip(sequence.detections, sequence.times_ns, sequence.frames, strict=True):
        found = Detections(rows[:, :4], rows[:, 4], np.zeros(len(rows), np.int32))
        tracks = tracker.update(found, t_ns)
        tracks.closings = looming.update(tracks, found, t_ns, *size)
        tracks.metres = ahead.update(tracks, found, t_ns, size, CLASSES)
        yield int(n) - 1, rows, tracks


def counted(tracks: Tracks) -> list[int]:
    """Return the rows of confirmed tracks that are old enough and were detected in this frame."""
    good = (tracks.states == CONFIRMED) & (tracks.ages_s >= LEAST_AGE_S - 1e-6)
    return np.flatnonzero(good & (tracks.detection_rows >= 0)).tolist()


def is_cut(box: NDArray[Any], sequence: Sequence) -> bool:
    """Whether the picture's border cuts a box."""
    far = sequence.width - 1 - BORDER_PX, sequence.height - 1 - BORDER_PX
    return bool(min(box[:2]) <= BORDER_PX or box[2] >= far[0] or box[3] >= far[1])


def ttc_figures(found: list[Sample]) -> list[dict[str, Any]]:
    """Return the figures of each bin of true time to collision."""
    out: list[dict[str, Any]] = []
    for k, (low, high) in enumerate(TTC_BINS):
        part = [(s, s.depth_m / -s.rate_m_s) for s in found if s.rate_m_s < 0.0]
        part = [(s, true) for s, true in part if low < true <= high]
        errors = [np.inf if s.ttc_s is None else abs(s.ttc_s - true) / true for s, true in part]
        inside = [s.interval_s[0] <= true <= s.interval_s[1] for s, true in part]
        out.append(
            {
                "from_s": low,
                "to_s": high,
                "count": len(part),
                "median_error": round(float(np.median(errors)), 4) if part else None,
                "median_target": TARGETS["median"][k],
                "p80_error": round(float(np.quantile(errors, 0.8)), 4) if part else None,
                "p80_target": TARGETS["p80"][k],
                "not_closing": round(float(np.mean(np.isinf(errors))), 4) if part else None,
                "in_interval": round(float(np.mean(inside)), 3) if part else None,
            }
        )
    return out


def distance_figures(found: list[Sample]) -> list[dict[str, Any]]:
    """Return the figures of each bin of true distance."""
    out: list[dict[str, Any]] = []
    for low, high, target in DISTANCE_BINS:
        part = [s for s in found if low <= s.depth_m < high]
        known = np.array([s.place for s in part if s.place[5] > 0.0]).reshape(-1, 8)
        true = np.array(
            [[s.lateral_m, s.depth_m, s.rate_m_s] for s in part if s.place[5] > 0.0]
        ).reshape(-1, 3)
        ahead, across = abs(known[:, 1] - true[:, 1]), abs(known[:, 0] - true[:, 0])
        closing = abs(known[:, 3] - true[:, 2])
        out.append(
            {
                "from_m": low,
                "to_m": high,
                "count": len(part),
                "unknown": len(part) - len(known),
                "median_error": _rounded(np.median(ahead / true[:, 1])),
                "median_target": target,
                "p80_error": _rounded(np.quantile(ahead / true[:, 1], 0.8)),
                "in_interval": _rounded(np.mean(ahead <= known[:, 5])),
                "lateral_median_m": _rounded(np.median(across)),
                "lateral_in_interval": _rounded(np.mean(across <= known[:, 4])),
                "closing_median_m_s": _rounded(np.median(closing)),
                "closing_in_interval": _rounded(np.mean(closing <= known[:, 7])),
            }
        )
    return out


def _rounded(value: Any) -> float:
    return round(float(value), 4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the suite")
    parser.add_argument("--labels", type=Path, required=True, help="folder of the 3D labels")
    parser.add_argument("--drop", type=float, default=0.0, help="share of frames lost at random")
    parser.add_argument("--seed", type=int, default=0, help="of the lost frames")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    names = [n for n in sequence_names(options.data) if (options.labels / f"{n}.txt").is_file()]
    found, threats = list[Sample](), list[Threats]()
    for name in names:
        sequence = load(options.data, name, drop=options.drop, seed=options.seed)
        size = sequence.width, sequence.height
        ahead = Ahead(calibration(options.labels, name, *size))
        objects = read_labels(options.labels / f"{name}.txt")
        watch = Watch(objects, size)
        found += samples(sequence, objects, ahead, watch)
        threats.append(watch.judge())
    result = {"sequences": names, "drop": options.drop, "samples": len(found)}
    result["ttc"], result["distance"] = ttc_figures(found), distance_figures(found)
    print(f"{len(names)} sequences ({', '.join(names)}), {len(found)} samples, drop {options.drop}")
    for row in result["ttc"]:
        print(
            f"true {row['from_s']:.0f} to {row['to_s']:.0f} s: {row['count']:5d}  relative error "
            f"median {row['median_error']} (target {row['median_target']})  80th percentile "
            f"{row['p80_error']} ({row['p80_target']})  not closing {row['not_closing']}  "
            f"in the interval {row['in_interval']}"
        )
    for row in result["distance"]:
        print(
            f"true {row['from_m']:.0f} to {row['to_m']:.0f} m: {row['count']:5d}  relative error "
            f"median {row['median_error']} (target {row['median_target']})  80th percentile "
            f"{row['p80_error']}  in the interval {row['in_interval']}  unknown {row['unknown']}\n"
            f"    lateral: median {row['lateral_median_m']} m, in the interval "
            f"{row['lateral_in_interval']}; closing speed: median {row['closing_median_m_s']} m/s, "
            f"in the interval {row['closing_in_interval']}"
        )
    result["collision"] = row = figures(threats)
    print(
        f"collisions: {row['true_threats']} true threats in {row['minutes']} minutes: raised "
        f"{row['raised']} (target {row['raised_target']}), lead {row['lead']} of the true one "
        f"({row['lead_target']}), false {row['false']}: {row['false_in_10_min']} in 10 minutes "
        f"({row['false_in_10_min_target']})"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
