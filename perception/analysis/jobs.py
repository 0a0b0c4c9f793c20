"""Jobs in SQLite that processes take by lease: a job of one that died is taken by another.

Every change is one transaction. Imports errors and clock.
"""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from perception import clock

LEASE_S = 30.0
MAX_TRIES = 3
_TABLE = """
CREATE TABLE IF NOT EXISTS job (
    name TEXT PRIMARY KEY, worth REAL NOT NULL, state TEXT NOT NULL, worker TEXT NOT NULL,
    until_wall_ns INTEGER NOT NULL, tries INTEGER NOT NULL, note TEXT NOT NULL) STRICT;
"""


class Job(NamedTuple):
    """A job. state: queued, leased, done or failed. tries: how often it was taken. note: why."""

    name: str
    worth: float
    state: str
    tries: int
    note: str


class Jobs:
    """The job table of a folder, open. Any number of processes have it open at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_TABLE)

    def add(self, jobs: Iterable[tuple[str, float]]) -> None:
        """Add jobs by name and worth; of one that is there the worth is renewed."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT INTO job VALUES (?, ?, 'queued', '', 0, 0, '') "
                "ON CONFLICT (name) DO UPDATE SET worth = excluded.worth",
                list(jobs),
            )

    def take(self, worker: str, names: set[str] | None = None) -> str | None:
        """Lease the job of most worth to a worker; None where there is none.

        names: only these. A lease that ran out, and one of a worker that failed, is taken up
        until a job was tried MAX_TRIES times.
        """
        now = clock.wall_ns()
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            rows = self._db.execute(
                "SELECT name FROM job WHERE tries < ? AND "
                "(state = 'queued' OR (state = 'leased' AND until_wall_ns < ?)) "
                "ORDER BY worth DESC, name",
                (MAX_TRIES, now),
            )
            name = next((n for (n,) in rows if names is None or n in names), None)
            if name is not None:
                self._db.execute(
                    "UPDATE job SET state = 'leased', worker = ?, until_wall_ns = ?, "
                    "tries = tries + 1 WHERE name = ?",
                    (worker, now + round(LEASE_S * clock.NS_PER_S), name),
                )
        return name

    def renew(self, name: str, worker: str) -> bool:
        """Extend a lease; False where another worker has the job now."""
        until = clock.wall_ns() + round(LEASE_S * clock.NS_PER_S)
        return self._change(name, worker, "until_wall_ns = ?", until)

    def finish(self, name: str, worker: str) -> bool:
        """Note that a job is done; False where another worker has it now."""
        return self._change(name, worker, "state = 'done', note = ?", "")

    def refuse(self, name: str, worker: str, why: str) -> bool:
        """Note that a job failed, and why; trying again would not help."""
        return self._change(name, worker, "state = 'failed', note = ?", why)

    def release(self, worker: str) -> None:
        """Queue what a worker that is known to be dead had leased."""
        with self._db:
            self._db.execute(
                "UPDATE job SET state = 'queued', until_wall_ns = 0 "
                "WHERE state = 'leased' AND worker = ?",
                (worker,),
            )

    def reclaim(self) -> None:
        """Queue what processes of this host had leased that are no more, without their lease's end.

        A worker's name is its process id.
        """
        rows = self._db.execute("SELECT DISTINCT worker FROM job WHERE state = 'leased'").fetchall()
        for (worker,) in rows:
            if not Path(f"/proc/{worker}").exists():
                self.release(worker)

    def erase(self, names: Iterable[str]) -> int:
        """Remove jobs so that nothing of them is left in the file; return how many there were."""
        self._db.execute("PRAGMA secure_delete=ON")
        with self._db:
            done = self._db.executemany("DELETE FROM job WHERE name = ?", [(n,) for n in names])
        self._db.execute("VACUUM")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return done.rowcount

    def all(self) -> list[Job]:
        """Return every job by name; one that was tried too often has failed."""
        rows = self._db.execute(
            "SELECT name, worth, CASE WHEN state <> 'done' AND tries >= ? AND until_wall_ns < ? "
            "THEN 'failed' ELSE state END, tries, note FROM job ORDER BY name",
            (MAX_TRIES, clock.wall_ns()),
        )
        return [Job(*row) for row in rows]

    def close(self) -> None:
        """Close it."""
        self._db.close()

    def _change(self, name: str, worker: str, what: str, value: object) -> bool:
        with self._db:
            done = self._db.execute(
                f"UPDATE job SET {what} WHERE name = ? AND worker = ? AND state = 'leased'",
                (value, name, worker),
            )
        return done.rowcount == 1
