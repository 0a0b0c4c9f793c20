"""Alerts on disk: SQLite first, delivery later, so that nothing is lost when anything is killed.

One transaction holds what one frame did: alerts, a row for each sink that has to hear of them, and
how far the camera has got with what its rules remember. Nothing here ever deletes an alert;
retention.py does. Imports the rest of this room, sinks, wire, clock and errors.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from perception import clock
from perception.alerts.database import Database
from perception.alerts.rows import Delivery, Kept, Progress, alert_of
from perception.errors import ConfigError
from perception.sinks import INSTANT
from perception.wire import Alert

LASTS = f"json_extract(body, '$.kind') != '{INSTANT}'"
"""Of rows with an alert: that it lasts until it is cleared."""
LAST_NS = clock.NS_PER_S
"""How long what could not be written is tried again when a run stops, which has 5 s for it all."""
_NO_EARLIER_TRIED_MORE = (
    "AND NOT EXISTS (SELECT 1 FROM outbox WHERE key = own.key AND sink = ?1 "
    "AND status = 'pending' AND id < own.id AND tries > own.tries)"
)
LAST_RETRY_NS = 50 * clock.NS_PER_MS
"""Between two of these tries."""
PROGRESS_NS = clock.NS_PER_S
"""Frames without alerts are written down this often: a commit costs 1 ms, redoing nothing."""


class AlertStore:
    """The alert database of a run; may be used from several threads.

    sinks: names of the sinks that hear of every alert. database: the file, for `beside` see there;
    its errors, ConfigError at opening and SinkError whenever it cannot be used, come through every
    method.
    """

    def __init__(self, path: Path, sinks: Sequence[str] = (), *, beside: bool = False) -> None:
        self.sinks = tuple(sinks)
        self.database = Database(path, beside=beside)
        self._progress_ns: dict[str, int] = {}
        self._end_ns = 0

    @property
    def path(self) -> Path:
        """The file in use."""
        return self.database.path

    @property
    def set_aside(self) -> Path | None:
        """Where a corrupt file was moved."""
        return self.database.set_aside

    def commit(
        self,
        camera: str,
        frame_id: int,
        alerts: Sequence[Alert],
        state: Callable[[], dict[str, Any]],
        *,
        now: bool = False,
    ) -> bool:
        """Write down what a frame did, all of it or nothing; return whether it was written.

        Without alerts this is written at most every PROGRESS_NS, unless `now`. state: called only
        where it is needed (AlertBook.state). Raises SinkError: locked, disk full, unreadable.
        """
        t_ns = clock.monotonic_ns()
        last = self._progress_ns.get(camera)
        if not (alerts or now or last is None or t_ns - last >= PROGRESS_NS):
            return False
        text = json.dumps(state(), separators=(",", ":"), allow_nan=False)
        with self.database.transaction() as db:
            for alert in alerts:
                self._put(db, alert)
            db.execute(
                "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT (camera) DO UPDATE "
                "SET frame_id = excluded.frame_id, state = excluded.state",
                (camera, frame_id, text),
            )
        self._progress_ns[camera] = t_ns
        return True

    def wait_to_retry(self) -> bool:
        """Wait a little where a write that failed at the stop has time for one more try, else say
        no; all who write share LAST_NS, from the first time that one asks."""
        now_ns = clock.monotonic_ns()
        self._end_ns = self._end_ns or now_ns + LAST_NS
        if now_ns >= self._end_ns:
            return False
        clock.sleep_until(now_ns + LAST_RETRY_NS)
        return True

    def progress(self, camera: str) -> Progress | None:
        """Return the last frame this camera has dealt with, or None; None too where unreadable."""
        rows = self.database.read("SELECT frame_id, state FROM progress WHERE camera = ?", camera)
        for frame_id, state in rows:
            with contextlib.suppress(ValueError):
                return Progress(frame_id, json.loads(state))
        return None

    def pending(self, sink: str, limit: int = 100) -> list[Delivery]:
        """Return what this sink has not had yet, oldest first."""
        rows = self.database.read(
            "SELECT id, sink, camera, tries, body FROM outbox "
            "WHERE sink = ? AND status = 'pending' ORDER BY id LIMIT ?",
            sink,
            limit,
        )
        return [Delivery(*row[:4], alert=alert_of(row[4])) for row in rows]

    def due(
        self, sink: str, limit: int, without: Collection[str] = (), *, least_tried: bool = False
    ) -> list[Delivery]:
        """Return what this sink has not had yet, oldest first; the states of an alert in order.

        without: keys of alerts to pass over. least_tried: what was tried least often first.
        """
        rows = self.database.read(
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
        return self.database.read("SELECT ifnull(max(id), 0) FROM outbox")[0][0]

    def has_untried(self, sink: str) -> bool:
        """Say whether something waits for this sink that was never tried."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND status = 'pending' AND tries = 0 LIMIT 1"
        return bool(self.database.read(sql, sink))

    def delivered(self, ids: Sequence[int]) -> None:
        """Mark rows as arrived."""
        with self.database.transaction() as db:
            db.executemany(
                "UPDATE outbox SET status = 'delivered', tries = tries + 1, error = NULL "
                "WHERE id = ?",
                [(i,) for i in ids],
            )

    def failed(self, ids: Sequence[int], error: str, *, dead: bool = False) -> None:
        """Count a failed try of these rows; `dead`: give them up until `resend`."""
        with self.database.transaction() as db:
            db.executemany(
                "UPDATE outbox SET tries = tries + 1, error = ?, status = ? WHERE id = ?",
                [(error[:500], "dead" if dead else "pending", i) for i in ids],
            )

    def left_out(self, ids: Sequence[int], *, rest: bool) -> None:
        """Mark rows that their sink's rest after an alert, or else its filters, leave out."""
        status = "rested" if rest else "filtered"
        with self.database.transaction() as db:
            db.executemany("UPDATE outbox SET status = ? WHERE id = ?", [(status, i) for i in ids])

    def has_had(self, sink: str, key: str) -> bool:
        """Say whether a sink has had any state of this alert."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND key = ? AND status = 'delivered' LIMIT 1"
        return bool(self.database.read(sql, sink, key))

    def rested(self, sink: str, key: str) -> bool:
        """Say whether a sink's rest has left out a state of this alert."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND key = ? AND status = 'rested' LIMIT 1"
        return bool(self.database.read(sql, sink, key))

    def last_delivered(self, sink: str, camera: str, rule: str) -> Alert | None:
        """Return the alert of a rule that began last of those a sink has had, as it began."""
        rows = self.database.read(
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

    def resend(self, key: str) -> int:
        """Make every delivery of an alert pending again; return how many rows that were."""
        with self.database.transaction() as db:
            cursor = db.execute(
                "UPDATE outbox SET status = 'pending', tries = 0 "
                "WHERE key = ? AND status != 'pending'",
                (self._full_key(key),),
            )
            return cursor.rowcount

    def acknowledge(self, key: str, t_wall_ns: int) -> None:
        """Note that a person has seen an alert."""
        with self.database.transaction() as db:
            db.execute(
                "UPDATE alerts SET t_acked_wall_ns = ? WHERE key = ?",
                (t_wall_ns, self._full_key(key)),
            )

    def newest(self, limit: int = 50, camera: str | None = None) -> list[Kept]:
        """Return the newest alerts, newest first."""
        where, parameters = ("WHERE camera = ?", [camera]) if camera else ("", [])
        rows = self.database.read(
            f"SELECT key, body, t_acked_wall_ns FROM alerts {where} "
            "ORDER BY start_t_wall_ns DESC, key LIMIT ?",
            *parameters,
            limit,
        )
        return [self._kept(*row) for row in rows]

    def open_alerts(self, camera: str, rule: str | None = None) -> list[Alert]:
        """Return the alerts of a rule (None: of all) that last still, oldest first."""
        rows = self.database.read(
            "SELECT body FROM alerts WHERE camera = ? AND rule = ifnull(?, rule) "
            f"AND state != 'cleared' AND {LASTS} ORDER BY start_t_wall_ns",
            camera,
            rule,
        )
        return [alert_of(row[0]) for row in rows]

    def told(self, sink: str) -> list[Alert]:
        """Return what a sink has to remember: the last alert of each rule that arrived there, and
        the last state that did of each that has not been told to be cleared; oldest first."""
        rows = self.database.read(
            "SELECT body FROM outbox WHERE id IN ("
            "SELECT max(outbox.id) FROM outbox JOIN alerts USING (key) "
            "WHERE sink = ?1 AND status = 'delivered' GROUP BY alerts.camera, rule "
            "UNION SELECT max(id) FROM outbox "
            f"WHERE sink = ?1 AND status = 'delivered' AND {LASTS} "
            "GROUP BY key HAVING sum(state = 'cleared') = 0) ORDER BY id",
            sink,
        )
        return [alert_of(row[0]) for row in rows]

    def put(self, alert: Alert) -> None:
        """Write down an alert that no frame is to blame for, with its outbox rows."""
        with self.database.transaction() as db:
            self._put(db, alert)

    def show(self, key: str) -> Kept:
        """Return one alert by its key or the first 4 or more digits of it.

        Raises ConfigError where there is none, or more than one.
        """
        rows = self.database.read(
            "SELECT key, body, t_acked_wall_ns FROM alerts WHERE key = ?", self._full_key(key)
        )
        return self._kept(*rows[0])

    def counts(self) -> dict[str, dict[str, int]]:
        """Return rows of the outbox by sink and status."""
        result: dict[str, dict[str, int]] = {}
        rows = self.database.read("SELECT sink, status, count(*) FROM outbox GROUP BY sink, status")
        for sink, status, count in rows:
            result.setdefault(sink, {})[status] = count
        return result

    def close(self) -> None:
        """Close the database; what was committed stays."""
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _put(self, db: sqlite3.Connection, alert: Alert) -> None:
        alert = self._with_picture(db, alert)
        body = msgspec.json.encode(alert).decode()
        db.execute(
            "INSERT INTO alerts VALUES (?, ?, ?, ?, ?, NULL, ?) ON CONFLICT (key) DO UPDATE "
            "SET state = excluded.state, body = excluded.body",
            (alert.key, alert.camera, alert.rule, alert.state, alert.start_t_wall_ns, body),
        )
        db.executemany(
            "INSERT OR IGNORE INTO outbox (sink, camera, key, state, frame_id, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(s, alert.camera, alert.key, alert.state, alert.frame_id, body) for s in self.sinks],
        )

    def _with_picture(self, db: sqlite3.Connection, alert: Alert) -> Alert:
        """Return a later state of an alert with the picture that an earlier one had."""
        if alert.snapshot is not None or alert.state == "raised":
            return alert
        row = db.execute("SELECT body FROM alerts WHERE key = ?", (alert.key,)).fetchone()
        if row is None:
            return alert
        before = alert_of(row[0])
        return msgspec.structs.replace(
            alert, snapshot=before.snapshot, picture_offset_ms=before.picture_offset_ms
        )

    def _kept(self, key: str, body: str, t_acked_wall_ns: int | None) -> Kept:
        rows = self.database.read(
            "SELECT sink, status, error FROM outbox WHERE key = ? ORDER BY id", key
        )
        reasons = {sink: error for sink, _, error in rows if error}
        return Kept(alert_of(body), t_acked_wall_ns, {row[0]: row[1] for row in rows}, reasons)

    def _full_key(self, key: str) -> str:
        if len(key) < 4 or not key.isalnum():
            raise ConfigError(f"{key!r} is no alert's key: 4 or more of its hex digits are needed")
        rows = self.database.read(
            "SELECT key FROM alerts WHERE key GLOB ? LIMIT 2", f"{key.lower()}*"
        )
        if len(rows) != 1:
            what = "more than one alert" if rows else "no alert"
            raise ConfigError(f"{what} in {self.path} has a key that begins with {key!r}")
        return rows[0][0]
