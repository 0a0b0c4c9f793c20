"""Recordings and examinations as results: pictures are counted as the segments' videos have them.

Frame n is the n-th picture of a camera's segments, oldest first, as `recordings export` of all of
them writes it, or of the one segment that is given. Imports footage and below.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perception.errors import ConfigError, MessageError
from perception.footage.catalog import NAME, Catalog
from perception.footage.messages import PACKETS, LoggedMessage, PacketLine, read
from perception.score.labels import Builder, Labels
from perception.score.results import AlertState, Raised, Result, confirmed, note_alert
from perception.wire import AlertMessage, DetectionMessage, TrackMessage
from perception.wire.codec import decode_record

VISITS = "visits.jsonl"


def is_recording(path: Path) -> bool:
    """Whether a path is a folder of recordings, a segment, or what `examine` wrote."""
    return path.suffix == ".mcap" or (path / NAME).is_file() or (path / VISITS).is_file()


def read_recording(path: Path, camera: str | None) -> Result:
    """Return what was said live of a recording, or what an examination found.

    camera: one of several. Raises ConfigError.
    """
    if (path / VISITS).is_file():
        return _examined(path)
    if path.suffix == ".mcap":
        return _live(path, [(path, "")], camera or path.parent.name)
    catalog = Catalog(path, create=False)
    try:
        rows = catalog.segments()
    finally:
        catalog.close()
    cameras = sorted({row.camera for row in rows})
    chosen = camera or (cameras[0] if len(cameras) == 1 else "")
    if chosen not in cameras:
        names = ", ".join(cameras) or "nothing is recorded"
        raise ConfigError(f"choose one with --camera: {names}", str(path))
    mine = [(path / f"{row.path}.mcap", row.run) for row in rows if row.camera == chosen]
    return _live(path, mine, chosen)


def _live(path: Path, segments: list[tuple[Path, str]], camera: str) -> Result:
    """Return the tracks and alerts of segments. A run's media times are its own."""
    every: list[int] = []
    places: dict[tuple[str, int], int] = {}
    tracks: list[tuple[str, TrackMessage]] = []
    alerts: dict[str, Raised] = {}
    for file, run in segments:
        times: list[int] = []
        for said in _messages(file):
            if said.topic == PACKETS:
                times.append(PacketLine.unpack(said.data).t_media_ns)
            elif said.topic in ("tracks", "alerts"):
                message = _decode(said)
                if isinstance(message, TrackMessage):
                    tracks.append((run, message))
                elif isinstance(message, AlertMessage):
                    said_of = msgspec.to_builtins(message.alert)
                    note_alert(alerts, msgspec.convert(said_of, AlertState))
        for t_ns in sorted(times):
            places.setdefault((run, t_ns), len(every))
            every.append(t_ns)
    if not every:
        raise ConfigError("no pictures are recorded there", str(path))
    made, looked, size = Builder(path), set[int](), (0, 0)
    for run, message in tracks:
        frame = places.get((run, message.stamp.t_media_ns))
        if frame is None or frame in looked:
            continue
        looked.add(frame)
        size = message.width, message.height
        for track, name, box, score in confirmed(message):
            made.add(frame, track, name, box, score=score)
    frames = np.array(sorted(looked), np.int64)
    times_ns = np.array(every, np.int64)[frames]
    boxes = made.build(frames, size=size, times_ns=times_ns)
    return Result(path, boxes, list(alerts.values()), True, camera)


def _messages(file: Path) -> Iterator[LoggedMessage]:
    try:
        yield from read(file)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", str(file)) from None


def _decode(said: LoggedMessage) -> Any:
    try:
        return decode_record(said.data)
    except MessageError:
        return None


class _Visit(msgspec.Struct):
    """A line of visits.jsonl."""

    track_id: int
    class_name: str
    t_wall_ns: list[int]
    boxes: list[tuple[float, float, float, float]]
    scores: list[float]


def _examined(folder: Path) -> Result:
    """Return the tracks of an examination: each of its pictures was looked at."""
    seen: dict[int, int] = {}
    size, camera = (0, 0), ""
    for file in sorted(folder.rglob("*.mcap")):
        for said in _messages(file):
            message = _decode(said) if said.topic == "detections" else None
            if isinstance(message, DetectionMessage):
                seen[message.stamp.t_wall_ns] = message.stamp.t_media_ns
                size, camera = (message.width, message.height), message.stamp.camera
    if not seen:
        raise ConfigError("no segment is examined there", str(folder))
    places = {t_wall_ns: n for n, t_wall_ns in enumerate(sorted(seen))}
    made, path = Builder(folder / VISITS), folder / VISITS
    decoder = msgspec.json.Decoder(_Visit)
    for number, text in enumerate(path.read_bytes().splitlines(), 1):
        try:
            one = decoder.decode(text)
            rows = list(zip(one.t_wall_ns, one.boxes, one.scores, strict=True))
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise ConfigError(f"not a visit: {error}", str(path), number) from None
        for t_wall_ns, (x1, y1, x2, y2), score in rows:
            if t_wall_ns in places:
                box = x1, y1, x2 - x1, y2 - y1
                made.add(places[t_wall_ns], one.track_id, one.class_name, box, score=score,
                         line=number)  # fmt: skip
    times = np.array([seen[t] for t in sorted(seen)], np.int64)
    boxes: Labels = made.build(np.arange(len(seen)), size=size, times_ns=times)
    return Result(folder, boxes, camera=camera)
