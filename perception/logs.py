"""Structured logs: one JSON line an event on stderr, secrets masked, repeats counted by callers.

May be imported by processes and above.
"""

import contextlib
import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

import structlog

_SECRET = re.compile(r"(\w+://[^/\s:@]*):[^/\s]*@(?=[^/\s])")


def mask(text: str) -> str:
    """Return text with the password of every URL in it replaced by ***."""
    return _SECRET.sub(r"\1:***@", text)


def _mask_values(_: Any, __: str, event: Any) -> Any:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


class _Stderr:
    """Standard error without a buffer: a line is one write, as all processes share the file.

    One that cannot be written (disk full) is lost.
    """

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(2, text.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Nothing waits."""


class _LibraryLines(logging.Formatter):
    """What libraries and stages log by `logging`, as lines of the same form."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON line without its end."""
        level = record.levelname.lower()
        return line(self._process, record.getMessage(), level, logger=record.name).decode().strip()


def setup(process: str, level: str = "info") -> Any:
    """Return a logger whose lines name the process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LibraryLines(process))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask_values,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.WriteLoggerFactory(_Stderr()),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger().bind(process=process)


def line(process: str, event: str, level: str = "info", **fields: Any) -> bytes:
    """Return one line of the log, for who writes it into the file itself."""
    said = {"process": process, **_mask_values(None, level, fields), "event": event, "level": level}
    said["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps(said).encode() + b"\n"
