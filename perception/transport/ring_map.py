"""How a ring of frames lies in shared memory, and the mapping of one. Used by ring.py."""

import math
import mmap
import os
import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.errors import RingError, SlotOverwritten

SHM_DIR = Path("/dev/shm")

PREFIX = "perception-"

MAX_SIDE = 16384

MAX_SLOTS = 4096

NAME = re.compile(r"perception-[A-Za-z0-9_-]{1,150}\.[0-9]{1,15}")

HEADER = struct.Struct("<8sIIQ")

MAGIC = b"prcring2"

LINE_BYTES = 64

_PAGE = 4096


def pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def layout(slots: int, slot_bytes: int) -> tuple[int, int]:
    """Return where pixels start and the size of the whole file, bytes."""
    start = pages(LINE_BYTES * (1 + slots))
    return start, start + slots * slot_bytes


def bytes_needed(slots: int, height: int, width: int) -> int:
    """Return bytes of shared memory that a ring of `slots` BGR frames takes; planes take half."""
    return layout(slots, pages(height * width * 3))[1]


def free_bytes() -> int:
    """Return bytes of shared memory that are free on this host."""
    status = os.statvfs(SHM_DIR)
    return status.f_bavail * status.f_frsize


class RingMap:
    """A mapped ring: one generation a slot, and the slots' pixels."""

    def __init__(self, fd: int, slots: int, slot_bytes: int, *, write: bool) -> None:
        self.slots, self.slot_bytes = slots, slot_bytes
        self.start, size = layout(slots, slot_bytes)
        prot = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
        self.memory = mmap.mmap(fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE, prot)
        # One cache line a slot: generation, frame_id, t_media_ns, height, width, coding.
        self.lines = np.frombuffer(
            self.memory, np.int64, slots * LINE_BYTES // 8, LINE_BYTES
        ).reshape(slots, LINE_BYTES // 8)
        self.generations = self.lines[:, 0]

    def data(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        at = self.start + slot * self.slot_bytes
        return np.frombuffer(self.memory, np.uint8, math.prod(shape), at).reshape(shape)


def open_map(name: str) -> RingMap:
    if not NAME.fullmatch(name):
        raise RingError(f"{name!r} is not the name of a ring")
    try:
        fd = os.open(SHM_DIR / name, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise SlotOverwritten(f"ring {name} is gone") from None
    except OSError as error:
        raise RingError(f"cannot open ring {name}: {error.strerror}") from None
    try:
        head = os.pread(fd, HEADER.size, 0)
        size = os.fstat(fd).st_size
        if not any(head):
            raise SlotOverwritten(f"ring {name} is being made")
        if len(head) != HEADER.size:
            raise RingError(f"{name} is too short for a ring")
        magic, slots, _, slot_bytes = HEADER.unpack(head)
        if magic != MAGIC or not 2 <= slots <= MAX_SLOTS or layout(slots, slot_bytes)[1] != size:
            raise RingError(f"{name} is not a ring of this version")
        return RingMap(fd, slots, slot_bytes, write=False)
    finally:
        os.close(fd)
