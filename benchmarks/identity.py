"""Who is who: false names, missed names, and how long a decision takes.

Stills: shared/data images/faces, labelled by their file names; pictures of one photo session are
one `shot`, told apart by eye, and never compared with each other. Every person is once a stranger.
Clip: whitehouse_faces_cuts.mp4, detected and tracked once, then the identity stage from many
starting points, with and without the singer in the gallery. Thresholds: the model's published
operating points; nothing is fitted here. Few people: the bounds say how little that proves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.harness import FOOTAGE, Report, options, percentile, report
from perception import clock
from perception.detectors.model import OnnxDetector
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey
from perception.identity import Vector
from perception.identity.decide import Decision, Evidence, Thresholds
from perception.identity.embedders import SFace
from perception.identity.faces import FaceFinder, align
from perception.identity.gallery import Person, Portrait, Templates
from perception.identity.quality import judge
from perception.identity.who import Recogniser
from perception.trackers.scene_cut import SceneCut
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import Stamp, TrackMessage

SHOTS = {
    "obama portrait": ("examples_obama", "train_obama_obama", "obama_small", "obama_partial"),
    "obama speech": ("examples_obama2", "train_obama_obama2"),
    "obama press": ("test_obama1",),
    "obama rally": ("obama_and_biden:1",),
    "obama office": ("obama3", "two_people:0"),
    "biden rally": ("obama_and_biden:0",),
    "biden office": ("examples_biden", "train_biden_biden", "two_people:1"),
    "biden portrait": ("train_biden_biden2",),
    "alex dark": ("examples_alex-lacamoire",),
    "alex studio": ("test_alex_lacamoire1",),
    "alex jacket": ("train_alex_lacamoire_img1",),
    "kit snow": ("test_johnsnow_test1",),
    "kit field": ("kit_harington_john1",),
    "kit furs": ("kit_harington_john2",),
    "kit carpet": ("test_kit_with_rose:1",),
    "rose carpet": ("test_kit_with_rose:0",),
    "rose door": ("rose_leslie_img1",),
    "rose signs": ("rose_leslie_img2",),
    "lin stage": ("lin-manuel-miranda",),
    "astronaut": ("skimage_astronaut",),
    "child rally": ("obama_and_biden:2",),
}
"""person and shot -> ends of file stems, `:n` the n-th face from the left; partial_ takes both."""
CUTS = 20, 82, 211
"""Last frames before the cuts of the clip; by eye, as in tests/golden/visits.json."""
SINGER = range(83, 212)
"""Frames of the clip in which the singer stands alone."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A usable face with its label."""

    person: str
    shot: str
    vector: Vector
    weight: float


def shot_of(stem: str, n: int, count: int) -> str | None:
    """Return the shot of the n-th face from the left of a picture; None: not labelled."""
    for shot, ends in SHOTS.items():
        for end in ends:
            name, _, place = end.partition(":")
            if (stem.endswith(name) or (name.endswith("partial") and name in stem)) and (
                int(place) == n if place else count == 1
            ):
                return shot
    return None


def at_a_door(image: Any, eyes_px: float, finder: FaceFinder) -> Any:
    """Return a picture made so small that its eyes are eyes_px apart, as a camera sends it."""
    faces = finder.find(image, 1280)
    if not faces:
        return image
    scale = min(1.0, eyes_px / float(np.hypot(*(faces[0].landmarks[1] - faces[0].landmarks[0]))))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)


def pictures(folder: str) -> dict[str, Any]:
    """Return the pictures of a folder by stem, each content once."""
    seen: dict[bytes, str] = {}
    for path in sorted((FOOTAGE / folder).rglob("*.*")):
        seen.setdefault(path.read_bytes(), str(path))
    read = {Path(path).stem: cv2.imread(path) for path in seen.values()}
    return {stem: image for stem, image in read.items() if image is not None}


