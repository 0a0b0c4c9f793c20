"""Makes the summary of a run from the metrics of its processes, for live runs and analysis.

Used by supervisor and analysis. Imports plan and metrics.
"""

from collections.abc import Container, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from perception import assets, clock, logs
from perception.metrics import Histogram, Metrics
from perception.recording.summary import (
    Ages,
    CameraSummary,
    ModelSummary,
    ProcessSummary,
    RunSummary,
    Summary,
    versions,
)
from perception.wire.plan import Plan

NOT_TAKEN, NOT_TRACKED = "not_taken", "not_tracked"
"""Causes of drops that no process counted, because detection or tracking was not running."""
ON_THEIR_WAY = (NOT_TAKEN, NOT_TRACKED)
"""During a run these also contain frames between two processes, which are not dropped yet."""


LOST = "lost"


def summarise(
    plan: Plan,
    metrics: Metrics,
    alerts: Mapping[str, Mapping[str, int]],
    processes: Mapping[str, ProcessSummary],
    *,
    mode: Literal["run", "analyze"],
    started_wall_ns: int,
    duration_s: float,
    exit_code: int,
    problems: Mapping[str, list[str]],
    restarted: Container[str] = (),
) -> Summary:
    """Return the summary of a run.

    metrics: of all processes, merged. alerts: number raised, by camera and rule. problems:
    sentences by camera. restarted: cameras whose process was restarted; its counts of the last 0.25
    s are lost, so frames that other processes got from it count as read.
    """
    return Summary(
        run=RunSummary(
            name=plan.name,
            mode=mode,
            started=datetime.fromtimestamp(started_wall_ns / clock.NS_PER_S, UTC).isoformat(
                timespec="seconds"
            ),
            duration_s=round(duration_s, 2),
            exit_code=exit_code,
            versions=versions(),
            models=models(plan),
        ),
        cameras={
            name: _camera(
                plan,
                name,
                metrics,
                alerts.get(name, {}),
                problems.get(name, []),
                restarted=name in restarted,
            )
            for name in plan.cameras
        },
        processes=dict(processes),
    )


def models(plan: Plan) -> dict[str, ModelSummary]:
    """Return the models of a plan with their licences, by detector."""
    found: dict[str, ModelSummary] = {}
    for name, stage in plan.detectors.items():
        if stage.type == "motion":
            found[name] = ModelSummary(name="motion", licence="no model", runtime="opencv")
            continue
        model = str(stage.options.get("model", "yolo11n"))
        runtime = " ".join(
            str(stage.options[key]) for key in ("runtime", "precision") if key in stage.options
        )
        found[name] = ModelSummary(
            name=model,
            licence=assets.licence(model),
            runtime=f"{stage.type} {runtime}".strip(),
        )
    return found


def merge(parts: list[Metrics]) -> Metrics:
    """Return the metrics of several processes: counters and latencies are added, gauges joined."""
    whole = Metrics()
    for part in parts:
        whole.add(part)
    return whole


def dropped(metrics: Metrics, camera: str) -> dict[str, int]:
    """Return the number of frames of a camera that were read but not tracked, by cause."""
    causes = _counted(metrics, f"dropped.{camera}.")
    causes.pop("not_drawn", None)
    tracked, detected, read = (
        metrics.counters.get(f"{what}.{camera}", 0) for what in ("tracked", "detected", "read")
    )
    missing = read - tracked - sum(causes.values())
    if missing < 0 and LOST in causes:
        # Detection was killed after it had counted these drops and before it had reported them.
        causes[LOST] = max(0, causes[LOST] + missing)
    not_tracked = min(max(0, missing), max(0, detected - tracked - causes.get(LOST, 0)))
    rest = {NOT_TAKEN: missing - not_tracked, NOT_TRACKED: not_tracked}
    return {cause: n for cause, n in (causes | rest).items() if n > 0}


def missed(metrics: Metrics, camera: str) -> dict[str, int]:
    """Return the number of tracked frames that a later process did not get, by process and cause.

    Of an output process that was killed, the counts of the last 0.25 s are lost.
    """
    causes = _counted(metrics, f"missed.{camera}.")
    written = metrics.counters.get(f"written.{camera}")
    if written is not None:
        tracked = metrics.counters.get(f"tracked.{camera}", 0)
        causes["output_away"] = tracked - written - causes.get("output_lost", 0)
    return {cause: n for cause, n in causes.items() if n > 0}


def _counted(metrics: Metrics, prefix: str) -> dict[str, int]:
    """Return the counters with a prefix, by their names without it."""
    found = ((name, n) for name, n in metrics.counters.items() if name.startswith(prefix))
    return {name.removeprefix(prefix): n for name, n in found}


def _camera(
    plan: Plan,
    name: str,
    metrics: Metrics,
    alerts: Mapping[str, int],
    problems: list[str],
    *,
    restarted: bool,
) -> CameraSummary:
    def count(what: str) -> int:
        return metrics.counters.get(f"{what}.{name}", 0)

    def ages(what: str) -> Ages:
        return Ages.of(metrics.latencies.get(f"{what}.{name}", Histogram()))

    crossings: dict[str, dict[str, int]] = {}
    for key, value in metrics.gauges.items():
        prefix = f"crossings.{name}."
        if key.startswith(prefix):
            rule, _, way = key.removeprefix(prefix).partition(":")
            crossings.setdefault(rule, {})[way] = int(value)
    repairs = _counted(metrics, f"source.{name}.")
    repaired = [f"{what.replace('_', ' ')}: {n}" for what, n in repairs.items() if n]
    if undrawn := metrics.counters.get(f"dropped.{name}.not_drawn"):
        repaired.append(f"frames gone before they were drawn: {undrawn}")
    lost = missed(metrics, name)
    if lost:
        causes = ", ".join(f"{cause.replace('_', ' ')} {n}" for cause, n in lost.items())
        repaired.append(f"frames tracked that never came to who is behind tracking: {causes}")
    drops = dropped(metrics, name)
    seen = count("tracked") + sum(drops.values())
    return CameraSummary(
        source=shown_source(plan, name),
        frames_read=max(count("read"), seen) if restarted else count("read"),
        # Counts that a killed process did not report follow from those of the next process.
        frames_detected=max(count("detected"), count("tracked")),
        frames_tracked=count("tracked"),
        dropped=drops,
        damaged=_counted(metrics, f"damaged.{name}."),
        looks=_counted(metrics, f"looks.{name}."),
        missed=lost,
        unplaced=_counted(metrics, f"unplaced.{name}."),
        tracks_confirmed=count("confirmed"),
        clock_offset=_gauged(metrics, f"clock_offset.{name}."),
        crossings=crossings,
        alerts=dict(alerts),
        age_at_detection=ages("detection"),
        age_at_track=ages("tracking"),
        age_at_alert=ages("alert"),
        problems=[*repaired, *problems],
    )


def _gauged(metrics: Metrics, prefix: str) -> dict[str, float]:
    """Return the gauges of a prefix by the rest of their names, rounded to ms."""
    return {
        key.removeprefix(prefix): round(value, 3)
        for key, value in metrics.gauges.items()
        if key.startswith(prefix)
    }


def shown_source(plan: Plan, camera: str) -> str:
    """Return a camera's source as text, with passwords masked."""
    source = plan.cameras[camera].source
    options: dict[str, Any] = source.options
    place = options.get("url") or options.get("path") or options.get("device") or ""
    return logs.mask(f"{source.type} {place}".strip())
