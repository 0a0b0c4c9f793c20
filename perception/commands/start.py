"""Functions of the commands: load, download, warm up, run, analyse. Command line only."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from perception import assets, detectors
from perception.commands.console import console, downloads, steps
from perception.errors import EXIT_CONFIG, EXIT_DONE, EXIT_SOURCE, ConfigError, SinkError, unknown
from perception.launchfile import config, warm
from perception.launchfile import resolve as resolving
from perception.launchfile.resolve import ASSET
from perception.recording import summary_table
from perception.transport import rundir
from perception.wire.plan import Plan, ProcessPlan

DEFAULT_MODEL = "yolo11n"
DEMOS = {
    "line": ("demo.yaml", "recordings/demo"),
    "vehicle": ("vehicle-demo.yaml", "recordings/vehicle-demo"),
}
"""Launch file and folder of the results of each `perception demo`."""
FACE_FINDER, FACE_MODEL = "yunet", "sface"


def launch_file(name: str) -> Path:
    """Return the path of a launch file of the package."""
    here = Path(__file__).parent.parent
    for folder in (here / "launch_files", here.parent / "launch"):
        if (folder / name).is_file():
            return folder / name
    raise ConfigError(f"{name} did not come with this installation")


def load_plan(path: Path, name: str | None, **changes: Any) -> Plan:
    """Return the plan of a launch file. Downloads its assets with progress bars.

    changes: parts of the launch file to replace, by key. Raises ConfigError.
    """
    launch, document = config.load(path)
    if name is not None:
        changes = {"name": name, **changes}
    launch = launch.model_validate(
        {**launch.model_dump(exclude_unset=True), "name": launch.name} | changes
    )
    fetch(needed_assets(launch))
    _compile_first()
    return resolving.resolve(launch, document)


def alert_store(launch: Path | None, store: Path | None) -> Path:
    """Return the given alert store, or that of a launch file, or the newest of all runs here.

    Raises ConfigError where there is none; nothing is created.
    """
    if store is None and launch is not None:
        store = config.load(launch)[0].store
    if store is None:
        found = Path("recordings").glob("*/alerts.sqlite")
        store = max(found, key=lambda path: path.stat().st_mtime, default=None)
    if store is None:
        raise ConfigError("no run here has alerts: name a launch file with --launch, or --store")
    if not store.is_file():
        raise ConfigError(f"{store}: no alerts yet: there is no such file")
    return store


def needed_assets(launch: config.Launch) -> list[str]:
    """Return the names of the assets that a launch file names."""
    names: list[str] = []
    for camera in launch.cameras.values():
        source = camera.source
        place = source.get("path") if isinstance(source, dict) else source
        if isinstance(place, str) and place.startswith(ASSET):
            names.append(place.removeprefix(ASSET))
    for options in launch.detectors.values():
        given = options.get("model") or _default_model(str(options.get("type", "onnx")))
        names.append(str(given))
    if launch.identity is not None:
        names += [FACE_FINDER, str(launch.identity.embedder.get("model", FACE_MODEL))]
    return [name for name in dict.fromkeys(names) if name in assets.ASSETS]


def fetch(names: Sequence[str]) -> list[Path]:
    """Return the files of assets. Those that are not cached are downloaded with a progress bar."""
    paths: list[Path] = []
    missing = [name for name in names if assets.cached(name) is None]
    if not missing:
        return [assets.fetch(name) for name in names]
    with downloads() as bars:
        for name in names:
            if name not in missing:
                paths.append(assets.fetch(name))
                continue
            task = bars.add_task(f"fetching {name}", total=None)

            def progress(done: int, total: int, task: Any = task) -> None:
                bars.update(task, completed=done, total=total or None)

            paths.append(assets.fetch(name, progress))
            size = paths[-1].stat().st_size
            bars.update(task, completed=size, total=size)
    return paths


def warm_up(plan: Plan | None = None, *, transient: bool = False) -> None:
    """Compile all kernels and, with a plan, load its models, with a progress bar.

    transient: remove the progress bar when done.
    """
    with steps(transient=transient) as bars:
        task = bars.add_task("kernels and models", total=None)

        def progress(done: int, total: int, name: str) -> None:
            del name
            bars.update(task, completed=done, total=total)

        warm.prepare(plan, progress)


def _compile_first() -> None:
    """Compile with a progress bar where that was not done yet: checking options imports stages,
    and these their kernels. The bar goes, as the one that loads the models follows."""
    if not warm.is_compiled():
        warm_up(transient=True)


def run_live(
    plan: Plan,
    *,
    show: bool = False,
    without: Sequence[str] = (),
    fresh: bool = False,
    load: Callable[[], Plan] | None = None,
) -> int:
    """Run a plan with a live view and print the summary. Return the exit code.

    fresh: first remove the results of an earlier run in the output folder. load: see Supervisor.
    """
    from perception.commands import check as checking
    from perception.commands import page
    from perception.commands.live import LiveView
    from perception.supervision.supervisor import Supervisor

    screen = console()
    for name in without:
        plan.process(name)
    if show:
        _check_display()
        plan = _with_window(plan)
    checking.memory_needed(plan, checking.sizes(plan))
    announced = page.announce(plan)
    warm_up(plan)
    with LiveView(screen) as view:
        supervisor = Supervisor(
            plan,
            watch=view.watch,
            on_alert=view.alert,
            without=without,
            fresh=fresh,
            load=load,
        )
        if supervisor.plan.folder != plan.folder:
            screen.print(f"another run writes to {plan.folder}: this one to its own folder")
        screen.print(
            f"run [bold]{supervisor.run_dir.name}[/]: {', '.join(plan.cameras)}; "
            f"log in {supervisor.plan.folder}/log.jsonl; Ctrl-C stops"
        )
        for line in announced:
            screen.print(line, soft_wrap=True)
        code = supervisor.run()
    summary = supervisor.summary(code)
    try:
        summary.write(Path(supervisor.plan.folder) / "summary.json")
    except SinkError as error:
        screen.print(f"[red]{error}[/]")
    screen.print(summary_table.table(summary))
    screen.print(f"results in {supervisor.plan.folder}/")
    return code


def run_demo(
    detector: str,
    output: Path | None,
    *,
    which: str = "line",
    show: bool = False,
    web: bool = False,
) -> int:
    """Run the launch file of a demo, with results in `output`. which: a row of DEMOS.

    web: also serve the page, over plain http on loopback; its users are stored in `output`.
    """
    if which not in DEMOS:
        raise ConfigError(unknown(which, DEMOS, "demos"))
    file, usual = DEMOS[which]
    options = {"type": "onnx", "model": DEFAULT_MODEL, "size": 640}
    if detector == "ultralytics":
        options = {"type": "ultralytics", "model": "yolo11n.pt"}
    elif detector != "onnx":
        raise ConfigError(f"--detector {detector}: expected onnx or ultralytics")
    folder = {"folder": output or Path(usual), "video": True, "tracks": True}
    more: dict[str, Any] = {}
    if web:
        more["web"] = {"http": True, "folder": str((output or Path(usual)) / "web")}
    plan = load_plan(launch_file(file), None, detectors={"default": options}, output=folder, **more)
    return run_live(plan, show=show, fresh=True)


def reload(name: str | None) -> int:
    """Tell a running line to apply its changed launch file. Print the result."""
    alive = rundir.running()
    if name is None and len(alive) != 1:
        raise ConfigError(f"name the run; alive now: {', '.join(alive) or 'none'}")
    answer = rundir.ask_reload(rundir.find(name or alive[0]))
    console().print(Text(answer or "no answer within 10 s"), soft_wrap=True)
    return EXIT_DONE if answer in ("taken", "nothing has changed") else EXIT_CONFIG


def run_stage(process: str, run: str) -> int:
    """Run one process of a running line in this process. Return its exit code."""
    from perception.processes.__main__ import main
    from perception.processes.runtime import wall_epoch

    return main(process, rundir.find(run), wall_epoch(), 0)


def run_analysis(
    videos: Sequence[Path],
    launch: Path | None,
    output: Path,
    *,
    jobs: int,
    video: bool,
    fps: float | None = None,
) -> int:
    """Analyse recordings with progress bars and print their summaries. Return the exit code."""
    from perception.analysis import batch

    loaded = config.load(launch) if launch is not None else (None, None)
    fetch(needed_assets(loaded[0]) if loaded[0] else [DEFAULT_MODEL])
    found = batch.recordings(videos)
    _compile_first()
    plans = batch.plans(found, *loaded, output, video=video, fps=fps)
    if loaded[0] is not None and any(camera.record for camera in loaded[0].cameras.values()):
        console().print("record: analyze records nothing, it reads recordings; left out")
    warm_up()
    with steps() as bars:
        tasks = {path: bars.add_task(path.name, total=None) for path in plans}
        results = batch.run(
            plans,
            lambda path, done, total: bars.update(tasks[path], completed=done, total=total),
            jobs=jobs,
        )
    screen, failed = console(), 0
    for path, result in results.items():
        if isinstance(result, str):
            screen.print(f"[red]{path.name}: {result}[/]")
            failed += 1
        else:
            screen.print(summary_table.table(result))
            screen.print(f"results in {plans[path].folder}/")
    return EXIT_SOURCE if failed else EXIT_DONE


def _default_model(kind: str) -> str | None:
    """Return the default model of a type of detector, if it has one."""
    try:
        fields = detectors.detector_class(kind).Options.model_fields
    except ConfigError:
        return None
    return fields["model"].default if "model" in fields else None


def _check_display() -> None:
    if sys.platform == "linux" and not any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY"))):
        raise ConfigError(
            "--show needs a display, and DISPLAY is not set: leave --show out, or set "
            "`output: {video: true}` for annotated videos"
        )


def _with_window(plan: Plan) -> Plan:
    import msgspec

    window = ProcessPlan(name="show", kind="show", cameras=list(plan.cameras))
    return msgspec.structs.replace(plan, processes=[*plan.processes, window])
