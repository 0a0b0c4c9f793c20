"""Where a stream is and how FFmpeg opens it; what is said where that fails. Imports errors."""

from collections.abc import Callable
from dataclasses import dataclass, field

from av.error import (
    FFmpegError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
)

from perception.errors import SourceLost
from perception.sources.urls import redact


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stream is, and how FFmpeg opens it. url may contain a password and is never shown."""

    url: str = field(repr=False)
    demuxer: str
    options: dict[str, str]
    open_timeout_s: float
    read_timeout_s: float
    explain: Callable[[str], str] | None = None
    """From the url to the reason why it cannot be decoded; "": unknown."""
    description: bytes = b""
    """If set, FFmpeg reads this session description instead of the url (rtp.py)."""


def lost_because(shown: str, error: FFmpegError) -> SourceLost:
    """Return the error of a stream. FFmpeg's text is not used: it contains the URL and password."""
    if isinstance(error, HTTPUnauthorizedError | HTTPForbiddenError):
        return SourceLost(f"{shown}: user or password refused", 30.0)
    if isinstance(error, HTTPNotFoundError):
        return SourceLost(f"{shown}: no such stream on the server", 5.0)
    return SourceLost(f"{shown}: {redact(error.strerror or type(error).__name__)}")
