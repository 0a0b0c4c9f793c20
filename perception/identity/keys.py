"""The key of the gallery: a file that only its owner can read, or the key itself from ${ENV}.

Encryption is Fernet of `cryptography`: AES-128-CBC with HMAC-SHA256. Imports errors only.
No message of this module contains a key, or a text that may be a mistyped key.
"""

import os
import re
import stat
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from platformdirs import user_config_dir

from perception.errors import ConfigError

_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_SUFFIX = ".key"


def default_key_file() -> Path:
    """Return the default path of the key file. It is not in the gallery's folder."""
    return Path(user_config_dir("perception")) / f"gallery{_SUFFIX}"


def new_key() -> str:
    """Return a new key: 44 characters."""
    return Fernet.generate_key().decode()


class Cipher:
    """Encrypts and decrypts bytes.

    given: path of the key file, or a key of 44 characters; None: the default file. make: create a
    missing key file with mode 0600. Raises ConfigError where the key is missing or malformed, or
    other users can read its file.
    """

    def __init__(self, given: str | Path | None, *, make: bool = False) -> None:
        text = str(given) if given is not None else str(default_key_file())
        if _KEY.fullmatch(text):
            self.where, key = "the key given", text
        else:
            path = Path(text).expanduser()
            if len(path.parts) == 1 and path.suffix != _SUFFIX and not path.is_file():
                raise ConfigError(
                    "identity.key is neither a key nor a file: give a path ending in .key, or "
                    "${NAME} with a key made by `perception gallery new-key` (44 characters)"
                )
            self.where, key = f"key file {path}", _read(path, make=make)
        try:
            self._fernet = Fernet(key.encode())
        except ValueError:
            raise ConfigError(f"{self.where} is not a key of 44 characters") from None

    def seal(self, data: bytes) -> bytes:
        """Return data encrypted and signed."""
        return self._fernet.encrypt(data)

    def open(self, data: bytes) -> bytes | None:
        """Return the decrypted data; None: wrong key, or the data was changed."""
        try:
            return self._fernet.decrypt(data)
        except InvalidToken:
            return None


def _read(path: Path, *, make: bool) -> str:
    try:
        if make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(new_key() + "\n")
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(256).decode("ascii", "replace").strip()
    except FileNotFoundError:
        raise ConfigError(
            f"key file {path} does not exist: restore it (the gallery cannot be read without it), "
            "or set identity.key to another file"
        ) from None
    except OSError as error:
        raise ConfigError(f"key file {path}: {error.strerror}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"key file {path} can be read by others: chmod 600 {path}")
    return text
