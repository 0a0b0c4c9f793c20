"""Search in a catalog of a million tracks: size of the file and time of twelve searches.

And how long a recorder takes to begin where 100,000 segments are listed.

Tracks of 8 cameras in 90 days, 50 a segment; classes, zones, names and colours as unequal as they
are at a door: many persons, hardly any cats. Warm: the file is in memory. Cold: its pages are
dropped before each search, by posix_fadvise. The words are those that a person types.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, median
from perception.footage import chain
from perception.footage.camera import Options
from perception.footage.catalog import NAME, Catalog
from perception.footage.finding import find, known
from perception.footage.query import parse
from perception.footage.retention import Limits
from perception.footage.rows import COLOURS, SegmentRow, TrackRow
from perception.footage.writer import Writer
from perception.wire import make_id
from perception.wire.codec import record_table

S = 1_000_000_000
NOW = round(datetime(2026, 11, 27, 15, 30).astimezone().timestamp()) * S
DAYS, CAMERAS, EACH = 90, 8, 50
CLASSES = {"person": 0.55, "car": 0.3, "bicycle": 0.08, "dog": 0.04, "bus": 0.028, "cat": 0.002}
NAMES = {"": 0.8, "unknown": 0.15, "Anna": 0.03, "Bob": 0.0199, "Zoe": 0.0001}
SEARCHES = {
    "newest of a class": "person",
    "class, zone, day": "person at porch yesterday",
    "class, colour, week": "red car last week",
    "rare class, colour, zone": "brown cat at gate",
    "name": "Anna",
    "rare name, zone": "Zoe at porch",
    "name, zone, hours": "Anna at porch after 22:00",
    "alerts of a class": "bus alerts",
    "class, hours, week": "dog after 22:00 last week",
    "strangers, day": "unknown yesterday",
    "class that never is there": "bus at den",
    "few minutes of each day": "cat between 02:00 and 02:05",
}
"""Name and words of each search."""


def rows(count: int, seed: int = 1) -> list[SegmentRow]:
    """Return segments with so many tracks in all, oldest first."""
    rng = np.random.default_rng(seed)
    first = NOW - round(timedelta(days=DAYS).total_seconds()) * S
    starts = np.sort(rng.integers(first, NOW - 600 * S, count))
    kinds = rng.choice(list(CLASSES), count, p=list(CLASSES.values()))
    who = rng.choice(list(NAMES), count, p=list(NAMES.values()))
    colours = rng.integers(0, len(COLOURS), (count, 2))
    lasts = np.minimum(rng.exponential(20, count), 3000) * S
    place, alerts = rng.random(count), rng.random(count)
    found: list[SegmentRow] = []
    for n in range(0, count, EACH):
        span, camera = slice(n, n + EACH), f"camera{n // EACH % CAMERAS}"
        tracks = [
            TrackRow(
                track_id=make_id(217_942_540, i), class_name=str(kinds[i]),
                start_wall_ns=int(starts[i]), end_wall_ns=int(starts[i] + lasts[i]),
                zones=_zones(str(kinds[i]), float(place[i])),
                who=str(who[i]) if kinds[i] == "person" else "", alerts=int(alerts[i] < 0.02),
                upper=COLOURS[colours[i, 0]], lower=COLOURS[colours[i, 1]],
            )
            for i in range(count)[span]
        ]  # fmt: skip
        begun = tracks[0].start_wall_ns
        name = f"{datetime.fromtimestamp(begun / S):%Y-%m-%d/%H/%Y%m%dT%H%M%S}.123Z-e217942540"
        found.append(
            SegmentRow(
                path=f"{camera}/{name}-{n:07d}", camera=camera, run="bench", stream=1,
                start_wall_ns=begun, end_wall_ns=tracks[-1].start_wall_ns, start_media_ns=0,
                end_media_ns=60 * S, first_packet=n, last_packet=n + 1800, frames=1800,
                video_bytes=30_000_000, message_bytes=1_300_000, codec="h264", width=1280,
                height=720, timescale=90_000, base_pts=0, objects={"person": 20, "car": 10},
                tracks=tracks,
            )
        )  # fmt: skip
    return found


def _zones(kind: str, place: float) -> list[str]:
    """Return where a track was: a bus is never in the den, a cat hardly ever at the gate."""
    if kind == "bus":
        return ["street"] if place < 0.9 else []
    names = {"street": 0.4, "porch": 0.7, "gate": 0.75, "den": 0.8}
    found = [next((name for name, below in names.items() if place < below), "")]
    return [*found, "path"] if found[0] and place < 0.1 else [n for n in found if n]


def fill(root: Path, count: int) -> float:
    """Make a catalog of so many tracks; return seconds."""
    made = rows(count)
    began = time.perf_counter()
    catalog = Catalog(root)
    for row in made:
        catalog.add(row)
    catalog.close()
    return time.perf_counter() - began


def search_ms(
    root: Path, words: str, *, cold: bool = False, limit: int = 50
) -> tuple[float, float, int]:
    """Return wall and CPU ms of a search from its words on, in a catalog just opened; its count."""
    if cold:
        drop(root / NAME)
    catalog = Catalog(root, create=False)
    began, cpu = time.perf_counter(), time.process_time()
    query = parse(words, known(catalog), NOW)
    found = find(catalog, query, limit)
    spent, used = (time.perf_counter() - began) * 1e3, (time.process_time() - cpu) * 1e3
    catalog.close()
    if query.ignored:
        raise ValueError(f"{words}: not understood: {query.ignored}")
    return spent, used, len(found)


def drop(path: Path) -> None:
    """Drop a file's pages from memory."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def crowd(root: Path, count: int) -> None:
    """Make a folder of so many listed segments of 8 cameras, with empty files, and their chains."""
    catalog, last, lines = Catalog(root), dict[str, str](), dict[str, list[str]]()
    one = rows(EACH)[0]
    first = NOW - count // CAMERAS * 60 * S
    for n in range(count):
        camera, begun = f"camera{n % CAMERAS}", first + n // CAMERAS * 60 * S
        day = datetime.fromtimestamp(begun / S, UTC)
        path = f"{camera}/{day:%Y-%m-%d/%H/%Y%m%dT%H%M%S}.000Z-e217942540-{n // CAMERAS:04d}"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".mp4", ".mcap", ".jpg"):
            (root / f"{path}{suffix}").touch()
        catalog.add(
            msgspec.structs.replace(
                one, path=path, camera=camera, start_wall_ns=begun, end_wall_ns=begun + 60 * S,
                tracks=[],
            )
        )  # fmt: skip
        link = {"path": path, "mp4": "a" * 64, "mcap": "b" * 64, "before": last.get(camera, "")}
        last[camera] = link["hash"] = chain.link_hash(link)
        lines.setdefault(camera, []).append(json.dumps(link) + "\n")
    catalog.close()
    for camera, said in lines.items():
        (root / camera / chain.NAME).write_text("".join(said))


