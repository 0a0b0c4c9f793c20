"""Alerts as lines of JSON in a file, one line for each state of an alert. Imports wire and
errors."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from perception.errors import SinkError
from perception.sinks import document
from perception.sinks.when import When
from perception.wire import Alert

_TAIL_BYTES = 1 << 20


class JsonlSink:
    """Appends one line per alert state. The file is opened each time, so it can be moved any time.

    An incomplete last line, after a kill or with a full disk, is removed before the next one is
    written; its alert is sent again. A line can be there twice, with the same key and state.
    """

    class Options(When):
        """path: of the file. fsync: return only when the line is on the disk."""

        path: Annotated[Path, AfterValidator(Path.expanduser)] = Path("alerts.jsonl")
        fsync: bool = True

    def __init__(self, options: Any, folder: Path) -> None:
        self.when: When = options
        self.path = folder / options.path
        self._fsync: bool = options.fsync

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Append the alert to the file; see Sink.send."""
        line = msgspec.json.encode(document(alert)) + b"\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            try:
                self._append(handle, line)
            finally:
                os.close(handle)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from None

    def _append(self, handle: int, line: bytes) -> None:
        end = _whole(handle)
        written = os.write(handle, line)
        if written < len(line):
            os.ftruncate(handle, end)
            raise SinkError(f"{self.path}: no space for {len(line)} bytes")
        if self._fsync:
            os.fsync(handle)


def _whole(handle: int) -> int:
    """Remove an incomplete last line, or end a complete one. Return the length of the file."""
    end = os.fstat(handle).st_size
    if end == 0 or os.pread(handle, 1, end - 1) == b"\n":
        return end
    start = max(0, end - _TAIL_BYTES)
    tail = os.pread(handle, end - start, start)
    torn = tail[tail.rfind(b"\n") + 1 :]
    try:
        json.loads(torn)
    except ValueError:
        os.ftruncate(handle, end - len(torn))
        return end - len(torn)
    os.write(handle, b"\n")
    return end + 1
