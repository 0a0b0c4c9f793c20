"""Why there was an alert at a moment of a recording, or why there was none: step by step.

From the camera to the delivery: was it recorded, was the picture looked at, what was found, what
was followed, which condition of which rule was not met and by how much, who was told. It reads the
recording; the network is not run. Imports launchfile and below.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from perception.analysis.answers import (
    DROPS,
    LOSSES,
    Answer,
    Judged,
    Step,
    Subject,
    add_deliveries,
)
from perception.analysis.recorded import Part, parts
from perception.analysis.replay import plan_of
from perception.analysis.rules import Rules
from perception.errors import ConfigError, MessageError
from perception.footage import timeline
from perception.footage.catalog import Catalog
from perception.footage.unfinished import unfinished
from perception.launchfile import build
from perception.rules import rule_class
from perception.rules.reasons import reasons
from perception.rules.zones import Line, Zone
from perception.wire import REMOVED, DetectionMessage, TrackMessage
from perception.wire.codec import decode_record
from perception.wire.plan import Plan

SPAN_NS = 1_000_000_000
_STATE_NS = 62_000_000_000
"""A state of the rules is in the journal at least so long before any moment."""
_LATE_NS = 2_000_000_000
"""Messages come at most so long after their packet."""
NEAR = 0.05
"""A spot belongs to a box no further away than this share of the picture's longer side."""


def explain(
    catalog: Catalog,
    camera: str,
    t_wall_ns: int,
    at: tuple[float, float] | None = None,
    kind: str | None = None,
    store: Path | None = None,
) -> Answer:
    """Return why, for one second of a camera.

    at: a spot in the picture, fractions; only what is there. kind: only this class. store: the
    alerts of the run, where they are known. Raises ConfigError for a camera never recorded.
    """
    answer = Answer(camera, t_wall_ns)
    row = timeline.at(catalog, camera, t_wall_ns)
    being = unfinished(catalog, camera) if row is None else None
    if being is not None and being.start_wall_ns <= t_wall_ns <= being.end_wall_ns:
        row = being
    if row is None and being is None and catalog.last(camera) is None:
        raise ConfigError(f"{camera!r} was never recorded there")
    if row is None or row.start_wall_ns > t_wall_ns + SPAN_NS:
        answer.steps.append(_not_recorded(catalog, camera, t_wall_ns))
        return answer
    until = t_wall_ns + SPAN_NS + _LATE_NS
    rows = timeline.segments(catalog, camera, t_wall_ns - _STATE_NS, until)
    rows += [being] if being is not None else []
    part = next(p for p in parts(catalog.root, rows) if row.path in {r.path for r in p.rows})
    answer.steps.append(Step("recording", True, f"recorded: {Path(row.path).name}.mp4"))
    found = list(_between(part, "detections", t_wall_ns, t_wall_ns + SPAN_NS))
    answer.steps += _looked(part, found, t_wall_ns)
    if found:
        tracked = list(_between(part, "tracks", t_wall_ns, t_wall_ns + SPAN_NS))
        _subjects(answer, part, found, tracked, at, kind)
        add_deliveries(answer, store)
    return answer


def _between(part: Part, topic: str, first: int, last: int) -> Iterator[Any]:
    """Yield the messages of a topic about frames of a span of wall time."""
    for row in part.rows:
        if row.end_wall_ns < first - _LATE_NS or row.start_wall_ns > last + _LATE_NS:
            continue
        for said in part.raw(row).get(topic, ()):
            if first <= said.t_wall_ns < last:
                try:
                    yield decode_record(said.data)
                except MessageError:
                    continue


def _not_recorded(catalog: Catalog, camera: str, t_wall_ns: int) -> Step:
    for loss in catalog.losses(camera):
        if loss.from_wall_ns - SPAN_NS <= t_wall_ns <= loss.to_wall_ns + SPAN_NS:
            return Step("recording", False, LOSSES.get(loss.cause, loss.cause))
    first = next((one for one in timeline.totals(catalog) if one.camera == camera), None)
    gone = any(path.startswith(f"{camera}/") for path in catalog.deleted())
    if gone and (first is None or first.start_wall_ns > t_wall_ns):
        return Step("recording", False, "it was deleted to make room")
    text = "nothing came from the camera: it was off, away, or the line did not run"
    return Step("camera", False, text)


def _looked(part: Part, found: list[DetectionMessage], t_wall_ns: int) -> list[Step]:
    """Return whether the detector looked at the pictures of the second."""
    later = found or list(_between(part, "detections", t_wall_ns, t_wall_ns + 5 * SPAN_NS))[:1]
    dropped: dict[str, int] = {}
    for message in later:
        for cause, count in message.dropped.items():
            dropped[cause] = dropped.get(cause, 0) + count
    why = ", ".join(f"{count}: {DROPS.get(cause, cause)}" for cause, count in dropped.items())
    if not found:
        text = f"the detector looked at no picture of that second ({why or 'it did not run'})"
        return [Step("detection", False, text)]
    text = f"the detector looked at {len(found)} pictures of that second"
    return [Step("detection", True, text + (f"; left out {why}" if why else ""))]


