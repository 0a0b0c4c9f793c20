"""A JPEG of each raised alert with its box drawn. Imports wire, errors and OpenCV.

The alert process saves the picture while the frame is still in the ring, before the alert is
stored. So the alert contains the path of the file in every sink. The file is removed with the
alert.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from perception import draw
from perception.clock import NS_PER_S
from perception.errors import SinkError
from perception.sinks.when import When
from perception.wire import Alert

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class SnapshotSink:
    """Writes <camera>-<time>-<first 8 characters of the key>.jpg. An alert always has this name."""

    class Options(When):
        """path: of the folder. quality: of the JPEG. draw: draw the box and its label.

        once: do not replace the picture when the object is seen better later."""

        path: Annotated[Path, AfterValidator(Path.expanduser)] = Path("snapshots")
        quality: Annotated[int, Field(ge=1, le=100)] = 85
        draw: bool = True

        @model_validator(mode="after")
        def _has_no_cooldown(self) -> Self:
            if self.cooldown_s:
                raise ValueError("snapshot has no `cooldown_s`: remove it")
            return self

    def __init__(self, options: Any, folder: Path) -> None:
        self.when: When = options
        self.folder = folder / options.path
        self._quality: int = options.quality
        self._draw: bool = options.draw

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Save the picture if `wants` says so; see Sink.send."""
        if picture is not None and self.wants(alert):
            self.save(alert, picture)

    def wants(self, alert: Alert) -> bool:
        """Return whether to save a picture for this state of an alert.

        It is raised or, unless `once` is set, updated with a better view of its object; and it
        passes the filters of the sink.
        """
        better = alert.state == "updated" and alert.details.get("better_look") is True
        return (alert.state == "raised" or (better and not self.when.once)) and self.when.wants(
            alert
        )

    def save(self, alert: Alert, picture: NDArray[np.uint8]) -> Path:
        """Write the picture, uint8 (H, W, 3) BGR, and return its path. Raises SinkError.

        It is written to another name and renamed, so readers see complete files only. `picture` is
        not changed.
        """
        path = self.folder / file_name(alert)
        shown = draw_box(picture, alert) if self._draw else picture
        try:
            _, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        except cv2.error:
            text = f"{path}: a picture {picture.dtype} {picture.shape} cannot be written as JPEG"
            raise SinkError(text) from None
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(data.tobytes())
                os.replace(part, path)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror}") from None
        return path


def erase(alert: Alert) -> None:
    """Remove the snapshot of an alert, if its file name is that of the alert.

    A missing file is no error. Raises SinkError where it cannot be removed.
    """
    if alert.snapshot is None or Path(alert.snapshot).name != file_name(alert):
        return
    try:
        Path(alert.snapshot).unlink(missing_ok=True)
    except OSError as error:
        raise SinkError(f"{alert.snapshot}: {error.strerror}") from None


def file_name(alert: Alert) -> str:
    """Return <camera>-<UTC time>-<key>.jpg in letters, digits, _ and -. It sorts by time."""
    start = datetime.fromtimestamp(alert.start_t_wall_ns // NS_PER_S, UTC)
    millis = alert.start_t_wall_ns // 1_000_000 % 1000
    camera = _UNSAFE.sub("_", alert.camera)[:40]
    key = _UNSAFE.sub("_", alert.key)[:8]
    return f"{camera}-{start:%Y%m%dT%H%M%S}.{millis:03d}Z-{key}.jpg"


def draw_box(picture: NDArray[np.uint8], alert: Alert) -> NDArray[np.uint8]:
    """Return a copy of a picture, uint8 (H, W, 3), with the alert drawn on it."""
    shown = np.array(picture, np.uint8, order="C")
    if shown.size:
        draw.alerts(shown, [alert])
    return shown
