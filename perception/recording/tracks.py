"""Reads and writes tracks as JSON lines, one line per frame.

Numbers are rounded (px 0.01, scores 0.0001, seconds 0.001) so that equal runs give equal bytes.
Values that differ between two runs of the same input (epochs, arrival and wall times) are under the
key `run` of a line. A deterministic writer leaves it out. Imports wire and errors.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from perception.errors import SourceError
from perception.recording.text import TextFile
from perception.wire import (
    STATE_NAMES,
    Stamp,
    TrackMessage,
    Tracks,
    make_id,
    short_id,
)


class RunFields(msgspec.Struct, frozen=True):
    """Values that differ between two runs of the same input. Times in ns, see clock.py."""

    frame_epoch: int
    track_epoch: int
    t_arrival_ns: int
    t_wall_ns: int
    t_detected_ns: int
    t_tracked_ns: int


class TrackRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One track in one frame: box xyxy px, rates of centre x, y, width, height in px/s.

    id: low part of the track id. row: the detection that was matched, -1: none (not seen).
    closing: inverse time to collision 1/s and its 1 sigma; absent: not known. metres: m to the
    right and ahead, their speeds m/s, and the sigmas of these four; absent: not known.
    """

    id: int
    class_id: int
    score: float
    state: str
    box: tuple[float, float, float, float]
    rates: tuple[float, float, float, float]
    age_s: float
    unseen_s: float
    row: int
    closing: tuple[float, float] = (0.0, 0.0)
    metres: tuple[float, ...] = ()


class TrackLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of tracks-<camera>.jsonl: the tracks after one frame.

    frame: low part of the frame id, the source's own number from 0. names: class names by id.
    dropped: frames without detections since the last line, by cause. warp: camera motion since
    the last line, rows of an affine (2, 3) in px; absent: still. own: the vehicle's speed m/s and
    yaw rate rad/s (null: not known), absent: nobody said.
    """

    camera: str
    frame: int
    t_media_ns: int
    width: int
    height: int
    tracks: list[TrackRow]
    names: dict[int, str] = {}
    dropped: dict[str, int] = {}
    warp: list[list[float]] | None = None
    own: tuple[float, float | None] | None = None
    run: RunFields | None = None


class TracksWriter:
    """Writes tracks-<camera>.jsonl: one TrackLine per frame, also for frames without tracks."""

    def __init__(self, path: str | Path, *, deterministic: bool = False) -> None:
        """path: of the file, created with the first line. deterministic: leave out `run`."""
        self.path = Path(path)
        self._file = TextFile(path)
        self._deterministic = deterministic
        self._encoder = msgspec.json.Encoder()

    def add(self, message: TrackMessage) -> None:
        """Write one line. Raises SinkError where the file cannot be written."""
        line = line_of(message, run=not self._deterministic)
        self._file.write(self._encoder.encode(line) + b"\n")

    def close(self) -> None:
        """Write the rest and close the file. Raises SinkError."""
        self._file.close()


def line_of(message: TrackMessage, *, run: bool = True) -> TrackLine:
    """Return the line that TracksWriter writes for a message. run: include the key `run`."""
    stamp, rows = message.stamp, message.tracks
    columns = (
        (rows.track_ids & 0xFFFFFFFF).tolist(),
        rows.class_ids.tolist(),
        _rounded(rows.scores, 4),
        [STATE_NAMES[state] for state in rows.states.tolist()],
        map(tuple, _rounded(rows.boxes, 2)),
        map(tuple, _rounded(rows.rates, 2)),
        _rounded(rows.ages_s, 3),
        _rounded(rows.unseen_s, 3),
        rows.detection_rows.tolist(),
        map(tuple, _rounded(rows.closings, 4)),
        [tuple(place) if place[5] > 0.0 else () for place in _rounded(rows.metres, 3)],
    )
    still = np.array_equal(message.warp, np.eye(2, 3))
    return TrackLine(
        camera=stamp.camera,
        frame=short_id(stamp.frame_id),
        t_media_ns=stamp.t_media_ns,
        width=message.width,
        height=message.height,
        tracks=[TrackRow(*row) for row in zip(*columns, strict=True)],
        names=message.names,
        dropped=message.dropped,
        warp=None if still else _rounded(message.warp, 6),
        own=None
        if message.own_speed_m_s is None
        else (message.own_speed_m_s, message.own_yaw_rate),
        run=_run_fields(message) if run else None,
    )


def read_tracks(path: str | Path) -> Iterator[TrackMessage]:
    """Yield the messages of a tracks-<camera>.jsonl, ids and times of `run` 0 where it is absent.

    An incomplete last line, after a kill, is skipped. Raises SourceError with path and line where
    the file cannot be read or another line is not a TrackLine.
    """
    decoder = msgspec.json.Decoder(TrackLine)
    try:
        with Path(path).open("rb") as file:
            for number, text in enumerate(file, 1):
                try:
                    message = _message_of(decoder.decode(text))
                except (msgspec.MsgspecError, ValueError, OverflowError) as error:
                    if not text.endswith(b"\n"):
                        return
                    raise SourceError(f"{path}:{number}: not a line of tracks: {error}") from None
                yield message
    except OSError as error:
        raise SourceError(f"cannot read the tracks {path}: {error.strerror or error}") from None


def _rounded(values: NDArray[np.float32], digits: int) -> list[Any]:
    return (np.round(values.astype(np.float64), digits) + 0.0).tolist()


def _run_fields(message: TrackMessage) -> RunFields:
    stamp, ids = message.stamp, message.tracks.track_ids
    return RunFields(
        frame_epoch=stamp.frame_id >> 32,
        track_epoch=int(ids[0]) >> 32 if len(ids) else 0,
        t_arrival_ns=stamp.t_arrival_ns,
        t_wall_ns=stamp.t_wall_ns,
        t_detected_ns=message.t_detected_ns,
        t_tracked_ns=message.t_tracked_ns,
    )


def _message_of(line: TrackLine) -> TrackMessage:
    run, rows = line.run or RunFields(0, 0, 0, 0, 0, 0), line.tracks
    return TrackMessage(
        stamp=Stamp(
            camera=line.camera,
            frame_id=make_id(run.frame_epoch, line.frame),
            t_media_ns=line.t_media_ns,
            t_arrival_ns=run.t_arrival_ns,
            t_wall_ns=run.t_wall_ns,
        ),
        width=line.width,
        height=line.height,
        names=line.names,
        dropped=line.dropped,
        t_detected_ns=run.t_detected_ns,
        t_tracked_ns=run.t_tracked_ns,
        tracks=Tracks(
            track_ids=np.array([make_id(run.track_epoch, row.id) for row in rows], np.int64),
            boxes=np.array([row.box for row in rows], np.float32).reshape(-1, 4),
            rates=np.array([row.rates for row in rows], np.float32).reshape(-1, 4),
            class_ids=np.array([row.class_id for row in rows], np.int32),
            scores=np.array([row.score for row in rows], np.float32),
            states=np.array([STATE_NAMES.index(row.state) for row in rows], np.uint8),
            ages_s=np.array([row.age_s for row in rows], np.float32),
            unseen_s=np.array([row.unseen_s for row in rows], np.float32),
            detection_rows=np.array([row.row for row in rows], np.int32),
            closings=np.array([row.closing for row in rows], np.float32).reshape(-1, 2),
            metres=np.array([row.metres or (0.0,) * 8 for row in rows], np.float32).reshape(-1, 8),
        ),
        own_speed_m_s=line.own[0] if line.own else None,
        own_yaw_rate=line.own[1] if line.own else None,
        warp=np.array(np.eye(2, 3) if line.warp is None else line.warp, np.float32).reshape(2, 3),
    )
