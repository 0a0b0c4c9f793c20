"""The commands for recordings. A command imports heavy rooms only when it runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

recordings_app = typer.Typer(help="Recordings: list, export, verify, erase.", no_args_is_help=True)

LaunchOf = Annotated[
    Path | None,
    typer.Option("--launch", help="launch file of the run; default: the newest under recordings/"),
]
FolderOf = Annotated[Path | None, typer.Option("--folder", help="folder of the recordings")]
Segment = Annotated[str, typer.Argument(help="name of a segment, or a unique part of it")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@recordings_app.command("list")
def list_(
    launch: LaunchOf = None,
    folder: FolderOf = None,
    camera: Annotated[str | None, typer.Option(help="only this camera")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=100_000, help="number of rows, newest last")
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """List segments, losses and the number of deletions."""
    from perception.commands import recordings

    recordings.show_all(recordings.folder_of(launch, folder), camera, limit, as_json)


@recordings_app.command()
def show(
    segment: Segment, launch: LaunchOf = None, folder: FolderOf = None, as_json: AsJson = False
) -> None:
    """Show one segment."""
    from perception.commands import recordings

    recordings.show(recordings.folder_of(launch, folder), segment, as_json)


@recordings_app.command()
def export(
    camera: Annotated[str, typer.Argument(help="camera")],
    output: Annotated[Path, typer.Argument(help="MP4 file, or MCAP with --foxglove")],
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, like --from")] = None,
    signed: Annotated[
        bool, typer.Option("--sign", help="also write a signed manifest, for evidence")
    ] = False,
    foxglove: Annotated[
        bool, typer.Option("--foxglove", help="MCAP for Foxglove: video, boxes, alerts")
    ] = False,
    launch: LaunchOf = None,
    folder: FolderOf = None,
) -> None:
    """Write a time span of a camera to one file, without re-encoding."""
    from perception.commands import recordings

    root = recordings.folder_of(launch, folder)
    how = "foxglove" if foxglove else "signed" if signed else ""
    recordings.export(root, camera, output, start, end, how)


@recordings_app.command()
def verify(
    manifest: Annotated[
        Path | None, typer.Argument(help="manifest of a signed export; default: check all segments")
    ] = None,
    launch: LaunchOf = None,
    folder: FolderOf = None,
) -> None:
    """Check that no file was changed. Exit code 2: the first changed one is printed."""
    from perception.commands import recordings

    root = recordings.folder_of(launch, folder) if manifest is None else None
    sys.exit(recordings.verify(root, manifest))


@recordings_app.command()
def rebuild(launch: LaunchOf = None, folder: FolderOf = None) -> None:
    """Rebuild the catalog from the files, and repair files after a kill. Deletes no recording."""
    from perception.commands import recordings

    recordings.rebuild(recordings.folder_of(launch, folder))


@recordings_app.command()
def protect(
    segment: Segment,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    off: Annotated[bool, typer.Option("--off", help="remove the protection")] = False,
) -> None:
    """Protect a segment: it is not deleted when space runs out."""
    from perception.commands import recordings

    recordings.protect(recordings.folder_of(launch, folder), segment, not off)


@recordings_app.command()
def erase(
    segment: Annotated[
        str | None, typer.Argument(help="name of a segment, or a unique part of it")
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="all segments of this camera, or of a time span")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, like --from")] = None,
    person: Annotated[
        str | None, typer.Option(help="all segments in which this person was named")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")] = False,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    store: Annotated[
        Path | None,
        typer.Option(help="alerts.sqlite of the run; default: that next to the recordings"),
    ] = None,
) -> None:
    """Erase segments, or all data of a person: videos, messages, alerts, pictures, faces.

    Whole segments are erased. The chain of hashes keeps their names and the time. Not possible
    while a run records there.
    """
    from perception.commands import erase as erasing
    from perception.commands import recordings
    from perception.errors import ConfigError

    span = camera is not None or start is not None or end is not None
    if [segment is not None, span, person is not None].count(True) != 1:
        raise ConfigError("give the name of a segment, or --camera, --from, --to, or --person")
    root = recordings.folder_of(None if folder else launch, folder)
    asked = erasing.Asked(segment, camera, (start, end), person, store, launch, yes)
    erasing.run(root, asked)


def replay(
    recording: Annotated[str, typer.Argument(help="camera, or name of a segment")],
    stage: Annotated[
        str, typer.Option(help="start at detect (decodes the video), track or alert")
    ] = "track",
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, like --from")] = None,
    launch: Annotated[
        Path | None, typer.Option(help="launch file with other options, to see what would change")
    ] = None,
    folder: FolderOf = None,
    as_json: AsJson = False,
) -> None:
    """Run recorded detections (or pictures) through the stages again and compare every bit.

    Exit code 1: different; the first difference is printed. With --launch: which alerts would be
    the same, moved, new or gone.
    """
    from perception.commands import recordings
    from perception.commands import replay as replaying

    root = recordings.folder_of(None if folder else launch, folder)
    sys.exit(replaying.run(root, recording, stage, (start, end), launch, as_json))


def why(
    camera: Annotated[str, typer.Argument(help="camera")],
    when: Annotated[
        str, typer.Argument(help="14:07:31, or 2026-11-27T14:07:31, time zone of this host")
    ],
    at: Annotated[
        str | None,
        typer.Option(help="only objects at this point, in fractions of the picture: 0.4,0.7"),
    ] = None,
    kind: Annotated[str | None, typer.Option("--class", help="only this class")] = None,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    store: Annotated[
        Path | None,
        typer.Option(help="alerts.sqlite of the run; default: that next to the recordings"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain why there was an alert in a second of a recording, or why there was none.

    Prints whether it was recorded, what was detected and tracked, which condition of which rule
    was not met and by how much, and where alerts were delivered.
    """
    from perception.commands import recordings
    from perception.commands import why as answering

    if store is None and launch is not None:
        from perception.launchfile import config

        store = config.load(launch)[0].store
    root = recordings.folder_of(launch, folder)
    sys.exit(answering.run(root, camera, when, at, kind, store, as_json))


