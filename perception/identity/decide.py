"""Known, unknown or undecided: evidence of a track's faces, summed, against the gallery.

Open set: a stranger has to come out as one. Thresholds are the embedder's published operating
points; nothing here was fitted to faces at hand (benchmarks/identity.py measures). Pure arithmetic.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perception.identity import Vector
from perception.identity.gallery import Templates

State = Literal["known", "unknown", "undecided"]
WINDOW = 12
"""Faces that count: so an older person's faces are gone 12 faces after a tracker's mix-up."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a track is. who: only where known.

    confidence: 0..1; known: mean cosine to that person; unknown: one minus the highest mean cosine
    to anybody; undecided: 0. faces: usable faces seen until then.
    """

    state: State
    who: str | None
    confidence: float
    faces: int

    def is_same(self, other: "Decision | None") -> bool:
        """Whether both say the same of the person, however sure."""
        return other is not None and (self.state, self.who) == (other.state, other.who)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """accept, reject: cosines, see Embedder. min_faces: usable faces before anybody is named.

    Twice as many make a stranger: a wrong `unknown` cannot be taken back from a phone. deadline_s:
    seconds of media time after which what is not decided is said to be undecided.
    """

    accept: float
    reject: float
    min_faces: int = 3
    deadline_s: float = 2.0


class Evidence:
    """The faces of one track. The mean of cosines is the cosine with the mean of unit vectors, so
    what is kept is vectors, and a changed gallery needs no second look."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._faces: deque[tuple[Vector, float]] = deque(maxlen=WINDOW)
        self.count = 0
        self.decision: Decision | None = None

    def add(self, vector: Vector, weight: float) -> None:
        """Add a usable face: float32 (D,) of length 1, weight above 0."""
        self._faces.append((vector, max(weight, 1e-3)))
        self.count += 1

    def decide(self, templates: Templates, age_s: float) -> Decision | None:
        """Return what is known of a track that has been seen for age_s; None: still gathering.

        A decision stays until the evidence says another. Exactly one person has to reach `accept`:
        where two do, nobody is named.
        """
        self.decision = self._weigh(templates, age_s) or self.decision
        if self.decision is None and age_s >= self._thresholds.deadline_s:
            self.decision = Decision("undecided", None, 0.0, self.count)
        return self.decision

    def _weigh(self, templates: Templates, age_s: float) -> Decision | None:
        limits, faces = self._thresholds, len(self._faces)
        if faces < limits.min_faces:
            return None
        scores = self.scores(templates)
        best = float(scores.max(initial=-1.0))
        if int((scores >= limits.accept).sum()) == 1:
            who = templates.names[int(scores.argmax())]
            return Decision("known", who, _fraction(best), self.count)
        sure = faces >= min(2 * limits.min_faces, WINDOW) or age_s >= limits.deadline_s
        if best < limits.reject and sure:
            return Decision("unknown", None, _fraction(1 - max(best, 0.0)), self.count)
        return None

    def scores(self, templates: Templates) -> Vector:
        """Return the weighted mean cosine to each person, float32 (P,)."""
        if not templates.names or not self._faces:
            return np.zeros(0, np.float32)
        total = sum(weight for _, weight in self._faces)
        mean = sum((vector * weight for vector, weight in self._faces), np.float32(0)) / total
        return np.asarray(templates.vectors @ mean, np.float32)


def _fraction(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 2)
