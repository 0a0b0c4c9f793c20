"""State of the line: latency by step, processes, the disk, the last lines of the log."""

import math
import shutil
from pathlib import Path

from fastapi import Query, Request
from pydantic import BaseModel

from perception import logs
from perception.recording.ledger import STEPS, Ledger
from perception.web import VERSION
from perception.web.permissions import Routes, who_of
from perception.web.site import Site

api = Routes("system")
_TAIL_BYTES = 64 << 10


class StepOut(BaseModel):
    """A step of a camera's frames in the last 5 s, ms."""

    name: str
    title: str
    frames: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class CameraState(BaseModel):
    """A camera now. rates: frames a second. dropped: frames by cause since the start."""

    camera: str
    rates: dict[str, float]
    steps: list[StepOut]
    dropped: dict[str, int]


class ProcessOut(BaseModel):
    """A process now. cores: used in the last 5 s, null: not known yet."""

    name: str
    pid: int
    state: str
    cores: float | None
    peak_bytes: int
    note: str
    silent_s: float


class Disk(BaseModel):
    """The disk of the results."""

    free_bytes: int
    total_bytes: int


class State(BaseModel):
    """State of the line."""

    run: str
    version: str
    live: bool
    viewers: int
    cameras: list[CameraState]
    processes: list[ProcessOut]
    disk: Disk | None


class Log(BaseModel):
    """Last lines of the log, the oldest first."""

    lines: list[str]


@api.add("GET", "/system", may="viewer", camera="filtered")
def system(request: Request) -> State:
    """Return the state of the line; processes and disk to operators only."""
    site: Site = request.app.state.site
    who = who_of(request)
    ledger: Ledger = request.app.state.ledger
    operator = who.may("operator")
    return State(
        run=site.name,
        version=VERSION,
        live=site.is_live,
        viewers=len(site.hub.viewers),
        cameras=[_camera(ledger, name) for name in site.line.cameras if who.sees(name)],
        processes=[
            ProcessOut(
                name=one.name,
                pid=one.pid,
                state=one.state,
                cores=None if math.isnan(one.cpu) else round(one.cpu, 3),
                peak_bytes=one.rss_bytes,
                note=one.note,
                silent_s=round(one.silent_s, 1),
            )
            for one in (ledger.processes() if operator else ())
        ],
        disk=_disk(Path(site.line.folder)) if operator else None,
    )


@api.add("GET", "/system/log", may="admin", camera="none")
def log(request: Request, lines: int = Query(100, ge=1, le=1000)) -> Log:
    """Return the last lines of the log, passwords in them masked."""
    site: Site = request.app.state.site
    path = Path(site.line.folder) / "log.jsonl"
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            found = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        found = []
    return Log(lines=[logs.mask(line) for line in found[-lines:]])


def _camera(ledger: Ledger, name: str) -> CameraState:
    whats = ("read", "detected", "tracked", "recorded")
    return CameraState(
        camera=name,
        rates={what: round(ledger.rate(f"{what}.{name}"), 1) for what in whats},
        steps=[
            StepOut(
                name=step.name,
                title=STEPS[step.name],
                frames=step.frames,
                p50_ms=round(step.p50_ms, 2),
                p95_ms=round(step.p95_ms, 2),
                p99_ms=round(step.p99_ms, 2),
            )
            for step in ledger.steps(name)
        ],
        dropped=ledger.counted(f"dropped.{name}."),
    )


def _disk(folder: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(free_bytes=usage.free, total_bytes=usage.total)
