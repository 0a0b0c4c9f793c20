"""The command line: `perception ...`. A command imports heavy rooms only when it runs.

Printed text is for people; programs read the files in the output folder.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from perception import __version__
from perception.commands.page import users_app
from perception.commands.recorded import (
    examine,
    recordings_app,
    replay,
    search,
    why,
)
from perception.commands.scored import labels, score
from perception.commands.stored import alerts_app, enroll, gallery_app, models_app
from perception.errors import ConfigError, PerceptionError

EXIT_CODES = (
    "Exit codes: 0 done; 2 a launch file or option is wrong; 3 a source failed or cannot be "
    "opened, or shared memory is too small; 4 a model cannot be had or used; 70 a bug."
)

app = typer.Typer(
    name="perception",
    help="Real-time video perception for vehicles, drones and doorways.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(models_app, name="models")
app.add_typer(gallery_app, name="gallery")
app.add_typer(alerts_app, name="alerts")
app.add_typer(recordings_app, name="recordings")
app.add_typer(users_app, name="users")

LaunchFile = Annotated[Path, typer.Argument(help="launch file (YAML)", show_default=False)]
Name = Annotated[str | None, typer.Option(help="name of the run; default: that of the launch file")]


def main() -> None:
    """Run the command line; print an error of this package as one line, set the exit code."""
    try:
        refuse_other_package()
        app()
    except PerceptionError as error:
        from perception import logs

        print(f"perception: {logs.mask(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def refuse_other_package() -> None:
    """Raise ConfigError where files of PyPI's package `perception` are installed.

    It has the same import name, so the one installed last has overwritten files of the other.
    """
    for entry in sys.path:
        if (Path(entry or ".") / "perception" / "hashers").is_dir():
            raise ConfigError(
                f"{Path(entry or '.') / 'perception'} has files of another package, PyPI's "
                "'perception'; pip uninstall perception, then install perception-line again"
            )


def _version(wanted: bool) -> None:
    if wanted:
        print(f"perception {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version")
    ] = False,
) -> None:
    del version


@app.command()
def run(
    launch: LaunchFile,
    name: Name = None,
    show: Annotated[bool, typer.Option(help="show a window with the newest frames")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="process that you start yourself with `stage`")
    ] = None,
) -> None:
    """Run a line until its sources end or Ctrl-C. A second Ctrl-C kills it at once."""
    from perception.commands import start as launching

    plan = launching.load_plan(launch, name)
    sys.exit(
        launching.run_live(
            plan, show=show, without=without or [], load=lambda: launching.load_plan(launch, name)
        )
    )


@app.command()
def reload(
    run: Annotated[str | None, typer.Argument(help="name; default: the only one running")] = None,
) -> None:
    """Apply changed zones, lines and rules of the launch file to a running line.

    Cameras and detection go on. Exit code 2: refused, the line is unchanged.
    """
    from perception.commands import start as launching

    sys.exit(launching.reload(run))


@app.command()
def demo(
    which: Annotated[str, typer.Argument(help="line, vehicle or drone")] = "line",
    detector: Annotated[str, typer.Option(help="onnx or ultralytics (if installed)")] = "onnx",
    output: Annotated[
        Path | None, typer.Option(help="folder for the results; default: recordings/demo")
    ] = None,
    show: Annotated[bool, typer.Option(help="show a window with the newest frames")] = False,
    web: Annotated[bool, typer.Option("--web", help="serve the page too, on this host")] = False,
) -> None:
    """Download the default model and two clips, run launch/demo.yaml and show the results.

    vehicle: launch/vehicle-demo.yaml on one clip: metres, time to collision, collision alerts.
    drone: simulates a flight, analyses it and writes a map.
    """
    from perception.commands import start as launching

    if which == "drone":
        from perception.commands import drone_demo

        sys.exit(drone_demo.run(output or Path("recordings/demo-drone")))
    sys.exit(launching.run_demo(detector, output, which=which, show=show, web=web))


@app.command()
def check(
    launch: LaunchFile,
    picture: Annotated[
        Path | None,
        typer.Option(help="write a picture of each camera with its zones and lines to this folder"),
    ] = None,
) -> None:
    """Validate a launch file and print what would run. No line is started.

    A camera without a picture is a warning. A file that cannot be opened gives exit code 3.
    """
    from perception.commands import check as checking
    from perception.commands import start as launching

    plan = launching.load_plan(launch, None)
    launching.warm_up(plan)
    sys.exit(checking.show(plan, picture))


@app.command()
def calibrate(
    launch: LaunchFile,
    camera: Annotated[str | None, typer.Option(help="its name; default: the first")] = None,
    height: Annotated[
        float | None, typer.Option(help="camera above the ground, m; default: that in the file")
    ] = None,
    fov: Annotated[
        float | None, typer.Option(help="horizontal view, degrees; default: that in the file")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(help="four times X,Y=M,M: a ground point in fractions and in metres"),
    ] = None,
    picture: Annotated[Path, typer.Option(help="picture with rings at 5, 10, 20 and 50 m")] = Path(
        "calibration.png"
    ),
) -> None:
    """Calibrate a camera: find its horizon from lane lines or motion, or use four points on the
    ground. Prints the lines for the launch file, and draws 5, 10, 20 and 50 m on a picture.
    """
    from perception.commands import calibrate as calibrating

    asked = calibrating.Asked(height, fov, point or [], picture)
    sys.exit(calibrating.run(launch, camera, asked))


@app.command()
def top(
    run: Annotated[str | None, typer.Argument(help="name; default: the only one running")] = None,
    once: Annotated[bool, typer.Option(help="print one table after 2 s")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON lines")] = False,
) -> None:
    """Show the latency of a running line by step, live."""
    from perception.commands import top as showing

    sys.exit(showing.run(run, once=once, as_json=as_json))


@app.command()
def schema() -> None:
    """Print the JSON Schema of launch files, for editors."""
    import json

    from perception.launchfile.json_schema import launch_schema

    print(json.dumps(launch_schema(), indent=2))


@app.command()
def warm() -> None:
    """Compile all kernels once. `run` and `demo` do it by themselves."""
    from perception.commands import start as launching

    launching.warm_up()


@app.command()
def stage(
    process: Annotated[str, typer.Argument(help="process of the plan, e.g. tracking")],
    run: Annotated[str, typer.Option(help="name of the running line")],
) -> None:
    """Run one process of a line in this terminal (for `run --without PROCESS`)."""
    from perception.commands.start import run_stage

    sys.exit(run_stage(process, run))


@app.command()
def bag(
    tracks: Annotated[Path, typer.Argument(help="tracks-<camera>.jsonl of a run or an analysis")],
    out: Annotated[Path, typer.Argument(help="folder of the ROS 2 bag; must not exist")],
) -> None:
    """Write tracks to a ROS 2 bag: vision_msgs/Detection2DArray, and JSON text."""
    from perception.recording.bag import write_bag
    from perception.recording.tracks import read_tracks

    print(f"{out}: {write_bag(read_tracks(tracks), out)} frames")


@app.command()
def analyze(
    videos: Annotated[list[Path], typer.Argument(help="videos, or folders of videos or images")],
    launch: Annotated[
        Path | None, typer.Option(help="launch file with one camera, for rules, zones and options")
    ] = None,
    output: Annotated[Path, typer.Option(help="folder for the results")] = Path(
        "recordings/analysis"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="number of recordings in parallel")] = 1,
    video: Annotated[bool, typer.Option(help="write the annotated video")] = True,
    fps: Annotated[
        float | None,
        typer.Option(min=0.01, max=1000, help="images are a video: its frames per second"),
    ] = None,
) -> None:
    """Analyse every frame of recordings, with the stages of `run`; deterministic.

    Images in a folder are independent: objects in coco-*.json and drawn in annotated-*/, no
    tracks. With --fps they are the frames of a video.
    """
    from perception.commands import start as launching

    sys.exit(launching.run_analysis(videos, launch, output, jobs=jobs, video=video, fps=fps))


app.command()(enroll)
app.command()(examine)
app.command()(search)
app.command()(labels)
app.command()(replay)
app.command()(score)
app.command()(why)