def probes(
    finder: FaceFinder, embedder: SFace, eyes_px: float | None = None, folder: str = "images/faces"
) -> tuple[list[Probe], list[str]]:
    """Return the usable faces of stills and what was left out; eyes_px: made small before.

    Only faces of images/faces have labels; those of other folders are strangers.
    """
    found: list[Probe] = []
    left: list[str] = []
    for stem, original in pictures(folder).items():
        image = original if eyes_px is None else at_a_door(original, eyes_px, finder)
        faces = sorted(finder.find(image, 1280), key=lambda face: face.box[0])
        for n, face in enumerate(faces):
            shot = shot_of(stem, n, len(faces)) if folder == "images/faces" else f"{stem} {n}"
            aligned = align(image, face)
            quality = judge(image, face, aligned)
            if shot is None or quality.flaw is not None:
                left.append(f"{stem}:{n} {quality.flaw or 'no label'}")
                continue
            vector = embedder.embed(aligned)
            found.append(Probe(shot.split()[0], shot, vector, quality.weight))
    return found, left


def people(faces: Sequence[Probe]) -> Templates:
    """Return a gallery of these faces."""
    names = sorted({face.person for face in faces})
    made = [
        Person(
            name=name,
            model="sface",
            portraits=[
                Portrait(vector=f.vector.tobytes(), picture=b"", eyes_px=0, t_wall_ns=0)
                for f in faces
                if f.person == name
            ],
        )
        for name in names
    ]
    return Templates.of(made, "sface")


def judged(face: Probe, gallery: Templates, thresholds: Thresholds) -> Decision:
    """Return what the decision says of one still at its deadline."""
    evidence = Evidence(thresholds)
    evidence.add(face.vector, face.weight)
    decision = evidence.decide(gallery, thresholds.deadline_s)
    assert decision is not None
    return decision


def upper_bound(wrong: int, trials: int, level: float = 0.95) -> float:
    """Return the one-sided upper bound of a rate, Clopper and Pearson, Biometrika 26, 1934."""
    if trials == 0 or wrong >= trials:
        return 1.0
    low, high = wrong / trials, 1.0
    for _ in range(60):
        p = (low + high) / 2
        below = sum(math.comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(wrong + 1))
        low, high = (p, high) if below > 1 - level else (low, p)
    return high


def stills(rows: Report, found: list[Probe], thresholds: Thresholds) -> None:
    """Enrolled people's other pictures, and everybody once a stranger."""
    named = wrong = undecided = trials = 0
    for face in found:
        for shot in sorted({f.shot for f in found if f.person == face.person} - {face.shot}):
            gallery = people([f for f in found if f.shot == shot or f.person != face.person])
            said = judged(face, gallery, thresholds)
            trials += 1
            named += said.who == face.person
            wrong += said.who not in (None, face.person)
            undecided += said.state == "undecided"
    rows.add(
        "enrolled with one shot, named in others", "%", 100 * named / trials,
        target=">= 90 %", met=lambda v: v >= 90, of="ours",
        note=f"{named} of {trials}; undecided {undecided}; wrong name {wrong}",
    )  # fmt: skip
    false_names(rows, "enrolled, another's name", wrong, trials)
    wrong = unknown = trials = 0
    for face in found:
        gallery = people([f for f in found if f.person != face.person])
        said = judged(face, gallery, thresholds)
        trials += 1
        wrong += said.state == "known"
        unknown += said.state == "unknown"
    false_names(rows, "strangers, leave one person out", wrong, trials)
    rows.add("strangers called unknown", "%", 100 * unknown / trials, note=f"{unknown} of {trials}")
    pairs = [
        float(a.vector @ b.vector)
        for i, a in enumerate(found)
        for b in found[:i]
        if a.person != b.person
    ]
    false_names(
        rows, "pairs of two people at or above accept",
        sum(pair >= thresholds.accept for pair in pairs), len(pairs), f"highest {max(pairs):.2f}",
    )  # fmt: skip


