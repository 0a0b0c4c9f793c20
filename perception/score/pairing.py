"""Truth and result side by side: the same frames, the same classes. Imports labels."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.score.labels import NO_CLASS, Labels

ALL = "all"
"""The name of the one class where classes are not told apart."""


@dataclass
class Rows:
    """n boxes of the frames that are scored, by frame.

    at: int64 (n,), place in Pair.frames. tracks: int64 (n,), from 0 without gaps, -1: none.
    class_ids: int64 (n,) into Pair.names. boxes: float64 (n, 4) x, y, width, height px. scores:
    float64 (n,). ignored: bool (n,).
    """

    at: NDArray[np.int64]
    tracks: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    ignored: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.at)

    def only(self, kept: NDArray[np.bool_] | NDArray[np.int64]) -> "Rows":
        """Return some of the rows."""
        return Rows(
            self.at[kept], self.tracks[kept], self.class_ids[kept], self.boxes[kept],
            self.scores[kept], self.ignored[kept],
        )  # fmt: skip

    @property
    def has_tracks(self) -> bool:
        """Whether each box belongs to a track."""
        return bool((self.tracks >= 0).all())


@dataclass
class Pair:
    """What is scored. frames: int64 (f,), rising. names: the classes of the truth.

    labelled: frames of the truth; not_looked: those of them that the result did not look at.
    """

    names: list[str]
    frames: NDArray[np.int64]
    truth: Rows
    result: Rows
    labelled: int
    not_looked: int
    notes: list[str] = field(default_factory=list[str])

    def classes(self) -> Iterator[tuple[int, Rows, Rows]]:
        """Yield each class of which there is truth: its number, truth, result."""
        for k in range(len(self.names)):
            truth = self.truth.only(self.truth.class_ids == k)
            if (~truth.ignored).any():
                yield k, truth, self.result.only(self.result.class_ids == k)


def pair(
    truth: Labels,
    result: Labels,
    *,
    frames: NDArray[np.int64] | None = None,
    classless: bool = False,
    size: tuple[int, int] = (0, 0),
    classes: tuple[str, ...] = (),
) -> Pair:
    """Return truth and result of the same frames and classes.

    frames: those to be scored; default: those labelled that the result looked at. classless: all
    boxes are of one class. size: of the picture, where neither says it. classes: of these only,
    where a side names its classes. Raises ConfigError where there is nothing to compare.
    """
    result = _by_picture(truth, result)
    size = result.size if all(result.size) else size
    truth, result = truth.in_pixels(size), result.in_pixels(truth.size)
    truth, result = _only(truth, classes), _only(result, classes)
    if not truth.names:
        of = f" of {', '.join(classes)}" if classes else ""
        raise ConfigError(f"has no boxes{of}", truth.path)
    both = common_frames(truth, result)
    frames = both if frames is None else frames
    if not len(frames):
        raise ConfigError(f"no frame of {truth.path} is in {result.path}: nothing to compare")
    notes = [*truth.notes, *result.notes]
    if not all(truth.names) or not all(result.names):
        classless = True
        notes.append("one side names no classes: all boxes are scored as one class")
    names = [ALL] if classless else sorted({_plain(name) for name in truth.names})
    left = _rows(truth, frames, names, classless)
    right = _rows(result, frames, names, classless)
    others = sorted({_plain(n) for n in result.names if n != NO_CLASS} - set(names))
    if not classless and len(truth) and len(result) and not len(right):
        was = ", ".join(sorted(map(_plain, result.names)))
        raise ConfigError(
            f"no class in common: labels have {', '.join(names)}, the result has {was}; "
            "--classless scores all boxes as one class"
        )
    if others and not classless:
        notes.append(f"not in the labels, left out of the result: {', '.join(others)}")
    return Pair(names, frames, left, right, len(truth.looked), len(truth.looked) - len(both), notes)


def common_frames(truth: Labels, result: Labels) -> NDArray[np.int64]:
    """Return the frames that both looked at.

    A form that says nothing of frames without boxes (MOTChallenge) has looked at all.
    """
    if result.times_ns is None and not result.pictures:
        return truth.looked
    return np.intersect1d(truth.looked, result.looked)


def _only(labels: Labels, classes: tuple[str, ...]) -> Labels:
    """Return the boxes of some classes; of no class those that have none."""
    if not classes or not labels.names or not all(labels.names):
        return labels
    wanted = {_plain(name) for name in classes}
    known = np.array([_plain(name) in wanted for name in labels.names], np.bool_)
    kept = known[labels.class_ids]
    return replace(
        labels, frames=labels.frames[kept], tracks=labels.tracks[kept], boxes=labels.boxes[kept],
        class_ids=(np.cumsum(known) - 1)[labels.class_ids[kept]], scores=labels.scores[kept],
        ignored=labels.ignored[kept],
        names=[name for name in labels.names if _plain(name) in wanted],
    )  # fmt: skip


def _plain(name: str) -> str:
    return name.strip().casefold()


def _by_picture(truth: Labels, result: Labels) -> Labels:
    """Return the result with the truth's frame numbers, where file names tell the pictures."""
    if not truth.pictures or not result.pictures:
        return result
    to = {
        frame: truth.pictures[name]
        for name, frame in result.pictures.items()
        if name in truth.pictures
    }
    if not to:
        raise ConfigError(f"{truth.path} and {result.path} have no picture of the same name")
    kept = np.isin(result.frames, list(to))
    moved = np.array([to[f] for f in result.frames[kept].tolist()], np.int64)
    order = np.argsort(moved, kind="stable")
    return replace(
        result, frames=moved[order], tracks=result.tracks[kept][order],
        class_ids=result.class_ids[kept][order], boxes=result.boxes[kept][order],
        scores=result.scores[kept][order], ignored=result.ignored[kept][order],
        looked=np.array(sorted(to.values()), np.int64), times_ns=None, pictures=truth.pictures,
    )  # fmt: skip


def _rows(labels: Labels, frames: NDArray[np.int64], names: list[str], classless: bool) -> Rows:
    to = {name: n for n, name in enumerate(names)}
    known = np.array([0 if classless else to.get(_plain(n), -1) for n in labels.names], np.int64)
    class_ids = known[labels.class_ids] if len(labels) else labels.class_ids
    at = np.searchsorted(frames, labels.frames)
    there = frames[np.minimum(at, len(frames) - 1)] == labels.frames
    kept = there & (class_ids >= 0)
    tracks = labels.tracks[kept]
    if (tracks >= 0).all():
        # Numbers may be used again by another class: TrackEval needs one for each object.
        tracks = np.unique(np.stack((class_ids[kept], tracks), 1), axis=0, return_inverse=True)[1]
    else:
        tracks = np.full(len(tracks), -1, np.int64)
    return Rows(
        at[kept], tracks.reshape(-1).astype(np.int64), class_ids[kept], labels.boxes[kept],
        labels.scores[kept], labels.ignored[kept],
    )  # fmt: skip
