"""Lanes as JSON lines, one line a frame: for programs, people and comparisons.

Numbers are rounded (px 0.1, m and shares 0.001) so that equal runs give equal bytes. Imports wire
and the rest of this room.
"""

from pathlib import Path

import msgspec

from perception.recording.text import TextFile
from perception.wire import LaneMessage, short_id


class LineRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line. place: -2 and -1 to the left, 1 and 2 to the right. points: px, nearest first.

    offset: in heights of the camera to its right. offset_m, metres (right, ahead): absent without
    `calibration:`.
    """

    place: int
    confidence: float
    offset: float
    points: list[tuple[float, float]]
    offset_m: float | None = None
    metres: list[tuple[float, float]] = []


class LaneRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of lanes-<camera>.jsonl. ahead: px of the point that the road runs to."""

    camera: str
    frame: int
    t_media_ns: int
    width: int
    height: int
    lines: list[LineRow]
    ahead: tuple[float, float] | None = None
    curvature_1_m: float | None = None


class LanesWriter:
    """Writes lanes-<camera>.jsonl: one LaneRow a frame, also for frames without lanes."""

    def __init__(self, path: str | Path) -> None:
        """path: made with its first line."""
        self.path = Path(path)
        self._file = TextFile(path)
        self._encoder = msgspec.json.Encoder()

    def add(self, message: LaneMessage) -> None:
        """Write one line. Raises SinkError where the file cannot be written."""
        self._file.write(self._encoder.encode(row_of(message)) + b"\n")

    def close(self) -> None:
        """End the file. Raises SinkError where the rest cannot be written."""
        self._file.close()


def row_of(message: LaneMessage) -> LaneRow:
    """Return what LanesWriter writes for a message."""
    bend = message.curvature_1_m
    rows = [
        LineRow(
            place=line.place,
            confidence=round(line.confidence, 3),
            offset=round(line.offset, 3),
            points=[(round(x, 1), round(y, 1)) for x, y in line.points.tolist()],
            offset_m=None if line.offset_m is None else round(line.offset_m, 3),
            metres=[]
            if line.metres is None
            else [(round(x, 3), round(y, 3)) for x, y in line.metres.tolist()],
        )
        for line in message
    ]
    return LaneRow(
        camera=message.stamp.camera,
        frame=short_id(message.stamp.frame_id),
        t_media_ns=message.stamp.t_media_ns,
        width=message.width,
        height=message.height,
        lines=rows,
        ahead=(round(message.ahead_px, 1), round(message.horizon_px, 1)) if rows else None,
        curvature_1_m=None if bend is None else round(bend, 6),
    )
