"""Tracks of the whole line against labels: `analyze` and `YOLO.track`, both at their defaults.

The same weights (yolo11n), people only; TrackEval's own HOTA, MOTA, IDF1 and IDSW. The clip is
vtest, which is PETS09-S2L1 of MOT15: frame n of the clip is frame n of the labels.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness, suites
from benchmarks.harness import FOOTAGE, Report, Worker
from perception import assets

CLIP = FOOTAGE / "video" / "surveillance" / "vtest_PETS09-S2L1.avi"
TRUTH, SEQUENCE = FOOTAGE / "mot" / "mot15", "PETS09-S2L1"
PEERS = {"bytetrack": "YOLO.track, ByteTrack", "botsort": "YOLO.track, BoT-SORT"}
UNITS = {"HOTA": "%", "MOTA": "%", "IDF1": "%", "IDSW": ""}
LEAD = 1.0
"""HOTA that ours has to be ahead of the better peer."""


LAUNCH = "cameras: {recording: {source: push, objects: [person]}}"
"""The default of `analyze`, of people only, as the peers' `classes=[0]`."""


def ours() -> NDArray[np.float64]:
    """Return the rows of `perception analyze`: frame from 1, id and xyxy px."""
    with tempfile.TemporaryDirectory() as folder:
        launch = Path(folder) / "people.yaml"
        launch.write_text(LAUNCH)
        command = [sys.executable, "-m", "perception", "analyze", str(CLIP), "--no-video"]
        command += ["--launch", str(launch), "--output", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (mot,) = Path(folder).glob("*/mot-*.txt")
        rows = np.loadtxt(mot, delimiter=",", ndmin=2)
    return np.hstack((rows[:, :4], rows[:, 2:4] + rows[:, 4:6]))


def scores(rows: NDArray[np.float64]) -> dict[str, float]:
    """Return TrackEval's scores of rows: frame from 1, id and xyxy px."""
    sequence, judge = suites.load(TRUTH, SEQUENCE), suites.Judge(TRUTH.name)
    result = [rows[rows[:, 0] == n, 1:] for n in sequence.frames]
    return judge.summary({SEQUENCE: judge.sequence(sequence, result)})["combined"]


def main() -> None:
    """Score ours and both peers."""
    asked = harness.options("whole_line", __doc__)
    with harness.report("whole_line", asked.out) as made:
        if not CLIP.exists():
            made.missing("whole_line", f"needs {CLIP.name}: set PERCEPTION_TEST_DATA")
            return
        mine, theirs = scores(ours()), dict[str, dict[str, float]]()
        python = harness.peer_python("ultralytics", "torch", "lap")
        if python is None:
            made.missing("ultralytics track")
        else:
            with Worker("benchmarks.peer_ultralytics", python) as peer:
                for tracker in PEERS:
                    peer.call("load", weights=str(assets.fetch("yolo11n.pt")), threads=1)
                    rows = peer.call("rows", source=str(CLIP), tracker=tracker, classes=[0])
                    theirs[tracker] = scores(np.array(rows))
        _rows(made, mine, theirs)


def _rows(made: Report, mine: dict[str, float], theirs: dict[str, dict[str, float]]) -> None:
    """Add a row for each score and peer, and the comparison that is required."""
    for name, unit in UNITS.items():
        if not theirs:
            made.add(f"vtest: {name}", unit, mine[name])
        for tracker, said in theirs.items():
            higher = name != "IDSW"
            made.add(f"vtest: {name}", unit, mine[name], PEERS[tracker], said[name], higher=higher)
    if theirs:
        lead = mine["HOTA"] - max(said["HOTA"] for said in theirs.values())
        made.add(
            "vtest: HOTA ahead of the better peer",
            "",
            lead,
            target=f"at least {LEAD}",
            met=lambda ahead: ahead >= LEAD,
            of="ours",
        )


if __name__ == "__main__":
    main()
