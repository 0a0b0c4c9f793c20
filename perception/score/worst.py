"""The worst cases of a result: what to look at first. Imports the rest of this room."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.score.alerts import Alerted
from perception.score.card import Card
from perception.score.matching import Matches, ious_of, match
from perception.score.pairing import Pair, Rows
from perception.score.results import Raised

MOST = 10
"""Cases of each kind."""
_POOR = 0.7
KINDS = {
    "missed": "Labelled, not found",
    "false": "Found, not labelled",
    "poor": "Boxes that fit worst",
    "switch": "One object, two tracks",
    "visit": "Visits without an alert",
    "alert": "False alerts",
    "late": "Late alerts",
    "repeated": "More than one alert for a visit",
    "name": "Wrong names",
}
Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class Case:
    """kind: a row of KINDS. weight: the higher the worse. frame: of the picture, -1: by time_ns.

    time_ns: of the footage, since its first picture, -1: not known. label, box: xyxy px, of the
    truth and of the result.
    """

    kind: str
    text: str
    weight: float
    frame: int = -1
    time_ns: int = -1
    label: Corners | None = None
    box: Corners | None = None


def worst(card: Card, wall: bool, origin_ns: int) -> list[Case]:
    """Return at most MOST cases of each kind, the worst first."""
    found: list[Case] = []
    if card.boxes is not None:
        pair = card.boxes.pair
        for k, truth, result in pair.classes():
            matches = match(truth, result)
            found += _missed(pair, k, truth, matches)
            found += _false(pair, k, result, matches)
            found += _poor(pair, k, truth, result, matches)
            if truth.has_tracks and result.has_tracks:
                found += _switches(pair, k, truth, result, matches)
    if card.alerts is not None:
        found += _alerts(card.alerts, wall, origin_ns)
    kept: list[Case] = []
    for kind in KINDS:
        mine = [case for case in found if case.kind == kind]
        kept += sorted(mine, key=lambda case: (-case.weight, case.frame, case.text))[:MOST]
    return kept


def _corners(box: NDArray[np.float64]) -> Corners:
    x, y, w, h = box.tolist()
    return x, y, x + w, y + h


def _groups(rows: Rows, kept: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield rows of one track each; each row alone where there are no tracks."""
    if not rows.has_tracks:
        yield from kept[:, None]
        return
    tracks = rows.tracks[kept]
    for track in np.unique(tracks).tolist():
        yield kept[tracks == track]


def _missed(pair: Pair, k: int, truth: Rows, matches: Matches) -> Iterator[Case]:
    for rows in _groups(truth, np.flatnonzero(~matches.found & ~truth.ignored)):
        boxes = truth.boxes[rows]
        row = rows[int((boxes[:, 2] * boxes[:, 3]).argmax())]
        whole = int((truth.tracks == truth.tracks[row]).sum()) if truth.has_tracks else 1
        text = f"{pair.names[k]}: missed in {len(rows)} of {whole} pictures"
        frame = int(pair.frames[truth.at[row]])
        yield Case("missed", text, float(len(rows)), frame, label=_corners(truth.boxes[row]))


def _false(pair: Pair, k: int, result: Rows, matches: Matches) -> Iterator[Case]:
    off = ~(matches.right[0] | matches.left_out[0])
    for rows in _groups(result, np.sort(matches.rows[off])):
        row = int(rows[int(result.scores[rows].argmax())])
        score = float(result.scores[row])
        there = pair.truth.only(pair.truth.at == result.at[row])
        text = f"{pair.names[k]}: score {score:.2f}, {len(rows)} pictures"
        label = None
        if len(there):
            none = np.zeros(len(there), np.bool_)
            over = ious_of(result.boxes[row : row + 1], there.boxes, none)[0]
            best = int(over.argmax())
            if over[best] > 0.1:
                name = pair.names[int(there.class_ids[best])]
                text += f"; overlaps a labelled {name} by {over[best]:.2f}"
                label = _corners(there.boxes[best])
        frame = int(pair.frames[result.at[row]])
        weight = score * len(rows) ** 0.5
        yield Case("false", text, weight, frame, label=label, box=_corners(result.boxes[row]))


def _poor(pair: Pair, k: int, truth: Rows, result: Rows, matches: Matches) -> Iterator[Case]:
    good = np.flatnonzero(matches.labels >= 0)
    labels = matches.labels[good]
    for rows in _groups(truth, np.sort(labels)):
        mine = good[np.isin(labels, rows)]
        at = int(mine[int(matches.ious[mine].argmin())])
        row, iou = int(matches.rows[at]), float(matches.ious[at])
        if iou < _POOR:
            label = int(matches.labels[at])
            text = f"{pair.names[k]}: IoU {iou:.2f}"
            yield Case(
                "poor", text, 1 - iou, int(pair.frames[result.at[row]]),
                label=_corners(truth.boxes[label]), box=_corners(result.boxes[row]),
            )  # fmt: skip


def _switches(pair: Pair, k: int, truth: Rows, result: Rows, matches: Matches) -> Iterator[Case]:
    good = np.flatnonzero(matches.labels >= 0)
    labels, rows = matches.labels[good], matches.rows[good]
    for track in np.unique(truth.tracks[labels]).tolist():
        mine = np.flatnonzero(truth.tracks[labels] == track)
        mine = mine[np.argsort(truth.at[labels[mine]])]
        ids = result.tracks[rows[mine]]
        changes = np.flatnonzero(np.diff(ids)) + 1
        if len(changes):
            at = mine[int(changes[0])]
            text = (
                f"{pair.names[k]}: changes of track: {len(changes)}, tracks: {len(np.unique(ids))}"
            )
            yield Case(
                "switch", text, float(len(changes)), int(pair.frames[truth.at[labels[at]]]),
                label=_corners(truth.boxes[labels[at]]), box=_corners(result.boxes[rows[at]]),
            )  # fmt: skip


def _alerts(one: Alerted, wall: bool, origin_ns: int) -> Iterator[Case]:
    for visit in one.missed:
        seconds = (visit.end_ns - visit.start_ns) / 1e9
        at = -1 if wall else (visit.start_ns + visit.end_ns) // 2
        who = f" of {visit.who}" if visit.who else ""
        yield Case("visit", f"visit{who}, line {visit.line}: {seconds:.1f} s", seconds, time_ns=at)
    for alert in one.false:
        text = f"{alert.rule} {alert.class_name}"
        yield _alert("alert", text, 1.0, alert, origin_ns)
    for visit, alert, delay in one.late:
        text = f"{alert.rule}, line {visit.line}: {delay:.1f} s"
        yield _alert("late", text, delay, alert, origin_ns)
    for visit, alert in one.repeated:
        yield _alert("repeated", f"{alert.rule}, line {visit.line}", 1.0, alert, origin_ns)
    for visit, alert in (*one.wrong, *one.unnamed):
        text = f"says {alert.who}, was {visit.who} (line {visit.line})"
        yield _alert("name", text, 1.0, alert, origin_ns)


def _alert(kind: str, text: str, weight: float, alert: Raised, origin_ns: int) -> Case:
    return Case(kind, text, weight, time_ns=alert.t_media_ns - origin_ns, box=alert.box)
