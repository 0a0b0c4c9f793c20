"""What is scored: a run's or analysis' folder, its tracks, an examination, or labels' own forms.

Imports recording and below.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from perception.errors import ConfigError
from perception.recording.tracks import read_tracks
from perception.score.formats import read_labels
from perception.score.labels import Box, Builder, Labels, read_bytes
from perception.wire import CONFIRMED, TrackMessage, short_id

_ALERTS = "alerts.jsonl"


class Raised(msgspec.Struct, kw_only=True):
    """An alert as it was raised, and who it was by its last update ("": nobody said).

    known: whether `who` is a name; None: undecided, or nobody said.
    """

    key: str
    camera: str
    rule: str
    kind: str
    class_name: str = ""
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    t_media_ns: int
    t_wall_ns: int
    who: str = ""
    known: bool | None = None


class AlertState(Raised):
    """A state of an alert: raised, updated, cleared."""

    state: str
    details: dict[str, object] = {}


@dataclass
class Result:
    """boxes: None where there are alerts only. cameras: of which there are tracks."""

    path: Path
    boxes: Labels | None = None
    alerts: list[Raised] = field(default_factory=list[Raised])
    has_alerts: bool = False
    camera: str = ""


def read_result(
    path: Path, camera: str | None = None, video: str | None = None, truth: Path | None = None
) -> Result:
    """Return what a result says.

    path: a folder that `run`, `analyze` or `examine` wrote, its tracks-CAMERA.jsonl or
    alerts.jsonl, or a file in a form of labels. camera: one of several. truth: labels that a list
    of COCO results belongs to. Raises ConfigError and SourceError.
    """
    if not path.exists():
        raise ConfigError("there is no such file or folder", str(path))
    if path.is_dir():
        tracks = _one(path, "tracks-*.jsonl", camera) or _one(path, "coco-*.json", camera)
        alerts = path / _ALERTS
        if tracks is None and not alerts.is_file():
            return Result(path, read_labels(path, truth=False, video=video))
    else:
        tracks, alerts = (None, path) if path.name == _ALERTS else (path, path.parent / _ALERTS)
    made = Result(path)
    if tracks is not None and tracks.suffix == ".jsonl":
        made.boxes = of_messages(tracks, read_tracks(tracks))
        made.camera = tracks.stem.removeprefix("tracks-")
    elif tracks is not None:
        made.boxes = read_labels(tracks, truth=False, video=video, beside=truth)
        if not tracks.name.startswith(("mot-", "coco-")):
            return made
        made.camera = tracks.stem.partition("-")[2]
    if alerts.is_file():
        wanted = camera or made.camera
        made.has_alerts = True
        made.alerts = [a for a in read_alerts(alerts) if not wanted or a.camera == wanted]
    return made


def _one(folder: Path, pattern: str, camera: str | None) -> Path | None:
    head = pattern.partition("*")[0]
    found = sorted(p for p in folder.glob(pattern) if "." not in p.stem)
    if camera is not None:
        found = [p for p in found if p.stem == head + camera]
    if len(found) > 1:
        names = ", ".join(p.stem.removeprefix(head) for p in found)
        raise ConfigError(f"choose one with --camera: {names}", str(folder))
    return found[0] if found else None


def of_messages(path: Path, messages: Iterable[TrackMessage]) -> Labels:
    """Return the confirmed tracks of each frame. A counter that begins again goes on above."""
    made = Builder(path)
    looked, times = list[int](), list[int]()
    lift, size = 0, (0, 0)
    for message in messages:
        size = message.width, message.height
        frame = short_id(message.stamp.frame_id) + lift
        if looked and frame <= looked[-1]:
            lift += looked[-1] + 1 - frame
            frame = looked[-1] + 1
        looked.append(frame)
        times.append(message.stamp.t_media_ns)
        for track, name, box, score in confirmed(message):
            made.add(frame, track, name, box, score=score, line=len(looked))
    return made.build(np.array(looked, np.int64), size=size, times_ns=np.array(times, np.int64))


def confirmed(message: TrackMessage) -> Iterator[tuple[int, str, Box, float]]:
    """Yield id, class, x y width height and score of each confirmed track."""
    rows = message.tracks
    for i in np.flatnonzero(rows.states == CONFIRMED).tolist():
        x1, y1, x2, y2 = rows.boxes[i].astype(np.float64).tolist()
        class_id = int(rows.class_ids[i])
        name = message.names.get(class_id, str(class_id))
        yield int(rows.track_ids[i]), name, (x1, y1, x2 - x1, y2 - y1), float(rows.scores[i])


def read_alerts(path: Path) -> list[Raised]:
    """Return the alerts of an alerts.jsonl in the order they were raised.

    A last line that a kill cut short is left out. Raises ConfigError with the line.
    """
    decoder = msgspec.json.Decoder(AlertState)
    found: dict[str, Raised] = {}
    lines = read_bytes(path).split(b"\n")
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = decoder.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            if number == len(lines):
                break
            said = str(error).replace("`", "'")
            raise ConfigError(f"not an alert: {said}", str(path), number) from None
        note_alert(found, line)
    return list(found.values())


def note_alert(found: dict[str, Raised], line: AlertState) -> None:
    """Take a state of an alert: the first `raised`, and who it was by the last that says so."""
    if line.state == "raised":
        found.setdefault(line.key, line)
    who = line.details.get("who")
    if line.key in found and isinstance(who, str):
        known = line.details.get("known")
        found[line.key].who = who
        found[line.key].known = known if isinstance(known, bool) else None
