"""Alerts on disk. An alert is committed before it is delivered, so that no kill loses it.

One transaction holds the result of one frame: its alerts, an outbox row per sink, the frame_id and
the state of the rules. Only retention.py deletes alerts. Imports the rest of this room, sinks,
wire, clock and errors.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from perception import clock
from perception.alerts.database import Database
from perception.alerts.outbox import LASTS, Outbox
from perception.alerts.rows import Kept, Mark, Progress, Wrong, alert_of
from perception.errors import ConfigError
from perception.wire import Alert

LAST_NS = clock.NS_PER_S
"""At the stop of a run, failed writes are retried for so long. The whole stop has 5 s."""
LAST_RETRY_NS = 50 * clock.NS_PER_MS
"""Time between two of these retries."""
PROGRESS_NS = clock.NS_PER_S
"""Interval of commits for frames without alerts: a commit costs 1 ms."""

_KEPT = "key, body, t_acked_wall_ns, wrong_user, t_wrong_wall_ns"


class AlertStore:
    """The alert database of a run; may be used from several threads.

    sinks: names of the sinks; each alert gets an outbox row per sink. database: the file; see there
    for `beside`. Opening raises ConfigError or SinkError; every method raises SinkError where the
    database cannot be used.
    """

    def __init__(self, path: Path, sinks: Sequence[str] = (), *, beside: bool = False) -> None:
        self.sinks = tuple(sinks)
        self.database = Database(path, beside=beside)
        self.outbox = Outbox(self.database)
        self._progress_ns: dict[str, int] = {}
        self._end_ns = 0

    @property
    def path(self) -> Path:
        """The file in use."""
        return self.database.path

    @property
    def set_aside(self) -> Path | None:
        """The new name of a corrupt file, None where there was none."""
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
        """Commit the result of a frame in one transaction; return whether it was written.

        Without alerts it is written every PROGRESS_NS at most, unless `now`. state: returns the
        state of the rules (AlertBook.state). Raises SinkError: locked, disk full, unreadable.
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
        """Wait LAST_RETRY_NS and return True; return False once LAST_NS have passed since the first
        call. For writes that fail at the stop."""
        now_ns = clock.monotonic_ns()
        self._end_ns = self._end_ns or now_ns + LAST_NS
        if now_ns >= self._end_ns:
            return False
        clock.sleep_until(now_ns + LAST_RETRY_NS)
        return True

    def progress(self, camera: str) -> Progress | None:
        """Return the last frame that was committed for a camera; None where there is none."""
        rows = self.database.read("SELECT frame_id, state FROM progress WHERE camera = ?", camera)
        for frame_id, state in rows:
            with contextlib.suppress(ValueError):
                return Progress(frame_id, json.loads(state))
        return None

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

    def mark_wrong(self, key: str, user: str, t_wall_ns: int) -> None:
        """Note that a person says that an alert was wrong; the last one who says so is kept."""
        self._set_wrong(key, user, t_wall_ns)

    def unmark_wrong(self, key: str) -> None:
        """Take back that an alert was wrong."""
        self._set_wrong(key, None, None)

    def _set_wrong(self, key: str, user: str | None, t_wall_ns: int | None) -> None:
        with self.database.transaction() as db:
            db.execute(
                "UPDATE alerts SET wrong_user = ?, t_wrong_wall_ns = ? WHERE key = ?",
                (user, t_wall_ns, self._full_key(key)),
            )

    def newest(self, limit: int = 50, camera: str | None = None) -> list[Kept]:
        """Return the newest alerts, newest first."""
        return self.page(limit, None if camera is None else [camera])

    def page(
        self, limit: int, cameras: Sequence[str] | None, after: tuple[int, str] | None = None,
        *, wrong: bool = False,
    ) -> list[Kept]:  # fmt: skip
        """Return alerts of some cameras (None: of all), newest first.

        after: start in wall ns and key of an alert: those that follow it. New alerts do not move
        the pages that follow. wrong: only those that were marked so.
        """
        where, values = ["wrong_user IS NOT NULL" if wrong else "1"], list[Any]()
        if cameras is not None:
            where.append(f"camera IN ({', '.join('?' * len(cameras))})")
            values += cameras
        if after is not None:
            where.append("(start_t_wall_ns < ? OR (start_t_wall_ns = ? AND key > ?))")
            values += [after[0], *after]
        rows = self.database.read(
            f"SELECT {_KEPT} FROM alerts WHERE {' AND '.join(where)} "
            "ORDER BY start_t_wall_ns DESC, key LIMIT ?",
            *values,
            limit,
        )
        return [self._kept(*row) for row in rows]

    def marks(self, camera: str, from_wall_ns: int, to_wall_ns: int, step_ns: int) -> list[Mark]:
        """Return the first alert of each step of a span of wall time, oldest first."""
        rows = self.database.read(
            "SELECT key, rule, json_extract(body, '$.kind'), begun, n FROM (SELECT key, "
            "min(start_t_wall_ns) AS begun, count(*) AS n FROM alerts WHERE camera = ?1 "
            "AND start_t_wall_ns >= ?2 AND start_t_wall_ns < ?3 "
            "GROUP BY (start_t_wall_ns - ?2) / ?4) JOIN alerts USING (key) ORDER BY begun",
            camera,
            from_wall_ns,
            to_wall_ns,
            step_ns,
        )
        return [Mark(*row) for row in rows]

    def open_alerts(self, camera: str, rule: str | None = None) -> list[Alert]:
        """Return the open alerts of a rule (None: of all rules), oldest first."""
        rows = self.database.read(
            "SELECT body FROM alerts WHERE camera = ? AND rule = ifnull(?, rule) "
            f"AND state != 'cleared' AND {LASTS} ORDER BY start_t_wall_ns",
            camera,
            rule,
        )
        return [alert_of(row[0]) for row in rows]

    def put(self, alert: Alert) -> None:
        """Commit an alert that belongs to no frame (camera health), with its outbox rows."""
        with self.database.transaction() as db:
            self._put(db, alert)

    def show(self, key: str) -> Kept:
        """Return one alert by its key or the first 4 or more digits of it.

        Raises ConfigError where there is none, or more than one.
        """
        rows = self.database.read(f"SELECT {_KEPT} FROM alerts WHERE key = ?", self._full_key(key))
        return self._kept(*rows[0])

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
            "INSERT INTO alerts (key, camera, rule, state, start_t_wall_ns, body) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET state = excluded.state, body = excluded.body",
            (alert.key, alert.camera, alert.rule, alert.state, alert.start_t_wall_ns, body),
        )
        db.executemany(
            "INSERT OR IGNORE INTO outbox (sink, camera, key, state, frame_id, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [(s, alert.camera, alert.key, alert.state, alert.frame_id, body) for s in self.sinks],
        )

    def _with_picture(self, db: sqlite3.Connection, alert: Alert) -> Alert:
        """Return an alert with the picture of its earlier state where it has none itself."""
        if alert.snapshot is not None or alert.state == "raised":
            return alert
        row = db.execute("SELECT body FROM alerts WHERE key = ?", (alert.key,)).fetchone()
        if row is None:
            return alert
        before = alert_of(row[0])
        return msgspec.structs.replace(
            alert, snapshot=before.snapshot, picture_offset_ms=before.picture_offset_ms
        )

    def _kept(
        self, key: str, body: str, t_acked_wall_ns: int | None, user: str | None, t_wall_ns: int
    ) -> Kept:
        rows = self.database.read(
            "SELECT sink, status, error FROM outbox WHERE key = ? ORDER BY id", key
        )
        return Kept(
            alert_of(body),
            t_acked_wall_ns,
            {row[0]: row[1] for row in rows},
            {sink: error for sink, _, error in rows if error},
            Wrong(user, t_wall_ns) if user is not None else None,
        )

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
