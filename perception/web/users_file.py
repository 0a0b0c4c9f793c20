"""Who asks: users, roles, and the file that keeps them. Imports lockout, errors.

Of a session, a token or an invitation only the SHA-256 is kept. The file can be read by its owner
only; the page's process and `perception users` use it at the same time.
"""

import contextlib
import hashlib
import json
import sqlite3
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from platformdirs import user_data_dir

from perception.errors import ConfigError, unknown
from perception.web import lockout

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""
NAME = "users.sqlite"
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS user (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, cameras TEXT, hash TEXT NOT NULL,
    t_made_wall_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (
    hash TEXT PRIMARY KEY, user TEXT NOT NULL, t_made_wall_ns INTEGER NOT NULL,
    t_seen_wall_ns INTEGER NOT NULL, agent TEXT NOT NULL, address TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, user TEXT NOT NULL, name TEXT NOT NULL,
    role TEXT NOT NULL, cameras TEXT, t_made_wall_ns INTEGER NOT NULL,
    t_end_wall_ns INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS invite (hash TEXT PRIMARY KEY, t_end_wall_ns INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who asks. cameras: names that may be seen, None: all. session: its hash, empty for
    a token."""

    name: str
    role: Role
    cameras: frozenset[str] | None
    session: str = ""

    def may(self, role: Role) -> bool:
        """Whether this role includes another."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees(self, camera: str) -> bool:
        """Whether a camera may be seen."""
        return self.cameras is None or camera in self.cameras


def default_folder() -> Path:
    """Return where users are kept where the launch file names no folder."""
    return Path(user_data_dir("perception")) / "web"


class UsersFile:
    """The open file; may be used from several threads. Raises ConfigError where it cannot be."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        path = self.folder / NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            path.chmod(0o600)
            self._db = sqlite3.connect(
                path, timeout=5, isolation_level=None, check_same_thread=False
            )
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > _VERSION:
                raise ConfigError(f"{path}: of a newer version of this program")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.executescript(_TABLES + lockout.TABLES)
            self._db.execute(f"PRAGMA user_version={_VERSION}")
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{path}: {error}") from None
        self._lock = threading.RLock()

    def read(self, sql: str, *values: Any) -> list[Any]:
        """Return rows."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def change(self) -> Generator[sqlite3.Connection]:
        """Change the file in one transaction. Raises ConfigError where that is not possible."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                except BaseException:
                    self._db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise ConfigError(f"{self.folder / NAME}: {error}") from None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def cameras_of(text: str | None) -> frozenset[str] | None:
    """Return the cameras that a row names; None: all."""
    return None if text is None else frozenset(json.loads(text))


def listed(cameras: Iterable[str] | None) -> str | None:
    """Return cameras as a row names them."""
    return None if cameras is None else json.dumps(sorted(set(cameras)))


def checked_role(role: str) -> None:
    """Raise ConfigError where there is no such role."""
    if role not in ROLES:
        raise ConfigError(unknown(role, list(ROLES), "roles"))


def sha(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
