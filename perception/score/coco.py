"""COCO JSON with video_id, track_id and frame_id, and COCO's list of results.

Source: cocodataset.org, "data format"; track_id as TAO and MMTracking have it, or among the
attributes as CVAT exports it. Imports errors.
"""

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from perception.errors import ConfigError
from perception.score.labels import Builder, Labels, read_bytes

_AT = re.compile(rb"byte (\d+)")


class _Image(msgspec.Struct):
    id: int
    file_name: str = ""
    width: int = 0
    height: int = 0
    video_id: int | None = None
    frame_id: int | None = None
    frame_index: int | None = None


class _Annotation(msgspec.Struct):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    iscrowd: int | bool = 0
    track_id: int | None = None
    score: float | None = None
    attributes: Any = None


class _Named(msgspec.Struct):
    id: int
    name: str = ""
    fps: float | None = None


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Named]
    videos: list[_Named] = []


def decode(path: Path, kind: Any) -> Any:
    """Return a JSON file as a type of msgspec. Raises ConfigError with the line or the element."""
    data = read_bytes(path)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace("`", "'"), str(path)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        found = _AT.search(str(error).encode())
        line = data.count(b"\n", 0, int(found[1]) if found else len(data)) + 1
        raise ConfigError(f"not JSON: {error}", str(path), line) from None


def read(path: Path, video: str | None = None) -> Labels:
    """Return what a file says. video: name or id of one, where there are several.

    A picture's frame is its frame_id, else its frame_index, else its place among the pictures.
    Raises ConfigError with the element.
    """
    file: _File = decode(path, _File)
    made = Builder(path)
    chosen = _video(file, video, made)
    images = [one for one in file.images if chosen is None or one.video_id == chosen.id]
    frames, pictures = _frames(images, made)
    names = {one.id: one.name or str(one.id) for one in file.categories}
    every = {one.id for one in file.images}
    for n, one in enumerate(file.annotations):
        key = f"annotations[{n}]"
        if one.image_id not in every:
            made.refuse(f"image_id {one.image_id} is not among the images", None, key)
        if one.category_id not in names:
            made.refuse(f"category_id {one.category_id} is not among the categories", None, key)
        if one.image_id not in frames:
            continue
        made.add(
            frames[one.image_id], _track(one), names[one.category_id], one.bbox,
            score=1.0 if one.score is None else one.score, ignored=bool(one.iscrowd), key=key,
        )  # fmt: skip
    sizes = {(one.width, one.height) for one in images}
    if len(sizes) == 1 or chosen is None:
        size = next(iter(sizes)) if len(sizes) == 1 else (0, 0)
    else:
        made.refuse("pictures of one video have different sizes")
    rate = chosen.fps if chosen is not None else None
    looked = np.array(sorted(frames.values()), np.int64)
    return made.build(looked, size=size, rate_hz=rate or None, pictures=pictures)


def _track(one: _Annotation) -> int:
    found = one.track_id
    if found is None and isinstance(one.attributes, dict):
        found = one.attributes.get("track_id")
    return found if isinstance(found, int) else -1


def _video(file: _File, wanted: str | None, made: Builder) -> _Named | None:
    ids = sorted({one.video_id for one in file.images if one.video_id is not None})
    known = {one.id: one for one in file.videos}
    videos = [known.get(i) or _Named(i, str(i)) for i in ids]
    if wanted is not None:
        for one in videos:
            if wanted in (one.name, str(one.id)):
                return one
    if len(videos) > 1 or wanted is not None:
        names = ", ".join(one.name or str(one.id) for one in videos[:20]) or "none"
        made.refuse(f"choose one of its videos with --video: {names}")
    return videos[0] if videos else None


def _frames(images: list[_Image], made: Builder) -> tuple[dict[int, int], dict[str, int]]:
    """Return the frame of each image id, and of each file name where names tell pictures apart."""
    numbers = [one.frame_id if one.frame_id is not None else one.frame_index for one in images]
    known = all(number is not None for number in numbers)
    frames: dict[int, int] = {}
    for n, (one, number) in enumerate(zip(images, numbers, strict=True)):
        if one.id in frames:
            made.refuse(f"id {one.id} stands twice", None, f"images[{n}]")
        frames[one.id] = number if known and number is not None else n
    if len(set(frames.values())) != len(frames):
        made.refuse("two pictures have the same frame_id")
    pictures = {Path(one.file_name).name: frames[one.id] for one in images if one.file_name}
    return frames, {} if known or len(pictures) != len(images) else pictures


def read_results(path: Path, truth: Path, video: str | None = None) -> Labels:
    """Return COCO's list of results, whose ids are those of a COCO file of labels.

    Raises ConfigError with the element.
    """
    rows: list[_Annotation] = decode(path, list[_Annotation])
    beside: _File = decode(truth, _File)
    made = Builder(path)
    chosen = _video(beside, video, made)
    images = [one for one in beside.images if chosen is None or one.video_id == chosen.id]
    frames, pictures = _frames(images, made)
    every = {one.id for one in beside.images}
    names = {one.id: one.name or str(one.id) for one in beside.categories}
    for n, one in enumerate(rows):
        if one.image_id not in every or one.category_id not in names:
            made.refuse(f"image or category is not in {truth}", None, f"[{n}]")
        if one.image_id in frames:
            score = 1.0 if one.score is None else one.score
            made.add(frames[one.image_id], _track(one), names[one.category_id], one.bbox,
                     score=score, key=f"[{n}]")  # fmt: skip
    return made.build(np.array(sorted(frames.values()), np.int64), pictures=pictures)


def write(path: Path, labels: Labels) -> None:
    """Write labels as COCO JSON: one video, a picture for each frame. Raises OSError."""
    width, height = labels.size
    by_frame = {frame: name for name, frame in labels.pictures.items()}
    ids = {frame: n for n, frame in enumerate(labels.looked.tolist(), 1)}
    images = [
        {
            "id": n, "file_name": by_frame.get(frame, f"frame_{frame:06d}.png"), "width": width,
            "height": height, "video_id": 1, "frame_id": frame,
        }
        for frame, n in ids.items()
    ]  # fmt: skip
    annotations = [
        {
            "id": n, "image_id": ids[frame], "category_id": class_id + 1, "bbox": box,
            "area": box[2] * box[3], "iscrowd": int(ignored), "score": score,
            **({"track_id": track} if track >= 0 else {}),
        }
        for n, (frame, track, class_id, box, score, ignored) in enumerate(
            zip(
                labels.frames.tolist(), labels.tracks.tolist(), labels.class_ids.tolist(),
                labels.boxes.tolist(), labels.scores.tolist(), labels.ignored.tolist(),
                strict=True,
            ), 1,
        )
    ]  # fmt: skip
    fps = {"fps": labels.rate_hz} if labels.rate_hz else {}
    file = {
        "videos": [{"id": 1, "name": Path(labels.path).stem, **fps}],
        "images": images, "annotations": annotations,
        "categories": [
            {"id": n, "name": name or "object"} for n, name in enumerate(labels.names, 1)
        ],
    }  # fmt: skip
    path.write_bytes(msgspec.json.encode(file))
