"""`perception score` and `perception labels`. Command line only."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from perception.commands.console import console, sheet
from perception.errors import ConfigError
from perception.score import card
from perception.score.alerts import LATE_S, Alerted
from perception.score.card import Boxes, Card
from perception.score.comparing import BETTER, WORSE
from perception.score.formats import write_labels
from perception.score.scoring import Asked, Made, make, origin_ns, read_any

_STYLES = {BETTER: "green", WORSE: "red"}


def parse_size(text: str | None) -> tuple[int, int]:
    """Return width and height of a size such as 1280x720; (0, 0) for None. Raises ConfigError."""
    if text is None:
        return 0, 0
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text.strip())
    if found is None:
        raise ConfigError(f"--size {text!r}: expected width x height, as 1280x720")
    return int(found[1]), int(found[2])


@dataclass(frozen=True)
class Files:
    """What is written: the card as JSON and as a page, whose pictures come from `footage`."""

    json_file: Path | None = None
    html: Path | None = None
    footage: Path | None = None


def run(path: Path, asked: Asked, files: Files) -> int:
    """Score a result, print the table, write the files asked for."""
    made = make(path, asked)
    json_file = files.json_file
    if files.html is not None:
        _write(files.html, _page(made, files.footage))
    if json_file is not None:
        _write(json_file, json.dumps(card.values(made.card), indent=1) + "\n")
    show(made.card)
    return 0


def _page(made: Made, footage: Path | None) -> str:
    from perception.score.page import page
    from perception.score.worst import worst

    origin = origin_ns(made.result)
    cases = worst(made.card, made.wall, origin)
    urls = [""] * len(cases)
    if footage is not None:
        from perception.score.pictures import pictures  # brings PyAV

        urls = pictures(footage, cases)
    return page(made.card, cases, urls, made.wall, origin)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", str(path)) from None


def show(made: Card) -> None:
    """Print the card as tables."""
    screen = console()
    if made.boxes is not None:
        _show_boxes(screen, made.boxes)
    if made.alerts is not None:
        _show_alerts(screen, made.alerts)
    if made.differences:
        _show_differences(screen, made)
    for note in made.notes:
        screen.print(Text(f"note: {note}"))


def _show_boxes(screen: Console, boxes: Boxes) -> None:
    both, ap, tracks = boxes.pair, boxes.precision, boxes.tracking
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


def _show_alerts(screen: Console, one: Alerted) -> None:
    rate, low, high = one.false_a_day()
    table = sheet("alerts", "", right=("",))
    table.add_row("visits", str(len(one.visits)))
    table.add_row("missed", str(len(one.missed)))
    table.add_row(f"later than {LATE_S:g} s", str(len(one.late)))
    table.add_row("delay p50, p95", f"{_seconds(one.delay(50))}, {_seconds(one.delay(95))}")
    table.add_row("more than one alert for a visit", str(one.doubled))
    table.add_row("false alerts", str(len(one.false)))
    if rate == rate:
        table.add_row("false alerts a day", f"{rate:.1f} ({low:.1f} to {high:.1f})")
        table.add_row("hours of footage", f"{one.hours:.2f}")
    judged = one.named + len(one.wrong) + len(one.unnamed) + len(one.undecided)
    if judged:
        table.add_row("names right", f"{one.named} of {judged}")
        table.add_row("wrong name", str(len(one.wrong)))
        table.add_row("known, called unknown", str(len(one.unnamed)))
        table.add_row("undecided", str(len(one.undecided)))
    screen.print(table)


def _show_differences(screen: Console, made: Card) -> None:
    columns = "measure", "this", "other", "difference, 99 %", "this is"
    table = sheet(*columns, right=columns[1:4])
    for one in made.differences:
        told = _percent if one.name in ("AP", "HOTA", "IDF1") else _plain
        span = "" if one.low != one.low else f" ({told(one.low)} to {told(one.high)})"
        table.add_row(
            one.name, told(one.value), told(one.other), f"{told(one.difference)}{span}",
            Text(one.word, style=_STYLES.get(one.word, "")),
        )  # fmt: skip
    screen.print(Text(f"against {made.against}"))
    screen.print(table)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "-"


def _plain(value: float) -> str:
    return f"{value:.4g}" if value == value else "-"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value == value else "-"


def convert(path: Path, output: Path, form: str | None, asked: Asked) -> int:
    """Write labels, or a result as a draft of labels, in the form of a tool."""
    found = read_any(path, asked).boxes
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
