"""The tables that the terminal shows at the end of a run."""

from collections.abc import Mapping

from rich.console import Group
from rich.text import Text

from perception.recording.sheet import Sheet
from perception.recording.summary import Ages, ProcessSummary, RunSummary, Summary


def table(summary: Summary) -> Group:
    """Return the tables of a summary for the terminal."""
    parts: list[Sheet | Text] = [_head(summary.run)]
    if summary.cameras:
        parts += [_frames(summary), _seen(summary)]
        if summary.run.mode == "run":
            parts.append(_ages(summary))
    if summary.processes:
        parts.append(_processes(summary))
    parts += [_looks(name, c.looks) for name, c in summary.cameras.items() if c.looks]
    parts += [
        Text(f"{name}: {offset_text(c.clock_offset)}")
        for name, c in summary.cameras.items()
        if c.clock_offset
    ]
    problems = [
        f"{name}: {problem}"
        for name, camera in summary.cameras.items()
        for problem in camera.problems
    ]
    if problems:
        parts.append(Text("\n".join(problems), style="yellow"))
    return Group(*parts)


def offset_text(found: Mapping[str, float]) -> str:
    """Return what people read of the offset between the clocks of gyro and video."""
    seconds, sigma_s = found["seconds"], found["sigma_s"]
    return (
        f"clock offset of gyro and video {seconds:+.3f} s, sigma {sigma_s:.3f} s, not applied; "
        f"to apply it: telemetry: {{offset_s: {seconds:.3f}}}"
    )


def _head(run: RunSummary) -> Text:
    models = ", ".join(
        f"{model.name} ({model.licence}) on {model.runtime}" for model in run.models.values()
    )
    good = run.exit_code == 0
    return Text.assemble(
        (run.name, "bold"),
        f"  {run.duration_s:.1f} s  ",
        ("done" if good else f"exit {run.exit_code}", "green" if good else "bold red"),
        (f"\n{models}" if models else "", "dim"),
        "\n",
    )


def _frames(summary: Summary) -> Sheet:
    numbers = ("read", "detected", "tracked", "dropped")
    sheet = Sheet("camera", *numbers, "why", right=numbers, title="Frames")
    for name, camera in summary.cameras.items():
        dropped = {cause.replace("_", " "): n for cause, n in camera.dropped.items() if n}
        counts = (camera.frames_read, camera.frames_detected, camera.frames_tracked)
        sheet.add_row(name, *(f"{n:,}" for n in (*counts, sum(dropped.values()))), _listed(dropped))
    return sheet


def _seen(summary: Summary) -> Sheet:
    sheet = Sheet("camera", "tracks", "alerts", "crossings", right=("tracks",), title="Seen")
    for name, camera in summary.cameras.items():
        crossings = [f"{rule}: {_listed(counts)}" for rule, counts in camera.crossings.items()]
        sheet.add_row(
            name, f"{camera.tracks_confirmed:,}", _listed(camera.alerts), "\n".join(crossings)
        )
    return sheet


def _looks(name: str, looks: Mapping[str, int]) -> Text:
    """Return a line with the shares of frames or tiles by what the network saw of them."""
    total = max(1, sum(looks.values()))
    shares = ", ".join(
        f"{kind.replace('_', ' ')} {n / total:.0%}" for kind, n in looks.items() if n
    )
    what = "tiles" if "tiles" in looks else "frames"
    return Text(f"{name}: of {total:,} {what} the network saw: {shares}", style="dim")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items())


def _ages(summary: Summary) -> Sheet:
    ages = ("at detection", "at track", "at alert")
    title = "Age of a frame in ms, p50 / p95 / p99"
    sheet = Sheet("camera", *ages, right=ages, title=title)
    for name, camera in summary.cameras.items():
        sheet.add_row(
            name,
            *map(_age, (camera.age_at_detection, camera.age_at_track, camera.age_at_alert)),
        )
    return sheet


def _age(ages: Ages) -> str:
    values = (ages.p50_ms, ages.p95_ms, ages.p99_ms)
    if any(value is None for value in values):
        return "none"
    return " / ".join(
        f"{value:,.0f}" if value and value >= 10 else f"{value:.1f}" for value in values
    )


def _processes(summary: Summary) -> Sheet:
    numbers = ("pid", "CPU s", "peak MB", "restarts", "exit")
    sheet = Sheet("process", *numbers, right=numbers, title="Processes")
    for name, process in summary.processes.items():
        sheet.add_row(
            name,
            " ".join(map(str, process.pids)),
            f"{process.cpu_s:,.1f}",
            f"{process.peak_memory_bytes / 1e6:,.0f}",
            Text(str(process.restarts), style="yellow" if process.restarts else ""),
            _exit(process),
        )
    return sheet


def _exit(process: ProcessSummary) -> Text:
    if process.exit_code is None:
        return Text("running", style="bold red") if process.pids else Text("never begun")
    return Text(str(process.exit_code), style="" if process.exit_code == 0 else "bold red")
