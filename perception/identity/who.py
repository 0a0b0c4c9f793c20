"""The stage: tracks of one camera and now and then a picture in, who is who out.

It looks at few faces, the undecided first, and says something only where it is new; the identity
process and the benchmark drive it. A plain object in media time. Imports wire and below.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from perception import clock
from perception.identity import Embedder, Image
from perception.identity.decide import Decision, Evidence, Thresholds
from perception.identity.faces import Face, FaceFinder, align
from perception.identity.gallery import Templates
from perception.identity.quality import MIN_EYES_PX, judge
from perception.wire import CONFIRMED, Track, TrackMessage

PERSON = "person"
LOOKS = 3
"""Tracks that are looked at in one picture."""
AGAIN_S = 1.0
"""How often a decided track is looked at again: trackers mix people up."""
REPEAT_S = 2.0
"""How often a decision is told again: its receiver may have been down."""
CROP_SIDE = 320
"""Long side in px to which the upper part of a person is made smaller before it is searched."""
_NARROWEST_PX = 2 * MIN_EYES_PX
_RIVAL = 0.6

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Who:
    """What is to be told of a track. is_new: not told before."""

    track_id: int
    decision: Decision
    is_new: bool

    @property
    def details(self) -> dict[str, str | float | bool | None]:
        """What an alert says of it: who (a name, unknown, undecided), known, confidence."""
        return details(self.decision.state, self.decision.who, self.decision.confidence)


def details(state: str, who: str | None, confidence: float) -> dict[str, str | float | bool | None]:
    """Return what an alert says of a decision; known and confidence are None where undecided."""
    known = {"known": True, "unknown": False}.get(state)
    return {
        "who": who or state,
        "known": known,
        "confidence": None if known is None else confidence,
    }


@dataclass(slots=True)
class _Track:
    evidence: Evidence
    looked_ns: int | None = None
    told_ns: int | None = None
    told: Decision | None = None


class Recogniser:
    """Who the people of one camera are.

    rate_hz: looks a second at each undecided track. counters: looks, usable, and faces left out by
    cause; numbers only, nothing of a face.
    """

    def __init__(
        self,
        finder: FaceFinder,
        embedder: Embedder,
        thresholds: Thresholds,
        templates: Templates,
        rate_hz: float = 10.0,
    ) -> None:
        self._finder, self._embedder, self._thresholds = finder, embedder, thresholds
        self.templates = templates
        self._period_ns = clock.to_ns(1 / rate_hz)
        self._tracks: dict[int, _Track] = {}
        self.counters: Counter[str] = Counter()

    @property
    def model(self) -> str:
        """What makes the vectors: only people enrolled with it can be known."""
        return self._embedder.model

    def wanted(self, message: TrackMessage) -> list[Track]:
        """Return the tracks whose faces shall be looked for in this frame, most urgent first."""
        t_ns = message.stamp.t_media_ns
        due = [
            track
            for track in _people(message)
            if track.unseen_s == 0 and _is_large(track) and self._is_due(track.track_id, t_ns)
        ]
        return sorted(due, key=lambda track: self._urgency(track.track_id))[:LOOKS]

    def update(self, message: TrackMessage, image: Image | None) -> list[Who]:
        """Return what is new of the tracks, and what is to be told again.

        image: uint8 (H, W, 3) BGR of exactly this frame, or None where it is gone.
        """
        t_ns, people = message.stamp.t_media_ns, _people(message)
        for track in self.wanted(message) if image is not None else ():
            assert image is not None
            self._look(image, track, people, t_ns)
        alive = set(message.tracks.track_ids.tolist())
        self._tracks = {key: value for key, value in self._tracks.items() if key in alive}
        decided = self._decide(people)
        told: list[Who] = []
        for track_id, decision in decided.items():
            state = self._state(track_id)
            is_new = not decision.is_same(state.told)
            again = state.told_ns is None or abs(t_ns - state.told_ns) >= clock.to_ns(REPEAT_S)
            if is_new or again:
                state.told, state.told_ns = decision, t_ns
                told.append(Who(track_id, decision, is_new))
        return told

    def _decide(self, people: list[Track]) -> dict[int, Decision]:
        """Return what is decided; nobody is in two places, so of two who fit one person, the one
        that fits less is undecided, except where two boxes are round one body."""
        decided: dict[int, Decision] = {}
        for track in people:
            evidence = self._state(track.track_id).evidence
            decision = evidence.decide(self.templates, track.age_s)
            if decision is not None:
                decided[track.track_id] = decision
        seen = [track for track in people if track.unseen_s == 0 and track.track_id in decided]
        known = [track for track in seen if decided[track.track_id].state == "known"]
        known.sort(key=lambda track: -decided[track.track_id].confidence)
        first: dict[str | None, Track] = {}
        for track in known:
            said = decided[track.track_id]
            best = first.setdefault(said.who, track)
            if best is not track and not _is_same_body(best.box, track.box):
                decided[track.track_id] = Decision("undecided", None, 0.0, said.faces)
        return decided

    def faces(self, track_id: int) -> int:
        """Return how many usable faces of a track were seen."""
        state = self._tracks.get(track_id)
        return state.evidence.count if state else 0

    def _look(self, image: Image, track: Track, people: list[Track], t_ns: int) -> None:
        state = self._state(track.track_id)
        state.looked_ns = t_ns
        self.counters["looks"] += 1
        face = self._face_of(image, track, people)
        if isinstance(face, str):
            self.counters[f"left_out.{face}"] += 1
            return
        aligned = align(image, face)
        quality = judge(image, face, aligned)
        if quality.flaw is not None:
            self.counters[f"left_out.{quality.flaw}"] += 1
            return
        self.counters["usable"] += 1
        state.evidence.add(self._embedder.embed(aligned), quality.weight)

    def _face_of(self, image: Image, track: Track, people: list[Track]) -> Face | str:
        """Return the face of a track in a picture, in its pixels, or why there is none."""
        x1, y1, x2, y2 = upper_part(track.box, image.shape[0], image.shape[1])
        crop = image[y1:y2, x1:x2]
        found = [_moved(face, x1, y1) for face in self._finder.find(crop, CROP_SIDE)]
        own = [face for face in found if _owner(face, people) == track.track_id]
        if not own:
            return "of_another" if found else "no_face"
        if len(own) > 1 and own[1].width_px > _RIVAL * own[0].width_px:
            return "two_faces"
        return own[0]

    def _state(self, track_id: int) -> _Track:
        return self._tracks.setdefault(track_id, _Track(Evidence(self._thresholds)))

    def _is_due(self, track_id: int, t_ns: int) -> bool:
        state = self._tracks.get(track_id)
        if state is None or state.looked_ns is None:
            return True
        wait_ns = clock.to_ns(AGAIN_S) if _is_settled(state) else self._period_ns
        return abs(t_ns - state.looked_ns) >= wait_ns

    def _urgency(self, track_id: int) -> tuple[bool, int]:
        state = self._tracks.get(track_id)
        if state is None or state.looked_ns is None:
            return False, -(1 << 62)
        return _is_settled(state), state.looked_ns


def _is_settled(state: _Track) -> bool:
    decision = state.evidence.decision
    return decision is not None and decision.state != "undecided"


def _people(message: TrackMessage) -> list[Track]:
    confirmed = set(message.tracks.track_ids[message.tracks.states == CONFIRMED].tolist())
    return [t for t in message if t.track_id in confirmed and t.class_name == PERSON]


def _is_large(track: Track) -> bool:
    return track.box[2] - track.box[0] >= _NARROWEST_PX


def upper_part(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Return where the head of a person in `box` has to be: x1, y1, x2, y2, whole px inside."""
    x1, y1, x2, y2 = box
    pad = 0.15 * (x2 - x1)
    bottom = min(y2, y1 + max(0.5 * (y2 - y1), x2 - x1))
    corners = np.array([x1 - pad, y1 - pad, x2 + pad, bottom + pad])
    left, top, right, low = np.clip(corners, 0, [width, height, width, height]).astype(int)
    return int(left), int(top), int(right), int(low)


def _is_same_body(a: Box, b: Box) -> bool:
    """Whether the smaller box lies for the most part in the larger."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width > 0 and height > 0 and width * height >= 0.5 * min(areas)


def _moved(face: Face, dx: int, dy: int) -> Face:
    x1, y1, x2, y2 = face.box
    landmarks = face.landmarks + np.array([dx, dy], np.float32)
    return Face((x1 + dx, y1 + dy, x2 + dx, y2 + dy), face.score, landmarks)


def _owner(face: Face, people: list[Track]) -> int | None:
    """Return the person whose head is nearest, in widths of its box, of those who enclose it."""
    x, y = face.centre
    best: tuple[float, int] | None = None
    for track in people:
        x1, y1, x2, y2 = track.box
        width, height = x2 - x1, y2 - y1
        if not (x1 <= x <= x2 and y1 - 0.15 * width <= y <= y2) or width <= 0:
            continue
        head_x, head_y = (x1 + x2) / 2, y1 + min(0.35 * width, 0.5 * height)
        away = float(np.hypot(x - head_x, y - head_y)) / width
        if best is None or away < best[0]:
            best = away, track.track_id
    return None if best is None else best[1]
