"""`perception examine`: every frame of a recording, and what the live run missed. Command line
only."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.text import Text

from perception import assets, clock
from perception.analysis import examining, missed, missed_page
from perception.analysis.examining import JOBS, Spec
from perception.analysis.jobs import Jobs
from perception.analysis.recorded import Part, parts
from perception.analysis.replay import plan_of
from perception.commands.console import console, sheet, steps
from perception.commands.recordings import parse_time
from perception.commands.replay import changed_plan, paired, rows_of
from perception.errors import EXIT_SOURCE, ConfigError
from perception.footage import manifest, retention
from perception.footage.erasing import EXAMINED
from perception.footage.rows import SegmentRow
from perception.processes.runtime import thread_environment
from perception.wire.plan import Plan, StagePlan

_UNITS = {"s": 1, "m": 60, "h": 3600}
_HALF_LIFE_DAYS = 7.0


@dataclass(frozen=True)
class Asked:
    """The options of the command. span: UTC from, to."""

    span: tuple[str | None, str | None]
    launch: Path | None
    model: str | None
    size: int | None
    budget: str | None
    jobs: int
    output: Path | None
    as_json: bool


def run(root: Path, name: str, asked: Asked) -> int:
    """Examine the segments that were not examined yet, the most valuable first, and
    report on all.
    """
    first = parse_time(asked.span[0]) if asked.span[0] else 0
    last = parse_time(asked.span[1]) if asked.span[1] else 1 << 62
    rows, first, last = rows_of(root, name, first, last, lead_ns=0)
    rows = [row for row in rows if row.end_wall_ns >= first]
    until = budget_ns(asked.budget)
    code, output = 0, asked.output or root.parent / EXAMINED
    for group in _groups(root, rows):
        plan = plan_for(group[0], asked)
        folder = output / fingerprint(plan, group[0].camera)
        folder.mkdir(parents=True, exist_ok=True)
        names = [row.path for part in group for row in part.rows]
        note = _examine(root, folder, group, plan, until, asked.jobs)
        code = code or (EXIT_SOURCE if note else 0)
        for said in note:
            print(f"perception: {said}", file=sys.stderr)
        _report(folder, group, plan, set(names), asked)
    return code


def budget_ns(text: str | None) -> int | None:
    """Return the monotonic time at which a budget such as 30m ends. Raises ConfigError."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None:
        raise ConfigError(f"--budget {text!r}: expected a time as 90s, 30m or 2h")
    return time.monotonic_ns() + round(float(found[1]) * _UNITS[found[2]] * 1e9)


def _groups(root: Path, rows: list[SegmentRow]) -> list[list[Part]]:
    """Return the parts grouped by the plan they were recorded with."""
    found: list[tuple[Plan, list[Part]]] = []
    for part in parts(root, rows):
        plan = plan_of(part)
        same = next((group for one, group in found if one == plan), None)
        if same is None:
            found.append((plan, [part]))
        else:
            same.append(part)
    return [group for _, group in found]


def plan_for(part: Part, asked: Asked) -> Plan:
    """Return the plan of an examination: every frame, whole pictures, the chosen model."""
    plan = plan_of(part) if asked.launch is None else changed_plan(part, asked.launch)
    one = plan.cameras[part.camera]
    tiles = {k: v for k, v in (one.tiles or {}).items() if k != "budget_ms"}
    every = msgspec.structs.replace(
        one, rate_hz=None, sweep_s=None, tiles=tiles if one.tiles is not None else None
    )
    stages = dict(plan.detectors)
    if asked.model is not None or asked.size is not None:
        first = one.detectors[0]
        was = stages[first].options if stages[first].type == "onnx" else {}
        options = dict(was)
        if asked.model is not None:
            own = ("model", "size", "head", "names", "levels", "runtime")
            options = {k: v for k, v in was.items() if k not in own}
            here = asked.model not in assets.ASSETS and Path(asked.model).is_file()
            options["model"] = str(Path(asked.model).resolve()) if here else asked.model
        if asked.size is not None:
            options["size"] = asked.size
        stages[first] = StagePlan(type="onnx", options=options)
    return msgspec.structs.replace(plan, cameras={part.camera: every}, detectors=stages)


