"""Alerts on disk: SQLite first, delivery later, so that nothing is lost when anything is killed.

One transaction holds what one frame did: alerts, a row for each sink that has to hear of them, and
how far the camera has got with what its rules remember. Nothing here ever deletes an alert.
Imports messages, clock and errors.
"""

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from perception import clock
from perception.errors import ConfigError, SinkError
from perception.messages import Alert

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE alerts (
            key TEXT PRIMARY KEY,
            camera TEXT NOT NULL,
            rule TEXT NOT NULL,
            state TEXT NOT NULL,
            start_t_wall_ns INTEGER NOT NULL,
            t_acked_wall_ns INTEGER,
            body TEXT NOT NULL
        ) WITHOUT ROWID
        """,
        "CREATE INDEX alerts_by_time ON alerts (start_t_wall_ns)",
        """
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            sink TEXT NOT NULL,
            camera TEXT NOT NULL,
            key TEXT NOT NULL,
            state TEXT NOT NULL,
            frame_id INTEGER NOT NULL,
            body TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'pending',
            tries INTEGER NOT NULL DEFAULT 0,
            error TEXT,
            UNIQUE (sink, key, state, frame_id)
        )
        """,
        "CREATE INDEX outbox_pending ON outbox (sink, id) WHERE status = 'pending'",
        """
        CREATE TABLE progress (
            camera TEXT PRIMARY KEY,
            frame_id INTEGER NOT NULL,
            state TEXT NOT NULL
        ) WITHOUT ROWID
        """,
    ),
)
"""Step n brings a store of version n to n + 1; a row is added, never changed."""

LOCK_WAIT_S = 0.5
"""How long a write waits for another program that holds the database."""
PROGRESS_NS = clock.NS_PER_S
"""Frames without alerts are written down this often: a commit costs 1 ms, redoing nothing."""
_ASIDE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the outbox: one state of an alert on its way to one sink."""

    id: int
    sink: str
    camera: str
    tries: int
    alert: Alert


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a camera has got, and what its book remembered then."""

    frame_id: int
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kept:
    """An alert in the store: its last state, when a person acknowledged it, and its deliveries.

    deliveries: sink -> status of its last row: pending, delivered, filtered,
    rested, dead.
    """

    alert: Alert
    t_acked_wall_ns: int | None
    deliveries: dict[str, str]


class AlertStore:
    """The alert database of a run; may be used from several threads.

    sinks: names of the sinks that hear of every alert. set_aside: where a corrupt file was moved.
    Opening creates what is missing. Raises ConfigError for a newer version or a file that is
    another program's, SinkError where the file cannot be used.
    """

    def __init__(self, path: Path, sinks: Sequence[str] = ()) -> None:
        self.path = path
        self.sinks = tuple(sinks)
        self.set_aside: Path | None = None
        self._lock = threading.RLock()
        self._progress_ns: dict[str, int] = {}
        self._db = self._open()

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
        with self._transaction() as db:
            for alert in alerts:
                self._put(db, alert)
            db.execute(
                "INSERT INTO progress VALUES (?, ?, ?) ON CONFLICT (camera) DO UPDATE "
                "SET frame_id = excluded.frame_id, state = excluded.state",
                (camera, frame_id, text),
            )
        self._progress_ns[camera] = t_ns
        return True

    def progress(self, camera: str) -> Progress | None:
        """Return the last frame this camera has dealt with, or None; None too where unreadable."""
        rows = self._read("SELECT frame_id, state FROM progress WHERE camera = ?", camera)
        for frame_id, state in rows:
            with contextlib.suppress(ValueError):
                return Progress(frame_id, json.loads(state))
        return None

    def pending(self, sink: str, limit: int = 100) -> list[Delivery]:
        """Return what this sink has not had yet, oldest first."""
        rows = self._read(
            "SELECT id, sink, camera, tries, body FROM outbox "
            "WHERE sink = ? AND status = 'pending' ORDER BY id LIMIT ?",
            sink,
            limit,
        )
        return [Delivery(*row[:4], alert=_alert(row[4])) for row in rows]

    def delivered(self, ids: Sequence[int]) -> None:
        """Mark rows as arrived."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE outbox SET status = 'delivered', tries = tries + 1, error = NULL "
                "WHERE id = ?",
                [(i,) for i in ids],
            )

    def failed(self, ids: Sequence[int], error: str, *, dead: bool = False) -> None:
        """Count a failed try of these rows; `dead`: give them up until `resend`."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE outbox SET tries = tries + 1, error = ?, status = ? WHERE id = ?",
                [(error[:500], "dead" if dead else "pending", i) for i in ids],
            )

    def left_out(self, ids: Sequence[int], *, rest: bool) -> None:
        """Mark rows that their sink's rest after an alert, or else its filters, leave out."""
        status = "rested" if rest else "filtered"
        with self._transaction() as db:
            db.executemany("UPDATE outbox SET status = ? WHERE id = ?", [(status, i) for i in ids])

    def has_had(self, sink: str, key: str) -> bool:
        """Say whether a sink has had any state of this alert."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND key = ? AND status = 'delivered' LIMIT 1"
        return bool(self._read(sql, sink, key))

    def rested(self, sink: str, key: str) -> bool:
        """Say whether a sink's rest has left out a state of this alert."""
        sql = "SELECT 1 FROM outbox WHERE sink = ? AND key = ? AND status = 'rested' LIMIT 1"
        return bool(self._read(sql, sink, key))

    def last_delivered(self, sink: str, camera: str, rule: str) -> tuple[str, int] | None:
        """Return key and start (wall ns) of the newest alert a sink has had of a rule."""
        rows = self._read(
            "SELECT alerts.key, alerts.start_t_wall_ns FROM alerts JOIN outbox USING (key) "
            "WHERE sink = ? AND alerts.camera = ? AND rule = ? AND status = 'delivered' "
            "ORDER BY alerts.start_t_wall_ns DESC LIMIT 1",
            sink,
            camera,
            rule,
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def resend(self, key: str) -> int:
        """Make every delivery of an alert pending again; return how many rows that were."""
        with self._transaction() as db:
            cursor = db.execute(
                "UPDATE outbox SET status = 'pending', tries = 0 "
                "WHERE key = ? AND status != 'pending'",
                (self._full_key(key),),
            )
            return cursor.rowcount

    def acknowledge(self, key: str, t_wall_ns: int) -> None:
        """Note that a person has seen an alert."""
        with self._transaction() as db:
            db.execute(
                "UPDATE alerts SET t_acked_wall_ns = ? WHERE key = ?",
                (t_wall_ns, self._full_key(key)),
            )

    def newest(self, limit: int = 50, camera: str | None = None) -> list[Kept]:
        """Return the newest alerts, newest first."""
        where, parameters = ("WHERE camera = ?", [camera]) if camera else ("", [])
        rows = self._read(
            f"SELECT key, body, t_acked_wall_ns FROM alerts {where} "
            "ORDER BY start_t_wall_ns DESC, key LIMIT ?",
            *parameters,
            limit,
        )
        return [self._kept(*row) for row in rows]

    def open_alerts(self, camera: str, rule: str) -> list[Alert]:
        """Return the alerts of a rule that are not cleared, oldest first."""
        rows = self._read(
            "SELECT body FROM alerts WHERE camera = ? AND rule = ? AND state != 'cleared' "
            "ORDER BY start_t_wall_ns",
            camera,
            rule,
        )
        return [_alert(row[0]) for row in rows]

    def put(self, alert: Alert) -> None:
        """Write down an alert that no frame is to blame for, with its outbox rows."""
        with self._transaction() as db:
            self._put(db, alert)

    def show(self, key: str) -> Kept:
        """Return one alert by its key or the first 4 or more digits of it.

        Raises ConfigError where there is none, or more than one.
        """
        rows = self._read(
            "SELECT key, body, t_acked_wall_ns FROM alerts WHERE key = ?", self._full_key(key)
        )
        return self._kept(*rows[0])

    def counts(self) -> dict[str, dict[str, int]]:
        """Return rows of the outbox by sink and status."""
        result: dict[str, dict[str, int]] = {}
        rows = self._read("SELECT sink, status, count(*) FROM outbox GROUP BY sink, status")
        for sink, status, count in rows:
            result.setdefault(sink, {})[status] = count
        return result

    def close(self) -> None:
        """Close the database; what was committed stays."""
        with self._lock:
            self._db.close()

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
        before = _alert(row[0])
        return msgspec.structs.replace(
            alert, snapshot=before.snapshot, picture_offset_ms=before.picture_offset_ms
        )

    def _kept(self, key: str, body: str, t_acked_wall_ns: int | None) -> Kept:
        rows = self._read("SELECT sink, status FROM outbox WHERE key = ? ORDER BY id", key)
        return Kept(_alert(body), t_acked_wall_ns, dict(rows))

    def _full_key(self, key: str) -> str:
        if len(key) < 4 or not key.isalnum():
            raise ConfigError(f"{key!r} is no alert's key: 4 or more of its hex digits are needed")
        rows = self._read("SELECT key FROM alerts WHERE key GLOB ? LIMIT 2", f"{key.lower()}*")
        if len(rows) != 1:
            what = "more than one alert" if rows else "no alert"
            raise ConfigError(f"{what} in {self.path} has a key that begins with {key!r}")
        return rows[0][0]

    def _read(self, sql: str, *parameters: Any) -> list[Any]:
        with self._lock, _named(self.path):
            return self._db.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        with self._lock, _named(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from None
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF not in _ASIDE:
                raise SinkError(f"{self.path}: {error}") from None
        self.set_aside = _move_aside(self.path)
        with _named(self.path):
            return _connect(self.path)


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise ConfigError(
                f"{path} was written by a newer perception (store version {version}, this one "
                f"knows {len(MIGRATIONS)}): update, or name another file under alerts.store"
            )
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        if version == 0 and tables:
            raise ConfigError(f"{path} is another program's database: name another file")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        check = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if check != "ok":
            error = sqlite3.DatabaseError(check)
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error
        _migrate(db)
        return db
    except BaseException:
        db.close()
        raise


def _migrate(db: sqlite3.Connection) -> None:
    """Bring the store to the newest version, once, however many programs open it at once."""
    db.execute("BEGIN IMMEDIATE")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    for steps in MIGRATIONS[version:]:
        for statement in steps:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    db.execute("COMMIT")


def _move_aside(path: Path) -> Path:
    """Rename a corrupt database and its journal, so that a person can still look at it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


@contextlib.contextmanager
def _named(path: Path) -> Generator[None]:
    """Turn SQLite's errors into SinkError with the file's name."""
    try:
        yield
    except sqlite3.Error as error:
        raise SinkError(f"{path}: {error}") from None


def _alert(body: str) -> Alert:
    return msgspec.json.decode(body, type=Alert)
