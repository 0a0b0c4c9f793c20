"""Tracks as MOTChallenge text, the form that scorers (TrackEval) and other programs read.

Imports wire and errors.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.errors import SourceError
from perception.recording.text import TextFile
from perception.wire import CONFIRMED, TrackMessage, short_id


class MotWriter:
    """Writes MOTChallenge text: `frame,id,x,y,w,h,score,-1,-1,-1`, px from the upper left.

    frame: the source's frame number + 1. Only confirmed tracks; the tracker keeps one confirmed
    for a moment (coast_s, hidden_s) while it is not detected. Where the camera or the tracker was
    started again, its numbers go on above the last ones.
    """

    def __init__(self, path: str | Path) -> None:
        """path: made with its first message."""
        self.path = Path(path)
        self._file = TextFile(path)
        self._frames, self._ids = Rising(), Rising()

    def add(self, message: TrackMessage) -> None:
        """Write the rows of one frame. Raises SinkError where the file cannot be written."""
        rows = message.tracks
        frame = self._frames.number(message.stamp.frame_id) + 1
        seen = rows.states == CONFIRMED
        boxes = rows.boxes[seen].astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        lines = [
            f"{frame},{self._ids.number(track_id)},{x:.2f},{y:.2f},{w:.2f},{h:.2f},{score:.4f}"
            ",-1,-1,-1\n"
            for track_id, (x, y, w, h), score in zip(
                rows.track_ids[seen].tolist(),
                boxes.tolist(),
                rows.scores[seen].tolist(),
                strict=True,
            )
        ]
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        """End the file. Raises SinkError where the rest cannot be written."""
        self._file.close()


class Rising:
    """Gives the low part of ids, lifted above all earlier ones where a new epoch begins."""

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

    Further columns are left out; (0, 7) for an empty file. Raises SourceError where the file cannot
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
