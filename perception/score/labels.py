"""Boxes of one video by frame: what people labelled, or what a result says.

Limits, for every form: MAX_BYTES of a file, MAX_ROWS boxes, MAX_FRAMES pictures. Imports errors.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError

MAX_BYTES = 1 << 28
MAX_ROWS = 5_000_000
MAX_FRAMES = 5_000_000
"""46 hours at 30 pictures/s."""
MAX_SIDE = 1e7
IGNORED = " (ignored)"
"""Ends the name of a class in CVAT and Label Studio: what is in the box counts neither way."""
NO_CLASS = ""
"""The class of boxes in a form that has none (MOTChallenge results)."""

Box = tuple[float, float, float, float]


@dataclass
class Labels:
    """n boxes. Built by Builder.

    frames: int64 (n,), from 0, as the decoder gives pictures. tracks: int64 (n,), -1: no track.
    class_ids: int64 (n,) into names. boxes: float64 (n, 4) x, y, width, height, px (percent of the
    picture where `percent`). scores: float64 (n,). ignored: bool (n,). looked: int64 (f,), rising,
    the frames that were labelled, or looked at. size: width, height of the picture in px, 0: not
    known. rate_hz: pictures/s. times_ns: int64 (f,), media time of the frames looked at.
    pictures: frame by file name. notes: what was left out, in words.
    """

    path: str
    names: list[str]
    frames: NDArray[np.int64]
    tracks: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    ignored: NDArray[np.bool_]
    looked: NDArray[np.int64]
    size: tuple[int, int] = (0, 0)
    percent: bool = False
    rate_hz: float | None = None
    times_ns: NDArray[np.int64] | None = None
    pictures: dict[str, int] = field(default_factory=dict[str, int])
    notes: list[str] = field(default_factory=list[str])

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def count(self) -> int:
        """Pictures up to the last one that was looked at."""
        return int(self.looked[-1]) + 1 if len(self.looked) else 0

    def in_pixels(self, size: tuple[int, int]) -> "Labels":
        """Return the labels in px of pictures of that size. Raises ConfigError where it cannot be.

        size: (0, 0): not known. Labels of a picture of the same shape and another size are scaled.
        """
        own = self.size if all(self.size) else size
        if self.percent:
            if not all(own):
                raise ConfigError("boxes are in percent: give the picture's --size", self.path)
            scale = own[0] / 100.0, own[1] / 100.0
        elif all(size) and all(self.size) and size != self.size:
            scale = size[0] / self.size[0], size[1] / self.size[1]
            if abs(scale[0] / scale[1] - 1.0) > 0.02:
                of = f"{self.size[0]}x{self.size[1]}"
                raise ConfigError(
                    f"labels of pictures of {of}, a result of {size[0]}x{size[1]}", self.path
                )
            own = size
        else:
            return self
        boxes = self.boxes * np.array((*scale, *scale))
        return replace(self, boxes=boxes, size=own, percent=False)


class Builder:
    """Collects boxes, checks each, and says in which place of the file one is wrong."""

    def __init__(self, path: str | Path) -> None:
        self.path, self.names = str(path), dict[str, int]()
        self.notes: list[str] = []
        self._frames: list[int] = []
        self._tracks: list[int] = []
        self._classes: list[int] = []
        self._boxes: list[Box] = []
        self._scores: list[float] = []
        self._ignored: list[bool] = []
        self._seen: set[tuple[int, int, int]] = set()
        self._flat = 0

    def add(
        self,
        frame: int,
        track: int,
        name: str,
        box: Sequence[float],
        *,
        score: float = 1.0,
        ignored: bool = False,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        """Add a box x, y, width, height. line, key: its place. Raises ConfigError."""
        x, y, w, h = box
        if not 0 <= frame < MAX_FRAMES:
            self.refuse(f"frame {frame} is not from 0 to {MAX_FRAMES - 1}", line, key)
        if not all(map(math.isfinite, (x, y, w, h, score))):
            self.refuse("a number is not finite", line, key)
        if max(map(abs, (x, y, w, h))) > MAX_SIDE:
            self.refuse(f"a side or place of more than {MAX_SIDE:g}", line, key)
        if not -1 <= track < 1 << 62:
            self.refuse(f"track {track} is not a number from 0 on", line, key)
        if w <= 0 or h <= 0:
            self._flat += 1
            return
        if len(self._frames) >= MAX_ROWS:
            self.refuse(f"more than {MAX_ROWS} boxes", line, key)
        class_id = self.names.setdefault(name, len(self.names))
        if track >= 0:
            here = frame, track, class_id
            if here in self._seen:
                self.refuse(f"a second box of track {track} in frame {frame}", line, key)
            self._seen.add(here)
        self._frames.append(frame)
        self._tracks.append(track)
        self._classes.append(class_id)
        self._boxes.append((x, y, w, h))
        self._scores.append(score)
        self._ignored.append(ignored)

    def refuse(self, text: str, line: int | None = None, key: str | None = None) -> NoReturn:
        """Raise ConfigError with the file and the place."""
        raise ConfigError(text, self.path, line, key)

    def build(
        self,
        looked: Sequence[int] | NDArray[np.int64] | int | None = None,
        *,
        size: tuple[int, int] = (0, 0),
        percent: bool = False,
        rate_hz: float | None = None,
        times_ns: NDArray[np.int64] | None = None,
        pictures: dict[str, int] | None = None,
    ) -> Labels:
        """Return the labels, rows by frame.

        looked: frames that were labelled, or how many from 0; at least those with a box.
        """
        frames = np.array(self._frames, np.int64)
        order = np.argsort(frames, kind="stable")
        last = int(frames.max()) + 1 if len(frames) else 0
        if looked is None or isinstance(looked, int):
            if (looked or 0) > MAX_FRAMES:
                self.refuse(f"{looked} pictures are more than {MAX_FRAMES}")
            looked = np.arange(max(last, looked or 0))
        if self._flat:
            self.notes.append(f"{self._flat} boxes without area are left out")
        given = np.asarray(looked, np.int64)
        every = np.unique(np.concatenate((given, frames)))
        if times_ns is not None and len(every) != len(given):
            times_ns = None
        return Labels(
            self.path, list(self.names), frames[order], np.array(self._tracks, np.int64)[order],
            np.array(self._classes, np.int64)[order],
            np.array(self._boxes, np.float64).reshape(-1, 4)[order],
            np.array(self._scores, np.float64)[order], np.array(self._ignored, np.bool_)[order],
            every, size, percent, rate_hz, times_ns, pictures or {}, self.notes,
        )  # fmt: skip


def between(
    first: int, a: Sequence[float], last: int, b: Sequence[float]
) -> Iterator[tuple[int, Box]]:
    """Yield frame and box of the frames between two key frames, on a straight line."""
    for frame in range(first + 1, last):
        share = (frame - first) / (last - first)
        x, y, w, h = (p + (q - p) * share for p, q in zip(a, b, strict=True))
        yield frame, (x, y, w, h)


def read_bytes(path: Path) -> bytes:
    """Return a file of at most MAX_BYTES. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"larger than {MAX_BYTES >> 20} MiB", str(path))
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", str(path)) from None


def split_name(label: str) -> tuple[str, bool]:
    """Return the class of a label of CVAT or Label Studio, and whether its boxes are ignored."""
    return (label.removesuffix(IGNORED), True) if label.endswith(IGNORED) else (label, False)
