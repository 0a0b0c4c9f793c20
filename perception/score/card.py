"""The card itself: what one result is worth, as values that a table, JSON and a page show.

Imports the rest of this room.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from perception.score.labels import Labels
from perception.score.pairing import Pair
from perception.score.precision import Precision, precision
from perception.score.tracking import Tracking, tracking


@dataclass
class Boxes:
    """Boxes and tracks of a result against labels. tracking: None where there are no tracks."""

    pair: Pair
    precision: Precision
    tracking: Tracking | None


@dataclass
class Card:
    """What is told of a result. result, truth: paths. boxes: None where nothing is labelled."""

    result: str
    truth: str = ""
    boxes: Boxes | None = None
    notes: list[str] = field(default_factory=list[str])


def score_boxes(pair: Pair) -> Boxes:
    """Return what the boxes are worth. Raises ConfigError where the extra is missing."""
    return Boxes(pair, precision(pair), tracking(pair))


def rate_of(truth: Labels, result: Labels | None) -> float | None:
    """Return pictures/s: of the result's times, else of what a file says; None: not known."""
    if result is not None and result.times_ns is not None and len(result.times_ns) > 1:
        frames, times = result.looked, result.times_ns
        seconds = float(times[-1] - times[0]) / 1e9
        if seconds > 0:
            return float(frames[-1] - frames[0]) / seconds
    return truth.rate_hz or (result.rate_hz if result is not None else None)


def values(card: Card) -> dict[str, Any]:
    """Return the card as JSON values: shares 0..1, null where a number is not known."""
    made: dict[str, Any] = {"result": card.result, "truth": card.truth or None}
    if card.boxes is not None:
        made |= _boxes(card.boxes)
    made["notes"] = card.notes
    return made


def _boxes(boxes: Boxes) -> dict[str, Any]:
    pair, ap, tracks = boxes.pair, boxes.precision, boxes.tracking
    classes: dict[str, dict[str, float | None]] = {
        name: {"AP": number(value), "HOTA": None, "IDF1": None}
        for name, value in ap.by_class.items()
    }
    for name, (hota, idf1) in (tracks.by_class if tracks else {}).items():
        classes[name] |= {"HOTA": number(hota), "IDF1": number(idf1)}
    return {
        "frames": {
            "labelled": pair.labelled, "scored": len(pair.frames), "not_looked_at": pair.not_looked
        },
        "boxes": {
            "labelled": int((~pair.truth.ignored).sum()), "result": len(pair.result),
            "AP": number(ap.ap), "AP50": number(ap.ap50), "AP75": number(ap.ap75),
            "AR": number(ap.ar),
        },
        "tracks": None if tracks is None else {
            "HOTA": number(tracks.hota), "DetA": number(tracks.deta), "AssA": number(tracks.assa),
            "IDF1": number(tracks.idf1), "identity_switches": tracks.switches,
        },
        "classes": classes,
    }  # fmt: skip


def number(value: float) -> float | None:
    """Return a number as JSON has it: None for nan."""
    return value if math.isfinite(value) else None
