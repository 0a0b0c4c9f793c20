"""What a process tells the recorder besides its messages, so that a replay gives the same result.

Nothing is sent for a camera that is not recorded. Imported by the processes only.
"""

from typing import Any

import msgspec

from perception import clock
from perception.clock import NS_PER_S
from perception.processes.runtime import Runtime
from perception.transport.bus import Publisher
from perception.transport.sockets import journal_name
from perception.wire import JournalMessage, Stamp
from perception.wire.journal import MAX_STATE, JournalKind, to_text
from perception.wire.plan import CameraPlan

FIRST_NS, STATE_NS = NS_PER_S, 60 * NS_PER_S
"""Media time between two states, doubled from one to the other: a replay can begin at each of them.
What is told at once after a start may be missed by the recorder."""
CONNECT_S = 0.5


def rules_of(camera: CameraPlan) -> dict[str, Any]:
    """Return what a reload may change of what the alert process does, as JSON values."""
    names = ("zones", "lines", "rules")
    return {name: msgspec.to_builtins(getattr(camera, name)) for name in names}


class Journal:
    """One process's journal of one camera."""

    def __init__(self, runtime: Runtime, camera: str, process: str) -> None:
        self._process, self._publisher = process, None
        if camera in runtime.plan.cameras_of("recorder"):
            name = journal_name(camera, process)
            self._publisher = Publisher(runtime.run_dir, "journal", name)
        self._told_ns: int | None = None
        self._wait_ns, self._epoch = FIRST_NS, -1

    def is_due(self, t_media_ns: int, sender: int) -> bool:
        """Whether a state is to be told at this media time.

        sender: message_id of the input; after a new start of the sender states come soon again,
        as the recorder may have missed its first messages.
        """
        if self._publisher is None:
            return False
        if sender >> 32 != self._epoch:
            self._wait_ns, self._epoch = FIRST_NS, sender >> 32
        return self._told_ns is None or not 0 <= t_media_ns - self._told_ns < self._wait_ns

    def tell(self, kind: JournalKind, stamp: Stamp, message_id: int, data: Any) -> None:
        """Send an entry; a state that is too large is left out. See wire.JournalMessage."""
        if self._publisher is None:
            return
        if kind in ("state", "began"):
            if self._told_ns is not None:
                self._wait_ns = min(2 * self._wait_ns, STATE_NS)
            self._told_ns = stamp.t_media_ns
        text = to_text(data)
        if len(text) <= MAX_STATE:
            self._publisher.send(
                JournalMessage(
                    stamp=stamp, process=self._process, kind=kind, message_id=message_id, data=text
                )
            )

    def wait(self) -> None:
        """Wait until the recorder listens, CONNECT_S at most: what is told first is needed most."""
        until = clock.monotonic_ns() + clock.to_ns(CONNECT_S)
        publisher = self._publisher
        while publisher is not None and not publisher.is_connected():
            if clock.monotonic_ns() > until:
                return
            clock.sleep_until(clock.monotonic_ns() + 10 * clock.NS_PER_MS)
        if publisher is not None:
            # The subscription follows the connection.
            clock.sleep_until(clock.monotonic_ns() + 50 * clock.NS_PER_MS)

    def close(self) -> None:
        """Stop sending."""
        if self._publisher is not None:
            self._publisher.close()
