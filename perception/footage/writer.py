"""The thread that writes to the disk, and the bounded queue before it.

A disk that hangs blocks this thread only. Packets that find no room in the queue are dropped up to
the next key frame.
"""

import contextlib
import shutil
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perception import clock
from perception.errors import ConfigError
from perception.footage import retention
from perception.footage.camera import CameraRecorder, Options
from perception.footage.candidates import candidates
from perception.footage.catalog import Catalog
from perception.footage.chain import Chain
from perception.footage.erasing import files_of
from perception.footage.fragments import Fragment
from perception.footage.listing import Listing
from perception.footage.messages import LoggedMessage
from perception.footage.repair import listing, rebuild, repair
from perception.footage.retention import Limits
from perception.footage.rows import SegmentRow, TrackRow
from perception.footage.segment import PacketStamp

MAX_QUEUE = 8 << 20
"""Bytes of packets of one camera that wait for the disk."""
_MAX_ENTRIES = 20_000
"""Messages beyond this many are dropped; a packet counts as one."""
RETAIN_S = 10.0
STOP_S = 2.0
RETRY_S = 2.0
_TURN_S = 0.2


class Writer(threading.Thread):
    """Writes what all cameras of a line record. `packet` and `message` never wait.

    options: by camera. table: see MessageFile. Its folder is held by no other writer.
    """

    def __init__(
        self,
        root: Path,
        run: str,
        options: Mapping[str, Options],
        limits: Limits,
        table: Callable[[str], dict[str, Any]],
    ) -> None:
        super().__init__(name="recordings", daemon=True)
        self._root, self._run, self._options = root, run, dict(options)
        self._limits, self._table = limits, table
        self._changed = threading.Condition()
        self._queue: deque[tuple[str, str, tuple[Any, ...]]] = deque()
        self._bytes = dict.fromkeys(options, 0)
        self._until_key = dict.fromkeys(options, False)
        self._dropped = dict.fromkeys(options, 0)
        self._ending = False
        self._cameras: dict[str, CameraRecorder] = {}
        self._chains: dict[str, Chain] = {}
        self._retain_ns = 0
        self.trouble = ""
        """What is wrong with the disk, for people; empty where nothing is."""
        self.repaired = self.deleted = 0
        self.set_aside: Path | None = None
        """A catalog that was damaged, under its new name."""
        self.busy_since_ns = 0
        """When the write that goes on now began, monotonic; 0: none does."""

    def packet(self, camera: str, fragment: Fragment, arrived: PacketStamp) -> None:
        """Queue a packet."""
        size = len(fragment.data)
        with self._changed:
            waiting = self._until_key[camera] and not fragment.key
            if waiting or self._bytes[camera] + size > MAX_QUEUE:
                self._until_key[camera] = True
                self._dropped[camera] += 1
                return
            self._until_key[camera] = False
            dropped, self._dropped[camera] = self._dropped[camera], 0
            self._bytes[camera] += size
            self._queue.append((camera, "packet", (fragment, arrived, dropped)))
            self._changed.notify()

    def lost(self, camera: str, cause: str, packets: int, t_wall_ns: int) -> None:
        """Queue the note of a loss that happened before the recorder."""
        self._put(camera, "lost", cause, packets, t_wall_ns)

    def message(self, camera: str, message: LoggedMessage) -> None:
        """Queue a message."""
        self._put(camera, "message", message)

    def track(self, camera: str, row: TrackRow) -> None:
        """Queue what is known of a track."""
        self._put(camera, "track", row)

    def alert(self, camera: str, key: str, t_media_ns: int) -> None:
        """Queue that an alert was raised."""
        self._put(camera, "alert", key, t_media_ns)

    def end(self) -> bool:
        """Write what waits and end; return False where the disk did not take it in STOP_S."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self.join(STOP_S)
        return not self.is_alive()

    def frames(self) -> dict[str, int]:
        """Return packets written, by camera."""
        return {name: camera.frames for name, camera in list(self._cameras.items())}

    def _put(self, camera: str, kind: str, *what: Any) -> None:
        with self._changed:
            if len(self._queue) < _MAX_ENTRIES:
                self._queue.append((camera, kind, what))
                self._changed.notify()

    def run(self) -> None:
        """Write until the end."""
        catalog = self._begin_when_possible()
        if catalog is None:
            return
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._queue or self._ending, _TURN_S)
                    taken, self._queue = self._queue, deque()
                    ending = self._ending
                self.busy_since_ns = clock.monotonic_ns()
                for camera, kind, what in taken:
                    self._take(camera, kind, what)
                self._turn(catalog)
                self.busy_since_ns = 0
                if ending and not self._queue:
                    return
        finally:
            for camera in self._cameras.values():
                camera.close()
            catalog.close()

    def _begin_when_possible(self) -> Catalog | None:
        """Begin; where the disk refuses, try again every 2 s. None: the end came first."""
        while True:
            try:
                catalog = self.begin()
                self.trouble = ""
                return catalog
            except (OSError, ConfigError, sqlite3.Error) as error:
                self.trouble = str(error)
            with self._changed:
                if self._changed.wait_for(lambda: self._ending, RETRY_S):
                    return None

    def begin(self) -> Catalog:
        """Repair what an earlier run left, list what the catalog does not know.

        `run` does it. Raises OSError, ConfigError, sqlite3.Error where the disk refuses.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        there = listing(self._root)
        rows = repair(self._root, self._table, there)
        catalog = Catalog(self._root)
        try:
            self._begin_with(catalog, rows, there)
        except BaseException:
            catalog.close()
            raise
        return catalog

    def _begin_with(self, catalog: Catalog, repaired: list[SegmentRow], there: Listing) -> None:
        self.repaired, self.set_aside = len(repaired), catalog.set_aside
        rows = {row.path: row for row in repaired}
        unknown = rebuild(self._root, self._table, catalog.paths(), there)
        rows |= {row.path: row for row in unknown}
        for row in rows.values():
            catalog.add(row)
        for name, options in self._options.items():
            (self._root / name).mkdir(exist_ok=True)
            chain = self._chains[name] = Chain(self._root, name)
            for row in rows.values():
                if row.camera == name and row.path not in chain.paths:
                    chain.add(row)
            self._cameras[name] = CameraRecorder(
                catalog, chain, name, self._run, options, self._table
            )

    def _take(self, name: str, kind: str, what: tuple[Any, ...]) -> None:
        camera, now = self._cameras[name], clock.monotonic_ns()
        if kind == "packet":
            fragment, arrived, dropped = what
            if dropped:
                camera.dropped(dropped, arrived.t_wall_ns)
            camera.packet(fragment, arrived, now)
            with self._changed:
                self._bytes[name] -= len(fragment.data)
        elif kind == "message":
            camera.message(what[0], now)
        elif kind == "track":
            camera.track(what[0])
        elif kind == "lost":
            camera.lost(what[0], what[1], what[2])
        else:
            camera.alert(what[0], what[1], now)

    def _turn(self, catalog: Catalog) -> None:
        now = clock.monotonic_ns()
        for name, camera in self._cameras.items():
            with self._changed:
                dropped = 0 if self._bytes[name] else self._dropped[name]
                self._dropped[name] -= dropped
            if dropped:
                camera.dropped(dropped, clock.wall_ns())
            camera.turn(now)
        troubles = {name: c.trouble for name, c in self._cameras.items() if c.trouble}
        urgent = bool(troubles)
        due = now - self._retain_ns > clock.to_ns(RETAIN_S)
        if due or urgent or self._short() > 0:
            self._retain_ns = now
            self._retain(catalog)
        self.trouble = ", ".join(f"{name}: {why}" for name, why in troubles.items())

    def _retain(self, catalog: Catalog) -> None:
        """Delete the least valuable segments where the limits ask for it."""
        free = shutil.disk_usage(self._root).free
        used = catalog.size_bytes()
        limits = self._limits
        over = used - limits.max_bytes if limits.max_bytes is not None else 0
        needed = max(over, self._short())
        if needed <= 0:
            return
        kept = candidates(catalog, needed)
        for victim in retention.plan(kept, used, free, limits, clock.wall_ns()):
            self._delete_segment(catalog, victim)
            self.deleted += 1

    def _short(self) -> int:
        """Return the bytes that are missing on the disk; seen at each turn, it costs some us."""
        free = shutil.disk_usage(self._root).free
        return max(self._limits.min_free, retention.RESERVE_BYTES) - free

    def _delete_segment(self, catalog: Catalog, victim: retention.Victim) -> None:
        """Delete a segment, its clips and what was examined of it.

        A full disk takes the notes of it only afterwards.
        """
        row = victim.row
        chain = self._chains.get(row.camera) or Chain(self._root, row.camera)
        with contextlib.suppress(OSError):
            chain.delete(row.path, victim.why)
        for file in files_of(self._root, row):
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            chain.delete(row.path, victim.why)
            catalog.remove(row, victim.why, clock.wall_ns())
