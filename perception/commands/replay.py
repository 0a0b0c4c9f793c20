"""`perception replay`: runs a recording through its stages again. Command line only."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from perception.analysis import replay as replaying
from perception.analysis.recorded import Part, parts
from perception.analysis.replay import STAGES, Result
from perception.commands.console import console, sheet
from perception.commands.recordings import parse_time
from perception.errors import ConfigError, unknown
from perception.footage.catalog import Catalog
from perception.footage.rows import SegmentRow
from perception.launchfile import config
from perception.launchfile import resolve as resolving
from perception.wire import Alert
from perception.wire.plan import Plan

SAME_S = 2.0
"""Alerts of one rule about different tracks are the same if they start within this time, s."""
_LEAD_NS = 120_000_000_000
"""Time before --from at which a replay starts. There is a state at least once per minute."""


def run(
    root: Path,
    name: str,
    stage: str,
    span: tuple[str | None, str | None],
    launch: Path | None,
    as_json: bool,
) -> int:
    """Replay, print the result. Return exit code 1 where it differs from the recording."""
    if stage not in STAGES:
        raise ConfigError(f"--stage {stage}: {unknown(stage, STAGES, 'stages')}")
    first = parse_time(span[0]) if span[0] else 0
    last = parse_time(span[1]) if span[1] else 1 << 62
    rows, first, last = rows_of(root, name, first, last)
    threads = max(1, len(os.sched_getaffinity(0)) - 1)
    done: list[tuple[Part, Result]] = []
    for part in parts(root, rows):
        changed = changed_plan(part, launch) if launch is not None else None
        used = _from_stage(part, changed, stage) if changed is not None else stage
        done.append((part, replaying.replay(part, used, changed, (first, last), threads)))
    if as_json:
        for part, result in done:
            print(json.dumps(_as_values(part, result, chained=launch is not None)))
    else:
        for part, result in done:
            _show(part, result, chained=launch is not None)
    return int(any(result.first for _, result in done))


def rows_of(
    root: Path, name: str, first: int, last: int, *, lead_ns: int = _LEAD_NS
) -> tuple[list[SegmentRow], int, int]:
    """Return the segments of a camera, or one segment by name, and the span to compare."""
    catalog = Catalog(root, create=False)
    try:
        every = catalog.segments()
    finally:
        catalog.close()
    cameras = sorted({row.camera for row in every})
    if name not in cameras:
        named = [row for row in every if name in row.path]
        if len(named) != 1:
            known = ", ".join(cameras) or "none"
            raise ConfigError(f"{name!r}: neither a recorded camera ({known}) nor one segment")
        first, last = named[0].start_wall_ns, named[0].end_wall_ns + 1
        name = named[0].camera
    mine = [row for row in every if row.camera == name]
    rows = [r for r in mine if r.end_wall_ns >= first - lead_ns and r.start_wall_ns < last]
    if not rows:
        raise ConfigError(f"nothing of {name} was recorded in that span")
    return rows, first, last


def changed_plan(part: Part, launch: Path) -> Plan:
    """Return the plan of a part with the options of its camera in a launch file."""
    recorded = replaying.plan_of(part)
    loaded, document = config.load(launch)
    if part.camera not in loaded.cameras:
        raise ConfigError(unknown(part.camera, loaded.cameras, "cameras"), document.file)
    new = resolving.resolve(loaded, document)
    one = new.cameras[part.camera]
    kept = msgspec.structs.replace(one, source=recorded.cameras[part.camera].source)
    return msgspec.structs.replace(new, cameras={part.camera: kept})


def _from_stage(part: Part, changed: Plan, stage: str) -> str:
    """Return the stage to start at: the first with other options, or an earlier one if asked."""
    recorded = replaying.plan_of(part)
    was, now = recorded.cameras[part.camera], changed.cameras[part.camera]
    detect = ("detectors", "sweep_s", "tiles", "objects")
    needed = "alert"
    if recorded.tracker != changed.tracker or was.calibration != now.calibration:
        needed = "track"
    if any(getattr(was, key) != getattr(now, key) for key in detect) or any(
        recorded.detectors.get(name) != changed.detectors[name] for name in now.detectors
    ):
        needed = "detect"
    if needed == "detect" and stage != "detect":
        raise ConfigError("the launch file detects otherwise: add --stage detect (it takes longer)")
    return min(needed, stage if stage == "detect" else needed, key=STAGES.index)


def _show(part: Part, result: Result, *, chained: bool) -> None:
    screen, rows = console(), part.rows
    screen.print(Text(f"{part.camera}: {len(rows)} segments, {result.frames} frames"))
    for said in result.changed:
        screen.print(Text(f"not as it was recorded: {said}", style="yellow"))
    table = sheet("stage", "compared", "equal") if not chained else sheet("stage", "replayed")
    for stage in result.stages:
        cells = [stage.name, str(stage.compared)]
        table.add_row(*cells, *([] if chained else [str(stage.equal)]))
    screen.print(table)
    for stage in result.stages:
        for why, count in stage.notes.items():
            if count:
                screen.print(Text(f"{stage.name}: {count} not compared: {why}", style="dim"))
    if chained:
        _show_alerts(result)
        return
    if result.first:
        screen.print(Text(f"first difference: {result.first}", style="red"), soft_wrap=True)
    else:
        screen.print(
            Text("equal" if any(s.compared for s in result.stages) else "nothing compared")
        )


def _show_alerts(result: Result) -> None:
    screen = console()
    table = sheet("alert", "rule", "of", "")
    pairs = paired(result.was, result.now)
    for was, now, said in pairs:
        one = was or now
        assert one is not None
        when = datetime.fromtimestamp(one.start_t_wall_ns / 1e9, UTC)
        table.add_row(f"{when:%Y-%m-%d %H:%M:%S} UTC", one.rule, one.class_name, Text(said))
    screen.print(table if pairs else Text("no alerts, neither recorded nor replayed"))


def paired(was: list[Alert], now: list[Alert]) -> list[tuple[Alert | None, Alert | None, str]]:
    """Return the pairs of recorded and replayed alerts, each with: same, moved, new or gone."""
    left, rows = list(now), list[tuple[Alert | None, Alert | None, str]]()
    for alert in was:
        near = [
            (one.track_id != alert.track_id, abs(one.start_t_media_ns - alert.start_t_media_ns), n)
            for n, one in enumerate(left)
            if one.rule == alert.rule and one.class_name == alert.class_name
        ]
        other, gap, n = min(near, default=(True, 0, -1))
        if n < 0 or (other and gap > SAME_S * 1e9):
            rows.append((alert, None, "gone"))
            continue
        found = left.pop(n)
        moved = (found.start_t_media_ns - alert.start_t_media_ns) / 1e9
        rows.append((alert, found, f"{moved:+.2f} s" if moved else "same"))
    rows += [(None, alert, "new") for alert in left]
    return sorted(rows, key=_start)


def _start(row: tuple[Alert | None, Alert | None, str]) -> int:
    one = row[0] or row[1]
    return one.start_t_media_ns if one is not None else 0


def _as_values(part: Part, result: Result, *, chained: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "camera": part.camera,
        "segments": [row.path for row in part.rows],
        "frames": result.frames,
        "changed": result.changed,
        "stages": [asdict(stage) for stage in result.stages],
        "first": result.first or None,
    }
    if chained:
        values["alerts"] = [
            {"was": was and was.key, "now": now and now.key, "is": said}
            for was, now, said in paired(result.was, result.now)
        ]
    return values
