"""The card itself: what one result is worth, as values that a table, JSON and a page show.

Imports the rest of this room.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from perception.score.alerts import AFTER_S, EARLY_S, LATE_S, Alerted
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
    """What is told of a result, and of another on the same footage where `against` names it.

    result, truth, visits, against: paths. boxes, alerts: None where there is no truth of them.
    """

    result: str
    truth: str = ""
    visits: str = ""
    boxes: Boxes | None = None
    alerts: Alerted | None = None
    against: str = ""
    other_boxes: Boxes | None = None
    other_alerts: Alerted | None = None
    differences: list["Difference"] = field(default_factory=list["Difference"])
    block_s: float = 0.0
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Difference:
    """A measure of two results: value, other's value, value - other and its 99 % interval.

    word: whether the first is better, worse, or one cannot tell. lower: less of it is better. low,
    high: nan where there is too little footage to say.
    """

    name: str
    value: float
    other: float
    low: float
    high: float
    word: str
    lower: bool = False

    @property
    def difference(self) -> float:
        """How much more the first has."""
        return self.value - self.other


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
    made: dict[str, Any] = {
        "result": card.result, "truth": card.truth or None, "visits": card.visits or None
    }  # fmt: skip
    made |= _boxes(card.boxes) if card.boxes is not None else {}
    made |= {"alerts": _alerts(card.alerts)} if card.alerts is not None else {}
    if card.against:
        other: dict[str, Any] = {"result": card.against}
        other |= _boxes(card.other_boxes) if card.other_boxes is not None else {}
        other |= {"alerts": _alerts(card.other_alerts)} if card.other_alerts is not None else {}
        made["against"] = other
        made["differences"] = {
            one.name: {
                "difference": number(one.difference), "low": number(one.low),
                "high": number(one.high), "word": one.word,
            }
            for one in card.differences
        }  # fmt: skip
        made["blocks_s"] = card.block_s
    made["notes"] = card.notes
    return made


def _alerts(one: Alerted) -> dict[str, Any]:
    rate, low, high = one.false_a_day()
    return {
        "visits": len(one.visits), "alerts": one.count, "found": len(one.found),
        "missed": len(one.missed), "late": len(one.late), "false": len(one.false),
        "visits_with_more_than_one": one.doubled, "repeated": len(one.repeated),
        "hours": number(one.hours), "false_a_day": number(rate), "false_a_day_low": number(low),
        "false_a_day_high": number(high), "delay_p50_s": number(one.delay(50)),
        "delay_p95_s": number(one.delay(95)),
        "names": {
            "right": one.named, "wrong": len(one.wrong), "unnamed": len(one.unnamed),
            "undecided": len(one.undecided),
        },
        "limits_s": {"early": EARLY_S, "after": AFTER_S, "late": LATE_S},
    }  # fmt: skip


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