def at_doors(
    rows: Report, enrolled: list[Probe], finder: FaceFinder, embedder: SFace, limits: Thresholds,
    eyes_px: float,
) -> None:  # fmt: skip
    """The same as small as a door camera sees them: enrolled people, and each as a stranger."""
    small, left = probes(finder, embedder, eyes_px)
    named = wrong = stranger = trials = 0
    for face in small:
        others = [f for f in enrolled if f.person != face.person]
        said = judged(face, people(others), limits)
        stranger += said.state == "known"
        if len({f.shot for f in enrolled if f.person == face.person}) > 1:
            said = judged(face, people([f for f in enrolled if f.shot != face.shot]), limits)
            trials += 1
            named += said.who == face.person
            wrong += said.who not in (None, face.person)
    what = f"eyes {eyes_px:.0f} px apart, JPEG 60"
    rows.add(
        f"{what}: named", "%", 100 * named / max(trials, 1), target=">= 90 %",
        met=lambda v: v >= 90, of="ours",
        note=f"{named} of {trials}; another's name {wrong}; not usable {len(left)}",
    )  # fmt: skip
    false_names(rows, f"{what}: strangers", stranger, len(small))


def false_names(rows: Report, what: str, wrong: int, trials: int, more: str = "") -> None:
    """Add a row of wrong names with its bound."""
    bound = 100 * upper_bound(wrong, trials)
    rows.add(
        what, "", float(wrong), target="0", met=lambda v: v == 0, of="ours",
        note=f"of {trials}; 95 % upper bound {bound:.1f} %{'; ' + more if more else ''}",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame of the clip and its tracks."""

    n: int
    image: Any
    message: TrackMessage


def clip() -> list[Seen]:
    """Detect and track the clip as `analyze` does."""
    detector = OnnxDetector(OnnxDetector.Options(), threads=2)
    tracker = TwoStageTracker(TwoStageTracker.Options(), epoch=1)
    motion, cuts = CameraMotion(), SceneCut()
    video: Any = cv2.VideoCapture(str(FOOTAGE / "video/doorway/whitehouse_faces_cuts.mp4"))
    seen: list[Seen] = []
    while True:
        ok, image = video.read()
        if not ok:
            return seen
        n = len(seen)
        height, width = image.shape[:2]
        boxes = detector.detect(image)
        grey = small_grey(image)
        warp = motion.estimate(grey, boxes.boxes, width, height)
        if cuts.is_cut(grey):
            tracker.end_all()
        t_ns = round(n * 1e9 * 1001 / 30000)
        tracks = tracker.update(boxes, t_ns, warp, 0)
        stamp = Stamp(camera="c", frame_id=n, t_media_ns=t_ns, t_arrival_ns=0, t_wall_ns=0)
        message = TrackMessage(
            stamp=stamp, width=width, height=height, names=detector.names, dropped={},
            t_detected_ns=0, t_tracked_ns=0, tracks=tracks, warp=warp,
        )  # fmt: skip
        seen.append(Seen(n, image, message))


@dataclass(slots=True)
class Watched:
    """What came of a stretch of the clip: decisions by frame, and times."""

    said: list[tuple[int, int, Decision]]
    waits_s: list[float]
    looks_ms: list[float]


def watch(
    frames: Sequence[Seen], finder: FaceFinder, embedder: SFace, gallery: Templates,
    thresholds: Thresholds,
) -> Watched:  # fmt: skip
    """Run the identity stage over frames in a row. waits_s: media time from the first usable face
    of a track to its decision, plus the time the looks took."""
    recogniser = Recogniser(finder, embedder, thresholds, gallery)
    first: dict[int, float] = {}
    decided: set[int] = set()
    told = Watched([], [], [])
    for frame in frames:
        t_s = clock.seconds(frame.message.stamp.t_media_ns)
        start = time.perf_counter()
        looked = bool(recogniser.wanted(frame.message))
        new = recogniser.update(frame.message, frame.image)
        took_s = time.perf_counter() - start
        if looked:
            told.looks_ms.append(1000 * took_s)
        for track_id in frame.message.tracks.track_ids.tolist():
            if recogniser.faces(track_id) and track_id not in first:
                first[track_id] = t_s
        for who in new:
            told.said.append((frame.n, who.track_id, who.decision))
            final = who.decision.state != "undecided"
            if final and who.track_id in first and who.track_id not in decided:
                decided.add(who.track_id)
                told.waits_s.append(t_s - first[who.track_id] + took_s)
    return told


def moving(
    rows: Report, found: list[Probe], finder: FaceFinder, embedder: SFace, limits: Thresholds,
    step: int,
) -> None:  # fmt: skip
    """The singer, known and as a stranger, from many starting points; then the whole clip."""
    frames = clip()
    shot = [frames[n] for n in SINGER]
    starts = range(0, len(shot) - 60, step)
    everyone, others = people(found), people([f for f in found if f.person != "lin"])
    waits: dict[str, list[float]] = {"known": [], "unknown": []}
    looks: list[float] = []
    right = wrong = stranger = false = 0
    for start in starts:
        known = watch(shot[start:], finder, embedder, everyone, limits)
        last = {track: decision for _, track, decision in known.said}
        right += any(d.who == "lin" for d in last.values())
        wrong += any(d.who not in (None, "lin") for _, _, d in known.said)
        unknown = watch(shot[start:], finder, embedder, others, limits)
        last = {track: decision for _, track, decision in unknown.said}
        stranger += any(d.state == "unknown" for d in last.values())
        false += any(d.state == "known" for _, _, d in unknown.said)
        waits["known"] += known.waits_s
        waits["unknown"] += unknown.waits_s
        looks += known.looks_ms
    n = len(starts)
    rows.add(
        "clip: singer enrolled with one photo, named", "%", 100 * right / n, target=">= 90 %",
        met=lambda v: v >= 90, of="ours", note=f"{right} of {n} starts of one shot",
    )  # fmt: skip
    false_names(rows, "clip: singer under another's name", wrong, n)
    false_names(rows, "clip: singer as stranger, named", false, n)
    rows.add(
        "clip: singer as stranger, unknown", "%", 100 * stranger / n, note=f"{stranger} of {n}"
    )
    for state, times in waits.items():
        for p in (50, 95):
            rows.add(
                f"first usable face to {state}, p{p}", "s", percentile(times, p),
                note=f"{len(times)} tracks, 10 looks/s, time of the looks included",
            )  # fmt: skip
    for p in (50, 95):
        rows.add(f"one look (find, judge, embed), p{p}", "ms", percentile(looks, p))
    two = people([f for f in found if f.person in ("lin", "alex")])
    whole = watch(frames, finder, embedder, two, limits)
    audience = [d for at, _, d in whole.said if at > CUTS[-1]]
    false_names(
        rows, "clip: decisions on the audience, two enrolled",
        sum(d.state == "known" for d in audience), len(audience),
    )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = options("identity", __doc__)
    cv2.setNumThreads(1)
    with report("identity", asked.out) as rows:
        if not FOOTAGE.is_dir():
            rows.missing("footage", f"{FOOTAGE} is not there: set PERCEPTION_TEST_DATA")
            return
        finder, embedder = FaceFinder(), SFace(SFace.Options())
        found, left = probes(finder, embedder)
        people_ = {face.person for face in found}
        print(f"{len(found)} usable faces of {len(people_)} people; left out: {left}")
        still = Thresholds(embedder.accept, embedder.reject, min_faces=1)
        stills(rows, found, still)
        street, _ = probes(finder, embedder, folder="images/street")
        named = sum(judged(face, people(found), still).state == "known" for face in street)
        false_names(rows, "strangers of the street pictures", named, len(street))
        for eyes_px in (40, 30, 20):
            at_doors(rows, found, finder, embedder, still, eyes_px)
        limits = Thresholds(embedder.accept, embedder.reject)
        moving(rows, found, finder, embedder, limits, 16 if asked.short else 4)


if __name__ == "__main__":
    main()
