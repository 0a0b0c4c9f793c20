"""Counts track messages that a process did not receive, from gaps in message_id.

Causes: a full queue, a restart of tracking, or a restart of the process itself. Gaps in frame_id do
not tell: frames are dropped before tracking too. Imported by the processes only.
"""

from perception.wire import short_id


class Gaps:
    """Counts gaps in the message_ids of one camera. last: the highest so far, -1: none."""

    def __init__(self, last: int = -1) -> None:
        self.last = last

    def before(self, message_id: int) -> int:
        """Return how many messages are missing before this one; 0 for a repeated one.

        After a restart of tracking only the gap since that restart is known."""
        if self.last < 0 or message_id <= self.last:
            return 0
        same_start = message_id >> 32 == self.last >> 32
        return message_id - self.last - 1 if same_start else short_id(message_id)

    def missed(self, message_id: int) -> int:
        """Set the last message; return how many are missing before it."""
        missing, self.last = self.before(message_id), max(self.last, message_id)
        return missing
