"""Tracks of the whole line against labels: `analyze` and `YOLO.track`, both at their defaults.

The same weights (yolo11n), the same classes; TrackEval's own HOTA, MOTA, IDF1 and IDSW. vtest is
PETS09-S2L1 of MOT15, labelled in every frame; three more clips are labelled in every tenth frame
(tests/golden/whole_line.json): those frames alone are scored.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks import harness, suites
from benchmarks.harness import FOOTAGE, ROOT, Report, Worker
from perception import assets
from perception.detectors.heads import COCO_NAMES

CLIP = FOOTAGE / "video" / "surveillance" / "vtest_PETS09-S2L1.avi"
TRUTH, SEQUENCE = FOOTAGE / "mot" / "mot15", "PETS09-S2L1"
LABELS = ROOT / "tests" / "golden" / "whole_line.json"
PEERS = {"bytetrack": "YOLO.track, ByteTrack", "botsort": "YOLO.track, BoT-SORT"}
UNITS = {"HOTA": "%", "MOTA": "%", "IDF1": "%", "IDSW": ""}
LEAD, BEHIND = 1.0, 0.5
"""HOTA: the mean has to be so far ahead of the better peer; no clip may be so far behind it."""
SAME, INSIDE = 0.5, 0.5
"""IoU from which a box is a labelled object; share of a box inside an ignored place."""
Rows = NDArray[np.float64]
"""float64 (N, 6): frame from 1, id and xyxy px."""

LAUNCH = "cameras: {recording: {source: push, objects: [person]}}"
"""The default of `analyze`, of people only, as the peers' `classes=[0]`."""


@dataclass
class Labelled:
    """A clip and its truth. ignore: rows of frame from 1 (0: all frames) and xyxy px."""

    name: str
    path: Path
    objects: list[str]
    sequence: suites.Sequence
    ignore: Rows = field(default_factory=lambda: np.zeros((0, 5)))


def clips() -> list[Labelled]:
    """Return the labelled clips that are there."""
    found = [Labelled("vtest", CLIP, ["person"], suites.load(TRUTH, SEQUENCE))]
    labels: dict[str, Any] = json.loads(LABELS.read_text())["clips"]
    for clip, said in labels.items():
        numbers = np.array([int(n) + 1 for n in said["frames"]])
        rows = [np.array(part, np.float64).reshape(-1, 5) for part in said["frames"].values()]
        ignore = [[0 if frame is None else frame + 1, *box] for frame, *box in said["ignore"]]
        path = FOOTAGE / "video" / clip
        sequence = suites.Sequence(
            path.stem, 0, 0, 0.0, numbers, [], [], suites.truth_of([_wide(part) for part in rows])
        )
        given = np.array(ignore, np.float64).reshape(-1, 5)
        found.append(Labelled(path.stem, path, said["objects"], sequence, given))
    return [one for one in found if one.path.exists()]


