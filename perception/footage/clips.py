"""Clips of alerts: the packets from some seconds before an alert to some seconds after it.

A clip begins at a key frame, which may be earlier than what was asked for. A box of its own says
where in the clip that is (`uuid` of ISO 14496-12: players pass over it).
"""

import contextlib
import os
import struct
import uuid
from collections import deque
from pathlib import Path
from typing import NamedTuple

from perception.clock import seconds, to_ns
from perception.footage.fragments import Fragment, decode_time, shifted
from perception.footage.segment import PART

MAX_BYTES = 32 << 20
"""Of packets that are remembered for what comes before an alert; then the oldest go."""
_FOLDER = "clips"
_BOX = struct.Struct(">I4s16sqq")
_ID = uuid.UUID("6f1e3a55-0c3c-4f0e-9b1b-7d5b0c6f5a11").bytes
_MAX_HEAD_BYTES = 64 << 10


class Places(NamedTuple):
    """Where in a clip, s from its first picture: what was asked for begins, the alert begins."""

    from_s: float
    alert_s: float


def places(path: Path) -> Places | None:
    """Return the places of a clip; None where it is not written yet, or has none."""
    try:
        with path.open("rb") as file:
            head = file.read(_MAX_HEAD_BYTES)
    except OSError:
        return None
    at = 0
    while at + _BOX.size <= len(head):
        size, kind, name, from_ns, alert_ns = _BOX.unpack_from(head, at)
        if kind == b"uuid" and name == _ID:
            return Places(seconds(from_ns), seconds(alert_ns))
        if size < 8 or kind == b"moof":
            return None
        at += size
    return None


def clip_path(root: Path, camera: str, key: str) -> Path:
    """Return where the clip of an alert is, or will be."""
    return root / camera / _FOLDER / f"{key}.mp4"


class Clips:
    """Remembers the newest packets of a camera and writes clips. Raises OSError on a full disk."""

    def __init__(self, root: Path, camera: str, before_s: float, after_s: float) -> None:
        self._root, self._camera = root, camera
        self._before_ns, self._after_ns = to_ns(before_s), to_ns(after_s)
        self._recent: deque[tuple[Fragment, int]] = deque()
        self._bytes = 0
        self._open: dict[str, _Clip] = {}

    def add(self, fragment: Fragment, t_media_ns: int) -> None:
        """Take a packet: into open clips, and into memory."""
        for key, clip in list(self._open.items()):
            if clip.stream != fragment.stream or t_media_ns > clip.end_ns:
                del self._open[key]
                clip.close()
            else:
                clip.add(fragment)
        if self._recent and self._recent[-1][0].stream != fragment.stream:
            self._recent.clear()
            self._bytes = 0
        self._recent.append((fragment, t_media_ns))
        self._bytes += len(fragment.data)
        self._forget(t_media_ns - self._before_ns)

    def begin(self, key: str, t_media_ns: int) -> Path | None:
        """Begin the clip of an alert at a media time; None where there is no packet of it."""
        path = clip_path(self._root, self._camera, key)
        if key in self._open or path.exists() or not self._recent:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        start = 0
        for n, (fragment, t) in enumerate(self._recent):
            if fragment.key and (t <= t_media_ns - self._before_ns or n == 0):
                start = n
        first, first_ns = self._recent[start]
        alert_ns = t_media_ns - first_ns
        box = (max(0, alert_ns - self._before_ns), max(0, alert_ns))
        clip = _Clip(path, first, box, t_media_ns + self._after_ns)
        self._open[key] = clip
        for fragment, _ in list(self._recent)[start:]:
            clip.add(fragment)
        return path

    def close(self) -> None:
        """End all clips."""
        for clip in self._open.values():
            with contextlib.suppress(OSError):
                clip.close()
        self._open.clear()

    def _forget(self, before_ns: int) -> None:
        """Drop packets up to the last key frame that is early enough."""
        while len(self._recent) > 1:
            next_key = next((n for n, (f, _) in enumerate(self._recent) if n and f.key), None)
            if next_key is None:
                return
            if self._recent[next_key][1] > before_ns and self._bytes <= MAX_BYTES:
                return
            for _ in range(next_key):
                gone, _t = self._recent.popleft()
                self._bytes -= len(gone.data)


class _Clip:
    """One clip that is being written."""

    def __init__(self, path: Path, first: Fragment, box: tuple[int, int], end_ns: int) -> None:
        self._path, self.end_ns, self.stream = path, end_ns, first.stream
        self._base = decode_time(first.data)[1]
        self._file = path.with_name(f"{path.name}{PART}").open("wb")
        self._file.write(first.header + _BOX.pack(_BOX.size, b"uuid", _ID, *box))

    def add(self, fragment: Fragment) -> None:
        self._file.write(shifted(fragment.data, self._base))

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._path.with_name(f"{self._path.name}{PART}").replace(self._path)
