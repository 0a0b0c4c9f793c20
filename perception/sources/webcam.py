"""A webcam by index or /dev/video*, read by OpenCV (V4L2) in a thread.

A driver may never return from a read: then the thread is abandoned and counted. The thread grabs
every frame and decodes only those that the reader waits for, into the array that `allocate` gave.
"""

import os
import stat
import threading
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perception.clock import NS_PER_S, monotonic_ns, to_ns
from perception.errors import SourceError, SourceLost
from perception.sources import Allocate, Frame, Image
from perception.sources.decoding import copy_rotated

_WAIT_S = 0.5
_OPEN_NS = 10 * NS_PER_S


class WebcamSource:
    """A webcam: newest frame only. It is lost when it gives no frame for read_timeout_s.

    Options: device: index or /dev/video*. width, height, fps, fourcc (pixel format; MJPG is often
    needed for the full rate over USB): requested of the driver, which may choose others. rotate:
    degrees clockwise. read_timeout_s. Media time is the arrival time. counters: stale (grabbed and
    not decoded), threads_abandoned.
    """

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        device: int | str = Field(default=0)
        width: int | None = Field(default=None, ge=16, le=16384)
        height: int | None = Field(default=None, ge=16, le=16384)
        fps: float | None = Field(default=None, gt=0, le=1000)
        fourcc: str | None = Field(default=None, pattern=r"^[A-Z0-9]{4}$")
        rotate: Literal[0, 90, 180, 270] = 0
        read_timeout_s: float = Field(default=3.0, gt=0, le=60)

    live = True

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        device = options.device
        self._path = Path(f"/dev/video{device}") if isinstance(device, int) else Path(device)
        self.fps = options.fps
        self.counters = {"stale": 0, "threads_abandoned": 0}
        self._grabber: _Grabber | None = None
        self._worked = False

    def open(self) -> None:
        """Start to open the device and wait for at most 0.5 s. read() returns None until then.

        Raises SourceError where there is no such webcam, SourceLost if it has worked before.
        """
        self.close()
        reason = _unusable(self._path)
        if reason is not None:
            error = SourceLost if self._worked else SourceError
            raise error(f"{self._path}: {reason}")
        self._grabber = _Grabber(self._path, self._options)
        self._grabber.start()
        self._grabber.wait_opened(_WAIT_S)

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame; None: there was none within 0.5 s. Raises SourceLost."""
        if self._grabber is None:
            raise SourceLost(f"{self._path}: not open")
        got = self._grabber.take(allocate, _WAIT_S)
        self.counters["stale"] += self._grabber.take_stale()
        if got is None:
            return None
        self._worked = True
        self.fps = self._options.fps or self._grabber.fps
        pixels, slot, arrival = got
        if slot is None or pixels is not slot:
            slot = copy_rotated(_bgr(pixels), self._options.rotate, allocate)
        return Frame(slot, arrival, arrival)

    def close(self) -> None:
        """Release the device. Waits for at most 0.5 s. Safe to call twice."""
        grabber, self._grabber = self._grabber, None
        if grabber is None:
            return
        grabber.cancel()
        grabber.join(_WAIT_S)
        self.counters["threads_abandoned"] += grabber.is_alive()


class _Grabber(threading.Thread):
    """The thread that grabs all frames, and decodes one when the reader waits for it."""

    def __init__(self, path: Path, options: WebcamSource.Options) -> None:
        super().__init__(name="webcam", daemon=True)
        self._path, self._options = path, options
        self._changed = threading.Condition()
        self._size: tuple[int, int] | None = None
        self._slot: Image | None = None
        self._wanted = self._cancelled = False
        self._got: tuple[Image, int] | None = None
        self._ended: str | None = None
        self._stale = 0
        self._frame_ns = monotonic_ns()
        self.fps: float | None = None

    def wait_opened(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._size or self._ended, timeout_s)
            self._raise_ended()

    def take(self, allocate: Allocate, timeout_s: float) -> tuple[Image, Image | None, int] | None:
        """Return pixels, the array of `allocate` (None: not allocated), and the arrival time."""
        with self._changed:
            self._changed.wait_for(lambda: self._size or self._ended, timeout_s)
            if self._size is not None and not self._wanted and self._ended is None:
                self._slot = None if self._options.rotate else allocate(*self._size)
                self._wanted = True
            self._changed.wait_for(lambda: self._got or self._ended, timeout_s)
            if self._got is None:
                limit = _OPEN_NS if self._size is None else to_ns(self._options.read_timeout_s)
                if monotonic_ns() - self._frame_ns > limit:
                    self._ended = self._ended or f"no frame for {limit / NS_PER_S:g} s"
                self._raise_ended()
                return None
            (pixels, arrival), slot = self._got, self._slot
            self._got = self._slot = None
            return pixels, slot, arrival

    def take_stale(self) -> int:
        with self._changed:
            stale, self._stale = self._stale, 0
            return stale

    def cancel(self) -> None:
        """Tell the thread to end. From now on it does not write into an array of `allocate`."""
        with self._changed:
            self._cancelled, self._wanted, self._slot = True, False, None

    def run(self) -> None:
        ended = "its thread failed"
        try:
            capture = open_device(self._path, self._options)
            try:
                ended = self._grab_all(capture)
            finally:
                capture.release()
        finally:
            with self._changed:
                self._ended = self._ended or ended
                self._changed.notify_all()

    def _grab_all(self, capture: Any) -> str:
        if not capture.isOpened():
            return "cannot be opened as a webcam (in use, or gives no video)"
        with self._changed:
            rate = float(capture.get(cv2.CAP_PROP_FPS))
            self.fps = rate if 0.1 <= rate <= 1000 else None
            height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
            self._size = height, int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
            self._frame_ns = monotonic_ns()
            self._changed.notify_all()
        while capture.grab():
            now = monotonic_ns()
            with self._changed:
                if self._cancelled or self._ended is not None:
                    return "closed"
                self._frame_ns = now
                if not self._wanted:
                    self._stale += 1
                    continue
                ok, pixels = capture.retrieve(self._slot)
                if ok:
                    self._got, self._wanted = (pixels, now), False
                    self._changed.notify_all()
        return "gives no more frames (unplugged?)"

    def _raise_ended(self) -> None:
        if self._ended is not None:
            self._wanted, self._slot = False, None
            raise SourceLost(f"{self._path}: {self._ended}")


def open_device(path: Path, options: WebcamSource.Options) -> Any:
    """Return the cv2.VideoCapture of a device with the options set."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    if options.fourcc is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*options.fourcc))
    wishes = {
        cv2.CAP_PROP_FRAME_WIDTH: options.width,
        cv2.CAP_PROP_FRAME_HEIGHT: options.height,
        cv2.CAP_PROP_FPS: options.fps,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    for name, value in wishes.items():
        if value is not None:
            capture.set(name, value)
    return capture


def _unusable(path: Path) -> str | None:
    try:
        is_device = stat.S_ISCHR(path.stat().st_mode)
    except (OSError, ValueError):
        found = sorted(str(other) for other in Path("/dev").glob("video*"))
        return f"no such webcam; there are: {', '.join(found) or 'none'}"
    if not is_device:
        return "not a webcam"
    if not os.access(path, os.R_OK | os.W_OK):
        return "no permission; is this user in the group 'video'?"
    return None


def _bgr(pixels: Image) -> Image:
    """Return a frame as BGR. Some drivers give grey."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