def _wide(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return id, x, y, width, height of rows of id and xyxy."""
    return np.hstack((rows[:, :3], rows[:, 3:5] - rows[:, 1:3]))


def ours(clip: Path = CLIP, objects: list[str] | None = None) -> Rows:
    """Return the rows of `perception analyze`."""
    given = yaml.safe_load(LAUNCH)
    given["cameras"]["recording"]["objects"] = objects or ["person"]
    with tempfile.TemporaryDirectory() as folder:
        launch = Path(folder) / "objects.yaml"
        launch.write_text(yaml.safe_dump(given))
        command = [sys.executable, "-m", "perception", "analyze", str(clip), "--no-video"]
        command += ["--launch", str(launch), "--output", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (mot,) = Path(folder).glob("*/mot-*.txt")
        rows = np.loadtxt(mot, delimiter=",", ndmin=2)
    return np.hstack((rows[:, :4], rows[:, 2:4] + rows[:, 4:6]))


def scores(rows: Rows, clip: Labelled | None = None) -> dict[str, float]:
    """Return TrackEval's scores of rows on a clip, vtest where none is named."""
    sequence = clip.sequence if clip else suites.load(TRUTH, SEQUENCE)
    judge = suites.Judge(TRUTH.name)
    result = [rows[rows[:, 0] == n, 1:] for n in sequence.frames]
    if clip is not None and len(clip.ignore):
        truth = sequence.truth["gt_dets"]
        result = [
            _counted(part, truth[i], clip.ignore[np.isin(clip.ignore[:, 0], (0, n)), 1:])
            for i, (n, part) in enumerate(zip(sequence.frames, result, strict=True))
        ]
    return judge.summary({clip.name if clip else SEQUENCE: judge.sequence(sequence, result)})[
        "combined"
    ]


def _counted(part: Rows, truth: Rows, ignore: Rows) -> Rows:
    """Return the rows of a frame without those in ignored places that are no labelled object."""
    boxes = part[:, 1:5]
    known = np.hstack((truth[:, :2], truth[:, :2] + truth[:, 2:]))
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    inside = _shared(boxes, ignore) / np.maximum(area, 1e-9)[:, None]
    both, sizes = _shared(boxes, known), truth[:, 2] * truth[:, 3]
    iou = both / np.maximum(area[:, None] + sizes[None] - both, 1e-9)
    is_known = iou.max(axis=1, initial=0.0) >= SAME
    return part[is_known | (inside.max(axis=1, initial=0.0) <= INSIDE)]


def _shared(a: Rows, b: Rows) -> Rows:
    """Return the shared area of each pair of xyxy boxes, px^2."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return np.clip(high - low, 0.0, None).prod(axis=2)


def main() -> None:
    """Score ours and both peers."""
    asked = harness.options("whole_line", __doc__)
    with harness.report("whole_line", asked.out) as made:
        if not CLIP.exists():
            made.missing("whole_line", f"needs {CLIP.name}: set PERCEPTION_TEST_DATA")
            return
        found = clips()
        mine = {clip.name: scores(ours(clip.path, clip.objects), clip) for clip in found}
        theirs = dict[str, dict[str, dict[str, float]]]()
        python = harness.peer_python("ultralytics", "torch", "lap")
        if python is None:
            made.missing("ultralytics track")
        else:
            with Worker("benchmarks.peer_ultralytics", python) as peer:
                for tracker in PEERS:
                    peer.call("load", weights=str(assets.fetch("yolo11n.pt")), threads=1)
                    theirs[tracker] = {clip.name: _peer(peer, tracker, clip) for clip in found}
        _rows(made, mine, theirs)


def _peer(peer: Worker, tracker: str, clip: Labelled) -> dict[str, float]:
    classes = [COCO_NAMES.index(name) for name in clip.objects]
    rows = peer.call("rows", source=str(clip.path), tracker=tracker, classes=classes)
    return scores(np.array(rows, np.float64).reshape(-1, 6), clip)


def _rows(
    made: Report,
    mine: dict[str, dict[str, float]],
    theirs: dict[str, dict[str, dict[str, float]]],
) -> None:
    """Add a row for each clip, score and peer, and the comparisons that are required."""
    for clip, said in mine.items():
        for name, unit in UNITS.items():
            if not theirs:
                made.add(f"{clip}: {name}", unit, said[name])
            for tracker, peer in theirs.items():
                value, higher = peer[clip][name], name != "IDSW"
                made.add(f"{clip}: {name}", unit, said[name], PEERS[tracker], value, higher=higher)
    if not theirs:
        return
    for name in ("HOTA", "IDF1"):
        ahead = {
            clip: said[name] - max(peer[clip][name] for peer in theirs.values())
            for clip, said in mine.items()
        }
        least = -BEHIND if name == "HOTA" else 0.0
        made.add(
            f"{name} ahead of the better peer, worst clip",
            "",
            min(ahead.values()),
            target=f"at least {least:g}",
            met=lambda value, least=least: value >= least,
            of="ours",
            note=min(ahead, key=lambda clip: ahead[clip]),
        )
    best = max(statistics.mean(c["HOTA"] for c in peer.values()) for peer in theirs.values())
    made.add(
        "mean HOTA ahead of the better peer",
        "",
        statistics.mean(said["HOTA"] for said in mine.values()) - best,
        target=f"at least {LEAD}",
        met=lambda ahead: ahead >= LEAD,
        of="ours",
    )


if __name__ == "__main__":
    main()
