"""Frames in shared memory: one writer, any number of late or lost readers, never a mixed picture.

A ring is a file of its own in /dev/shm (0600, prefix `perception-`), locked by its writer for as
long as it lives; `sweep` removes those whose writer is gone. `multiprocessing.shared_memory` is not
used: before Python 3.13 it deletes a segment when any program that attached to it exits.
Each slot has a generation, odd while it is written; a reader checks it before and after use.
A frame is BGR or the planes of a decoder (pixels.py); who asks for a picture gets BGR.
Verified for the memory order of x86-64 only. May be imported by stages and processes.
"""

import contextlib
import fcntl
import math
import os
import time
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.errors import RingError, SlotOverwritten
from perception.pixels import Pixels, shape_of
from perception.transport.ring_map import (
    HEADER,
    MAGIC,
    MAX_SIDE,
    MAX_SLOTS,
    NAME,
    PREFIX,
    SHM_DIR,
    RingMap,
    free_bytes,
    layout,
    open_map,
    pages,
)
from perception.wire import CODINGS, Coding

_OPEN_MAPS = 64
"""Rings that a reader keeps mapped: one a camera."""

_UNLOCKED_GRACE_S = 10.0

_MS = 1_000_000

_NUMBER_ZERO = 1_577_836_800_000
"""2020-01-01 UTC in ms: rings are numbered from here, so that no later one has the same name."""


