"""MOTChallenge: gt/gt.txt or a result, `frame,id,x,y,w,h,flag or score,class,visibility`.

The class is read where a line has 8 or 9 numbers: of labels.txt beside the file (as CVAT writes
it), else by MOTChallenge's own numbers. Source: MOT16 (arXiv 1603.00831), tables 1 and 2; CVAT's
documentation of "MOT 1.1". Imports errors.
"""

import configparser
from pathlib import Path

from perception.errors import ConfigError
from perception.score.labels import NO_CLASS, Builder, Labels, read_bytes

CLASSES = {
    1: "person", 2: "person on vehicle", 3: "car", 4: "bicycle", 5: "motorcycle",
    6: "non-motorised vehicle", 7: "static person", 8: "distractor", 9: "occluder",
    10: "occluder on ground", 11: "occluder full", 12: "reflection", 13: "crowd",
}  # fmt: skip
"""MOTChallenge's numbers; its pedestrian is `person` here."""
_DISTRACTORS = (2, 7, 8, 12)
"""A result there counts neither way, as TrackEval has it."""


def read(path: Path, *, truth: bool) -> Labels:
    """Return what a file says. truth: the seventh number is a flag (0: left out), not a score.

    Where labels.txt stands beside it, flag 0 is CVAT's "ignored". Raises ConfigError with the line.
    """
    made = Builder(path)
    names = _names(path.with_name("labels.txt"))
    for number, raw in enumerate(read_bytes(path).decode("utf-8", "replace").splitlines(), 1):
        text = raw.strip()
        if not text:
            continue
        try:
            row = [float(part) for part in text.split(",")]
            frame, track = _whole(row[0]), _whole(row[1])
        except (ValueError, OverflowError, IndexError):
            row, frame, track = [], 0, 0
        if len(row) < 6:
            made.refuse(f"{text[:60]!r} is not frame,id,x,y,w,h and more, numbers", number)
        if frame < 1:
            made.refuse("frames begin at 1", number)
        flag = row[6] if len(row) > 6 else 1.0
        class_id = int(row[7]) if len(row) in (8, 9) and row[7] == row[7] // 1 else -1
        ignored, name = False, NO_CLASS
        if class_id >= 1:
            known = names or CLASSES
            if class_id not in known:
                made.refuse(f"class {class_id} is none of {len(known)}", number)
            name = known[class_id]
        if truth and names is None and class_id in _DISTRACTORS:
            ignored, name = True, CLASSES[1]
        elif truth and flag == 0:
            if names is None:
                continue
            ignored = True
        score = 1.0 if truth else flag
        made.add(frame - 1, max(track, -1), name, row[2:6], score=score, ignored=ignored,
                 line=number)  # fmt: skip
    length, size, rate = _sequence(path)
    return made.build(length, size=size, rate_hz=rate)


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError
    return int(value)


def _names(path: Path) -> dict[int, str] | None:
    if not path.is_file():
        return None
    lines = read_bytes(path).decode("utf-8", "replace").split("\n")
    return {n: line.strip() for n, line in enumerate(lines, 1) if line.strip()}


def _sequence(path: Path) -> tuple[int | None, tuple[int, int], float | None]:
    """Return length, size and rate of a seqinfo.ini in the file's folder or the one above."""
    for folder in (path.parent, path.parent.parent):
        file = folder / "seqinfo.ini"
        if file.is_file():
            break
    else:
        return None, (0, 0), None
    ini = configparser.ConfigParser(interpolation=None)
    try:
        ini.read_string(read_bytes(file).decode("utf-8", "replace"))
        part = ini["Sequence"]
        size = int(part.get("imWidth", "0")), int(part.get("imHeight", "0"))
        rate = float(part.get("frameRate", "0"))
        return int(part["seqLength"]), size, rate if 0 < rate < 1e4 else None
    except (configparser.Error, KeyError, ValueError) as error:
        raise ConfigError(f"not a sequence: {error}".replace("\n", " "), str(file)) from None


def write(folder: Path, labels: Labels, *, scores: bool = False) -> None:
    """Write gt/gt.txt, gt/labels.txt and seqinfo.ini, as CVAT and TrackEval read them.

    scores: the seventh number is the score, as a result has it. Raises OSError.
    """
    (folder / "gt").mkdir(parents=True, exist_ok=True)
    names = [name or "object" for name in labels.names] or ["object"]
    with (folder / "gt" / "gt.txt").open("w") as file:
        for frame, track, class_id, box, score, ignored in zip(
            labels.frames.tolist(), labels.tracks.tolist(), labels.class_ids.tolist(),
            labels.boxes.tolist(), labels.scores.tolist(), labels.ignored.tolist(), strict=True,
        ):  # fmt: skip
            seventh = repr(score) if scores else str(int(not ignored))
            where = ",".join(map(repr, box))
            file.write(f"{frame + 1},{track},{where},{seventh},{class_id + 1},1\n")
    (folder / "gt" / "labels.txt").write_text("".join(f"{name}\n" for name in names))
    width, height = labels.size
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate={labels.rate_hz or 25:g}\n"
        f"seqLength={labels.count}\nimWidth={width}\nimHeight={height}\nimExt=.jpg\n"
    )
