"""From what processes counted to the summary of a run; the same for live runs and analysis.

Stands above plan and metrics; used by supervisor and analysis.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from perception import assets, clock, logs
from perception.metrics import Histogram, Metrics
from perception.plan import Plan
from perception.recording.summary import (
    Ages,
    CameraSummary,
    ModelSummary,
    ProcessSummary,
    RunSummary,
    Summary,
    versions,
)

NOT_TAKEN = "not_taken"
"""Cause of drops that no process named: detection was starting, restarting or killed."""


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
) -> Summary:
    """Return the summary of a run.

    metrics: of all processes together. alerts: raised, by camera and rule. problems: sentences by
    camera.
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
            name: _camera(plan, name, metrics, alerts.get(name, {}), problems.get(name, []))
            for name in plan.cameras
        },
        processes=dict(processes),
    )


def models(plan: Plan) -> dict[str, ModelSummary]:
    """Return the models of a plan with their licences, by detector."""
    found: dict[str, ModelSummary] = {}
    for name, stage in plan.detectors.items():
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
    """Return the counters and latencies of several processes added up, gauges side by side."""
    whole = Metrics()
    for part in parts:
        for name, count in part.counters.items():
            whole.count(name, count)
        for name, histogram in part.latencies.items():
            whole.latencies.setdefault(name, Histogram()).merge(histogram)
        whole.gauges.update(part.gauges)
    return whole


def dropped(metrics: Metrics, camera: str) -> dict[str, int]:
    """Return frames of a camera that were read but not tracked, by cause."""
    prefix = f"dropped.{camera}."
    causes = {
        name.removeprefix(prefix): count
        for name, count in metrics.counters.items()
        if name.startswith(prefix) and not name.endswith(".not_drawn")
    }
    counted = metrics.counters.get(f"tracked.{camera}", 0) + sum(causes.values())
    missing = metrics.counters.get(f"read.{camera}", 0) - counted
    return causes | ({NOT_TAKEN: missing} if missing > 0 else {})


def _camera(
    plan: Plan, name: str, metrics: Metrics, alerts: Mapping[str, int], problems: list[str]
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
    repairs = {
        key.removeprefix(f"source.{name}."): value
        for key, value in metrics.counters.items()
        if key.startswith(f"source.{name}.") and value
    }
    repaired = [f"{what.replace('_', ' ')}: {n}" for what, n in repairs.items()]
    if undrawn := metrics.counters.get(f"dropped.{name}.not_drawn"):
        repaired.append(f"frames gone before they were drawn: {undrawn}")
    return CameraSummary(
        source=shown_source(plan, name),
        frames_read=count("read"),
        frames_detected=count("detected"),
        frames_tracked=count("tracked"),
        dropped=dropped(metrics, name),
        tracks_confirmed=count("confirmed"),
        crossings=crossings,
        alerts=dict(alerts),
        age_at_detection=ages("detection"),
        age_at_track=ages("tracking"),
        age_at_alert=ages("alert"),
        problems=[*repaired, *problems],
    )


def shown_source(plan: Plan, camera: str) -> str:
    """Return a camera's source for people, passwords masked."""
    source = plan.cameras[camera].source
    options: dict[str, Any] = source.options
    place = options.get("url") or options.get("path") or options.get("device") or ""
    return logs.mask(f"{source.type} {place}".strip())
