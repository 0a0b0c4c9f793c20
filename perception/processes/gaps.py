"""Which messages of tracking did not come to a process behind it: a queue was full, tracking was
started again and not met yet, or the process itself was away.

Their ids say so: frame_ids cannot, as frames are dropped before tracking too. Imported by the
processes only.
"""

from perception.wire import short_id


class Gaps:
    """Counts gaps in the message_ids of one camera. last: the highest one so far, -1 for none."""

    def __init__(self, last: int = -1) -> None:
        self.last = last

    def before(self, message_id: int) -> int:
        """Return how many messages are missing between the last one and this; 0 for one that came
        before. Of a start of tracking that is over by now nobody knows how many more it sent."""
        if self.last < 0 or message_id <= self.last:
            return 0
        same_start = message_id >> 32 == self.last >> 32
        return message_id - self.last - 1 if same_start else short_id(message_id)

    def missed(self, message_id: int) -> int:
        """Take a message as the last one; return what is missing before it."""
        missing, self.last = self.before(message_id), max(self.last, message_id)
        return missing
