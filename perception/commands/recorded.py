"""The commands for recordings. Heavy rooms are imported inside the command that needs them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

recordings_app = typer.Typer(help="What was recorded.", no_args_is_help=True)

LaunchOf = Annotated[
    Path | None,
    typer.Option("--launch", help="launch file of the run; else the newest under recordings/"),
]
FolderOf = Annotated[Path | None, typer.Option("--folder", help="folder of recordings")]
Segment = Annotated[str, typer.Argument(help="name of a segment, or a part that fits one only")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs")]


@recordings_app.command("list")
def list_(
    launch: LaunchOf = None,
    folder: FolderOf = None,
    camera: Annotated[str | None, typer.Option(help="of this camera only")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="how many, newest last")] = 30,
    as_json: AsJson = False,
) -> None:
    """List segments, what was lost and how many were deleted."""
    from perception.commands import recordings

    recordings.show_all(recordings.folder_of(launch, folder), camera, limit, as_json)


@recordings_app.command()
def show(
    segment: Segment, launch: LaunchOf = None, folder: FolderOf = None, as_json: AsJson = False
) -> None:
    """Show all of one segment."""
    from perception.commands import recordings

    recordings.show(recordings.folder_of(launch, folder), segment, as_json)


@recordings_app.command()
def export(
    camera: Annotated[str, typer.Argument(help="camera")],
    output: Annotated[Path, typer.Argument(help="MP4 file, or MCAP with --foxglove")],
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, as --from")] = None,
    signed: Annotated[
        bool, typer.Option("--sign", help="a signed manifest beside the file, for evidence")
    ] = False,
    foxglove: Annotated[
        bool, typer.Option("--foxglove", help="MCAP for Foxglove: video, boxes, alerts")
    ] = False,
    launch: LaunchOf = None,
    folder: FolderOf = None,
) -> None:
    """Write a span of a camera to one file; nothing is encoded again."""
    from perception.commands import recordings

    root = recordings.folder_of(launch, folder)
    how = "foxglove" if foxglove else "signed" if signed else ""
    recordings.export(root, camera, output, start, end, how)


@recordings_app.command()
def verify(
    manifest: Annotated[
        Path | None, typer.Argument(help="manifest of a signed export; else all segments")
    ] = None,
    launch: LaunchOf = None,
    folder: FolderOf = None,
) -> None:
    """Check that files are as they were written; names the first that is not. Exit code 2 then."""
    from perception.commands import recordings

    root = recordings.folder_of(launch, folder) if manifest is None else None
    sys.exit(recordings.verify(root, manifest))


@recordings_app.command()
def rebuild(launch: LaunchOf = None, folder: FolderOf = None) -> None:
    """Make the catalog again from the files, and repair what a kill left. Deletes no recording."""
    from perception.commands import recordings

    recordings.rebuild(recordings.folder_of(launch, folder))


@recordings_app.command()
def protect(
    segment: Segment,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    off: Annotated[bool, typer.Option("--off", help="end the protection")] = False,
) -> None:
    """Keep a segment whatever space is needed."""
    from perception.commands import recordings

    recordings.protect(recordings.folder_of(launch, folder), segment, not off)


@recordings_app.command()
def erase(
    segment: Annotated[
        str | None, typer.Argument(help="name of a segment, or a part that fits one only")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="all of this camera, or of a span")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, as --from")] = None,
    person: Annotated[
        str | None, typer.Option(help="every segment in which this person was named")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    store: Annotated[
        Path | None, typer.Option(help="alerts.sqlite of the run; beside the recordings")
    ] = None,
) -> None:
    """Erase segments, or all that is known of a person: videos, messages, alerts, pictures, faces.

    Whole segments go. The chain of hashes keeps their names and when they were erased. Not while a
    run records there.
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
        str, typer.Option(help="begin at detect (decodes the video), track or alert")
    ] = "track",
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, as --from")] = None,
    launch: Annotated[
        Path | None, typer.Option(help="other options: what would have happened")
    ] = None,
    folder: FolderOf = None,
    as_json: AsJson = False,
) -> None:
    """Run recorded detections (or pictures) through the stages again and compare, to the last bit.

    Exit code 1: it differs; the first difference is named. With --launch: which alerts would be
    the same, moved, new or gone.
    """
    from perception.commands import recordings
    from perception.commands import replay as replaying

    root = recordings.folder_of(None if folder else launch, folder)
    sys.exit(replaying.run(root, recording, stage, (start, end), launch, as_json))


def why(
    camera: Annotated[str, typer.Argument(help="camera")],
    when: Annotated[str, typer.Argument(help="14:07:31, or 2026-11-27T14:07:31: this host's time")],
    at: Annotated[
        str | None, typer.Option(help="spot in the picture, fractions: 0.4,0.7; what is there only")
    ] = None,
    kind: Annotated[str | None, typer.Option("--class", help="of this class only")] = None,
    launch: LaunchOf = None,
    folder: FolderOf = None,
    store: Annotated[
        Path | None, typer.Option(help="alerts.sqlite of the run; beside the recordings")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell why there was an alert in a second of a recording, or why there was none.

    Was it recorded, was the picture looked at, what was found and followed; which condition of
    which rule was not met, and by how much; who was told.
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
        int | None, typer.Option(min=32, max=8192, help="long side of its input, px")
    ] = None,
    launch: Annotated[
        Path | None, typer.Option(help="other options of the camera: tiles, detectors, rules")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="UTC: 2026-11-26T14:05:30, or 14:05:30 for today")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="UTC, as --from")] = None,
    budget: Annotated[
        str | None, typer.Option(help="so long at most: 90s, 30m, 2h; of most value first")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="segments side by side")] = 1,
    output: Annotated[
        Path | None, typer.Option(help="folder for results; examined/ beside the recordings")
    ] = None,
    folder: FolderOf = None,
    as_json: AsJson = False,
) -> None:
    """Look at every frame of a recording again, and tell what live missed and why.

    Tracks are completed with what came later. Goes on where it was stopped or killed. What was
    recorded is not changed. Results: report.html, report.json, visits.jsonl.
    """
    from perception.commands import examine as examining
    from perception.commands import recordings

    root = recordings.folder_of(None if folder else launch, folder)
    asked = examining.Asked((start, end), launch, model, size, budget, jobs, output, as_json)
    sys.exit(examining.run(root, recording, asked))
