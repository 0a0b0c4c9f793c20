"""`perception top`: latency of a running line by step. Command line only."""

import json
import math
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from perception.client import connect
from perception.commands.console import console
from perception.errors import ConfigError
from perception.recording.ledger import STEPS, Ledger
from perception.recording.sheet import Sheet
from perception.transport import rundir

_SILENT_S = 2.0


def run(name: str | None, *, once: bool, as_json: bool) -> int:
    """Show a line until it ends or Ctrl-C. once: print one table after 2 s. Raises ConfigError."""
    line = connect(name or _only_one())
    screen = console()
    ledgers = line.ledger()
    if once or as_json or not screen.is_terminal:
        for ledger in _after(ledgers, 2.0):
            if as_json:
                print(json.dumps(_values(line.cameras, ledger)), flush=True)
            else:
                screen.print(_picture(line.name, line.cameras, ledger))
            if once or not as_json:
                break
        return 0
    with Live(console=screen, auto_refresh=False, screen=True) as live:
        for ledger in ledgers:
            live.update(_picture(line.name, line.cameras, ledger), refresh=True)
    screen.print(Text(f"{line.name} has ended"))
    return 0


def _only_one() -> str:
    alive = rundir.running()
    if len(alive) != 1:
        some = ", ".join(alive) or "none"
        raise ConfigError(f"name the run to look at; alive now: {some}")
    return alive[0]


def _after(ledgers: Iterator[Ledger], seconds: float) -> Iterator[Ledger]:
    start = time.monotonic()
    for ledger in ledgers:
        if time.monotonic() - start >= seconds:
            yield ledger


def _picture(name: str, cameras: list[str], ledger: Ledger) -> RenderableType:
    parts: list[RenderableType] = [Text(f"run {name}, the last 5 s; times in ms", style="dim")]
    numbers = ("frames", "p50", "p95", "p99")
    for camera in cameras:
        rates = ", ".join(
            f"{what} {ledger.rate(f'{what}.{camera}'):.1f}/s"
            for what in ("read", "detected", "tracked", "recorded")
            if what != "recorded" or ledger.counted(f"recorded.{camera}")
        )
        table = Sheet(camera, *numbers, right=numbers)
        for step in ledger.steps(camera):
            times = (f"{ms:.1f}" for ms in step[2:])
            table.add_row(STEPS[step.name], f"{step.frames}", *times)
        parts += [Text(rates), table]
        drops = ledger.counted(f"dropped.{camera}.")
        if damaged := ledger.counted(f"damaged.{camera}."):
            said = ", ".join(f"{kind} {n}" for kind, n in damaged.items())
            parts.append(Text(f"damaged by loss since the start: {said}", style="yellow"))
        if late := _late(ledger, camera):
            parts.append(Text(f"older than the budget since the start: {late}", style="yellow"))
        if drops:
            said = ", ".join(f"{cause.replace('_', ' ')} {n}" for cause, n in drops.items())
            parts.append(Text(f"not used since the start: {said}", style="yellow"))
    table = Sheet("process", "pid", "state", "cores", "peak MB", "", right=("pid", "cores"))
    for process in ledger.processes():
        state = process.state if process.silent_s < _SILENT_S else "silent"
        cores = "-" if math.isnan(process.cpu) else f"{process.cpu:.2f}"
        peak = f"{process.rss_bytes / 1e6:.0f}"
        note = Text(process.note, style="yellow")
        table.add_row(process.name, str(process.pid), state, cores, peak, note)
    parts.append(table)
    return Group(*parts)


def _late(ledger: Ledger, camera: str) -> int:
    return sum(ledger.counted(f"over_budget.{camera}").values())


def _values(cameras: list[str], ledger: Ledger) -> dict[str, Any]:
    """Return the values for JSON."""
    return {
        "cameras": {
            camera: {
                "rates": {
                    what: round(ledger.rate(f"{what}.{camera}"), 2)
                    for what in ("read", "detected", "tracked")
                },
                "steps": {
                    step.name: {
                        "frames": step.frames,
                        "p50_ms": round(step.p50_ms, 3),
                        "p95_ms": round(step.p95_ms, 3),
                        "p99_ms": round(step.p99_ms, 3),
                    }
                    for step in ledger.steps(camera)
                },
                "damaged": ledger.counted(f"damaged.{camera}."),
                "dropped": ledger.counted(f"dropped.{camera}."),
                "over_budget": _late(ledger, camera),
            }
            for camera in cameras
        },
        "processes": {
            process.name: {
                "pid": process.pid,
                "state": process.state,
                "cores": None if math.isnan(process.cpu) else round(process.cpu, 3),
                "peak_bytes": process.rss_bytes,
                "note": process.note,
            }
            for process in ledger.processes()
        },
    }
