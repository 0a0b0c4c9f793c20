"""Users of the page: made, changed, removed; their passwords checked.

Imports the file of users, passwords, lockout, clock and errors.
"""

import re
import secrets
import sqlite3
from collections.abc import Sequence

from perception import clock
from perception.errors import ConfigError, unknown
from perception.web import lockout, passwords
from perception.web.users_file import (
    Role,
    UsersFile,
    Who,
    cameras_of,
    checked_role,
    listed,
    sha,
)

INVITE_S = 15 * 60
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


class WrongPassword(ConfigError):
    """User or password are not right."""


class LockedOut(ConfigError):
    """Too many wrong passwords. retry_after_s: when to try again."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"too many wrong passwords: try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Accounts:
    """The users in a file. Methods raise ConfigError, which says what is wrong."""

    def __init__(self, file: UsersFile) -> None:
        self.file = file

    def users(self) -> list[Who]:
        """Return all users by name."""
        rows = self.file.read("SELECT name, role, cameras FROM user ORDER BY name")
        return [Who(name, role, cameras_of(cameras)) for name, role, cameras in rows]

    def add(
        self, name: str, password: str, role: Role, cameras: Sequence[str] | None = None
    ) -> None:
        """Add a user. Raises ConfigError: a name that is taken or no name, a poor password."""
        if not _USER.fullmatch(name):
            raise ConfigError(
                f"{name!r}: expected 1 to 40 letters, digits, '.', '-' or '_' as a user's name"
            )
        checked_role(role)
        stored = passwords.hashed(password)
        with self.file.change() as db:
            if db.execute("SELECT 1 FROM user WHERE name = ?", (name,)).fetchone():
                raise ConfigError(f"there is a user {name} already")
            row = (name, role, listed(cameras), stored, clock.wall_ns())
            db.execute("INSERT INTO user VALUES (?, ?, ?, ?, ?)", row)

    def change(self, name: str, role: Role, cameras: Sequence[str] | None) -> None:
        """Change what a user may do; all sessions and tokens of the user end."""
        checked_role(role)
        with self.file.change() as db:
            before = user_of(db, name)
            if before.role == "admin" and role != "admin":
                _keep_an_admin(db, name)
            row = (role, listed(cameras), name)
            db.execute("UPDATE user SET role = ?, cameras = ? WHERE name = ?", row)
            _end_all(db, name)

    def set_password(self, name: str, password: str) -> None:
        """Change a password; all sessions and tokens of the user end, and its lock-out."""
        stored = passwords.hashed(password)
        with self.file.change() as db:
            user_of(db, name)
            db.execute("UPDATE user SET hash = ? WHERE name = ?", (stored, name))
            _end_all(db, name)
            lockout.lift(db, name)

    def remove(self, name: str) -> None:
        """Remove a user with all sessions and tokens. Raises ConfigError for the last admin."""
        with self.file.change() as db:
            if user_of(db, name).role == "admin":
                _keep_an_admin(db, name)
            db.execute("DELETE FROM user WHERE name = ?", (name,))
            _end_all(db, name)

    def check(self, name: str, password: str, address: str) -> None:
        """Raise WrongPassword or LockedOut where a password is not the user's."""
        with self.file.change() as db:
            wait = lockout.pause_s(db, name, address)
            note = 0 if wait else lockout.failed(db, name, address)
        if wait:
            raise LockedOut(wait)
        rows = self.file.read("SELECT hash FROM user WHERE name = ?", name)
        right = passwords.matches(rows[0][0] if rows else passwords.NOBODY, password)
        if right and rows:
            with self.file.change() as db:
                return lockout.succeeded(db, name, address, note)
        raise WrongPassword("user or password are not right")

    def invite(self) -> str:
        """Return the secret by which the first user is made within INVITE_S."""
        secret = secrets.token_urlsafe(24)
        with self.file.change() as db:
            db.execute("DELETE FROM invite")
            end = clock.wall_ns() + INVITE_S * clock.NS_PER_S
            db.execute("INSERT INTO invite VALUES (?, ?)", (sha(secret), end))
        return secret

    def accept(self, secret: str, name: str, password: str) -> None:
        """Make the first user, an admin. Raises ConfigError: there are users, or no such invite."""
        found = self.file.read(
            "SELECT 1 FROM invite WHERE hash = ? AND t_end_wall_ns > ?",
            sha(secret),
            clock.wall_ns(),
        )
        if not found or self.users():
            raise WrongPassword("this link is not valid any more: start the line again for a new")
        self.add(name, password, "admin")
        with self.file.change() as db:
            db.execute("DELETE FROM invite")


def user_of(db: sqlite3.Connection, name: str) -> Who:
    """Return a user. Raises ConfigError, which names those there are."""
    row = db.execute("SELECT name, role, cameras FROM user WHERE name = ?", (name,)).fetchone()
    if row is None:
        names = [found for (found,) in db.execute("SELECT name FROM user ORDER BY name")]
        raise ConfigError(unknown(name, names, "users"))
    return Who(row[0], row[1], cameras_of(row[2]))


def _keep_an_admin(db: sqlite3.Connection, name: str) -> None:
    others = db.execute("SELECT 1 FROM user WHERE role = 'admin' AND name <> ?", (name,))
    if others.fetchone() is None:
        raise ConfigError(f"{name} is the last admin: make another one first")


def _end_all(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM session WHERE user = ?", (name,))
    db.execute("DELETE FROM token WHERE user = ?", (name,))
