"""Limits on wrong passwords, kept in SQLite, so that a restart does not lift them. Imports clock.

A pair of user and address: 5 wrong ones, then a pause that doubles from 1 minute to a day. An
address: 20 wrong ones a minute. A user: 100 an hour from addresses that never logged in as this
user; those that did are not held up by others.
"""

import math
import sqlite3

from perception import clock

TABLES = """
CREATE TABLE IF NOT EXISTS failed (who TEXT NOT NULL, t_wall_ns INTEGER NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS failed_who ON failed (who, t_wall_ns);
CREATE TABLE IF NOT EXISTS trusted (who TEXT PRIMARY KEY, t_wall_ns INTEGER NOT NULL) STRICT;
"""
FREE, FIRST_PAUSE_S, LONGEST_PAUSE_S = 5, 60, 86_400
AN_ADDRESS, ADDRESS_S = 20, 60
A_USER, USER_S = 100, 3600
_KEEP_S = 2 * LONGEST_PAUSE_S


def pause_s(db: sqlite3.Connection, user: str, address: str) -> int:
    """Return how many seconds this user has to wait at this address; 0: may try now."""
    now = clock.wall_ns()
    pair = _pair(user, address)
    count, last = db.execute(
        "SELECT count(*), coalesce(max(t_wall_ns), 0) FROM failed WHERE who = ?", (pair,)
    ).fetchone()
    wait = 0.0
    if count >= FREE:
        pause = min(FIRST_PAUSE_S * 2 ** min(count - FREE, 20), LONGEST_PAUSE_S)
        wait = pause - (now - last) / 1e9
    wait = max(wait, _over(db, f"address {address}", AN_ADDRESS, ADDRESS_S, now))
    known = db.execute("SELECT 1 FROM trusted WHERE who = ?", (pair,)).fetchone()
    if known is None:
        wait = max(wait, _over(db, f"user {user}", A_USER, USER_S, now))
    return max(0, math.ceil(wait))


def failed(db: sqlite3.Connection, user: str, address: str) -> int:
    """Note a password as wrong; return the note, for `succeeded`.

    A try is noted before its password is looked at: tries at the same moment count each other.
    """
    now = clock.wall_ns()
    names = (_pair(user, address), f"address {address}", f"user {user}")
    db.executemany("INSERT INTO failed VALUES (?, ?)", [(name, now) for name in names])
    db.execute("DELETE FROM failed WHERE t_wall_ns < ?", (now - _KEEP_S * clock.NS_PER_S,))
    return now


def succeeded(db: sqlite3.Connection, user: str, address: str, note: int) -> None:
    """Take back the note of a try whose password was right: this user may come from there."""
    pair = _pair(user, address)
    mine = (note, f"address {address}", f"user {user}")
    db.execute("DELETE FROM failed WHERE t_wall_ns = ? AND who IN (?, ?)", mine)
    db.execute("DELETE FROM failed WHERE who = ?", (pair,))
    db.execute("INSERT OR REPLACE INTO trusted VALUES (?, ?)", (pair, clock.wall_ns()))


def lift(db: sqlite3.Connection, user: str) -> None:
    """Forget the wrong passwords of a user: somebody at this host's console asks for it."""
    db.execute("DELETE FROM failed WHERE who = ? OR who LIKE ?", (f"user {user}", f"{user}@%"))


def _pair(user: str, address: str) -> str:
    return f"{user}@{address}"


def _over(db: sqlite3.Connection, who: str, limit: int, seconds: int, now: int) -> float:
    """Return how long until fewer than `limit` wrong ones lie in the last `seconds`."""
    row = db.execute(
        "SELECT t_wall_ns FROM failed WHERE who = ? AND t_wall_ns > ? "
        "ORDER BY t_wall_ns DESC LIMIT 1 OFFSET ?",
        (who, now - seconds * clock.NS_PER_S, limit - 1),
    ).fetchone()
    return 0.0 if row is None else seconds - (now - row[0]) / 1e9
