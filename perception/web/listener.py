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

    waiting: how many lists the loop has not taken yet; beyond a few nothing more is read, so that
    ZeroMQ's bounded queues drop what comes.
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
        self._ended = threading.Event()
        self._free = threading.Semaphore(8)

    def run(self) -> None:
        """Listen until `end`."""
        others = [self.inboxes[topic] for topic in TOPICS if topic != "frames"]
        while not self._ended.is_set():
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

    def end(self) -> None:
        """Stop listening."""
        self._ended.set()
        self.join(timeout=2)
        for inbox in self.inboxes.values():
            inbox.close()

    def _hand(self, batch: list[Any]) -> None:
        self._free.release()
        self._take(batch)
