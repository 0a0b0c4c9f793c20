"""Sessions of browsers and tokens of programs.

Imports the file of users, accounts, clock and errors.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from perception import clock
from perception.errors import ConfigError
from perception.web.accounts import user_of
from perception.web.users_file import Role, UsersFile, Who, cameras_of, checked_role, listed, sha

TOKEN_PREFIX = "pct_"
IDLE_S, SESSION_S = 7 * 86_400, 30 * 86_400
_SEEN_NS = 60 * clock.NS_PER_S


@dataclass(frozen=True, slots=True)
class Listed:
    """A session or a token as it is shown. key: to end it. t_end_wall_ns: None for sessions."""

    key: str
    user: str
    title: str
    t_made_wall_ns: int
    t_end_wall_ns: int | None


class Sessions:
    """Sessions and tokens in the file of users."""

    def __init__(self, file: UsersFile) -> None:
        self.file = file

    def start(self, name: str, address: str, agent: str = "") -> str:
        """Return the secret of a new session of a user whose password was right."""
        secret, now = secrets.token_urlsafe(32), clock.wall_ns()
        with self.file.change() as db:
            limit = now - SESSION_S * clock.NS_PER_S
            db.execute("DELETE FROM session WHERE t_made_wall_ns < ?", (limit,))
            row = (sha(secret), name, now, now, agent[:200], address)
            db.execute("INSERT INTO session VALUES (?, ?, ?, ?, ?, ?)", row)
        return secret

    def find(self, secret: str) -> Who | None:
        """Return who a session belongs to by its secret; None where it has ended."""
        return self.find_by_hash(sha(secret))

    def find_by_hash(self, key: str) -> Who | None:
        """Return who a session belongs to by its hash; None where it has ended."""
        now = clock.wall_ns()
        rows = self.file.read(
            "SELECT user.name, role, cameras, t_seen_wall_ns FROM session "
            "JOIN user ON user.name = session.user WHERE session.hash = ? "
            "AND session.t_made_wall_ns > ? AND t_seen_wall_ns > ?",
            key,
            now - SESSION_S * clock.NS_PER_S,
            now - IDLE_S * clock.NS_PER_S,
        )
        if not rows:
            return None
        name, role, cameras, seen = rows[0]
        if now - seen > _SEEN_NS:
            with self.file.change() as db:
                db.execute("UPDATE session SET t_seen_wall_ns = ? WHERE hash = ?", (now, key))
        return Who(name, role, cameras_of(cameras), key)

    def end(self, key: str, user: str | None = None) -> bool:
        """End a session by its hash, of this user where one is named; return whether it was."""
        with self.file.change() as db:
            found = db.execute(
                "DELETE FROM session WHERE hash = ?1 AND (?2 IS NULL OR user = ?2)", (key, user)
            )
            return found.rowcount > 0

    def of(self, user: str) -> list[Listed]:
        """Return the sessions of a user, the one used last first."""
        rows = self.file.read(
            "SELECT hash, user, agent, t_seen_wall_ns FROM session WHERE user = ? "
            "ORDER BY t_seen_wall_ns DESC",
            user,
        )
        return [Listed(key, name, agent, t, None) for key, name, agent, t in rows]

    def new_token(
        self, user: str, title: str, role: Role, cameras: Sequence[str] | None, days: float
    ) -> str:
        """Return a new token of a user, for a program. It may do no more than the user may.

        Raises ConfigError where it would.
        """
        checked_role(role)
        with self.file.change() as db:
            owner = user_of(db, user)
            wanted = None if cameras is None else frozenset(cameras)
            if not owner.may(role):
                raise ConfigError(f"{user} is {owner.role}: a token of {user} cannot be {role}")
            if owner.cameras is not None and (wanted is None or not wanted <= owner.cameras):
                raise ConfigError(f"{user} may see {', '.join(sorted(owner.cameras))} only")
            secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
            now = clock.wall_ns()
            end = now + clock.to_ns(days * 86_400)
            key = secrets.token_hex(8)
            row = (key, sha(secret), user, title[:80], role, listed(wanted), now, end)
            db.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        return secret

    def find_token(self, secret: str) -> Who | None:
        """Return who a token stands for; None where it is none or has ended."""
        rows = self.file.read(
            "SELECT token.user, token.role, token.cameras FROM token "
            "JOIN user ON user.name = token.user WHERE token.hash = ? AND t_end_wall_ns > ?",
            sha(secret),
            clock.wall_ns(),
        )
        return Who(rows[0][0], rows[0][1], cameras_of(rows[0][2])) if rows else None

    def tokens(self) -> list[Listed]:
        """Return all tokens."""
        rows = self.file.read(
            "SELECT id, user, name, t_made_wall_ns, t_end_wall_ns FROM token ORDER BY user, name"
        )
        return [Listed(*row) for row in rows]

    def end_token(self, key: str) -> bool:
        """End a token by its key; return whether there was one."""
        with self.file.change() as db:
            return db.execute("DELETE FROM token WHERE id = ?", (key,)).rowcount > 0
