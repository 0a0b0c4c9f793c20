"""Label Studio: tasks whose annotations have `videorectangle` regions, each a track.

Boxes are percent of the picture, frames count from 1. A key frame shows its box; where it is
`enabled` the box goes on to the next key frame on a straight line, after the last one to the end
of the video. Source: label-studio-sdk (Apache-2.0), postprocessing of video, and Label Studio's
documentation of VideoRectangle. Imports errors.
"""

from pathlib import Path
from typing import Any, cast

import msgspec

from perception.score.coco import decode
from perception.score.labels import (
    IGNORED,
    MAX_FRAMES,
    Box,
    Builder,
    Labels,
    between,
    split_name,
)


class _Key(msgspec.Struct):
    frame: int
    x: float
    y: float
    width: float
    height: float
    enabled: bool = True
    rotation: float = 0.0


class _Value(msgspec.Struct):
    sequence: list[_Key]
    framesCount: int = 0
    duration: float = 0.0
    labels: list[str] = []


class _Region(msgspec.Struct):
    type: str = ""
    value: Any = None
    original_width: int = 0
    original_height: int = 0


class _Annotation(msgspec.Struct):
    result: list[_Region]
    was_cancelled: bool = False


class _Task(msgspec.Struct):
    data: dict[str, Any] = {}
    annotations: list[_Annotation] = []
    predictions: list[Any] = []


def read(path: Path, video: str | None = None) -> Labels:
    """Return what a file says, by the newest annotation of a task.

    video: part of the name of one, where there are several tasks. Raises ConfigError with the
    element.
    """
    tasks: list[_Task] = decode(path, list[_Task])
    made = Builder(path)
    at = _task(tasks, video, made)
    task, where = tasks[at], f"$[{at}].annotations"
    kept = [n for n, one in enumerate(task.annotations) if not one.was_cancelled]
    if kept:
        found, where = task.annotations[kept[-1]], f"{where}[{kept[-1]}]"
        if len(kept) > 1:
            made.notes.append(f"of {len(kept)} annotations of the task the last one is taken")
    elif task.predictions:
        found = _convert(task.predictions[-1], _Annotation, made, f"$[{at}].predictions[-1]")
        made.notes.append("the task has predictions only: nobody has confirmed them")
    else:
        made.refuse("the task is not annotated", None, where)
    count, seconds, size, track = 0, 0.0, (0, 0), 0
    for n, region in enumerate(found.result):
        if region.type.lower() != "videorectangle":
            continue
        key = f"{where}.result[{n}]"
        value = _convert(region.value, _Value, made, f"{key}.value")
        if not 0 <= value.framesCount <= MAX_FRAMES:
            made.refuse(f"more than {MAX_FRAMES} pictures", None, f"{key}.value.framesCount")
        count, seconds = max(count, value.framesCount), max(seconds, value.duration)
        if region.original_width > 0 and region.original_height > 0:
            size = region.original_width, region.original_height
        _add(made, track, value, f"{key}.value")
        track += 1
    rate = count / seconds if count and seconds > 0 else None
    return made.build(count or None, size=size, percent=True, rate_hz=rate)


def _add(made: Builder, track: int, value: _Value, key: str) -> None:
    name, ignored = split_name(value.labels[0] if value.labels else "")
    keys = sorted(enumerate(value.sequence), key=lambda item: item[1].frame)
    for at, (n, one) in enumerate(keys):
        where = f"{key}.sequence[{n}]"
        if one.rotation % 360.0:
            made.refuse("a turned box cannot be scored", None, where)
        if not 1 <= one.frame <= MAX_FRAMES:
            made.refuse(f"frame {one.frame} is not from 1 to {MAX_FRAMES}", None, where)
        box = one.x, one.y, one.width, one.height
        made.add(one.frame - 1, track, name, box, ignored=ignored, key=where)
        if not one.enabled:
            continue
        if at + 1 < len(keys):
            follows = keys[at + 1][1]
            last, other = follows.frame, (follows.x, follows.y, follows.width, follows.height)
            if last > MAX_FRAMES:
                made.refuse(f"frame {last} is more than {MAX_FRAMES}", None, where)
        else:
            last, other = value.framesCount + 1, box
        for frame, made_box in between(one.frame - 1, box, last - 1, other):
            made.add(frame, track, name, made_box, ignored=ignored, key=where)


def _convert(value: Any, kind: Any, made: Builder, key: str) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        made.refuse(str(error).replace("`", "'"), None, key)


def _task(tasks: list[_Task], wanted: str | None, made: Builder) -> int:
    names = [str(next(iter(task.data.values()), "")) for task in tasks]
    if wanted is not None:
        fits = [n for n, name in enumerate(names) if wanted in name]
    else:
        fits = list(range(len(tasks)))
    if len(fits) != 1:
        shown = ", ".join(Path(name).name for name in names[:20]) or "none"
        made.refuse(f"choose one of its videos with --video: {shown}")
    return fits[0]


def write(path: Path, labels: Labels) -> None:
    """Write labels as one task to be imported: every frame is a key frame. Raises OSError.

    Scores are not in this form. The picture's size has to be known, see Labels.size.
    """
    width, height = labels.size
    if not labels.percent and not (width and height):
        Builder(labels.path).refuse("the picture's size is not known: give --size")
    scale = (1.0, 1.0) if labels.percent else (100.0 / width, 100.0 / height)
    rate, count = labels.rate_hz or 25.0, labels.count
    rows: dict[tuple[int, int, bool], list[tuple[int, Box]]] = {}
    loose = int(labels.tracks.max(initial=-1))
    for frame, track, class_id, box, ignored in zip(
        labels.frames.tolist(), labels.tracks.tolist(), labels.class_ids.tolist(),
        labels.boxes.tolist(), labels.ignored.tolist(), strict=True,
    ):  # fmt: skip
        if track < 0:
            track = loose = loose + 1
        rows.setdefault((track, class_id, ignored), []).append((frame, cast(Box, tuple(box))))
    result: list[dict[str, Any]] = []
    for (track, class_id, ignored), boxes in sorted(rows.items()):
        sequence: list[dict[str, Any]] = []
        for n, (frame, (x, y, w, h)) in enumerate(boxes):
            goes_on = n + 1 < len(boxes) and boxes[n + 1][0] == frame + 1
            sequence.append({
                "frame": frame + 1, "enabled": goes_on, "rotation": 0, "x": x * scale[0],
                "y": y * scale[1], "width": w * scale[0], "height": h * scale[1],
                "time": (frame + 1) / rate,
            })  # fmt: skip
        label = (labels.names[class_id] or "object") + (IGNORED if ignored else "")
        result.append({
            "id": f"track_{track}_{class_id}", "type": "videorectangle", "from_name": "box",
            "to_name": "video", "original_width": width, "original_height": height,
            "value": {"framesCount": count, "duration": count / rate, "sequence": sequence,
                      "labels": [label]},
        })  # fmt: skip
    video = {"video": Path(labels.path).name}
    path.write_bytes(msgspec.json.encode([{"data": video, "annotations": [{"result": result}]}]))