def start_s(root: Path) -> tuple[float, float]:
    """Return how long a recorder needs until it can write: wall and CPU time in s."""
    options = {f"camera{n}": Options() for n in range(CAMERAS)}
    thread = Writer(root, "bench", options, Limits(None, 0, 7.0), record_table)
    began, cpu = time.perf_counter(), time.process_time()
    thread.begin().close()
    return time.perf_counter() - began, time.process_time() - cpu


def start(report: Report, count: int, rounds: int) -> None:
    """Add the row of the start of a run."""
    with tempfile.TemporaryDirectory(prefix="search-") as place:
        empty, full = Path(place) / "empty", Path(place) / "full"
        crowd(full, count)
        runs = harness.interleave(
            {"none": lambda: start_s(empty), "all": lambda: start_s(full)}, rounds
        )
    wall = {name: median([wall for wall, _ in found]) for name, found in runs.items()}
    cpu = {name: median([cpu for _, cpu in found]) for name, found in runs.items()}
    report.add(
        f"start of a recorder with {count} segments, more than with none", "s",
        wall["all"] - wall["none"], target="at most 1", met=lambda v: v <= 1, of="ours",
        note=f"{cpu['all'] - cpu['none']:.2f} s of it CPU",
    )  # fmt: skip


def measure(report: Report, count: int, rounds: int, folder: Path) -> None:
    """Add the rows of F1."""
    seconds = fill(folder, count)
    size = (folder / NAME).stat().st_size
    report.add(
        f"F1 catalog of {count} tracks", "MB", size / 1e6, target="at most 250",
        met=lambda v: v <= 250, of="ours", note=f"filled in {seconds:.0f} s",
    )  # fmt: skip
    for name, words in SEARCHES.items():
        for cold, most in ((False, 50), (True, 250)):
            runs = [search_ms(folder, words, cold=cold) for _ in range(rounds)]
            p95 = float(np.percentile([ms for ms, _, _ in runs], 95))
            cpu = float(np.percentile([ms for _, ms, _ in runs], 95))
            report.add(
                f"F1 {name}, {'cold' if cold else 'warm'}, p95", "ms", p95,
                target=f"at most {most}", met=lambda v, most=most: v <= most, of="ours",
                note=f"{words!r}: {runs[0][2]} found, {cpu:.1f} ms of it CPU",
            )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("search", __doc__)
    with (
        harness.report("search", asked.out) as report,
        tempfile.TemporaryDirectory(prefix="search-") as folder,
    ):
        start(report, 10_000 if asked.short else 100_000, 5)
        measure(report, 100_000 if asked.short else 1_000_000, 20, Path(folder))


if __name__ == "__main__":
    main()
