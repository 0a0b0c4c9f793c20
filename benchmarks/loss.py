"""What a link that loses datagrams costs: alerts of labelled doors and HOTA of labelled tracks.

A clip is encoded again as a camera sends it (H.264, a key frame every 2 s, MPEG-TS, 7 packets of
188 bytes a datagram); datagrams are left out by a seed; `analyze` reads what is left. The same
clip without a loss stands beside it. Visits: tests/golden/visits.json, all of the picture is the
zone of the `visit` rule of launch/doorway.yaml. Tracks: vtest is PETS09-S2L1 of MOT15.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
import yaml

from benchmarks import harness, whole_line
from benchmarks.harness import ROOT, Report

DATAGRAM = 7 * 188
KEY_S, BITS_S = 2.0, 1_500_000
DOORS = ("surveillance/intel_person_bicycle_car.mp4", "doorway/intel_one_by_one_person.mp4")
RATES = (0.0, 0.01, 0.05, 0.2)
LATE_S = 1.0
"""An alert belongs to a visit from its first frame to so long after its last."""


def encode(clip: Path, out: Path) -> float:
    """Write a clip as MPEG-TS; return its frames a second."""
    with av.open(str(clip)) as source, av.open(str(out), "w", format="mpegts") as sink:
        given: Any = source.streams.video[0]
        rate = round(float(given.average_rate))
        quick = {"preset": "veryfast", "tune": "zerolatency", "g": str(round(KEY_S * rate))}
        stream: Any = sink.add_stream("libx264", rate=rate, options=quick)
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        stream.bit_rate = BITS_S
        for n, frame in enumerate(source.decode(given)):
            image = frame.reformat(format="yuv420p")
            image.pts, image.time_base = n, Fraction(1, rate)
            sink.mux(stream.encode(image))
        sink.mux(stream.encode())
    return float(rate)


def lose(whole: Path, out: Path, share: float, seed: int) -> None:
    """Copy a file of datagrams, each left out by chance. The first two are kept: the tables."""
    rng, data = Random(seed), whole.read_bytes()
    with out.open("wb") as file:
        for at in range(0, len(data), DATAGRAM):
            if at < 2 * DATAGRAM or rng.random() >= share:
                file.write(data[at : at + DATAGRAM])


def analyze(clip: Path, launch: dict[str, Any], folder: Path) -> Path:
    """Run `perception analyze`; return the folder of its results."""
    folder.mkdir()
    file = folder / "launch.yaml"
    file.write_text(yaml.safe_dump(launch))
    command = [sys.executable, "-m", "perception", "analyze", str(clip), "--no-video"]
    command += ["--launch", str(file), "--output", str(folder / "out")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return next((folder / "out").iterdir())


def door() -> dict[str, Any]:
    """Return launch/doorway.yaml for `analyze`, with all of the picture as the zone."""
    launch: dict[str, Any] = yaml.safe_load((ROOT / "launch" / "doorway.yaml").read_text())
    camera = launch["cameras"]["door"]
    visitor = {**camera["rules"]["visitor"], "zone": None}
    del launch["identity"], launch["output"], launch["alerts"], camera["watch"]
    camera.update(source={"type": "push"}, zones={}, rules={"visitor": visitor})
    return launch


@dataclass
class Told:
    """Alerts against visits. delays_s: of each visit that was told, after it was shown."""

    missed: int
    false: int
    twice: int
    delays_s: list[float]
    confirmed: int = 0
    damaged: int = 0


def judge(results: Path, visits: list[dict[str, int]], rate: float) -> Told:
    """Count the alerts of a result that belong to a visit, and those that do not."""
    files = results.glob("alerts*.jsonl")  # none where there was no alert
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    raised = [row["t_media_ns"] / 1e9 for row in rows if row["state"] == "raised"]
    told, free, open_ = Told(0, 0, 0, []), set(raised), dict(enumerate(visits))
    near = sorted(
        (abs(t - visit["shown"] / rate), t, n)
        for n, visit in enumerate(visits)
        for t in raised
        if _within(visit, t, rate)
    )
    for _, t, n in near:  # the nearest first, each once
        if t in free and n in open_:
            free.remove(t)
            told.delays_s.append(t - open_.pop(n)["shown"] / rate)
    told.missed = len(open_)
    told.twice = sum(any(_within(visit, t, rate) for visit in visits) for t in free)
    told.false = len(free) - told.twice
    summary = json.loads(next(results.glob("summary*.json")).read_text())
    camera = next(iter(summary["cameras"].values()))
    told.damaged = sum(camera["damaged"].values())
    told.confirmed = camera["tracks_confirmed"]
    return told


def _within(visit: dict[str, int], t: float, rate: float) -> bool:
    return visit["first"] / rate - 0.5 / rate <= t <= visit["last"] / rate + LATE_S


def main() -> None:
    """Print what each share of lost datagrams costs."""
    asked = harness.options("loss", __doc__, seeds=(int, 3, "losses tried for each share"))
    seeds = 1 if asked.short else asked.seeds
    with harness.report("loss", asked.out) as made, tempfile.TemporaryDirectory() as name:
        if not whole_line.CLIP.exists():
            made.missing("loss", f"needs {whole_line.CLIP.name}: set PERCEPTION_TEST_DATA")
            return
        _doors(made, Path(name), seeds)
        _tracks(made, Path(name), seeds)


def _doors(made: Report, folder: Path, seeds: int) -> None:
    labels = json.loads((ROOT / "tests" / "golden" / "visits.json").read_text())
    for clip in DOORS:
        whole = folder / f"{Path(clip).stem}.ts"
        rate = encode(harness.FOOTAGE / "video" / clip, whole)
        visits = labels[clip]["visits"]
        for share in RATES:
            said = list[Told]()
            for seed in range(seeds if share else 1):
                cut = folder / f"cut-{whole.stem}-{share}-{seed}.ts"
                lose(whole, cut, share, seed)
                said.append(judge(analyze(cut, door(), cut.with_suffix("")), visits, rate))
            what = f"{whole.stem}, {share:.0%} lost"
            count = len(visits) * len(said)
            note = (
                f"missed {sum(one.missed for one in said)}, twice {sum(one.twice for one in said)} "
                f"of {count} visits; damaged pictures {sum(one.damaged for one in said)}"
            )
            made.add(
                f"{what}: false alerts",
                "",
                float(sum(one.false for one in said)),
                target="none",
                met=lambda false: false == 0,
                of="ours",
                note=note,
            )
            delays = [s for one in said for s in one.delays_s]
            if delays:
                made.add(
                    f"{what}: alert after the person is shown, p95",
                    "s",
                    harness.percentile(delays, 95),
                )


def _tracks(made: Report, folder: Path, seeds: int) -> None:
    whole = folder / "vtest.ts"
    rate = encode(whole_line.CLIP, whole)
    launch = yaml.safe_load(whole_line.LAUNCH)
    launch["output"] = {"tracks": True}
    for share in RATES:
        found = list[dict[str, float]]()
        for seed in range(seeds if share else 1):
            cut = folder / f"cut-vtest-{share}-{seed}.ts"
            lose(whole, cut, share, seed)
            results = analyze(cut, launch, cut.with_suffix(""))
            found.append(whole_line.scores(rows(results, rate)))
        for name, unit in (("HOTA", "%"), ("IDF1", "%"), ("IDSW", "")):
            value = float(np.mean([one[name] for one in found]))
            made.add(f"vtest, {share:.0%} lost: {name}", unit, value, note=f"{len(found)} losses")


def rows(results: Path, rate: float) -> Any:
    """Return a result's confirmed tracks, float64 (N, 6): frame from 1, id and xyxy px."""
    (file,) = results.glob("tracks*.jsonl")
    out = list[list[float]]()
    for line in file.read_text().splitlines():
        message = json.loads(line)
        n = round(message["t_media_ns"] / 1e9 * rate) + 1
        for track in message["tracks"]:
            if track["state"] == "confirmed" and not track["unseen_s"]:
                out.append([n, track["id"], *track["box"]])
    return np.array(out, np.float64).reshape(-1, 6)


if __name__ == "__main__":
    main()
