"""The gallery: enrolled people with their aligned faces and vectors, encrypted, one file per
person.

File names are random. Names, pictures and vectors are only in the ciphertext. A file is written
under another name and renamed, so the gallery is complete after a crash at any time. Imports
errors.
"""

import contextlib
import fcntl
import os
import secrets
import unicodedata
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from platformdirs import user_data_dir

from perception.errors import ConfigError
from perception.identity import Vector
from perception.identity.keys import Cipher

MAX_NAME = 64
MAX_PICTURES = 50
MAX_FILE_BYTES = 16 << 20
SUFFIX = ".person"
_CHECK, _CHECK_TEXT = "check", b"perception gallery 1"
_LOCK = ".lock"
_RESERVED = ("known", "unknown", "undecided", "none", "null")


class Portrait(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One enrolled face.

    vector: bytes of float32 (D,). picture: PNG of the aligned face, 112x112 px. eyes_px: distance
    of the eyes in the original. t_wall_ns: wall time of the enrollment.
    """

    vector: bytes
    picture: bytes
    eyes_px: float
    t_wall_ns: int

    @property
    def embedding(self) -> Vector:
        """The vector, float32 (D,) of length 1."""
        return np.frombuffer(self.vector, np.float32).copy()


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An enrolled person. model: the embedder that made the vectors."""

    name: str
    model: str
    portraits: list[Portrait]

    @property
    def template(self) -> Vector:
        """The mean of the person's vectors as a unit vector, float32 (D,)."""
        mean = np.mean([portrait.embedding for portrait in self.portraits], axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


@dataclass(frozen=True, slots=True)
class Erased:
    """Result of `Gallery.erase`: files and pictures removed, and files that are left."""

    files: int
    pictures: int
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """The people that were enrolled with one model: names, and unit vectors float32 (P, D)."""

    names: tuple[str, ...]
    vectors: Vector

    @classmethod
    def of(cls, people: Sequence[Person], model: str) -> "Templates":
        """Return those of `people` that were enrolled with this model. Raises ConfigError."""
        known = [person for person in people if person.model == model]
        vectors = [person.template for person in known]
        if len({len(vector) for vector in vectors}) > 1:
            raise ConfigError(f"the gallery's vectors of {model} differ in length: enroll again")
        return cls(
            tuple(person.name for person in known),
            np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        )


def checked_name(name: str) -> str:
    """Return a name in normal form (NFC, single spaces).

    Raises ConfigError unless it has 1 to 64 letters, digits, spaces and ' . - _ and begins with a
    letter or digit. Names are shown in web pages and used in MQTT topics.
    """
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if len(clean) > MAX_NAME:
        raise ConfigError(f"a name of {len(clean)} characters: at most {MAX_NAME}")
    marks = (unicodedata.category(c)[0] in "LMN" or c in " '.-_" for c in clean)
    if not clean or not clean[0].isalnum() or not all(marks):
        raise ConfigError(
            f"{ascii(name)[:80]} cannot be a name: letters, digits, spaces and ' . - _ only, "
            "a letter or digit first"
        )
    if clean.casefold() in _RESERVED:
        raise ConfigError(f"{clean!r} cannot be a name: it is reserved for decisions and states")
    return clean


def default_gallery() -> Path:
    """Return the default folder of the gallery."""
    return Path(user_data_dir("perception")) / "gallery"


def version(folder: Path | None) -> int:
    """Return a number that changes when a person is enrolled or erased; 0: there is no gallery."""
    try:
        return (folder or default_gallery()).expanduser().stat().st_mtime_ns
    except OSError:
        return 0


class Gallery:
    """The enrolled people in a folder.

    folder: created with mode 0700 at the first enrollment; None: the default. key: see Cipher; a
    missing key file is created then too. damaged: names of the files that cannot be read.
    Raises ConfigError where there is a gallery and its key is wrong or missing.
    """

    def __init__(self, folder: Path | None = None, key: str | Path | None = None) -> None:
        self.folder = (folder or default_gallery()).expanduser()
        self._key = key
        self.damaged: list[str] = []
        self.people()

    def people(self) -> list[Person]:
        """Return all people, sorted by name. Files that cannot be read are listed in `damaged`."""
        self.damaged = []
        if not (self.folder / _CHECK).is_file():
            if self._files():
                raise ConfigError(f"{self.folder} is no gallery of perception: `check` is missing")
            return []
        cipher = self._cipher(make=False)
        found = [person for path in self._files() if (person := self._open(path, cipher))]
        return sorted(found, key=lambda person: person.name.casefold())

    def find(self, name: str) -> Person:
        """Return a person by name, ignoring case. Raises ConfigError that lists the names."""
        clean, people = checked_name(name).casefold(), self.people()
        for person in people:
            if person.name.casefold() == clean:
                return person
        there = ", ".join(person.name for person in people) or "nobody"
        raise ConfigError(f"nobody named {checked_name(name)!r} is enrolled; there is: {there}")

    def enroll(self, name: str, model: str, portraits: Sequence[Portrait]) -> Person:
        """Add all portraits to the person with this name, who is created if needed.

        A portrait with a vector that is there already is skipped. Raises ConfigError, and changes
        nothing, for a wrong name, another model, too many pictures or a write error.
        """
        name = checked_name(name)
        with self._writing() as cipher:
            old = next((p for p in self.people() if p.name.casefold() == name.casefold()), None)
            if old is not None and old.model != model:
                raise ConfigError(
                    f"{old.name} was enrolled with {old.model}, not {model}: erase and enroll again"
                )
            kept = list(old.portraits) if old else []
            vectors = {portrait.vector for portrait in kept}
            kept += [portrait for portrait in portraits if portrait.vector not in vectors]
            if len(kept) > MAX_PICTURES:
                raise ConfigError(f"{name} would have {len(kept)} pictures: at most {MAX_PICTURES}")
            person = Person(name=old.name if old else name, model=model, portraits=kept)
            places = self._places(person.name, cipher)
            path = places[0] if places else self.folder / f"{secrets.token_hex(8)}{SUFFIX}"
            _write(path, cipher.seal(msgspec.msgpack.encode(person)))
        return person

    def erase(self, name: str) -> Erased:
        """Overwrite and remove every file of a person, then count the files that are left.

        Raises ConfigError where nobody has this name.
        """
        person = self.find(name)
        with self._writing() as cipher:
            places = self._places(person.name, cipher)
            for path in [*places, *self.folder.glob("*.part")]:
                with path.open("r+b") as file:
                    file.write(secrets.token_bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
            _sync(self.folder)
            left = len(self._places(person.name, cipher)) + len(list(self.folder.glob("*.part")))
        return Erased(len(places), len(person.portraits), left)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []

    def _places(self, name: str, cipher: Cipher) -> list[Path]:
        """Return the files of this person."""
        return [
            path
            for path in self._files()
            if (person := self._open(path, cipher)) and person.name.casefold() == name.casefold()
        ]

    def _open(self, path: Path, cipher: Cipher) -> Person | None:
        data = cipher.open(_read(path))
        if data is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                person = msgspec.msgpack.decode(data, type=Person)
                if person.portraits:
                    return person
        if path.name not in self.damaged:
            self.damaged.append(path.name)
        return None

    def _cipher(self, *, make: bool) -> Cipher:
        """Return the cipher, if it decrypts the check file of the gallery, else ConfigError.

        make: create the check file, and the key file, if missing.
        """
        check = self.folder / _CHECK
        cipher = Cipher(self._key, make=make and not check.exists())
        if make and not check.exists():
            _write(check, cipher.seal(_CHECK_TEXT))
        if cipher.open(_read(check)) != _CHECK_TEXT:
            raise ConfigError(
                f"wrong key: the gallery {self.folder} was not made with {cipher.where}; restore "
                "the right key, or move the folder away and enroll again"
            )
        return cipher

    @contextlib.contextmanager
    def _writing(self) -> Generator[Cipher]:
        """Lock the gallery for writing; create it if missing."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                yield self._cipher(make=True)
            finally:
                os.close(fd)
        except OSError as error:
            raise ConfigError(f"gallery {self.folder}: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:  # another program has erased it
        return b""
    except OSError as error:
        raise ConfigError(f"gallery file {path}: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 atomically: to another name, fsync, rename."""
    part = path.with_name(f"{path.name}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
