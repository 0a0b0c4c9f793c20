"""A folder of recordings belongs to one recorder: a lock on a file in it."""

import fcntl
import os
from pathlib import Path

from perception.errors import ConfigError


class FolderLock:
    """Holds a folder. Raises ConfigError where another recorder has it or it cannot be written."""

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._fd = os.open(root / ".lock", flags, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot record to {root}: {error.strerror}") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise ConfigError(
                f"{root}: another run records there: stop it, or name another folder under "
                "`recordings:`"
            ) from None

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._fd)
