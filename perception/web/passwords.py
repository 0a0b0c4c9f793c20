"""Password hashes: argon2id. One is computed at a time, so that a flood of logins costs little.

Imports errors.
"""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from perception.errors import ConfigError

MIN_LENGTH, MAX_LENGTH = 10, 256
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""19 MiB and about 50 ms a hash; the least that OWASP's Password Storage Cheat Sheet asks for."""
_ONE = threading.Lock()


def hashed(password: str) -> str:
    """Return the hash to store. Raises ConfigError where the password is too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ConfigError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    with _ONE:
        return _HASHER.hash(password)


def matches(stored: str, password: str) -> bool:
    """Whether a password is the one of a stored hash."""
    if len(password) > MAX_LENGTH:
        return False
    with _ONE:
        try:
            return _HASHER.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


NOBODY = _HASHER.hash("nobody has this password")
"""Checked where there is no such user: the answer takes as long as for one that there is."""
