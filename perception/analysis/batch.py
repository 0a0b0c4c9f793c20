"""Many recordings, each in a process of its own, so many side by side; progress by callback."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from perception.errors import ConfigError, SourceError
from perception.launchfile import config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import Document, parse
from perception.processes.runtime import thread_environment
from perception.recording.output import clear
from perception.recording.summary import Summary
from perception.sinks import FILES
from perception.sources.spec import IMAGE_SUFFIXES, is_bag, pictures_in_data
from perception.telemetry.finding import LIVE, find
from perception.wire import plan
from perception.wire.plan import Plan

VIDEO_SUFFIXES = frozenset(
    {".avi", ".h264", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm"}
)

_KEPT = {
    "bag": ("topic", "odometry", "levels_16bit", "rotate", "start_s", "duration_s"),
    "images": ("fps", "timestamps", "rotate", "start_s", "duration_s"),
    "video": ("rotate", "start_s", "duration_s"),
}
"""Options of a launch file's source that hold for a recording, by what it is."""

Progress = Callable[[Path, int, int | None], None]


def recordings(places: Sequence[Path]) -> list[Path]:
    """Return the recordings that files and folders stand for: videos, bags, or a folder of images.

    Raises SourceError where a place is not there or has neither.
    """
    found: list[Path] = []
    for place in places:
        if is_bag(place) and place.exists():
            found.append(place)
        elif place.is_dir():
            inside = sorted(p for p in place.iterdir() if p.is_file())
            videos = [p for p in inside if p.suffix.lower() in VIDEO_SUFFIXES]
            if videos:
                found += videos
            elif any(p.suffix.lower() in IMAGE_SUFFIXES for p in inside) or pictures_in_data(place):
                found.append(place)
            else:
                raise SourceError(f"{place}: neither videos, images nor a ROS bag in this folder")
        elif place.exists():
            found.append(place)
        else:
            raise SourceError(f"{place}: no such file or folder")
    return found


def plans(
    found: Sequence[Path],
    launch: config.Launch | None,
    document: Document | None,
    output: Path,
    *,
    video: bool,
    fps: float | None = None,
) -> dict[Path, Plan]:
    """Return a plan for each recording: the launch file's one camera with its source replaced.

    fps: folders of images are films of so many pictures a second.
    """
    if launch is None or document is None:
        document = parse("cameras: {recording: {source: push}}", "the default")
        launch = document.validate(config.Launch, document.data)
    if len(launch.cameras) != 1:
        names = ", ".join(launch.cameras)
        raise ConfigError(
            f"analyze needs a launch file with one camera, this has {len(launch.cameras)}: {names}",
            document.file,
        )
    camera = next(iter(launch.cameras.values()))
    files = {k: v for k, v in launch.alerts.sinks.items() if v.get("type", k) in FILES}
    made: dict[Path, Plan] = {}
    folders: set[str] = set()
    for path in found:
        reader = _telemetry(camera, path)
        name = _unique(re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:36], folders)
        changes = {"source": _source(camera, path, fps), "telemetry": reader}
        changed = launch.model_copy(
            update={
                "name": name,
                "alerts": launch.alerts.model_copy(update={"sinks": files}),
                "cameras": {name: camera.model_copy(update=changes)},
                "output": launch.output.model_copy(
                    update={"folder": output / name, "video": video, "tracks": True}
                ),
            }
        )
        moved = Document(document.file, document.data, {})
        made[path] = resolving.resolve(changed, moved, realtime=False)
    return made


def run(work: dict[Path, Plan], progress: Progress, *, jobs: int = 1) -> dict[Path, Summary | str]:
    """Analyse each recording in a process of its own, `jobs` at a time.

    Returns the summary of each, or the sentence that says why there is none.
    """
    threads = max(1, len(os.sched_getaffinity(0)) // (jobs + 1))
    requests = 2 if jobs == 1 else 1
    with ThreadPoolExecutor(jobs) as pool, tempfile.TemporaryDirectory() as folder:
        futures = {
            path: pool.submit(
                _run_one, path, what, Path(folder) / f"{n}.json", threads, requests, progress
            )
            for n, (path, what) in enumerate(work.items())
        }
        try:
            return {path: future.result() for path, future in futures.items()}
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_one(
    path: Path, what: Plan, file: Path, threads: int, requests: int, progress: Progress
) -> Summary | str:
    clear(Path(what.folder))
    file.write_bytes(plan.encode(what))
    command = [sys.executable, "-m", "perception.analysis", str(file), str(threads), str(requests)]
    environment = {**os.environ, **thread_environment(threads)}
    errors: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
        reader.start()
        for line in process.stdout:
            done, _, total = line.partition(" of ")
            progress(path, int(done), int(total) or None)
        reader.join(timeout=5)
    if process.returncode == 0:
        return Summary.load(Path(what.folder) / "summary.json")
    said = [line.strip() for line in errors if line.strip()]
    return said[-1] if said else f"{path}: ended with {process.returncode}"


def _source(camera: config.Camera, path: Path, fps: float | None) -> dict[str, Any]:
    """Return the recording as a source that keeps the launch file's other options of its kind."""
    given: dict[str, Any] = camera.source if isinstance(camera.source, dict) else {}
    if is_bag(path):
        kind = "bag"
    elif path.is_dir() or path.suffix.lower() in IMAGE_SUFFIXES:
        kind = "images"
    else:
        kind = "video"
    kept = {key: value for key, value in given.items() if key in _KEPT[kind]}
    if kind == "images" and fps is not None:
        kept["fps"] = fps
    return {"type": kind, "path": str(path), **kept}


def _telemetry(camera: config.Camera, path: Path) -> dict[str, Any] | None:
    """Return the telemetry of a recording: the launch file's, or what stands beside or inside it.

    A launch file's reader of a live vehicle has nothing to say of a recording.
    """
    given = camera.telemetry
    if given is None or given.get("type") in LIVE:
        found = find(path)
        return None if found is None else {"type": found}
    return given


def _unique(name: str, taken: set[str]) -> str:
    name = name or "recording"
    candidate, n = name, 1
    while candidate in taken:
        n += 1
        candidate = f"{name}-{n}"
    taken.add(candidate)
    return candidate
