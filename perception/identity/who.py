"""Names the people of one camera, from its track messages and some of its pictures.

It examines few faces per picture, those of undecided tracks first, and returns only new decisions
and repeats. The identity process and the benchmark call it. All times are media time. Imports wire
and below.
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
MAX_LOOKS = 3
"""Most tracks whose faces are searched in one picture."""
RECHECK_S = 1.0
"""Period at which a decided track is examined again, because trackers can switch ids."""
REPEAT_S = 2.0
"""Period at which a decision is returned again, because its receiver may have been down."""
CROP_SIDE = 320
"""The crop of a person's upper part is scaled down to this long side, px, for face detection."""
_MIN_WIDTH_PX = 2 * MIN_EYES_PX
_RIVAL = 0.6
"""A second face of at least this width, relative to the first, makes the crop ambiguous."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Who:
    """A decision on a track, to be sent. is_new: false for a repeat."""

    track_id: int
    decision: Decision
    is_new: bool

    @property
    def details(self) -> dict[str, str | float | bool | None]:
        """The details for an alert: who (a name, unknown or undecided), known, confidence."""
        return details(self.decision.state, self.decision.who, self.decision.confidence)


def details(state: str, who: str | None, confidence: float) -> dict[str, str | float | bool | None]:
    """Return the details of a decision for an alert: who, known, confidence.

    state: known, unknown or undecided. who: name, if known; else the state is used. confidence:
    0..1. known is True, False or None (undecided); undecided also has no confidence (None).
    """
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
    """Recognises the people of one camera.

    rate_hz: face searches per second for each undecided track. counters: looks (searches), usable
    (faces), left_out.<cause> (searches without a usable face).
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
        """Name of the embedder. Only people who were enrolled with it can be known."""
        return self._embedder.model

    def wanted(self, message: TrackMessage) -> list[Track]:
        """Return the tracks whose faces are to be searched in this frame, most urgent first."""
        t_ns = message.stamp.t_media_ns
        due = [
            track
            for track in _people(message)
            if track.unseen_s == 0 and _is_large(track) and self._is_due(track.track_id, t_ns)
        ]
        return sorted(due, key=lambda track: self._urgency(track.track_id))[:MAX_LOOKS]

    def update(self, message: TrackMessage, image: Image | None) -> list[Who]:
        """Return the new decisions on the tracks of a frame, and those to repeat.

        image: uint8 (H, W, 3) BGR of exactly this frame; None: it is not available any more.
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
        """Return the decisions by track id.

        Where two visible tracks are the same person, the one with the lower confidence becomes
        undecided, unless their boxes are around one body.
        """
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
        """Return the number of usable faces of a track so far."""
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
        """Return the face of a track, in px of the picture, or the cause why there is none."""
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
        wait_ns = clock.to_ns(RECHECK_S) if _is_settled(state) else self._period_ns
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
    return track.box[2] - track.box[0] >= _MIN_WIDTH_PX


def upper_part(box: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the region of a person's head: x1, y1, x2, y2, whole px, clipped to the picture.

    box: of the person, xyxy px. height, width: of the picture.
    """
    x1, y1, x2, y2 = box
    pad = 0.15 * (x2 - x1)
    bottom = min(y2, y1 + max(0.5 * (y2 - y1), x2 - x1))
    corners = np.array([x1 - pad, y1 - pad, x2 + pad, bottom + pad])
    left, top, right, low = np.clip(corners, 0, [width, height, width, height]).astype(int)
    return int(left), int(top), int(right), int(low)


def _is_same_body(a: Box, b: Box) -> bool:
    """Return whether at least half of the smaller box is inside the other one."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width > 0 and height > 0 and width * height >= 0.5 * min(areas)


def _moved(face: Face, dx: int, dy: int) -> Face:
    x1, y1, x2, y2 = face.box
    landmarks = face.landmarks + np.array([dx, dy], np.float32)
    return Face((x1 + dx, y1 + dy, x2 + dx, y2 + dy), face.score, landmarks)


def _owner(face: Face, people: list[Track]) -> int | None:
    """Return the track id of the person that a face belongs to; None: to none.

    Of the people whose box contains the centre of the face, it is the one whose expected head
    position is nearest, in widths of its box.
    """
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
