"""Decides for a track: known, unknown or undecided, from its faces and the gallery.

Open-set recognition: a person who is not enrolled must be called unknown. The thresholds are the
published operating points of the embedder; none was fitted to own data. benchmarks/identity.py
measures the result. No I/O.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from perception.identity import Vector
from perception.identity.gallery import Templates

State = Literal["known", "unknown", "undecided"]
WINDOW = 12
"""Number of the last faces of a track that count. After an id switch of the tracker, the faces of
the other person no longer count after this number of faces."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who a track is. who: name; None unless known.

    confidence: 0..1. known: mean cosine to that person; unknown: 1 - the highest mean cosine to
    anybody; undecided: 0. faces: number of usable faces until then.
    """

    state: State
    who: str | None
    confidence: float
    faces: int

    def is_same(self, other: "Decision | None") -> bool:
        """Return whether both have the same state and name. The confidence may differ."""
        return other is not None and (self.state, self.who) == (other.state, other.who)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """accept, reject: cosines, see Embedder. min_faces: usable faces needed for `known`.

    `unknown` needs twice as many before the deadline, because an alert that was sent cannot be
    taken back. deadline_s: age of a track, media time, from which it is `undecided` without a
    decision.
    """

    accept: float
    reject: float
    min_faces: int = 3
    deadline_s: float = 2.0


class Evidence:
    """The faces of one track as vectors. After a change of the gallery they can be compared again.

    The weighted mean of the cosines is computed as the product with the weighted mean vector.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._faces: deque[tuple[Vector, float]] = deque(maxlen=WINDOW)
        self.count = 0
        self.decision: Decision | None = None

    def add(self, vector: Vector, weight: float) -> None:
        """Add a usable face. vector: float32 (D,) of length 1. weight: above 0."""
        self._faces.append((vector, max(weight, 1e-3)))
        self.count += 1

    def decide(self, templates: Templates, age_s: float) -> Decision | None:
        """Return the decision on a track of age age_s; None: not enough faces yet.

        A decision is kept until the faces give another one. `known` needs exactly one person with a
        mean cosine of at least `accept`; with two such persons there is no decision.
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
        """Return the weighted mean cosine to each person, float32 (P,); (0,) without faces."""
        if not templates.names or not self._faces:
            return np.zeros(0, np.float32)
        total = sum(weight for _, weight in self._faces)
        mean = sum((vector * weight for vector, weight in self._faces), np.float32(0)) / total
        return np.asarray(templates.vectors @ mean, np.float32)


def _fraction(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 2)
