"""`perception check`: what would run, and what it needs; nothing is started but a look at sources.

Command line only.
"""

import time
from pathlib import Path

import cv2
import numpy as np
from rich.text import Text

from perception import assets, draw, report, stages
from perception.console import console, sheet
from perception.errors import EXIT_DONE, EXIT_SOURCE, PerceptionError, RingError, SourceLost
from perception.plan import CameraPlan, Plan
from perception.rules.zones import Line, Zone
from perception.sources import Image, allocate_new
from perception.transport import ring, rundir
from perception.transport.bus import endpoint

LOOK_S = 8.0
_TOPICS = {
    "camera": ("frames",),
    "detection": ("detections",),
    "tracking": ("tracks",),
    "identity": ("identities",),
    "alert": ("alerts",),
}


def show(what: Plan, pictures: Path | None) -> int:
    """Print the resolved plan; return the exit code: 3 where a file cannot be opened."""
    screen = console()
    seen: dict[str, tuple[Image | None, float | None, str]] = {}
    for name, camera in what.cameras.items():
        with screen.status(f"looking at {name}"):
            seen[name] = _look(camera)
    screen.print(Text(f"{what.file}: {what.name}", style="bold"))
    _cameras(what, seen)
    _models(what)
    _processes(what)
    problem = _memory(what, seen)
    if pictures is not None:
        for name, (image, _, why) in seen.items():
            empty = image is None
            still = np.full((720, 1280, 3), 96, np.uint8) if image is None else image
            note = f" (without a picture: {why})" if empty else ""
            screen.print(f"still: {_draw(what.cameras[name], still, pictures)}{note}")
    # A live camera that is off now may be on when the line runs; a file that is not there will not.
    bad = [name for name, (image, _, _) in seen.items() if image is None]
    unready = [name for name in bad if what.cameras[name].source.type in ("video", "images")]
    for name in bad:
        why = Text(f"{name}: {seen[name][2]}", style="red" if name in unready else "yellow")
        screen.print(why)
    if problem:
        screen.print(f"[red]{problem}[/]")
    return EXIT_SOURCE if unready or problem else EXIT_DONE


def sizes(what: Plan) -> dict[str, tuple[int, int, float]]:
    """Return height, width and fps of cameras that can be looked into before they run."""
    found: dict[str, tuple[int, int, float]] = {}
    for name, camera in what.cameras.items():
        if camera.source.type in ("video", "images", "synthetic"):
            image, fps, _ = _look(camera)
            if image is not None:
                found[name] = (*image.shape[:2], fps or stages.DEFAULT_FPS)
    return found


def _look(camera: CameraPlan) -> tuple[Image | None, float | None, str]:
    """Return the first frame of a source and its rate, or why there is none."""
    if camera.source.type == "push":
        return None, None, "frames come from your own process"
    try:
        source = stages.make_source(camera, None)
    except PerceptionError as error:
        return None, None, str(error)
    deadline = time.monotonic() + LOOK_S
    try:
        source.open()
        while time.monotonic() < deadline:
            frame = source.read(allocate_new)
            if frame is not None:
                return frame.image, source.fps, ""
        return None, None, f"no frame within {LOOK_S:.0f} s"
    except (PerceptionError, SourceLost) as error:
        return None, None, str(error)
    finally:
        source.close()


def _cameras(what: Plan, seen: dict[str, tuple[Image | None, float | None, str]]) -> None:
    table = sheet("camera", "source", "picture", "detector", "rules")
    table.columns[1].overflow = "fold"
    for name, camera in what.cameras.items():
        image, fps, why = seen[name]
        if image is None:
            picture = Text(why, style="dim" if camera.source.type == "push" else "red")
        else:
            rate = f" {fps:.4g} fps" if fps else ""
            picture = Text(f"{image.shape[1]}x{image.shape[0]}{rate}")
        rules = ", ".join(f"{k} ({rule.type})" for k, rule in camera.rules.items()) or "-"
        limit = f" at most {camera.rate_hz:g}/s" if camera.rate_hz else ""
        limit += f", {camera.motion_gate:g}/s at rest" if camera.motion_gate else ""
        source = report.shown_source(what, name)
        table.add_row(name, Text(source), picture, camera.detector + limit, rules)
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


def _memory(what: Plan, seen: dict[str, tuple[Image | None, float | None, str]]) -> str:
    table = sheet("shared memory", "frames", "MB")
    known: dict[str, tuple[int, int, float]] = {}
    for name, (image, fps, _) in seen.items():
        if image is not None:
            known[name] = (image.shape[0], image.shape[1], fps or stages.DEFAULT_FPS)
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
    table.add_row("free", "", f"{ring.free_bytes() / 1e6:.0f}")
    console().print(table)
    return problem


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
    """Return bytes of shared memory of each camera's ring; sizes: height, width, fps by camera.

    Raises RingError where /dev/shm has less than their sum.
    """
    needed = {
        name: ring.bytes_needed(stages.slots_for(what.cameras[name], fps), height, width)
        for name, (height, width, fps) in sizes.items()
    }
    total, free = sum(needed.values()), ring.free_bytes()
    if total > free:
        raise RingError(
            f"the cameras need {total / 1e6:.0f} MB of /dev/shm, {free / 1e6:.0f} MB are free: "
            "enlarge it (docker: --shm-size) or lower `keep_s`"
        )
    return needed
