"""A card made: files read, frames chosen, boxes and alerts scored, compared.

Imports the rest of this room.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.score import card, comparing
from perception.score.alerts import Alerted, score_alerts
from perception.score.card import Boxes, Card
from perception.score.formats import read_labels
from perception.score.labels import Labels
from perception.score.pairing import common_frames, pair
from perception.score.recorded import is_recording, read_recording
from perception.score.results import Result, read_result
from perception.score.visits import Visits, read_visits

_BREAK_NS = 2_000_000_000


@dataclass(frozen=True)
class Asked:
    """What to score and how: see the command's options. size: (0, 0): not given."""

    truth: Path | None = None
    visits: Path | None = None
    against: Path | None = None
    camera: str | None = None
    video: str | None = None
    classes: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    fps: float | None = None
    hours: float | None = None
    all_frames: bool = False
    classless: bool = False


@dataclass
class Made:
    """The card, and what it was made of."""

    card: Card
    result: Result
    truth: Labels | None
    wall: bool = False


def make(path: Path, asked: Asked) -> Made:
    """Return the card of a result. Raises ConfigError and SourceError."""
    if asked.truth is None and asked.visits is None:
        raise ConfigError("nothing to score by: give labels with --truth, or --visits")
    results = [read_any(one, asked) for one in (path, asked.against) if one is not None]
    made = Made(Card(str(path), against=str(asked.against or "")), results[0], None)
    if asked.truth is not None:
        made.card.truth = str(asked.truth)
        made.truth = read_labels(asked.truth, video=asked.video)
        _boxes(made, results, asked)
    if asked.visits is not None:
        made.card.visits = str(asked.visits)
        _alerts(made, results, asked)
    return made


def read_any(path: Path, asked: Asked) -> Result:
    """Return a result of any kind. Raises ConfigError and SourceError."""
    if is_recording(path):
        return read_recording(path, asked.camera)
    return read_result(path, asked.camera, asked.video, asked.truth)


def _boxes(made: Made, results: list[Result], asked: Asked) -> None:
    assert made.truth is not None
    every: list[Labels] = []
    for one in results:
        if one.boxes is None:
            raise ConfigError("has alerts only, no boxes for --truth", str(one.path))
        every.append(one.boxes)
    frames: NDArray[np.int64] = made.truth.looked
    if not asked.all_frames:
        for boxes in every:
            frames = np.intersect1d(frames, common_frames(made.truth, boxes))
    scored = [_score(made.truth, boxes, frames, asked) for boxes in every]
    made.card.boxes = scored[0]
    for one in scored:
        made.card.notes += [note for note in one.pair.notes if note not in made.card.notes]
    if len(scored) == 1:
        return
    made.card.other_boxes = scored[1]
    seconds = frame_seconds(scored[0].pair.frames, made.truth, every, asked.fps)
    blocks = comparing.cut(seconds)
    made.card.block_s = blocks.seconds
    made.card.differences += comparing.compare_boxes(scored[0], scored[1], blocks)
    if blocks.count < comparing.FEWEST:
        made.card.notes.append(f"{seconds[-1] - seconds[0]:.0f} s of footage are too few to tell")


def _score(truth: Labels, boxes: Labels, frames: NDArray[np.int64], asked: Asked) -> Boxes:
    both = pair(
        truth, boxes, frames=frames, classless=asked.classless, size=asked.size,
        classes=asked.classes,
    )  # fmt: skip
    return card.score_boxes(both)


def frame_seconds(
    frames: NDArray[np.int64], truth: Labels, results: list[Labels], fps: float | None
) -> NDArray[np.float64]:
    """Return the time of frames in s: by --fps, a result's own times, or a file's rate.

    Raises ConfigError where nobody says.
    """
    if fps is None:
        for one in results:
            if one.times_ns is not None and len(one.times_ns) > 1:
                return np.interp(frames, one.looked, one.times_ns / 1e9)
    rate = fps or truth.rate_hz or next((one.rate_hz for one in results if one.rate_hz), None)
    if not rate:
        raise ConfigError("no file says how many pictures a second: give --fps")
    return frames / rate


def footage_hours(result: Result) -> float:
    """Return hours that a result looked at, breaks left out; nan where its times are not known."""
    if result.boxes is None or result.boxes.times_ns is None or len(result.boxes.times_ns) < 2:
        return float("nan")
    steps = np.diff(result.boxes.times_ns)
    return float(steps[(steps > 0) & (steps <= _BREAK_NS)].sum()) / 3.6e12


def origin_ns(result: Result) -> int:
    """Return the media time of a result's first picture; 0 where it is not known."""
    times = result.boxes.times_ns if result.boxes is not None else None
    return int(times[0]) if times is not None and len(times) else 0


def _alerts(made: Made, results: list[Result], asked: Asked) -> None:
    assert asked.visits is not None
    visits = read_visits(asked.visits, asked.camera or results[0].camera)
    made.wall = visits.wall
    scored: list[Alerted] = []
    for one in results:
        if not one.has_alerts:
            raise ConfigError("has no alerts.jsonl for --visits", str(one.path))
        hours = asked.hours if asked.hours is not None else footage_hours(one)
        scored.append(_score_alerts(visits, one, hours))
        made.card.notes += [n for n in scored[-1].notes if n not in made.card.notes]
        if not hours > 0:
            note = "how long the footage is, is not known: give --hours for false alerts a day"
            made.card.notes += [note] if note not in made.card.notes else []
    made.card.alerts = scored[0]
    if len(scored) > 1:
        made.card.other_alerts = scored[1]
        origins = origin_ns(results[0]), origin_ns(results[1])
        made.card.differences += comparing.compare_alerts(
            scored[0], scored[1], visits.wall, origins
        )


def _score_alerts(visits: Visits, result: Result, hours: float) -> Alerted:
    return score_alerts(visits, result.alerts, origin_ns=origin_ns(result), hours=hours)
