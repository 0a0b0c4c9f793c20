"""Structured logs: one JSON line an event on stderr, secrets masked, repeats counted by callers.

May be imported by processes and above.
"""

import logging
import re
import sys
from typing import Any

import structlog

_SECRET = re.compile(r"(\w+://[^/\s:@]*):[^/\s]*@(?=[^/\s])")


def mask(text: str) -> str:
    """Return text with the password of every URL in it replaced by ***."""
    return _SECRET.sub(r"\1:***@", text)


def _mask_values(_: Any, __: str, event: Any) -> Any:
    return {key: mask(value) if isinstance(value, str) else value for key, value in event.items()}


def setup(process: str, level: str = "info") -> Any:
    """Return a logger whose lines name the process."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger().bind(process=process)