class RingWriter:
    """Writes frames into slots in turn. One per camera process.

    name: what the files are called after the prefix (run and camera). slots: depth. The file is
    made at the first frame and made anew, under a higher number, when a larger frame comes or the
    process starts again; readers may still hold the one before under its number.
    Raises RingError where shared memory is too small, with the number needed.
    """

    def __init__(self, name: str, slots: int) -> None:
        if not 2 <= slots <= MAX_SLOTS:
            raise RingError(f"a ring of {slots} slots: expected 2 to {MAX_SLOTS}")
        self._base, self._slots = f"{PREFIX}{name}", slots
        self._number = time.time_ns() // _MS - _NUMBER_ZERO
        self._map: RingMap | None = None
        self._fd = -1
        self._slot = -1
        self.name = ""

    def begin(self, height: int, width: int, coding: Coding = "bgr") -> NDArray[np.uint8]:
        """Return the next slot to write a frame into, then `commit`.

        It is uint8 (H, W, 3) for BGR, else (H * 3 / 2, W) for planes as Pixels has them.
        """
        if not (0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE):
            raise RingError(f"a frame of {width}x{height}: expected sides of 1 to {MAX_SIDE} px")
        shape = shape_of(height, width, coding)
        if self._map is None or math.prod(shape) > self._map.slot_bytes:
            self._create(pages(math.prod(shape)))
        assert self._map is not None
        if self._slot < 0 or not int(self._map.generations[self._slot]) & 1:
            self._slot = (self._slot + 1) % self._slots
            self._map.generations[self._slot] += 1
        self._map.lines[self._slot, 3:6] = height, width, CODINGS.index(coding)
        return self._map.data(self._slot, shape)

    def commit(self, frame_id: int = 0, t_media_ns: int = 0) -> tuple[str, int, int]:
        """Publish the slot of the last `begin`; return ring name, slot and generation."""
        assert self._map is not None, "commit without begin"
        self._map.lines[self._slot, 1:3] = frame_id, t_media_ns
        self._map.generations[self._slot] += 1
        return self.name, self._slot, int(self._map.generations[self._slot])

    def close(self) -> None:
        """Remove the ring; readers that still map it keep what they see."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                (SHM_DIR / self.name).unlink()
            os.close(self._fd)
        self._map, self._fd, self._slot = None, -1, -1

    def _create(self, slot_bytes: int) -> None:
        self.close()
        sweep(f"{self._base}.*")
        self._number += 1
        size = layout(self._slots, slot_bytes)[1]
        name = f"{self._base}.{self._number}"
        path = SHM_DIR / name
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RingError(f"cannot make {path}: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # a sweep may hold it for a moment
            os.posix_fallocate(fd, 0, size)
            os.pwrite(fd, HEADER.pack(MAGIC, self._slots, 0, slot_bytes), 0)
            self._map = RingMap(fd, self._slots, slot_bytes, write=True)
        except OSError as error:
            free = free_bytes()
            path.unlink()
            os.close(fd)
            raise RingError(
                f"{self._slots} frames need {size / 1e6:.0f} MB of {SHM_DIR}, {free / 1e6:.0f} MB "
                f"are free ({error.strerror}): enlarge it (docker: --shm-size) or lower `keep_s`"
            ) from None
        self._fd, self.name = fd, name


@dataclass(frozen=True, slots=True)
class Picture:
    """A copy of a frame: uint8 (H, W, 3) BGR, whose it is and when it was taken."""

    image: NDArray[np.uint8]
    frame_id: int
    t_media_ns: int


class RingReader:
    """Reads frames that descriptors point to; keeps the last few rings mapped."""

    def __init__(self) -> None:
        self._maps: OrderedDict[str, RingMap] = OrderedDict()

    def pixels(
        self, name: str, slot: int, generation: int, height: int, width: int, coding: Coding
    ) -> Pixels:
        """Return the frame in place: read-only, yours until overwritten.

        Call `check` after the last use and throw away what was made of it where that raises.
        Raises SlotOverwritten where it is gone already, RingError where the descriptor lies.
        """
        ring = self._mapped(name)
        if slot >= ring.slots:
            raise RingError(f"{name} has no slot {slot}")
        # First: size and coding of a slot that is being written anew may be half the old frame's.
        if generation & 1 or int(ring.generations[slot]) != generation:
            raise SlotOverwritten(f"slot {slot} of {name} was overwritten")
        try:
            shape = shape_of(height, width, coding)
        except ValueError as error:
            raise RingError(f"{name}: {error}") from None
        if not 0 < math.prod(shape) <= ring.slot_bytes:
            raise RingError(f"{name} has no room for a frame of {width}x{height}")
        return Pixels(ring.data(slot, shape), coding)

    def image(
        self,
        name: str,
        slot: int,
        generation: int,
        height: int,
        width: int,
        coding: Coding = "bgr",
    ) -> NDArray[np.uint8]:
        """Return the frame as uint8 (H, W, 3) BGR: in place where it stands so, else made now.

        Call `check` after the last use, and all else as with `pixels`.
        """
        return self.pixels(name, slot, generation, height, width, coding).bgr()

    def check(self, name: str, slot: int, generation: int) -> None:
        """Raise SlotOverwritten where the slot was written since `image`."""
        if int(self._mapped(name).generations[slot]) != generation:
            raise SlotOverwritten(f"slot {slot} of {name} was overwritten while it was read")

    def picture(self, base: str, frame_id: int, *, newest: bool = False) -> Picture | None:
        """Return a copy of a frame, or of the nearest later one that still lives, or None.

        newest: of the frame and the later ones the latest instead.
        base: name of the camera's ring without prefix and number, as given to its RingWriter.
        """
        for _ in range(3):
            name = _newest(base)
            if name is None:
                return None
            with contextlib.suppress(SlotOverwritten):
                ring = self._mapped(name)
                lines = ring.lines.copy()
                whole = (lines[:, 0] > 0) & (lines[:, 0] % 2 == 0) & (lines[:, 1] >= frame_id)
                if not whole.any():
                    return None
                if newest:
                    slot = int(np.argmax(np.where(whole, lines[:, 1], -1)))
                else:
                    slot = int(np.argmin(np.where(whole, lines[:, 1], np.iinfo(np.int64).max)))
                generation, found, t_media_ns, height, width, code = lines[slot, :6].tolist()
                if not 0 <= code < len(CODINGS):
                    raise RingError(f"{name}: slot {slot} has coding {code}")
                pixels = self.pixels(name, slot, generation, height, width, CODINGS[code])
                image = pixels.bgr().copy() if pixels.coding == "bgr" else pixels.bgr()
                self.check(name, slot, generation)
                return Picture(image, found, t_media_ns)
        return None

    def _mapped(self, name: str) -> RingMap:
        ring = self._maps.get(name)
        if ring is None:
            ring = open_map(name)
            base = name.rpartition(".")[0]
            for older in [known for known in self._maps if known.rpartition(".")[0] == base]:
                del self._maps[older]  # its memory is free once nobody maps it
            self._maps[name] = ring
            if len(self._maps) > _OPEN_MAPS:
                self._maps.popitem(last=False)
        else:
            self._maps.move_to_end(name)
        return ring


def _newest(base: str) -> str | None:
    """Return the ring with the highest number, of those of a base name that stand now."""
    found = [path.name for path in SHM_DIR.glob(f"{PREFIX}{base}.*") if NAME.fullmatch(path.name)]
    return max(found, key=lambda name: int(name.rpartition(".")[2]), default=None)


def sweep(pattern: str = f"{PREFIX}*") -> list[str]:
    """Remove rings of this user whose writer is gone; return their names.

    pattern: of their names, where only those of one camera are meant.

    A writer holds a lock on its ring, in whatever container it runs, so what cannot be locked
    lives. A file younger than 10 s may be one that its writer is about to lock.
    """
    removed: list[str] = []
    for path in SHM_DIR.glob(pattern):
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.fstat(fd)
                if status.st_uid != os.getuid():
                    continue
                if status.st_size == 0 and time.time() - status.st_mtime < _UNLOCKED_GRACE_S:
                    continue
                path.unlink()
                removed.append(path.name)
            finally:
                os.close(fd)
    return removed
