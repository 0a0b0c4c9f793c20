"""`perception check`: prints what would run and what it needs. Only the sources are opened.

Command line only.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.text import Text

from perception import assets, draw
from perception.commands import load, recordings
from perception.commands.check_telemetry import telemetry_notes
from perception.commands.console import console, say, sheet
from perception.errors import EXIT_DONE, EXIT_SOURCE, PerceptionError, RingError, SourceError
from perception.launchfile import build as stages
from perception.processes.camera import may_come_back
from perception.recording import report
from perception.rules.zones import Line, Zone
from perception.sources import Image, allocate_new
from perception.transport import ring_map, rundir
from perception.transport.sockets import endpoint
from perception.wire.plan import CameraPlan, Plan

LOOK_S = 8.0
_TOPICS = {
    "camera": ("frames",),
    "detection": ("detections",),
    "tracking": ("tracks",),
    "lanes": ("lanes",),
    "identity": ("identities",),
    "alert": ("alerts",),
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """The first frame of a source and its rate, Hz; or why there is none, and whether it is
    permanent.
    """

    image: Image | None = None
    fps: float | None = None
    why: str = ""
    is_lasting: bool = False


def show(what: Plan, pictures: Path | None) -> int:
    """Print the resolved plan. Return the exit code: 3 where a run would fail.

    A camera that is off is a warning, because a run tries again. A file that cannot be opened, or
    too little shared memory, gives 3.
    """
    screen = console()
    seen: dict[str, _Seen] = {}
    for name, camera in what.cameras.items():
        with screen.status(f"looking at {name}"):
            seen[name] = _look(camera)
    screen.print(Text(f"{what.file}: {what.name}", style="bold"))
    _cameras(what, seen)
    _models(what)
    _processes(what)
    problem = _memory(what, seen)
    too_much = _load(what, seen)
    if what.recordings is not None:
        say(screen, recordings.room(what.recordings))
    for name, camera in what.cameras.items():
        with screen.status(f"looking at the telemetry of {name}"):
            notes = telemetry_notes(camera)
        for note in notes:
            say(screen, Text(note))
    if pictures is not None:
        for name, found in seen.items():
            image, note = found.image, ""
            if image is None:
                image, note = np.full((720, 1280, 3), 96, np.uint8), " (grey: no picture)"
            screen.print(f"still: {_draw(what.cameras[name], image, pictures)}{note}")
    failed = [name for name, found in seen.items() if found.is_lasting]
    for name, found in seen.items():
        if name in failed:
            say(screen, Text(f"{name}: {found.why}", style="red"))
        elif found.why and what.cameras[name].source.type != "push":
            warning = f"{name}: no picture now, a run goes on trying: {found.why}"
            say(screen, Text(warning, style="yellow"))
    if too_much:
        say(screen, Text(too_much, style="yellow"))
    if problem:
        say(screen, Text(problem, style="red"))
    return EXIT_SOURCE if failed or problem else EXIT_DONE


def sizes(what: Plan) -> dict[str, tuple[int, int, float]]:
    """Return height, width and fps of the cameras whose sources can be opened now."""
    found: dict[str, tuple[int, int, float]] = {}
    for name, camera in what.cameras.items():
        if camera.source.type in ("video", "images", "synthetic"):
            seen = _look(camera)
            if seen.image is not None:
                found[name] = (*seen.image.shape[:2], seen.fps or stages.DEFAULT_FPS)
    return found


def _look(camera: CameraPlan) -> _Seen:
    """Open a source and read its first frame, as the camera process does."""
    if camera.source.type == "push":
        return _Seen(why="frames come from your own process")
    try:
        source = stages.make_source(camera, None)
    except PerceptionError as error:
        return _Seen(why=str(error), is_lasting=True)
    deadline = time.monotonic() + LOOK_S
    try:
        source.open()
        while time.monotonic() < deadline:
            frame = source.read(allocate_new)
            if frame is not None:
                return _Seen(frame.image, source.fps)
        return _Seen(why=f"no frame within {LOOK_S:.0f} s")
    except PerceptionError as error:
        is_passing = isinstance(error, SourceError) and may_come_back(camera, error)
        return _Seen(why=str(error), is_lasting=not is_passing)
    finally:
        source.close()


def _cameras(what: Plan, seen: dict[str, _Seen]) -> None:
    table = sheet("camera", "source", "picture", "detector", "rules")
    for name, camera in what.cameras.items():
        found = seen[name]
        if found.image is None:
            picture = Text(found.why if camera.source.type == "push" else "none", style="dim")
        else:
            rate = f" {found.fps:.4g} fps" if found.fps else ""
            picture = Text(f"{found.image.shape[1]}x{found.image.shape[0]}{rate}")
        rules = ", ".join(f"{k} ({rule.type})" for k, rule in camera.rules.items()) or "-"
        limit = f" at most {camera.rate_hz:g}/s" if camera.rate_hz else ""
        limit += f", auto, all every {camera.sweep_s:g} s" if camera.sweep_s else ""
        if camera.tiles:
            budget = camera.tiles["budget_ms"]
            limit += f", tiles in {budget:g} ms" if budget else ", all tiles"
        source = report.shown_source(what, name)
        table.add_row(name, source, picture, " + ".join(camera.detectors) + limit, rules)
    console().print(table)


def _models(what: Plan) -> None:
    table = sheet("detector", "model", "licence", "backend")
    for name, model in report.models(what).items():
        table.add_row(name, model.name, model.licence, model.runtime)
    if what.identity is not None:
        embedder = what.identity.embedder
        model = str(embedder.options.get("model", embedder.type))
        for face in ("yunet", model):
            table.add_row("identity", face, assets.licence(face), "opencv")
    console().print(table)


def _processes(what: Plan) -> None:
    folder = rundir.base_dir() / what.name
    table = sheet("process", "threads", "publishes at")
    for process in what.processes:
        places = [
            endpoint(folder, topic, camera)
            for topic in _TOPICS.get(process.kind, ())
            for camera in process.cameras
        ]
        table.add_row(process.name, str(process.threads), "\n".join(places) or "-")
    console().print(table)


def _memory(what: Plan, seen: dict[str, _Seen]) -> str:
    table = sheet("shared memory", "frames", "MB at most")
    known: dict[str, tuple[int, int, float]] = {}
    for name, found in seen.items():
        if found.image is not None:
            known[name] = (*found.image.shape[:2], found.fps or stages.DEFAULT_FPS)
        else:
            table.add_row(name, "-", "made with its first frame")
    problem = ""
    try:
        needed = memory_needed(what, known)
    except RingError as error:
        needed, problem = {}, str(error)
    for name, size in needed.items():
        slots = stages.slots_for(what.cameras[name], known[name][2])
        table.add_row(name, str(slots), f"{size / 1e6:.0f}")
    table.add_row("free", "", f"{ring_map.free_bytes() / 1e6:.0f}")
    console().print(table)
    return problem


def _load(what: Plan, seen: dict[str, _Seen]) -> str:
    """Print the expected CPU load. Return a warning where it is too much, else ""."""
    sizes = {
        name: (*found.image.shape[:2], found.fps)
        for name, found in seen.items()
        if found.image is not None
    }
    loads = load.expected(what, sizes)
    console().print(load.table(loads))
    return load.warning(loads)


def _draw(camera: CameraPlan, image: Image, folder: Path) -> Path:
    draw.zones(image, {k: Zone.model_validate(v).points for k, v in camera.zones.items()})
    lines = {k: Line.model_validate(v) for k, v in camera.lines.items()}
    draw.lines(
        image,
        {k: line.points for k, line in lines.items()},
        {k: f"{k}: {line.names[0]}" for k, line in lines.items()},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{camera.name}.png"
    cv2.imwrite(str(path), image)
    return path


def memory_needed(what: Plan, sizes: dict[str, tuple[int, int, float]]) -> dict[str, int]:
    """Return the bytes of shared memory of each camera's ring.

    sizes: height, width, fps by camera.

    Computed for BGR. 8-bit YUV 4:2:0, as most files and streams have it, needs half of it.
    Raises RingError where /dev/shm has less than their sum.
    """
    needed = {
        name: ring_map.bytes_needed(stages.slots_for(what.cameras[name], fps), height, width)
        for name, (height, width, fps) in sizes.items()
    }
    total, free = sum(needed.values()), ring_map.free_bytes()
    if total > free:
        raise RingError(
            f"the cameras need {total / 1e6:.0f} MB of /dev/shm, {free / 1e6:.0f} MB are free: "
            "enlarge it (docker: --shm-size) or lower `keep_s`"
        )
    return needed