def examine(
    recording: Annotated[str, typer.Argument(help="camera, or name of a segment")],
    model: Annotated[
        str | None, typer.Option(help="ONNX file or name of a model, for the first detector")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=32, max=8192, help="longer side of its input, px")
    ] = None,
    launch: Annotated[
        Path | None,
        typer.Option(help="launch file with other options of the camera: tiles, detectors, rules"),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, like --from")] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="time limit: 90s, 30m, 2h; the most valuable segments come first"),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="number of segments in parallel")] = 1,
    output: Annotated[
        Path | None,
        typer.Option(help="folder for the results; default: examined/ next to the recordings"),
    ] = None,
    folder: FolderOf = None,
    as_json: AsJson = False,
) -> None:
    """Analyse every frame of a recording, and report what the live run missed and why.

    Later frames are used to complete the tracks. Continues where it was stopped or killed. The
    recording is not changed. Results: report.html, report.json, visits.jsonl.
    """
    from perception.commands import examine as examining
    from perception.commands import recordings

    root = recordings.folder_of(None if folder else launch, folder)
    asked = examining.Asked((start, end), launch, model, size, budget, jobs, output, as_json)
    sys.exit(examining.run(root, recording, asked))


def search(
    words: Annotated[
        list[str] | None, typer.Argument(help="e.g. person in red at porch after 22:00 yesterday")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(help="track_id of --json: objects of its class and colours"),
    ] = None,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many, newest first")] = 30,
    as_json: AsJson = False,
) -> None:
    """Search recordings: class, colour, zone, camera, name, alert, time (this host's time zone).

    Exit code 1: nothing fits.
    """
    from perception.commands import recordings
    from perception.commands import search as searching

    root = recordings.folder_of(launch, folder)
    sys.exit(searching.run(root, " ".join(words or []), like, limit, as_json))
