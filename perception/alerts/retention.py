"""Alerts that are over, delivered and old leave the store, a few at a time.

A plain object that the alert process calls in each turn. What a sink has not had, or was given up
for it, stays; so does what is open. The pictures that they name go with them, no other file does.
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
"""Alerts a turn: a few ms in the store."""
PAUSE_NS = clock.NS_PER_S
"""Between two batches where there is more to delete."""
RETRY_NS = 10 * clock.NS_PER_S
"""After the store could not be written."""

_OLD = f"""
    SELECT key, body FROM alerts
    WHERE start_t_wall_ns < ?1 AND json_extract(body, '$.t_wall_ns') < ?1
    AND NOT (state != 'cleared' AND {LASTS})
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.key = alerts.key
                    AND status IN ('pending', 'dead'))
    ORDER BY start_t_wall_ns LIMIT ?2
"""


class Retention:
    """Keeps alerts for `days` after their last state; 0: for ever. Times are given, ns."""

    def __init__(self, database: Database, days: float, now_ns: int) -> None:
        self._database, self._days = database, days
        self._due_ns = now_ns + FIRST_NS

    def turn(self, now_ns: int, t_wall_ns: int) -> int:
        """Delete some of what is too old, where it is time; return how many alerts that were.

        now_ns: monotonic. Raises SinkError; it is tried again RETRY_NS later.
        """
        if not self._days or now_ns < self._due_ns:
            return 0
        self._due_ns = now_ns + RETRY_NS
        count = prune(self._database, t_wall_ns - round(self._days * DAY_NS), BATCH)
        self._due_ns = now_ns + (PAUSE_NS if count == BATCH else EVERY_NS)
        return count


def prune(database: Database, before_wall_ns: int, limit: int) -> int:
    """Delete at most `limit` alerts whose last state is older, with outbox rows and picture.

    Pictures first: none is left behind by a kill. What cannot be removed is still named: its alert
    stays, the others go, and then SinkError is raised.
    """
    keys, stuck = list[tuple[str]](), list[SinkError]()
    with database.transaction() as db:
        for key, body in db.execute(_OLD, (before_wall_ns, limit)).fetchall():
            try:
                erase(alert_of(body))
                keys.append((key,))
            except SinkError as error:
                stuck.append(error)
        db.executemany("DELETE FROM outbox WHERE key = ?", keys)
        db.executemany("DELETE FROM alerts WHERE key = ?", keys)
    if stuck:
        raise stuck[0]
    return len(keys)
