"""Deletes old alerts from the store, in small batches.

An alert is deleted when it is cleared, older than the limit, and no delivery of it is pending or
given up. Its snapshot is deleted with it; no other file is.
Imports the rest of this room, sinks, clock and errors.
"""

from perception import clock
from perception.alerts.database import Database
from perception.alerts.rows import alert_of
from perception.alerts.store import LASTS
from perception.errors import SinkError
from perception.sinks.snapshot import erase

DAY_NS = 86_400 * clock.NS_PER_S
FIRST_NS = 30 * clock.NS_PER_S
EVERY_NS = 3600 * clock.NS_PER_S
BATCH = 100
"""Alerts per call: a few ms in the store."""
PAUSE_NS = clock.NS_PER_S
"""Time between two batches while there is more to delete."""
RETRY_NS = 10 * clock.NS_PER_S
"""Time until the next call after the store could not be written."""

_OLD = f"""
    SELECT key, body FROM alerts
    WHERE start_t_wall_ns < ?1 AND json_extract(body, '$.t_wall_ns') < ?1
    AND NOT (state != 'cleared' AND {LASTS})
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = alerts.key
                    AND status IN ('pending', 'dead'))
    ORDER BY start_t_wall_ns LIMIT ?2 OFFSET ?3
"""


class Retention:
    """Keeps alerts for `days` after their last state; 0: for ever."""

    def __init__(self, database: Database, days: float, now_ns: int) -> None:
        self._database, self._days = database, days
        self._due_ns = now_ns + FIRST_NS
        self._stuck = 0

    def turn(self, now_ns: int, t_wall_ns: int) -> int:
        """Delete one batch where it is due; return how many alerts were deleted.

        now_ns: monotonic. Raises SinkError where the store cannot be written, which is tried again
        after RETRY_NS, and after a batch with pictures that cannot be deleted: these are passed
        over until the next round, an hour later.
        """
        if not self._days or now_ns < self._due_ns:
            return 0
        self._due_ns = now_ns + RETRY_NS
        before_ns = t_wall_ns - round(self._days * DAY_NS)
        count, stuck = prune(self._database, before_ns, BATCH, self._stuck)
        more = count + len(stuck) == BATCH
        self._due_ns = now_ns + (PAUSE_NS if more else EVERY_NS)
        self._stuck = self._stuck + len(stuck) if more else 0
        if stuck:
            raise SinkError(f"{len(stuck)} pictures cannot be deleted: {stuck[0]}")
        return count


def prune(
    database: Database, before_wall_ns: int, limit: int, skip: int = 0
) -> tuple[int, list[SinkError]]:
    """Delete at most `limit` alerts whose last state is older, with outbox rows and picture.

    Return how many were deleted, and why others were not: where a picture cannot be deleted its
    alert stays. skip: so many of the oldest are left. Pictures are deleted before their rows, so
    that a kill leaves no picture without an alert. Raises SinkError.
    """
    keys, stuck = list[tuple[str]](), list[SinkError]()
    with database.transaction() as db:
        for key, body in db.execute(_OLD, (before_wall_ns, limit, skip)).fetchall():
            try:
                erase(alert_of(body))
                keys.append((key,))
            except SinkError as error:
                stuck.append(error)
        db.executemany("DELETE FROM outbox WHERE key = ?", keys)
        db.executemany("DELETE FROM alerts WHERE key = ?", keys)
    return len(keys), stuck
