"""The expected CPU load of a plan, measured on this machine before the run.

Command line only.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from perception.commands.console import sheet
from perception.detectors import Detector, prepare
from perception.launchfile import build as stages
from perception.pixels import Pixels
from perception.recording.sheet import Sheet
from perception.wire.plan import Plan

REST_MS = 4.0
"""CPU time of a 720p frame outside of detection, all processes, ms; see benchmarks."""
QUIET_SHARE = 0.2
"""With `detect: auto`: share of it for an empty scene (benchmarks, Attention)."""
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Load:
    """Of one camera. rate_hz: frames detected a second. frame_ms: CPU time of one, all processes.

    quiet: share of a core while nothing moves, where that differs; cores: while something does.
    """

    rate_hz: float
    frame_ms: float
    cores: float
    quiet: float | None = None


def expected(what: Plan, sizes: Mapping[str, tuple[int, int, float | None]]) -> dict[str, Load]:
    """Return the expected load of each camera, from a trial run of its detectors on a grey picture.

    sizes: height, width and frames/s of cameras that gave a picture. Others count as 720p at
    DEFAULT_FPS. Raises ModelError where a model cannot be loaded.
    """
    found: dict[str, Load] = {}
    loaded: dict[tuple[str, ...], Detector] = {}
    for name, camera in what.cameras.items():
        height, width, fps = sizes.get(name, (720, 1280, None))
        key = tuple(camera.detectors)
        if key not in loaded:
            loaded[key] = stages.make_detector(what, camera.detectors, 1)
        frame_ms = _look_ms(loaded[key], height, width)
        if camera.tiles is not None and camera.tiles["budget_ms"]:
            frame_ms = float(camera.tiles["budget_ms"])
        frame_ms += REST_MS
        rate_hz = min(fps or stages.DEFAULT_FPS, camera.rate_hz or 1e9)
        cores = rate_hz * frame_ms / 1e3
        quiet = cores * QUIET_SHARE if camera.sweep_s else None
        found[name] = Load(rate_hz, frame_ms, cores, quiet)
    return found


def table(loads: Mapping[str, Load]) -> Sheet:
    """Return a table of the loads by camera name, with their sum: frames/s, CPU ms, % of a core."""
    rows = sheet("expected load", "frames/s", "CPU ms a frame", "% of a core")
    for name, load in loads.items():
        share = f"{100 * load.cores:.0f}"
        if load.quiet is not None:
            share = f"{100 * load.quiet:.0f} empty, {share} busy at most"
        rows.add_row(name, f"{load.rate_hz:.3g}", f"{load.frame_ms:.0f}", share)
    total = sum(load.cores for load in loads.values())
    rows.add_row("all", "", "", f"{100 * total:.0f} of {100 * _cores()}")
    return rows


def warning(loads: Mapping[str, Load]) -> str:
    """Return a warning where the load is too high for this machine, else ""."""
    total = sum(load.cores for load in loads.values())
    if total <= _cores():
        return ""
    rate = _cores() / total
    return (
        f"the cameras need {100 * total:.0f} % of a core, this machine has {100 * _cores()}: about "
        f"{100 * (1 - rate):.0f} % of the frames will not be detected (the newest always is); "
        "lower `detect.rate_hz` or the detector's `size`, or take `detect: auto`"
    )


def _look_ms(detector: Detector, height: int, width: int) -> float:
    """Return the CPU time of one detection, ms: the least of ROUNDS."""
    image = np.full((height, width, 3), 114, np.uint8)
    took: list[float] = []
    for n in range(ROUNDS + 1):
        started = time.process_time()
        ready = prepare(detector, Pixels(image), n * 40_000_000)
        detector.infer(ready)
        took.append(1e3 * (time.process_time() - started))
    return min(took[1:])


def _cores() -> int:
    return len(os.sched_getaffinity(0))
