"""Frames of a recording, decoded ahead in a thread. Imports launchfile and below."""

import queue
import threading
from collections.abc import Iterator
from functools import cached_property

from perception.errors import SourceEnded
from perception.launchfile import build as stages
from perception.sources import AllocatePlanes, Frame, Image
from perception.wire.plan import CameraPlan

AHEAD = 4


class Frames:
    """Iterates over a source's frames, decoded ahead in a thread."""

    def __init__(self, camera: CameraPlan) -> None:
        self._source = stages.make_source(camera, None)
        self._source.open()
        self.counters = self._source.counters
        self._queue: queue.Queue[Frame | BaseException] = queue.Queue(AHEAD)
        threading.Thread(target=self._read, name="decode", daemon=True).start()

    @property
    def problems(self) -> list[str]:
        """Files that the source leaves out, and why."""
        return list(getattr(self._source, "problems", ()))

    @property
    def expected(self) -> int | None:
        """Frames the source says it has; headers lie, so this is for a progress bar only."""
        return getattr(self._source, "expected_frames", None)

    def __iter__(self) -> Iterator[Frame]:
        while True:
            item = self._queue.get()
            if isinstance(item, SourceEnded):
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read(self) -> None:
        allocate = AllocatePlanes()
        try:
            while True:
                frame = self._source.read(allocate)
                if frame is not None:
                    self._queue.put(frame)
        except BaseException as error:  # handed to the reading thread, which raises it
            self._queue.put(error)
        finally:
            self._source.close()


class Picture:
    """A frame whose full-size BGR is made once, where somebody asks for it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    @cached_property
    def image(self) -> Image:
        return self._frame.pixels.bgr()
