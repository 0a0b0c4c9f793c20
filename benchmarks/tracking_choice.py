"""How the tracker's defaults were chosen: leave one suite out, and see whether the choice holds.

    python benchmarks/tracking_choice.py --data DIR [--siblings 1] [--json FILE]

Every option is moved to a lower and a higher value. For each suite the best of these configurations
is chosen by the others alone (sum of HOTA and IDF1) and scored on the suite left out. A choice is
worth having if it is the same for all, or costs nothing where it is not. To see past luck, every
sequence is also scored as `siblings`: 2 % of its detections lost, boxes shaken by 1 % of a side.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
from suites import Judge, Sequence, load, sequence_names
from tracking import Ours, follow

SUITES = (
    ("mot17val", True),
    ("mot17val", False),
    ("mot15", False),
    ("kitti", False),
    ("dance", False),
)
MOVES: dict[str, tuple[float, ...]] = {
    "high_score": (0.5, 0.65),
    "new_score": (0.65, 0.75),
    "sure_score": (0.85, 0.95),
    "gate": (0.12, 0.18),
    "gate_low": (0.5, 0.6),
    "gate_return": (0.15, 0.25),
    "gate_new": (0.15, 0.3),
    "gate_rise": (0.25, 1.0),
    "trust_s": (1.0, 4.0),
    "lost_s": (1.0, 3.0),
    "coast_s": (0.0, 0.11),
    "hidden_s": (0.1, 0.3),
    "noise": (0.04, 0.06),
    "walk": (0.22, 0.33),
    "acceleration": (0.25, 0.5),
    "speed": (1.5, 3.0),
}


def sibling(sequence: Sequence, seed: int) -> Sequence:
    """Return a sequence as another run of the detector might have seen it; seed 0: as it is."""
    if seed == 0:
        return sequence
    rng = np.random.default_rng((seed, len(sequence.frames)))
    seen = []
    for rows in sequence.detections:
        rows = rows[rng.random(len(rows)) >= 0.02].copy()
        sides = np.tile(rows[:, 2:4] - rows[:, :2], 2)
        rows[:, :4] += rng.normal(0, 0.01, sides.shape).astype(np.float32) * sides
        rows[:, 4] = np.clip(rows[:, 4] + rng.normal(0, 0.02, len(rows)), 0.1, 1)
        seen.append(rows)
    fields = {name: getattr(sequence, name) for name in Sequence.__slots__}
    return Sequence(**{**fields, "detections": seen})


def score(judge: Judge, runs: list[list[Sequence]], options: dict[str, Any]) -> list[float]:
    """Return mean HOTA and IDF1 over the runs of a suite."""
    out = []
    for sequences in runs:
        parts = {s.name: judge.sequence(s, follow(Ours(options), s)) for s in sequences}
        combined = judge.summary(parts)["combined"]
        out.append((combined["HOTA"], combined["IDF1"]))
    return np.mean(out, axis=0).round(2).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--siblings", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    configurations: dict[str, dict[str, Any]] = {"defaults": {}}
    for name, values in MOVES.items():
        configurations |= {f"{name}={value}": {name: value} for value in values}
    table: dict[str, dict[str, list[float]]] = {name: {} for name in configurations}
    for suite, gmc in SUITES:
        folder, judge = options.data / suite, Judge(suite)
        sequences = [load(folder, name, gmc=gmc) for name in sequence_names(folder)]
        runs = [[sibling(s, seed) for s in sequences] for seed in range(options.siblings + 1)]
        label = suite + (" +gmc" if gmc else "")
        for name, changed in configurations.items():
            table[name][label] = score(judge, runs, changed)
            print(f"{label:14s} {name:20s} {table[name][label]}", flush=True)
    labels = list(table["defaults"])
    for left in labels:
        # mot17val stands in the list twice: neither half may choose for the other.
        others = [label for label in labels if label.split()[0] != left.split()[0]]
        best = max(table, key=lambda name: sum(sum(table[name][label]) for label in others))
        chosen, defaults = table[best][left], table["defaults"][left]
        print(f"left out {left:14s} chosen {best:20s} {chosen}, defaults {defaults}")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
