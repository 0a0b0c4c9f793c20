"""Pictures of cameras as JPEG, made only while somebody asks. Imports transport; OpenCV."""

import threading
from pathlib import Path

import cv2

from perception.errors import RingError
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base

_OPENCV = threading.Lock()
"""One picture at a time: this process shall not take more than a core."""


class Pictures:
    """JPEGs of a run's cameras. May be used from several threads."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._reader = RingReader()
        cv2.setNumThreads(1)

    def newest(self, camera: str, width: int, quality: int = 80) -> tuple[bytes, int] | None:
        """Return a camera's newest frame as JPEG and its media time, ns; None where there is none.

        width: at most so many px.
        """
        with _OPENCV:
            try:
                found = self._reader.picture(ring_base(self._run_dir, camera), 0, newest=True)
            except RingError:
                return None
            if found is None:
                return None
            image = found.image
            height, wide = image.shape[:2]
            if wide > width:
                size = (width, max(1, round(height * width / wide)))
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
            return (data.tobytes(), found.t_media_ns) if done else None
