"""Vehicle: seconds to collision against KITTI's 3D labels, with the tracker as it ships.

    python -m benchmarks.vehicle --data SUITE --labels LABELS [--drop 0.2 --seed 0] [--json FILE]

SUITE is a tracking suite as benchmarks/suites.py describes it (KITTI: 10 Hz), LABELS a folder of
KITTI tracking labels `<sequence>.txt` with 3D boxes. Boxes are the suite's detections; there are
no pictures, so the camera's motion is not given to the tracker.

Truth of a frame: the object's nearest point z - |l/2 sin ry| - |w/2 cos ry|, its speed by a linear
fit over +-0.3 s, time to collision z / -dz/dt. Counted are confirmed tracks at least 0.5 s old that
overlap the label by 0.5, 3 to 60 m away, whose detection the picture's border does not cut.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from numpy.typing import NDArray
from suites import Sequence, load, sequence_names
from tracking import Shipped

from perception.geometry.looming import Looming
from perception.wire import CONFIRMED, Detections, Tracks, time_to_collision

LEAST_AGE_S, LEAST_IOU, FIT_FRAMES, FRAME_S = 0.5, 0.5, 3, 0.1
NEAR_M, FAR_M, BORDER_PX = 3.0, 60.0, 2.0
TTC_BINS = ((0.0, 2.0), (2.0, 4.0), (4.0, 8.0))
TARGETS = {"median": (0.06, 0.10, 0.16), "p80": (0.13, 0.25, 0.38), "not_closing": 0.01}


@dataclass(slots=True)
class Object:
    """One labelled object: by frame its box xyxy px and the depth of its nearest point in m."""

    boxes: dict[int, NDArray[np.float64]]
    depths: dict[int, float]

    def truth(self, frame: int) -> tuple[float, float] | None:
        """Return depth m and its rate m/s, None where too few frames around have a label."""
        near = [f for f in range(frame - FIT_FRAMES, frame + FIT_FRAMES + 1) if f in self.depths]
        if frame not in self.depths or len(near) < FIT_FRAMES + 1:
            return None
        times = [(f - frame) * FRAME_S for f in near]
        return self.depths[frame], float(np.polyfit(times, [self.depths[f] for f in near], 1)[0])


def read_labels(path: Path) -> list[Object]:
    """Return the objects of a KITTI tracking label file but for DontCare regions."""
    found: dict[int, Object] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if words[2] == "DontCare":
            continue
        frame, values = int(words[0]), [float(word) for word in words[3:17]]
        width, length, z, turn = values[8], values[9], values[12], values[13]
        near = z - abs(length / 2 * np.sin(turn)) - abs(width / 2 * np.cos(turn))
        one = found.setdefault(int(words[1]), Object({}, {}))
        one.boxes[frame], one.depths[frame] = np.array(values[3:7]), near
    return list(found.values())


def overlaps(box: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return the IoU of a box with each of the others, (4,) and (N, 4) xyxy px."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return shared / (areas - shared)


@dataclass(slots=True)
class Sample:
    """One track in one frame with its truth: depth m and rate m/s, and what was estimated."""

    sequence: str
    depth_m: float
    rate_m_s: float
    ttc_s: float | None
    interval_s: tuple[float, float]


def samples(sequence: Sequence, objects: list[Object]) -> list[Sample]:
    """Return every counted track of a sequence, frame by frame."""
    tracker, looming, out = Shipped().tracker, Looming(), list[Sample]()
    for rows, t_ns, n in zip(sequence.detections, sequence.times_ns, sequence.frames, strict=True):
        frame = int(n) - 1
        found = Detections(rows[:, :4], rows[:, 4], np.zeros(len(rows), np.int32))
        tracks = tracker.update(found, t_ns)
        closings = looming.update(tracks, found, t_ns, sequence.width, sequence.height)
        here = [one for one in objects if frame in one.boxes]
        labels = np.array([one.boxes[frame] for one in here]).reshape(-1, 4)
        for i in counted(tracks):
            box = rows[tracks.detection_rows[i], :4].astype(np.float64)
            shares = overlaps(box, labels)
            if not len(shares) or shares.max() < LEAST_IOU or is_cut(box, sequence):
                continue
            truth = here[int(shares.argmax())].truth(frame)
            if truth is None or not NEAR_M <= truth[0] <= FAR_M:
                continue
            ttc_s, interval = time_to_collision(*closings[i].tolist())
            out.append(Sample(sequence.name, *truth, ttc_s, interval or (np.nan, np.nan)))
    return out


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
    found: list[Sample] = []
    for name in names:
        sequence = load(options.data, name, drop=options.drop, seed=options.seed)
        found += samples(sequence, read_labels(options.labels / f"{name}.txt"))
    result = {"sequences": names, "drop": options.drop, "samples": len(found)}
    result["ttc"] = ttc_figures(found)
    print(f"{len(names)} sequences ({', '.join(names)}), {len(found)} samples, drop {options.drop}")
    for row in result["ttc"]:
        print(
            f"true {row['from_s']:.0f} to {row['to_s']:.0f} s: {row['count']:5d}  relative error "
            f"median {row['median_error']} (target {row['median_target']})  80th percentile "
            f"{row['p80_error']} ({row['p80_target']})  not closing {row['not_closing']}  "
            f"in the interval {row['in_interval']}"
        )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
