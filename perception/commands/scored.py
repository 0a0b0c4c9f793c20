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
        typer.Argument(help="folder of run, analyze or examine; its tracks-*.jsonl; or MOT, COCO"),
    ],
    truth: Annotated[
        Path | None, typer.Option(help="labels: CVAT .xml, COCO or Label Studio .json, MOT gt.txt")
    ] = None,
    camera: Camera = None,
    video: Video = None,
    size: Size = None,
    all_frames: Annotated[
        bool,
        typer.Option("--all-frames", help="labelled pictures it did not look at count as missed"),
    ] = False,
    classless: Annotated[
        bool, typer.Option("--classless", help="take all boxes as one class")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="write the card as JSON here")
    ] = None,
) -> None:
    """Score a result by labels of your own footage: AP of boxes, HOTA and IDF1 of tracks.

    Needs the extra: pip install 'perception-line[eval]'.
    """
    from perception.commands import score as scoring

    asked = scoring.Asked(
        truth, camera, video, scoring.parse_size(size), all_frames, classless, json_file
    )
    sys.exit(scoring.run(result, asked))


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

    asked = scoring.Asked(None, camera, video, scoring.parse_size(size), False, False, None)
    sys.exit(scoring.convert(source, output, form, asked))
