"""A text file that is written line by line and flushed every second, so a kill loses little.

Imports errors and clock.
"""

from pathlib import Path
from typing import IO

from perception import clock
from perception.errors import SinkError

FLUSH_NS = clock.NS_PER_S


class TextFile:
    """A file that is opened with its first line and flushed every second."""

    def __init__(self, path: str | Path) -> None:
        """path: of the file. It and its folder are created with the first text."""
        self.path = Path(path)
        self._file: IO[bytes] | None = None
        self._flush_ns = 0

    def write(self, text: bytes) -> None:
        """Append text. It is flushed at the first call 1 s after the last flush. Raises
        SinkError.
        """
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("wb", buffering=1 << 16)
                self._flush_ns = clock.monotonic_ns()
            self._file.write(text)
            if clock.monotonic_ns() - self._flush_ns >= FLUSH_NS:
                self._file.flush()
                self._flush_ns = clock.monotonic_ns()
        except OSError as error:
            raise self._error(error) from error

    def close(self) -> None:
        """Write the rest and close the file, if it was opened. Raises SinkError."""
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> SinkError:
        return SinkError(f"cannot write {self.path}: {error.strerror or error}")