def fingerprint(plan: Plan, camera: str) -> str:
    """Return a hash of what determines a result: stages, models and versions."""
    said = {
        "plan": msgspec.to_builtins(manifest.bare(plan, camera)),
        "models": manifest.models(plan, camera),
        "versions": manifest.versions(),
        "isa": manifest.instruction_set(),
    }
    text = json.dumps(said, sort_keys=True)
    return f"{camera}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _examine(
    root: Path, folder: Path, group: list[Part], plan: Plan, until_ns: int | None, count: int
) -> list[str]:
    """Examine the segments of a group in worker processes. Return the failures."""
    now = clock.wall_ns()
    rows = [row for part in group for row in part.rows]
    jobs = Jobs(folder / JOBS)
    worth = [(row.path, retention.value(row, now, _HALF_LIFE_DAYS)) for row in rows]
    jobs.add(worth)
    jobs.reclaim()
    names = {row.path for row in rows}
    done = {job.name for job in jobs.all() if job.state == "done"}
    left = [row for row in rows if row.path not in done]
    camera, threads = group[0].camera, max(1, len(os.sched_getaffinity(0)) // count)
    spec = Spec(
        root=str(root.resolve()), folder=str(folder.resolve()), camera=camera, plan=plan,
        rotate=plan_of(group[0]).cameras[camera].source.options.get("rotate"),
        segments=[row.path for row in left], threads=threads, until_ns=until_ns,
    )  # fmt: skip
    said = _work(spec, count, sum(row.frames for row in left)) if left else []
    failed = [f"{j.name}: {j.note}" for j in jobs.all() if j.state == "failed" and j.name in names]
    jobs.close()
    return failed + said


def _work(spec: Spec, count: int, total: int) -> list[str]:
    """Run the workers with a progress bar. Return the last output of those that failed."""
    frames: dict[str, int] = {}
    said: list[str] = []
    with tempfile.TemporaryDirectory() as place, steps() as bars:
        file = Path(place) / "spec.json"
        file.touch(0o600)
        file.write_bytes(msgspec.json.encode(spec))
        task = bars.add_task(f"{spec.camera}, pictures", total=total)

        def listen(process: subprocess.Popen[str]) -> None:
            assert process.stdout is not None
            with process.stdout as lines:
                for line in lines:
                    path, _, done = line.strip().rpartition(" ")
                    frames[path] = int(done)
                    bars.update(task, completed=sum(frames.values()))

        environment = {**os.environ, **thread_environment(spec.threads)}
        command = [sys.executable, "-m", examining.__name__, str(file)]
        errors = [Path(place) / f"{n}.err" for n in range(count)]
        running: list[subprocess.Popen[str]] = []
        readers: list[threading.Thread] = []
        try:
            for path in errors:
                with path.open("w") as sink:
                    process = subprocess.Popen(
                        command, stdout=subprocess.PIPE, stderr=sink, text=True, env=environment
                    )
                running.append(process)
                readers.append(threading.Thread(target=listen, args=(process,), daemon=True))
                readers[-1].start()
            for process in running:
                process.wait()
        finally:
            for process in running:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        for reader in readers:
            reader.join(timeout=5)
        for process, path in zip(running, errors, strict=True):
            if process.returncode:
                words = path.read_text().strip().splitlines()
                said.append(words[-1] if words else f"a worker ended with {process.returncode}")
    return said


def _report(folder: Path, group: list[Part], plan: Plan, names: set[str], asked: Asked) -> None:
    jobs = Jobs(folder / JOBS)
    done = {job.name for job in jobs.all() if job.state == "done" and job.name in names}
    jobs.close()
    camera, report = group[0].camera, missed.Report()
    for part in group:
        for chain in missed.chains([row for row in part.rows if row.path in done]):
            missed.compare(folder, part, chain, plan, report)
    rotate = plan_of(group[0]).cameras[camera].source.options.get("rotate")
    urls = missed_page.pictures([(part, rotate) for part in group], report.findings)
    stage = plan.detectors[plan.cameras[camera].detectors[0]]
    how = f"Examined with {stage.options.get('model', stage.type)}"
    how += f", size {stage.options['size']}" if stage.options.get("size") else ""
    missed_page.write(folder / "report.html", camera, report, urls, how)
    values = _values(camera, report, len(done), len(names))
    (folder / "report.json").write_text(json.dumps(values, indent=1))
    _write_visits(folder / "visits.jsonl", report)
    if asked.as_json:
        print(json.dumps(values))
        return
    _show(camera, report, len(done), len(names), folder)


def _values(camera: str, report: missed.Report, done: int, asked: int) -> dict[str, Any]:
    return {
        "camera": camera, "segments": asked, "examined": done, "frames": report.frames,
        "looked_live": report.looked, "damaged_live": report.damaged,
        "visits": len(report.visits), "matched": report.matched,
        "findings": [asdict(one) for one in report.findings],
        "alerts": [
            {"was": was and was.key, "now": now and now.key, "is": said}
            for was, now, said in paired(report.was, report.now)
        ],
    }  # fmt: skip


def _write_visits(path: Path, report: missed.Report) -> None:
    """Write each track as a JSON line: boxes of every frame, px, gaps filled and smoothed."""
    with path.open("w") as file:
        for one in report.visits:
            said = {
                "track_id": one.track_id, "class_name": one.class_name,
                "t_wall_ns": one.wall_ns.tolist(), "t_media_ns": one.t_ns.tolist(),
                "boxes": [[round(v, 2) for v in box] for box in one.boxes.tolist()],
                "seen": one.seen.tolist(), "scores": [round(v, 4) for v in one.scores.tolist()],
            }  # fmt: skip
            file.write(json.dumps(said) + "\n")


def _show(camera: str, report: missed.Report, done: int, asked: int, folder: Path) -> None:
    screen = console()
    looked = report.looked / max(1, report.frames)
    damaged = f"; {report.damaged} were damaged" if report.damaged else ""
    screen.print(Text(f"{camera}: {done} of {asked} segments, {report.frames} pictures; "
                      f"live looked at {looked:.0%} of them{damaged}"))  # fmt: skip
    table = sheet("missed live (UTC)", "what", "for", "score", "why")
    for one in report.findings:
        when = datetime.fromtimestamp(one.start_wall_ns / 1e9, UTC)
        table.add_row(
            f"{when:%Y-%m-%d %H:%M:%S}", one.class_name, f"{one.seconds:.1f} s",
            f"{one.score:.2f}", Text(f"{one.cause}: {one.text}"),
        )  # fmt: skip
    if report.findings:
        screen.print(table)
    else:
        screen.print(Text(f"live missed none of {report.matched} tracks"))
    counts: dict[str, int] = {}
    for was, now, said in paired(report.was, report.now):
        kind = said if was is None or now is None or said == "same" else "moved"
        counts[kind] = counts.get(kind, 0) + 1
    if counts:
        words = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        screen.print(Text(f"alerts by the same rules: {words}"))
    screen.print(Text(f"{folder}/report.html, report.json, visits.jsonl"))
