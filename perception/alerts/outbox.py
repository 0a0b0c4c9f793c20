"""The outbox of the alert store: what each sink has not had yet, and what became of the rest.

One row is one state of an alert on its way to one sink. The store writes the rows, in the same
transaction as the alert. Imports the rest of this room, sinks and wire.
"""

import json
from collections.abc import Collection, Sequence

from perception.alerts.database import Database
from perception.alerts.rows import Delivery, alert_of
from perception.sinks import INSTANT
from perception.wire import Alert

LASTS = f"json_extract(body, '$.kind') != '{INSTANT}'"
"""Of rows with an alert: that it lasts until it is cleared."""
_NO_EARLIER_TRIED_MORE = (
    "AND NOT EXISTS (SELECT 1 FROM outbox WHERE key = own.key AND sink = ?1 "
    "AND status = 'pending' AND id < own.id AND tries > own.tries)"
)


class Outbox:
    """Rows of the table `outbox`; may be used from several threads.

    Raises SinkError wherever the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def pending(self, sink: str, limit: int = 100) -> list[Delivery]:
        """Return what this sink has not had yet, oldest first."""
        rows = self._database.read(
            "SELECT id, sink, camera, tries, body FROM outbox "
            "WHERE sink = ? AND status = 'pending' ORDER BY id LIMIT ?",
            sink,
            limit,
        )
        return [Delivery(*row[:4], alert=alert_of(row[4])) for row in rows]

    def due(
        self, sink: str, limit: int, without: Collection[str], *, least_tried: bool
    ) -> list[Delivery]:
        """Return what this sink has not had yet, oldest first; the states of an alert in order.

        without: keys of alerts to pass over. least_tried: what was tried least often first.
        """
        rows = self._database.read(
            "SELECT id, sink, camera, tries, body FROM outbox AS own WHERE sink = ?1 "
            "AND status = 'pending' AND key NOT IN (SELECT value FROM json_each(?2)) "
            + (_NO_EARLIER_TRIED_MORE + " ORDER BY tries, id" if least_tried else "ORDER BY id")
            + " LIMIT ?3",
            sink,
            json.dumps([*without]),
            limit,
        )
        return [Delivery(*row[:4], alert=alert_of(row[4])) for row in rows]

    def last_row(self) -> int:
        """Return the id of the newest row of the outbox, 0 where there is none."""
        return self._database.read("SELECT ifnull(max(id), 0) FROM outbox")[0][0]

    def has_untried(self, sink: str) -> bool:
        """Say whether something waits for this sink that was never tried."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND status = 'pending' AND tries = 0 LIMIT 1"
        return bool(self._database.read(sql, sink))

    def delivered(self, ids: Sequence[int]) -> None:
        """Mark rows as arrived."""
        with self._database.transaction() as db:
            db.executemany(
                "UPDATE outbox SET status = 'delivered', tries = tries + 1, error = NULL "
                "WHERE id = ?",
                [(i,) for i in ids],
            )

    def failed(self, ids: Sequence[int], error: str, *, dead: bool = False) -> None:
        """Count a failed try of these rows; `dead`: give them up until `resend`."""
        with self._database.transaction() as db:
            db.executemany(
                "UPDATE outbox SET tries = tries + 1, error = ?, status = ? WHERE id = ?",
                [(error[:500], "dead" if dead else "pending", i) for i in ids],
            )

    def left_out(self, ids: Sequence[int], *, rest: bool) -> None:
        """Mark rows that their sink's rest after an alert, or else its filters, leave out."""
        status = "rested" if rest else "filtered"
        with self._database.transaction() as db:
            db.executemany("UPDATE outbox SET status = ? WHERE id = ?", [(status, i) for i in ids])

    def has_had(self, sink: str, key: str) -> bool:
        """Say whether a sink has had any state of this alert."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND key = ? AND status = 'delivered' LIMIT 1"
        return bool(self._database.read(sql, sink, key))

    def rested(self, sink: str, key: str) -> bool:
        """Say whether a sink's rest has left out a state of this alert."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND key = ? AND status = 'rested' LIMIT 1"
        return bool(self._database.read(sql, sink, key))

    def last_delivered(self, sink: str, camera: str, rule: str) -> Alert | None:
        """Return the alert of a rule that began last of those a sink has had, as it began."""
        rows = self._database.read(
            # Newest first, to the first that fits: an index would be read whole and sorted.
            "SELECT first.body FROM outbox AS first NOT INDEXED JOIN alerts USING (key) "
            "WHERE sink = ?1 AND alerts.camera = ? AND rule = ? AND first.id = "
            "(SELECT min(id) FROM outbox WHERE key = first.key AND sink = ?1) AND EXISTS "
            "(SELECT 1 FROM outbox WHERE key = first.key AND sink = ?1 AND status = 'delivered') "
            "ORDER BY first.id DESC LIMIT 1",
            sink,
            camera,
            rule,
        )
        return alert_of(rows[0][0]) if rows else None

    def told(self, sink: str) -> list[Alert]:
        """Return what a sink has to remember: the last alert of each rule that arrived there, and
        the last state that did of each that has not been told to be cleared; oldest first."""
        rows = self._database.read(
            "SELECT body FROM outbox WHERE id IN ("
            "SELECT max(outbox.id) FROM outbox JOIN alerts USING (key) "
            "WHERE sink = ?1 AND status = 'delivered' GROUP BY alerts.camera, rule "
            "UNION SELECT max(id) FROM outbox "
            f"WHERE sink = ?1 AND status = 'delivered' AND {LASTS} "
            "GROUP BY key HAVING sum(state = 'cleared') = 0) ORDER BY id",
            sink,
        )
        return [alert_of(row[0]) for row in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return rows of the outbox by sink and status."""
        result: dict[str, dict[str, int]] = {}
        rows = self._database.read(
            "SELECT sink, status, count(*) FROM outbox GROUP BY sink, status"
        )
        for sink, status, count in rows:
            result.setdefault(sink, {})[status] = count
        return result