def _subjects(
    answer: Answer,
    part: Part,
    found: list[DetectionMessage],
    tracked: list[TrackMessage],
    at: tuple[float, float] | None,
    kind: str | None,
) -> None:
    """Add what was found in the frame that shows most of what is asked for."""
    plan, by_frame = plan_of(part), {one.stamp.frame_id: one for one in tracked}
    best: tuple[int, float, DetectionMessage, list[int]] | None = None
    for message in found:
        rows = [
            n for n in range(len(message.detections))
            if _fits(message, message.detections.boxes[n], at)
            and kind in (None, _name(message, int(message.detections.class_ids[n])))
        ]  # fmt: skip
        followed = by_frame.get(message.stamp.frame_id)
        alive = followed is not None and bool((followed.tracks.states != REMOVED).any())
        top = max((float(message.detections.scores[n]) for n in rows), default=0.0)
        rank = 2 if rows and followed is not None else 1 if alive else 0
        if best is None or (rank, top if at else 0.0) >= best[:2]:
            best = rank, top if at else 0.0, message, rows
    assert best is not None
    message, rows = best[2], best[3]
    answer.frame_wall_ns = message.stamp.t_wall_ns
    followed = by_frame.get(message.stamp.frame_id)
    near = followed is not None and any(
        _fits(followed, followed.tracks.boxes[n], at)
        and kind in (None, _name(followed, int(followed.tracks.class_ids[n])))
        for n in range(len(followed.tracks))
    )
    if not rows and not near:
        answer.steps.append(Step("detection", False, _nothing(plan, part.camera, at, kind)))
        return
    if followed is None:
        answer.steps.append(Step("tracking", False, "the tracker did not get that picture"))
        return
    _tracks(answer, part, message, rows, followed, at, kind)


def _nothing(plan: Plan, camera: str, at: tuple[float, float] | None, kind: str | None) -> str:
    text = f"{f'no {kind}' if kind else 'nothing'} was found{' there' if at else ''}"
    stage, asked = plan.detectors[plan.cameras[camera].detectors[0]], plan.cameras[camera].objects
    if stage.type == "onnx":
        text += f" with a score of {stage.options.get('score', 0.1):g} or more"
    return f"{text}; looked for: {', '.join(asked)}" if asked else text


def _tracks(
    answer: Answer,
    part: Part,
    message: DetectionMessage,
    rows: list[int],
    followed: TrackMessage,
    at: tuple[float, float] | None,
    kind: str | None,
) -> None:
    plan, tracks = plan_of(part), followed.tracks
    options: Any = build.make_tracker(plan, part.camera, 0)
    least = float(getattr(options.options, "new_score", getattr(options.options, "score", 0.0)))
    taken = set(tracks.detection_rows.tolist())
    for n in rows:
        if n not in taken:
            score = float(message.detections.scores[n])
            name = _name(message, int(message.detections.class_ids[n]))
            text = f"found with score {score:.2f}, but not followed"
            if score < least:
                text += f": a new object needs {least:g}, {least - score:.2f} more"
            else:
                text += ": its box lies on that of another object"
            box = _box(message.detections.boxes[n])
            answer.subjects.append(Subject(name, 0, box, score, text))
    book, camera = _book_at(part, followed)
    zones = {k: Zone.model_validate(v) for k, v in camera.zones.items()}
    lines = {k: Line.model_validate(v) for k, v in camera.lines.items()}
    for n in range(len(tracks)):
        name = followed.names.get(int(tracks.class_ids[n]), "?")
        if tracks.states[n] == REMOVED or kind not in (None, name):
            continue
        if not _fits(followed, tracks.boxes[n], at):
            continue
        state = "followed" if tracks.unseen_s[n] <= 0 else "out of sight"
        text = f"{state} for {float(tracks.ages_s[n]):.1f} s, score {float(tracks.scores[n]):.2f}"
        track_id = int(tracks.track_ids[n])
        box = _box(tracks.boxes[n])
        subject = Subject(name, track_id, box, float(tracks.scores[n]), text)
        answer.subjects.append(subject)
        for rule in book.rules if book is not None else ():
            stage = camera.rules[rule.name]
            given = rule_class(stage.type).Options.model_validate(stage.options)
            visit = getattr(rule, "visit_of", int)(track_id)
            alert = book.open.get((rule.name, visit)) if book is not None else None
            why = reasons(stage.type, rule.state(), given, followed, n, zones, lines)
            subject.rules.append(Judged(rule.name, stage.type, alert and alert.key, why))
    if book is None:
        text = "the state of the rules at that moment was not recorded"
        answer.steps.append(Step("rules", None, text))
    elif not camera.rules:
        answer.steps.append(Step("rules", False, "this camera has no rules"))


def _book_at(part: Part, until: TrackMessage) -> tuple[Any, Any]:
    """Return the open alerts and rules as they were after a message, and the camera's plan."""
    rules = Rules(part, plan_of(part), chained=False)
    begin = rules.last_state(until.message_id)
    if begin is None:
        return None, plan_of(part).cameras[part.camera]
    first, last = begin.stamp.t_wall_ns, until.stamp.t_wall_ns
    for message in _between(part, "tracks", first, last + 1):
        if begin.message_id <= message.message_id <= until.message_id:
            rules.take(message, message, inside=False)
    return rules.book, rules.camera


def _fits(message: Any, box: Any, at: tuple[float, float] | None) -> bool:
    """Whether a spot is in a box or near it; any box where no spot is asked for."""
    if at is None:
        return True
    x, y = at[0] * message.width, at[1] * message.height
    x1, y1, x2, y2 = box.tolist()
    away = np.hypot(max(x1 - x, 0.0, x - x2), max(y1 - y, 0.0, y - y2))
    return bool(away <= NEAR * max(message.width, message.height))


def _name(message: Any, class_id: int) -> str:
    return message.names.get(class_id, str(class_id))


def _box(box: Any) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (round(float(v), 1) for v in box)
    return x1, y1, x2, y2
