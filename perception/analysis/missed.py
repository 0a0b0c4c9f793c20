"""What live missed, by what an examination found, and why.

The examination can be wrong too: its network misses objects and invents some.

Imports launchfile and below.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.alerts.book import AlertBook
from perception.analysis.answers import DAMAGED, DROPS
from perception.analysis.recorded import Part
from perception.analysis.replay import plan_of
from perception.analysis.smoothing import Visit, collect, fill, smooth
from perception.footage.messages import read
from perception.footage.rows import SegmentRow
from perception.kernels.boxes import iou_matrix
from perception.launchfile import build
from perception.trackers.follow import RecordedMotion
from perception.wire import Alert, DetectionMessage, TrackMessage
from perception.wire.codec import decode_record
from perception.wire.plan import Plan

LEAST_S, LEAST_FRAMES = 0.5, 5
"""Shorter visits are not claimed."""
LATE_S = 1.0
"""A visit that live confirmed later than this is told."""
_SAME, _NEAR = 0.5, 0.3
_LOOKED = 0.25
"""With a smaller share of its frames looked at, a visit was missed for that."""
_BREAK_NS = 2_000_000_000
CAUSES = {
    "left out": "live left the pictures out",
    "not detected": "live detected nothing there",
    "below score": "detected, but below the score that starts a track",
    "not confirmed": "tracked, but not confirmed",
    "other class": "taken for another class",
    "not asked for": "its class is not in `objects`",
    "late": "confirmed late",
    "only live": "seen live, not in the examination",
}


@dataclass
class Finding:
    """A visit that live missed or saw late, or (only live) that the examination did not see.

    cause: a row of CAUSES. best: frame of the highest score, its box in px.
    """

    cause: str
    text: str
    class_name: str
    start_wall_ns: int
    seconds: float
    score: float
    best_media_ns: int
    box: tuple[float, float, float, float]
    segment: str = ""


@dataclass
class Report:
    """What examined segments of a camera gave. damaged: pictures not looked at for that."""

    frames: int = 0
    looked: int = 0
    damaged: int = 0
    visits: list[Visit] = field(default_factory=list[Visit])
    matched: int = 0
    findings: list[Finding] = field(default_factory=list[Finding])
    was: list[Alert] = field(default_factory=list[Alert])
    now: list[Alert] = field(default_factory=list[Alert])


def chains(rows: Sequence[SegmentRow]) -> Iterator[list[SegmentRow]]:
    """Yield segments that follow each other without a gap, so that tracks go on across them."""
    chain: list[SegmentRow] = []
    for row in rows:
        if chain and (
            row.first_packet >> 32 != chain[-1].first_packet >> 32
            or row.start_media_ns - chain[-1].end_media_ns > _BREAK_NS
        ):
            yield chain
            chain = []
        chain.append(row)
    if chain:
        yield chain


def follow(folder: Path, rows: Sequence[SegmentRow], plan: Plan, camera: str) -> list[TrackMessage]:
    """Return the tracks of examined segments that follow each other, forward."""
    recorded = RecordedMotion()
    follower = build.make_follower(plan, camera, 0, recorded=recorded)
    done: list[TrackMessage] = []
    for row in rows:
        found: DetectionMessage | None = None
        for said in read(folder / f"{row.path}.mcap"):
            message = decode_record(said.data)
            if isinstance(message, DetectionMessage):
                found = message
            elif isinstance(message, TrackMessage) and found is not None:
                recorded.warp, recorded.cut = message.warp, message.cut
                done.append(follower.follow(found))
    return done


def compare(
    folder: Path, part: Part, rows: Sequence[SegmentRow], plan: Plan, report: Report
) -> None:
    """Add to a report what examined segments of a part say that follow each other."""
    camera = part.camera
    followed = follow(folder, rows, plan, camera)
    if not followed:
        return
    times = np.array([m.stamp.t_media_ns for m in followed], np.int64)
    walls = np.array([m.stamp.t_wall_ns for m in followed], np.int64)
    visits = [smooth(fill(visit, times, walls)) for visit in collect(followed)]
    live = Live(part, rows, int(times[0]), int(times[-1]))
    claimed = [v for v in visits if v.seconds >= LEAST_S and v.seen.sum() >= LEAST_FRAMES]
    found = findings(claimed, live, visits)
    for one in found:
        one.segment = next((r.path for r in rows if one.best_media_ns <= r.end_media_ns), "")
    report.findings += found
    report.frames += len(followed)
    report.looked += sum(map(live.has_looked, times.tolist()))
    report.damaged += int(np.isin(times, list(live.damaged)).sum())
    report.visits += visits
    report.matched += len(claimed) - sum(f.cause not in ("late", "only live") for f in found)
    book = AlertBook(camera, build.make_rules(plan.cameras[camera]))
    raised = [alert for m in followed for alert in book.update(m) if alert.state == "raised"]
    report.now += raised
    report.was += live.alerts


class Live:
    """What was recorded live between two media times, by media time."""

    def __init__(self, part: Part, rows: Sequence[SegmentRow], first: int, last: int) -> None:
        plan = plan_of(part)
        self.camera = plan.cameras[part.camera]
        options = getattr(build.make_tracker(plan, part.camera, 0), "options", None)
        self.new_score = float(getattr(options, "new_score", getattr(options, "score", 0.0)))
        stage = plan.detectors[self.camera.detectors[0]]
        self.least = float(stage.options.get("score", 0.0))
        self.detections: dict[int, DetectionMessage] = {}
        self.damaged: set[int] = set()
        """Media times of pictures that live did not look at, because data of them is missing."""
        self.tracks: dict[int, TrackMessage] = {}
        self.alerts: list[Alert] = []
        for message in _messages(part, rows, "detections"):
            if first <= message.stamp.t_media_ns <= last + _BREAK_NS:
                self.detections[message.stamp.t_media_ns] = message
                if message.damage == "direct":
                    self.damaged.add(message.stamp.t_media_ns)
        for message in _messages(part, rows, "tracks"):
            if first <= message.stamp.t_media_ns <= last:
                self.tracks[message.stamp.t_media_ns] = message
        for message in _messages(part, rows, "alerts"):
            if message.alert.state == "raised" and first <= message.stamp.t_media_ns <= last:
                self.alerts.append(message.alert)
        self.visits = collect(self.tracks.values(), heads=False)

    def has_looked(self, t_media_ns: int) -> bool:
        """Whether live looked at the picture of a media time."""
        return t_media_ns in self.detections and t_media_ns not in self.damaged

    def left_out(self, first: int, last: int) -> str:
        """Return why pictures between two media times were not looked at, in words."""
        dropped: dict[str, int] = {}
        for t_ns in sorted(self.detections):
            if t_ns > first:
                for cause, count in self.detections[t_ns].dropped.items():
                    dropped[cause] = dropped.get(cause, 0) + count
                if t_ns > last:
                    break
        damaged = sum(first <= t_ns <= last for t_ns in self.damaged)
        if damaged:
            dropped[DAMAGED] = damaged
        if not dropped:
            return "the detector did not run, or its messages were lost"
        worst = max(dropped, key=lambda cause: dropped[cause])
        return DROPS.get(worst, worst)


def _messages(part: Part, rows: Sequence[SegmentRow], topic: str) -> Iterator[Any]:
    held = Part(part.root, part.camera, part.manifest)
    held.rows = list(rows)
    return held.messages(topic)


def findings(claimed: Sequence[Visit], live: Live, visits: Sequence[Visit]) -> list[Finding]:
    """Return what live missed of claimed visits, and what only live saw, by time."""
    found: list[Finding] = []
    for visit in claimed:
        there = [one for one in live.visits if is_same(visit, one)]
        same = [one for one in there if one.class_name == visit.class_name]
        if not same:
            found.append(_finding(visit, *_cause(visit, live)))
            continue
        late = min(one.confirmed_ns for one in same) - int(visit.t_ns[0])
        if late > LATE_S * 1e9:
            cause, why = _cause(visit, live, until_ns=int(visit.t_ns[0]) + late)
            found.append(
                _finding(visit, "late", f"{late / 1e9:.1f} s late; before, {cause}: {why}")
            )
    for one in live.visits:
        if one.seconds >= LEAST_S and not any(is_same(visit, one) for visit in visits):
            text = "the examination saw nothing there: a false track, or one that it missed"
            found.append(_finding(one, "only live", text))
    return sorted(found, key=lambda one: (one.start_wall_ns, one.cause, one.box))


def is_same(a: Visit, b: Visit) -> bool:
    """Whether two tracks are one object: mean IoU over the frames of both at least .5."""
    _, left, right = np.intersect1d(a.t_ns, b.t_ns, assume_unique=True, return_indices=True)
    return bool(len(left)) and float(_ious(a.boxes[left], b.boxes[right]).mean()) >= _SAME


def _cause(visit: Visit, live: Live, until_ns: int | None = None) -> tuple[str, str]:
    """Return the cause and its words for a visit that live did not confirm (until then)."""
    rows = np.flatnonzero(visit.seen & (visit.t_ns < (until_ns or 1 << 62)))
    if live.camera.objects and visit.class_name not in live.camera.objects:
        return "not asked for", f"live looked for {', '.join(live.camera.objects)}"
    looked = [i for i in rows.tolist() if live.has_looked(int(visit.t_ns[i]))]
    share = f"live looked at {len(looked)} of {len(rows)} pictures of it"
    best, other, tracked = 0.0, "", 0
    for i in looked:
        message = live.detections[int(visit.t_ns[i])]
        seen = message.detections
        near = iou_matrix(visit.boxes[i : i + 1], seen.boxes)[0] >= _SAME
        for n in np.flatnonzero(near).tolist():
            name = message.names.get(int(seen.class_ids[n]), "?")
            if name == visit.class_name:
                best = max(best, float(seen.scores[n]))
            else:
                other = name
        after = live.tracks.get(int(visit.t_ns[i]))
        if after is not None and len(after.tracks):
            over = iou_matrix(visit.boxes[i : i + 1], after.tracks.boxes)[0]
            tracked += bool((over >= _NEAR).any())
    if best >= live.new_score:
        where = f"in {tracked} pictures a track was there" if tracked else "no track took it"
        return "not confirmed", f"best score {best:.2f}; {where}; {share}"
    if best > 0.0:
        short = live.new_score - best
        need = f"a new object needs {live.new_score:g}, {short:.2f} more"
        return "below score", f"best score {best:.2f}; {need}; {share}"
    if len(looked) < _LOOKED * len(rows) or not looked:
        first, last = int(visit.t_ns[rows[0]]), int(visit.t_ns[rows[-1]])
        return "left out", f"{live.left_out(first, last)}; {share}"
    if other:
        return "other class", f"live says {other}; {share}"
    text = f"nothing with a score of {live.least:g} or more, or NMS removed it; {share}"
    if live.camera.sweep_s is not None:
        text += "; `detect: auto` looks only where the picture changes"
    return "not detected", text


def _finding(visit: Visit, cause: str, text: str) -> Finding:
    at = int(visit.scores.argmax())
    x1, y1, x2, y2 = (round(float(v), 1) for v in visit.boxes[at])
    return Finding(
        cause, text, visit.class_name, int(visit.wall_ns[0]), round(visit.seconds, 2),
        round(float(visit.scores[at]), 3), int(visit.t_ns[at]), (x1, y1, x2, y2),
    )  # fmt: skip


def _ious(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the IoU of boxes row by row: float64 (n,)."""
    size = np.minimum(a[:, 2:], b[:, 2:]).astype(np.float64) - np.maximum(a[:, :2], b[:, :2])
    both = np.prod(np.maximum(size, 0.0), axis=1)
    areas = [np.prod(one[:, 2:].astype(np.float64) - one[:, :2], axis=1) for one in (a, b)]
    return both / np.maximum(areas[0] + areas[1] - both, 1e-9)
