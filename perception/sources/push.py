"""Frames from a process of the user: Pusher in that process, PushSource in the camera process.

Pixels go through a ring in shared memory, which the Pusher owns. A message for each frame says
where it is. A frame that the camera process does not copy in time is overwritten and counted.
Imports transport and below.
"""

import itertools
import os
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from perception.clock import NS_PER_MS, NS_PER_S, monotonic_ns, wall_ns
from perception.errors import RingError, SlotOverwritten, SourceError
from perception.sources import Allocate, Frame, Image
from perception.transport import push_queue, ring
from perception.transport.rundir import ring_base
from perception.wire import FrameMessage, Stamp

SLOTS = 8
_READ_NS = NS_PER_S // 2
_MAX_AGE_NS = 10 * NS_PER_S
_numbers = itertools.count()


class Pusher:
    """Sends frames to the push source of a camera. Call send() from one thread, close() from any.

    run_dir: directory of the run; perception.connect finds it by name. camera: name of the camera.
    closed: whether close() was called.
    """

    def __init__(self, run_dir: Path, camera: str) -> None:
        ring.sweep()
        name = f"{ring_base(run_dir, camera)}-push-{os.getpid()}-{next(_numbers)}"
        self._ring = ring.RingWriter(name, SLOTS)
        self._socket = push_queue.Pusher(run_dir, camera)
        self._camera = camera
        self._n = 0
        self._lock = threading.Lock()
        self.closed = False

    def send(
        self, image: NDArray[np.uint8], t_ns: int | None = None, timeout_s: float = 1.0
    ) -> bool:
        """Send one frame. Return whether the camera process took it within timeout_s.

        False too after close(). image: uint8 (H, W, 3) BGR or (H, W) grey, any strides; it is
        copied. t_ns: media time of the frame, of any clock, rising; None: the monotonic clock now.
        Raises SourceError for other arrays, RingError where shared memory is too small.
        """
        colour = image[:, :, None] if image.ndim == 2 else image
        if image.dtype != np.uint8 or colour.ndim != 3 or colour.shape[2] not in (1, 3):
            raise SourceError(
                f"pushed {image.dtype} {image.shape}: expected uint8 (H, W, 3) or (H, W)"
            )
        with self._lock:
            return not self.closed and self._send(colour, t_ns, timeout_s)

    def _send(self, image: NDArray[np.uint8], t_ns: int | None, timeout_s: float) -> bool:
        now = monotonic_ns()
        height, width = image.shape[:2]
        np.copyto(self._ring.begin(height, width), image)
        stamp = Stamp(
            camera=self._camera,
            frame_id=self._n,
            t_media_ns=now if t_ns is None else t_ns,
            t_arrival_ns=now,
            t_wall_ns=wall_ns(),
        )
        place, slot, generation = self._ring.commit(stamp.frame_id, stamp.t_media_ns)
        self._n += 1
        message = FrameMessage(
            stamp=stamp, ring=place, slot=slot, generation=generation, width=width, height=height
        )
        return self._socket.send(message, timeout_s)

    def close(self) -> None:
        """Remove the shared memory. Frames that were not taken are lost. Safe to call twice."""
        with self._lock:
            if not self.closed:
                self._socket.close()
                self._ring.close()
            self.closed = True

    def __enter__(self) -> "Pusher":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PushSource:
    """The frames that a Pusher of the same run and camera sends.

    Options: none. counters: overwritten (not copied in time); refused (the message fits no frame);
    time_not_rising: a frame whose time does not rise gets 1 ms after the last one; if its time is
    more than 1 s back, the clock was set back, and media time continues from the last frame.
    """

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

    live = True
    fps: float | None = None

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._run_dir, self._camera = run_dir, camera
        self.counters = {"overwritten": 0, "time_not_rising": 0, "refused": 0}
        self._puller: push_queue.Puller | None = None
        self._reader = ring.RingReader()
        self._last: tuple[int, int] | None = None
        self._offset_ns = 0

    def open(self) -> None:
        """Listen on a socket in the run's directory. Raises SourceError outside of a run."""
        self.close()
        if self._run_dir is None:
            raise SourceError(f"{self._camera}: push works in a run only, not in analysis")
        self._puller = push_queue.Puller(self._run_dir, self._camera)

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next frame. None: none was pushed within 0.5 s."""
        if self._puller is None:
            raise SourceError(f"{self._camera}: not open")
        deadline = monotonic_ns() + _READ_NS
        while (wait := deadline - monotonic_ns()) > 0:
            message: FrameMessage | None = self._puller.receive(max(1, wait // NS_PER_MS))
            self.counters["refused"] += sum(self._puller.rejected.values())
            self._puller.rejected.clear()
            image = self._copy(message, allocate) if message is not None else None
            if message is not None and image is not None:
                return self._frame(message.stamp, image)
        return None

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        if self._puller is not None:
            self._puller.close()
        self._puller = None
        self._reader = ring.RingReader()

    def _copy(self, message: FrameMessage, allocate: Allocate) -> Image | None:
        place = message.ring, message.slot, message.generation
        try:
            pushed = self._reader.image(*place, message.height, message.width)
            image = allocate(message.height, message.width)
            np.copyto(image, pushed)
            self._reader.check(*place)
        except SlotOverwritten:
            self.counters["overwritten"] += 1
            return None
        except RingError:
            self.counters["refused"] += 1
            return None
        return image

    def _frame(self, stamp: Stamp, image: Image) -> Frame:
        now = monotonic_ns()
        arrival = stamp.t_arrival_ns if 0 <= now - stamp.t_arrival_ns <= _MAX_AGE_NS else now
        t_media_ns = self._rising(stamp.t_media_ns, arrival)
        return Frame(image, t_media_ns, arrival)

    def _rising(self, t_ns: int, arrival: int) -> int:
        if self._last is not None and t_ns + self._offset_ns <= self._last[0]:
            self.counters["time_not_rising"] += 1
            media, arrived = self._last
            if media - t_ns - self._offset_ns > NS_PER_S:
                self._offset_ns = media + max(NS_PER_MS, arrival - arrived) - t_ns
            else:
                t_ns = media + NS_PER_MS - self._offset_ns
        self._last = t_ns + self._offset_ns, arrival
        return self._last[0]
