"""The commands for labels. Heavy rooms are imported inside the command that needs them."""

import sys
from pathlib import Path
from typing import Annotated

import typer

Camera = Annotated[str | None, typer.Option(help="one of several cameras of a run")]
Video = Annotated[str | None, typer.Option(help="one of several videos in a file of labels")]
Size = Annotated[
    str | None, typer.Option(help="of the picture, 1280x720, where no file says it (percent boxes)")
]


def score(
    result: Annotated[
        Path,
        typer.Argument(help="folder of run, analyze, examine or recordings; or MOT, COCO"),
    ],
    truth: Annotated[
        Path | None, typer.Option(help="labels: CVAT .xml, COCO or Label Studio .json, MOT gt.txt")
    ] = None,
    visits: Annotated[
        Path | None, typer.Option(help="visits.csv: camera,from,to,who,kind; scores the alerts")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="another result on the same footage: which is better")
    ] = None,
    camera: Camera = None,
    video: Video = None,
    only: Annotated[
        list[str] | None, typer.Option("--class", help="score this class only; may be repeated")
    ] = None,
    classless: Annotated[
        bool, typer.Option("--classless", help="take all boxes as one class")
    ] = False,
    size: Size = None,
    fps: Annotated[
        float | None, typer.Option(min=0.01, max=1000, help="pictures/s, where no file says it")
    ] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.001, help="of footage, where the result does not say it")
    ] = None,
    all_frames: Annotated[
        bool,
        typer.Option("--all-frames", help="labelled pictures it did not look at count as missed"),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the card as JSON here")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="write the card as one page of HTML here")
    ] = None,
    footage: Annotated[
        Path | None, typer.Option(help="the video, for pictures of the worst cases on the page")
    ] = None,
) -> None:
    """Score a result by labels of your own footage: boxes, tracks and alerts.

    Needs the extra: pip install 'perception-line[eval]'.
    """
    from perception.commands import score as scoring

    asked = scoring.Asked(
        truth, visits, against, camera, video, tuple(only or ()), scoring.parse_size(size), fps,
        hours, all_frames, classless,
    )  # fmt: skip
    sys.exit(scoring.run(result, asked, scoring.Files(json_file, html, footage)))


def labels(
    source: Annotated[Path, typer.Argument(help="labels, or a result as a draft of labels")],
    output: Annotated[Path, typer.Argument(help=".xml CVAT, .json COCO, a folder: MOT")],
    form: Annotated[str | None, typer.Option(help="cvat, coco, mot or label-studio")] = None,
    camera: Camera = None,
    video: Video = None,
    size: Size = None,
) -> None:
    """Write labels, or a result as a draft, for CVAT, COCO, MOTChallenge or Label Studio."""
    from perception.commands import score as scoring

    asked = scoring.Asked(camera=camera, video=video, size=scoring.parse_size(size))
    sys.exit(scoring.convert(source, output, form, asked))
