"""A camera that gives single JPEG pictures over HTTP. A thread requests them periodically.

Imports the stdlib, images and below.
"""

import base64
import contextlib
import http.client
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit, urlunsplit

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from perception.clock import monotonic_ns, to_ns
from perception.errors import SourceLost
from perception.sources import Allocate, Frame, Image
from perception.sources.decoding import copy_rotated
from perception.sources.images import decode_image
from perception.sources.stream import StreamOptions, check_url
from perception.sources.urls import redact

MAX_BYTES = 32_000_000
_HTTP = {"http": "", "https": ""}
_WAIT_S = 0.5


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects: they could lead to another scheme or host."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class SnapshotSource:
    """The address of a still picture. Options: url; rate_hz: requests per second; read_timeout_s.

    A picture whose bytes equal the last one's is not returned again; `repeated` counts it.
    """

    live = True

    class Options(StreamOptions):
        url: Annotated[str, AfterValidator(lambda url: check_url(url, _HTTP))] = Field(repr=False)
        rate_hz: Annotated[float, Field(gt=0, le=30)] = 1.0

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        self.fps: float | None = options.rate_hz
        self.counters = {"unreadable": 0, "repeated": 0, "stale": 0}
        self._shown = redact(options.url)
        self._changed = threading.Condition()
        self._newest: tuple[Image, int] | None = None
        self._lost: SourceLost | None = None
        self._why = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start to request pictures. Raises SourceLost if the first request fails within 0.5 s."""
        self.close()
        self._stop, self._lost, self._newest = threading.Event(), None, None
        self._why = ""
        self._thread = threading.Thread(
            target=self._request_pictures, args=(self._stop,), name="snapshots", daemon=True
        )
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._lost or self._why, _WAIT_S)
            if self._why and self._newest is None:
                raise SourceLost(f"{self._shown}: {redact(self._why)}")

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the newest picture that was not read yet. None: there was none within 0.5 s.

        Raises SourceLost where the address has given no picture for read_timeout_s.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._lost, _WAIT_S)
            newest, self._newest = self._newest, None
            lost = self._lost
        if newest is None:
            if lost is not None or self._thread is None:
                raise lost or SourceLost(f"{self._shown}: not open")
            return None
        pixels, arrival = newest
        image = copy_rotated(pixels, self._options.rotate or 0, allocate)
        return Frame(image, arrival, arrival)

    def close(self) -> None:
        """Stop the requests. Waits for at most 0.5 s; a pending request ends by its time-out."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(_WAIT_S)

    def _request_pictures(self, stop: threading.Event) -> None:
        last, period_ns = b"", to_ns(1.0 / self._options.rate_hz)
        opener = urllib.request.build_opener(_NoRedirect)
        request = _request(self._options.url)
        next_ns = good_ns = monotonic_ns()
        while not stop.is_set():
            why, data = "", b""
            try:
                with opener.open(request, timeout=self._options.open_timeout_s) as answer:
                    data = answer.read(MAX_BYTES + 1)
            except urllib.error.HTTPError as error:
                refused = error.code in (401, 403)
                why = "user or password refused" if refused else f"HTTP {error.code}"
            except (OSError, ValueError, http.client.HTTPException) as error:
                why = str(getattr(error, "reason", error)) or type(error).__name__
            now = monotonic_ns()
            if not why:
                why = self._take(data, last, now)
                last = b"" if why else data
            good_ns = good_ns if why else now
            with self._changed:
                self._why = why
                self._changed.notify_all()
            if why and now - good_ns > to_ns(self._options.read_timeout_s):
                self._end(stop, SourceLost(f"{self._shown}: {redact(why)}"))
                return
            next_ns = max(next_ns + period_ns, now)
            stop.wait(max(0.0, (next_ns - now) / 1e9))

    def _take(self, data: bytes, last: bytes, now: int) -> str:
        """Decode a picture for the reader. Return why it cannot be decoded; "": it was."""
        if data == last:
            self.counters["repeated"] += 1
            return ""
        pixels = decode_image(data, cv2.IMREAD_COLOR) if len(data) <= MAX_BYTES else "too_large"
        if isinstance(pixels, str) or pixels.dtype != np.uint8:
            self.counters["unreadable"] += 1
            return "what it sends is no picture"
        with self._changed:
            self.counters["stale"] += self._newest is not None
            self._newest = pixels.astype(np.uint8, copy=False), now
            self._changed.notify_all()
        return ""

    def _end(self, stop: threading.Event, lost: SourceLost) -> None:
        with self._changed:
            if not stop.is_set():
                self._lost = lost
            self._changed.notify_all()


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    request = urllib.request.Request(urlunsplit((parts.scheme, host, parts.path, parts.query, "")))
    with contextlib.suppress(ValueError):
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            encoded = base64.b64encode(pair.encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request
