"""A thread that takes the line's messages and hands them to the event loop. Imports transport."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perception.transport.bus import Inbox

TOPICS = ("packets", "frames", "tracks", "identities", "alerts", "health")
_WAIT_MS = 5
_MAX_BATCH = 256


class Listener(threading.Thread):
    """Polls every topic. take: called in the loop with a list of messages, in their order.

    While 8 lists wait for the loop nothing more is read: ZeroMQ's bounded queues drop the rest.
    """

    def __init__(
        self,
        run_dir: Path,
        names: Mapping[str, list[str]],
        loop: asyncio.AbstractEventLoop,
        take: Callable[[list[Any]], None],
    ) -> None:
        super().__init__(name="listener", daemon=True)
        self.inboxes = {topic: Inbox(run_dir, topic, names[topic]) for topic in TOPICS}
        self._loop, self._take = loop, take
        self._run_dir = run_dir
        self._asked: set[str] = set()
        self._ended = threading.Event()
        self._free = threading.Semaphore(8)
        self._detections: Inbox | None = None

    def run(self) -> None:
        """Listen until `end`."""
        others = [self.inboxes[topic] for topic in TOPICS if topic != "frames"]
        known: set[str] = set()
        while not self._ended.is_set():
            if self._asked != known:
                self._listen_to_more(known)
                others += [one for one in (self._detections,) if one and one not in others]
            batch: list[Any] = list(self.inboxes["frames"].poll(_WAIT_MS))
            for inbox in others:
                while len(batch) < _MAX_BATCH and (found := list(inbox.poll(0))):
                    batch += found
            if not batch:
                continue
            while not self._free.acquire(timeout=0.2):
                if self._ended.is_set():
                    return
            try:
                self._loop.call_soon_threadsafe(self._hand, batch)
            except RuntimeError:  # the loop was closed
                return

    def ask(self, wanted: set[tuple[str, str]]) -> None:
        """Listen to detections too, of cameras that somebody wants."""
        self._asked = {camera for topic, camera in wanted if topic == "detections"}

    def _listen_to_more(self, known: set[str]) -> None:
        for camera in self._asked - known:
            known.add(camera)
            if self._detections is None:
                self._detections = Inbox(self._run_dir, "detections", [])
            self._detections.add(camera)

    def end(self) -> None:
        """Stop listening."""
        self._ended.set()
        self.join(timeout=2)
        for inbox in (*self.inboxes.values(), self._detections):
            if inbox is not None:
                inbox.close()

    def _hand(self, batch: list[Any]) -> None:
        self._free.release()
        self._take(batch)
