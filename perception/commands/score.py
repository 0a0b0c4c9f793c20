"""`perception score` and `perception labels`. Command line only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from perception.commands.console import console, sheet
from perception.errors import ConfigError
from perception.score import card
from perception.score.formats import read_labels, write_labels
from perception.score.labels import Labels
from perception.score.pairing import pair
from perception.score.results import Result, read_result


@dataclass(frozen=True)
class Asked:
    """The options of the command."""

    truth: Path | None
    camera: str | None
    video: str | None
    size: tuple[int, int]
    all_frames: bool
    classless: bool
    json_file: Path | None


def parse_size(text: str | None) -> tuple[int, int]:
    """Return width and height of a size such as 1280x720; (0, 0) for None. Raises ConfigError."""
    if text is None:
        return 0, 0
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if found is None:
        raise ConfigError(f"--size {text!r}: expected width x height, as 1280x720")
    return int(found[1]), int(found[2])


def run(path: Path, asked: Asked) -> int:
    """Score a result, print the table, write the files asked for."""
    if asked.truth is None:
        raise ConfigError("nothing to score by: give labels with --truth")
    result = read_result(path, asked.camera, asked.video, asked.truth)
    made = card.Card(str(path), str(asked.truth))
    truth = read_labels(asked.truth, video=asked.video)
    _score_boxes(made, truth, result, asked)
    if asked.json_file is not None:
        _write(asked.json_file, json.dumps(card.values(made), indent=1) + "\n")
    show(made)
    return 0


def _score_boxes(made: card.Card, truth: Labels, result: Result, asked: Asked) -> None:
    if result.boxes is None:
        raise ConfigError("has alerts only, no boxes to compare with --truth", str(result.path))
    frames = truth.looked if asked.all_frames else None
    both = pair(truth, result.boxes, frames=frames, classless=asked.classless, size=asked.size)
    made.boxes = card.score_boxes(both)
    made.notes += both.notes


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", str(path)) from None


def show(made: card.Card) -> None:
    """Print the card as tables."""
    screen = console()
    if made.boxes is not None:
        both, ap, tracks = made.boxes.pair, made.boxes.precision, made.boxes.tracking
        said = f"{len(both.frames)} of {both.labelled} labelled pictures are scored"
        if both.not_looked:
            said += f"; at {both.not_looked} of them the result did not look"
        screen.print(Text(said))
        table = sheet("class", "AP", "HOTA", "IDF1", right=("AP", "HOTA", "IDF1"))
        for name, value in ap.by_class.items():
            hota, idf1 = (tracks.by_class if tracks else {}).get(name, (float("nan"),) * 2)
            table.add_row(name, _percent(value), _percent(hota), _percent(idf1))
        if len(ap.by_class) != 1:
            row = (tracks.hota, tracks.idf1) if tracks else (float("nan"),) * 2
            table.add_row("mean", _percent(ap.ap), *map(_percent, row))
        screen.print(table)
        if tracks is None:
            screen.print(Text("no HOTA and IDF1: a side has boxes without tracks, or no truth"))
    for note in made.notes:
        screen.print(Text(f"note: {note}"))


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "-"


def convert(path: Path, output: Path, form: str | None, asked: Asked) -> int:
    """Write labels, or a result as a draft of labels, in the form of a tool."""
    found = read_result(path, asked.camera, asked.video).boxes
    if found is None:
        raise ConfigError("has alerts only, no boxes", str(path))
    size = found.size if all(found.size) else asked.size
    labels = found.in_pixels(size)
    labels.size = size
    write_labels(output, labels, form or _form_of(output))
    for note in labels.notes:
        print(f"note: {note}")
    print(f"{output}: {len(labels)} boxes in {labels.count} pictures")
    return 0


def _form_of(output: Path) -> str:
    kind = {".xml": "cvat", ".json": "coco", "": "mot"}.get(output.suffix.lower())
    if kind is None:
        raise ConfigError("say --form cvat, coco, mot or label-studio", str(output))
    return kind
