"""Writes tracks as text for evaluation: a base class, and the format of MOTChallenge.

Imports wire and errors.
"""

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.errors import SourceError
from perception.recording.text import TextFile
from perception.wire import CONFIRMED, TrackMessage, short_id


class LabelWriter(ABC):
    """Writes the confirmed tracks of each frame, one per line. A subclass defines `line`.

    A track that is not detected stays confirmed for coast_s or hidden_s and is written then too.
    After a restart of the camera or the tracker the numbers continue above the last ones.
    """

    def __init__(self, path: str | Path) -> None:
        """path: of the file. It is created with the first message."""
        self.path = Path(path)
        self._file = TextFile(path)
        self._frames, self._ids = _Rising(), _Rising()

    @abstractmethod
    def line(
        self, frame: int, track_id: int, class_name: str, box: list[float], score: float
    ) -> str:
        """Return a line without line end. frame: number from 0. box: xyxy px. score: 0..1."""

    def add(self, message: TrackMessage) -> None:
        """Write the rows of one frame. Raises SinkError where the file cannot be written."""
        rows = message.tracks
        frame = self._frames.number(message.stamp.frame_id)
        seen = rows.states == CONFIRMED
        lines = [
            self.line(
                frame, self._ids.number(track_id), message.names.get(class_id, ""), box, score
            )
            for track_id, class_id, box, score in zip(
                rows.track_ids[seen].tolist(),
                rows.class_ids[seen].tolist(),
                rows.boxes[seen].astype(np.float64).tolist(),
                rows.scores[seen].tolist(),
                strict=True,
            )
        ]
        self._file.write("".join(f"{line}\n" for line in lines).encode())

    def close(self) -> None:
        """Write the rest and close the file. Raises SinkError."""
        self._file.close()


class MotWriter(LabelWriter):
    """Writes MOTChallenge text: `frame,id,x,y,w,h,score,-1,-1,-1`, px from the upper left.

    frame: number of the frame in the source, from 1.
    """

    def line(
        self, frame: int, track_id: int, class_name: str, box: list[float], score: float
    ) -> str:
        """Return a line of MOTChallenge."""
        x1, y1, x2, y2 = box
        where = f"{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
        return f"{frame + 1},{track_id},{where},{score:.4f},-1,-1,-1"


class _Rising:
    """Returns the low half of ids, with an offset so that a new epoch continues above the last."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._lift = self._highest = 0

    def number(self, identifier: int) -> int:
        epoch = identifier >> 32
        if self._epoch is None:
            self._epoch = epoch
        elif epoch > self._epoch:
            self._epoch, self._lift = epoch, self._highest + 1
        number = short_id(identifier) + self._lift
        self._highest = max(self._highest, number)
        return number


def read_mot(path: str | Path) -> NDArray[np.float64]:
    """Return float64 (rows, 7) of MOTChallenge text: frame from 1, id, x, y, w, h px, score.

    Other columns are ignored. An empty file gives (0, 7). Raises SourceError where the file cannot
    be read or a line has fewer than 7 numbers.
    """
    rows: list[list[float]] = []
    try:
        with Path(path).open(encoding="utf-8", errors="replace") as file:
            for number, text in enumerate(file, 1):
                try:
                    row = [float(part) for part in text.split(",")[:7]]
                except ValueError:
                    row = []
                if len(row) == 7:
                    rows.append(row)
                elif text.strip():
                    raise SourceError(f"{path}:{number}: {text.strip()[:60]!r} is not 7 numbers")
    except OSError as error:
        raise SourceError(f"cannot read the tracks {path}: {error.strerror or error}") from None
    return np.array(rows, np.float64).reshape(-1, 7)
