"""Every error this package raises on purpose, and the exit code each ends a program with.

May be imported by everything; imports nothing of the package.

    PerceptionError
    ├── ConfigError       a launch file or option is wrong                       exit 2
    ├── MessageError      bytes from a socket are no valid message (counted, dropped)
    ├── SourceError       a camera, file or stream cannot be used                exit 3
    │   ├── SourceLost    gone for now: retry with back-off
    │   └── SourceEnded   no more frames will come
    ├── RingError         shared memory cannot be had or is not a ring       exit 3
    │   └── SlotOverwritten   the frame was replaced while or before it was read (counted)
    ├── ModelError        weights cannot be had, read or understood              exit 4
    └── SinkError         an alert could not be written or delivered now: tried again
        └── SinkRefused       the sink will never take it: given up at once
"""

import difflib
from collections.abc import Iterable

MAX_SHOWN = 24
"""Names that a complaint lists; of more the nearest says enough."""

EXIT_DONE = 0
EXIT_CONFIG = 2
EXIT_SOURCE = 3
EXIT_MODEL = 4
EXIT_BUG = 70


class PerceptionError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what a program ends with."""

    exit_code = EXIT_BUG


class ConfigError(PerceptionError):
    """A launch file or option is wrong. Bears file, line and key where they are known."""

    exit_code = EXIT_CONFIG

    def __init__(
        self, text: str, file: str | None = None, line: int | None = None, key: str | None = None
    ) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        self.file, self.line, self.key, self.text = file, line, key, text
        super().__init__(": ".join(part for part in (place, key, text) if part))


class MessageError(PerceptionError):
    """Bytes are no valid message. `reason` is one word for counters: size, header, version, ..."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}: {text}")


class SourceError(PerceptionError):
    """A camera, file or stream cannot be used."""

    exit_code = EXIT_SOURCE


class SourceLost(SourceError):
    """The source is gone for now. `retry_after_s` is the shortest wait before the next try."""

    def __init__(self, text: str, retry_after_s: float = 0.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class SourceEnded(SourceError):
    """The source has no more frames."""


class RingError(PerceptionError):
    """Shared memory cannot be had, or the file is not a ring of this version."""

    exit_code = EXIT_SOURCE


class SlotOverwritten(RingError):
    """The frame was replaced before or while it was read; the reader counts a drop."""


class ModelError(PerceptionError):
    """Weights cannot be had, read or understood."""

    exit_code = EXIT_MODEL


class SinkError(PerceptionError):
    """An alert could not be written or delivered now; it is tried again."""


class SinkRefused(SinkError):
    """A sink will never take this alert, as it is: it is given up at once."""


def unknown(name: str, allowed: Iterable[str], what: str) -> str:
    """Return a sentence for a name that is not allowed, with the nearest that is."""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    shown = [*allowed[:MAX_SHOWN], "..."] if len(allowed) > MAX_SHOWN else allowed
    return f"{name!r} is not one of the {what}{hint}: {', '.join(shown)}"
