"""The SQLite file of the alert store. It is never deleted.

A corrupt file is renamed. A file that is removed or replaced while in use is written again from
the open connection; the file in its place is renamed. Imports clock and errors.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from perception import clock
from perception.errors import ConfigError, SinkError

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
    ("CREATE INDEX outbox_by_key ON outbox (key)",),
    ("CREATE INDEX alerts_by_camera ON alerts (camera, start_t_wall_ns)",),
    (
        "ALTER TABLE alerts ADD COLUMN wrong_user TEXT",
        "ALTER TABLE alerts ADD COLUMN t_wrong_wall_ns INTEGER",
    ),
)
"""Step n migrates a store from version n to n + 1. Rows are added here, never changed."""

LOCK_WAIT_S = 0.5
"""How long a write waits for another program that holds the lock. Only one thread waits: the others
wait for that thread."""
LOOK_AGAIN_NS = 60 * clock.NS_PER_S
"""How long a file that was replaced twice is left as it is: two programs must not replace each
other's file in a loop."""
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

Place = tuple[tuple[int, int] | None, ...]


class NewerStoreError(ConfigError):
    """The store was written by a newer version. It is not opened."""


class Database:
    """One open SQLite file; may be used from several threads. Missing files are created.

    beside: where the file is of a newer version, use `<name>.v<version>` beside it. path: the file
    in use. set_aside: the new name of a corrupt file, None where there was none.
    Opening raises NewerStoreError, ConfigError (another program's file) or SinkError; every other
    method raises SinkError only.
    """

    def __init__(self, path: Path, *, beside: bool = False) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self._own = own_version(path)
        self._beside = beside
        self._lock = threading.RLock()
        self._look_ns = self._held_ns = 0
        self._written = False
        self._place: Place = ()
        self._db: sqlite3.Connection | None = self._open()

    def read(self, sql: str, *parameters: Any) -> list[Any]:
        """Return the rows of a query."""
        with self._guarded() as db:
            return db.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Generator[sqlite3.Connection]:
        """Give the connection of one transaction. Raises SinkError; then nothing was written."""
        with self._guarded() as db:
            self._check_place(db)
            self._begin(db)
            try:
                yield db
                db.execute("COMMIT")
                self._written = True
            except BaseException:
                if db is self._db and db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def scrub(self) -> None:
        """Remove what deleted rows have left in the file and its log. Raises SinkError."""
        with self._guarded() as db:
            db.execute("VACUUM")
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                raise SinkError(f"{self.path}: another program reads it: try again")

    def _begin(self, db: sqlite3.Connection) -> None:
        """Begin a transaction. Wait for the lock, unless another thread has just waited in vain."""
        wait_s = 0.0 if clock.monotonic_ns() < self._held_ns else LOCK_WAIT_S
        db.execute(f"PRAGMA busy_timeout = {round(wait_s * 1000)}")
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY and wait_s:
                self._held_ns = clock.monotonic_ns() + 2 * clock.to_ns(LOCK_WAIT_S)
            raise

    def close(self) -> None:
        """Close the database. A file that is gone is written again first."""
        with self._lock:
            if self._db is not None and self._written:
                self._look_ns = 0
                with contextlib.suppress(SinkError, sqlite3.Error):
                    self._check_place(self._db)
            if self._db is not None:
                self._db.close()

    @contextlib.contextmanager
    def _guarded(self) -> Generator[sqlite3.Connection]:
        """Turn SQLite's errors into SinkError; a file found corrupt is moved aside at once."""
        with self._lock:
            if self._db is None:
                self._db = self._open_again()
            try:
                yield self._db
            except sqlite3.Error as error:
                if _is_corrupt(error):
                    self._begin_anew(error)
                raise SinkError(f"{self.path}: {error}") from None

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                db = _connect(self.path)
            except sqlite3.Error as error:
                if not _is_corrupt(error):
                    raise
                self.set_aside = _move_aside(self.path, "corrupt")
                db = _connect(self.path)
            except NewerStoreError:
                if self.path == self._own or not (self._beside or self._own.exists()):
                    raise
                self.path = self._own
                return self._open()
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise SinkError(f"{self.path}: {error}") from None
        self._place = _place(self.path)
        return db

    def _open_again(self) -> sqlite3.Connection:
        """Open in a line that runs: whatever stands there now may be put right."""
        try:
            return self._open()
        except ConfigError as error:
            raise SinkError(str(error)) from None

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Open a file again that turned out corrupt: where it is, it is moved aside."""
        if self._db is not None:
            self._db.close()
        self._db, self.set_aside = None, None
        self._db = self._open_again()
        what = f"moved to {self.set_aside}, begun anew" if self.set_aside else "opened again"
        raise SinkError(f"{self.path}: {error}: {what}") from None

    def _check_place(self, db: sqlite3.Connection) -> None:
        """See that the names still lead to the files that are open; where not, write them again.

        Raises SinkError then, once: it has to be told, and the next try works.
        """
        place = _place(self.path)
        other = any(now not in (None, was) for now, was in zip(place, self._place, strict=True))
        if place == self._place or (other and clock.monotonic_ns() < self._look_ns):
            return
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(part)) as copy:
                db.backup(copy)
            aside = _move_aside(self.path, "replaced")
            os.replace(part, self.path)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from None
        if aside.exists():
            self._look_ns = clock.monotonic_ns() + LOOK_AGAIN_NS
        db.close()
        self._db = None
        self._db = self._open_again()
        stood = f"replaced while in use (what stood there is {aside.name} now)"
        what = stood if aside.exists() else "removed while in use"
        raise SinkError(f"{self.path}: {what}: written again, nothing is lost")


def own_version(path: Path) -> Path:
    """Return the file used instead of `path` where `path` is of a newer version."""
    return path.with_name(f"{path.stem}.v{len(MIGRATIONS)}{path.suffix}")


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise NewerStoreError(
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
    """Migrate the store to the newest version. Several programs may do this at once."""
    db.execute("BEGIN IMMEDIATE")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    for steps in MIGRATIONS[version:]:
        for statement in steps:
            db.execute(statement)
    if version == 0:  # ids of a new store must not repeat those of an earlier file
        db.execute("INSERT INTO sqlite_sequence VALUES ('outbox', ?)", (clock.wall_ns() // 1000,))
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    db.execute("COMMIT")


def _is_corrupt(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _CORRUPT


def _place(path: Path) -> Place:
    """Return device and inode of a database and its journal, None where there is no file."""
    found: list[tuple[int, int] | None] = []
    for name in (path, f"{path}-wal"):
        try:
            status = os.stat(name)
            found.append((status.st_dev, status.st_ino))
        except OSError:
            found.append(None)
    return tuple(found)


def _move_aside(path: Path, why: str) -> Path:
    """Rename a database and its journal; return the new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.{why}-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside
