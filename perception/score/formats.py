"""The four forms of labels, told apart by the file. Imports the forms."""

from pathlib import Path

import msgspec

from perception.errors import ConfigError, unknown
from perception.score import coco, cvat, label_studio, mot
from perception.score.labels import Labels, read_bytes

FORMS = ("cvat", "coco", "mot", "label-studio")


def read_labels(
    path: Path, *, truth: bool = True, video: str | None = None, beside: Path | None = None
) -> Labels:
    """Return the labels of a file, or of a folder with gt/gt.txt or annotations.xml.

    truth: False where the file is a result (MOTChallenge's seventh number is its score). video: one
    of several in the file. beside: COCO labels that a list of COCO results belongs to. Raises
    ConfigError with file and line or element.
    """
    if path.is_dir():
        inside = [path / name for name in ("gt/gt.txt", "gt.txt", "annotations.xml")]
        found = next((one for one in inside if one.is_file()), None)
        if found is None:
            raise ConfigError("a folder without gt/gt.txt and annotations.xml", str(path))
        path = found
    suffix = path.suffix.lower()
    if suffix == ".txt":
        return mot.read(path, truth=truth)
    if suffix in (".xml", ".zip"):
        return cvat.read(path)
    if suffix != ".json":
        raise ConfigError("not .xml (CVAT), .json (COCO, Label Studio) or .txt (MOT)", str(path))
    return _json(path, truth, video, beside)


def _json(path: Path, truth: bool, video: str | None, beside: Path | None) -> Labels:
    start = read_bytes(path).lstrip()[:1]
    if start != b"[":
        return coco.read(path, video)
    rows: list[msgspec.Raw] = coco.decode(path, list[msgspec.Raw])
    first = bytes(rows[0]) if rows else b""
    is_results = b'"image_id"' in first and b'"annotations"' not in first
    if is_results or (not rows and not truth):
        if truth or beside is None or beside.suffix.lower() != ".json":
            raise ConfigError("a list of COCO results needs its COCO labels as --truth", str(path))
        return coco.read_results(path, beside, video)
    return label_studio.read(path, video)


def write_labels(path: Path, labels: Labels, form: str) -> None:
    """Write labels for a tool. form: a row of FORMS; `mot` makes a folder. Raises ConfigError."""
    if form not in FORMS:
        raise ConfigError(unknown(form, FORMS, "forms of labels"))
    try:
        if form == "mot":
            mot.write(path, labels)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        {"cvat": cvat.write, "coco": coco.write, "label-studio": label_studio.write}[form](
            path, labels
        )
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror or error}", str(path)) from None
